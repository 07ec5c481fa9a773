"""The command that runs a recipe."""

from pathlib import Path
from typing import Literal


def run(
    *inputs: str,
    recipe: str = "dclm-baseline",
    out: Path,
    set: tuple[str, ...] = (),
    lists: Path | None = None,
    compat: Literal["official", "fixed", "datatrove"] = "official",
    audit: Literal["full", "first"] = "full",
    format: Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"] = "jsonl.zst",
    tokenizer: str | None = None,
    text_field: str = "text",
    extractor: Literal["resiliparse", "resiliparse-all", "trafilatura"] = "resiliparse",
    encoding: Literal["strict", "detect"] = "strict",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Run a recipe over crawl files or pages, with an audit of every verdict.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        recipe: Name of a shipped recipe, or a YAML file (the official ones run as they are).
        out: Folder of the pages kept, the audit and the manifest.
        set: A parameter that differs from the recipe's, as STEP.PARAMETER=VALUE; may be repeated.
        lists: Folder of the lists of banned words that the recipe names, such as baselines/mappers/banlists
            of the official repository; unset: that of DCLM_BENCH_LISTS. Without a list its rule is left out.
        compat: Whose semantics: the official code's with its bugs, those mended, or datatrove's.
        audit: Measure every rule on every page, or stop at a page's first drop.
        format: Format of the pages written.
        tokenizer: What counts tokens: a .tiktoken or tokenizer.json file, or "bytes"; else words are counted.
        text_field: Field that holds the text.
        extractor: What takes the text out of the pages of a WARC.
        encoding: Lose pages that are no UTF-8, as the official code does, or detect their encoding.
        workers: Processes; the output is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished run.
        overwrite: Replace a run of another configuration.
        strict: Stop at the first record that cannot be used instead of counting and skipping it.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.pipeline.running import run_recipe
    from dclm_bench.recipe import parse_settings

    with progress_bar(None, "run", "shards") as progress:
        report = run_recipe(
            recipe,
            inputs,
            out,
            settings=parse_settings(set),
            lists=lists,
            workers=workers,
            engine=engine,
            compat=compat,
            resume=resume,
            overwrite=overwrite,
            audit=audit,
            strict=strict,
            format=format,
            tokenizer=tokenizer,
            text_field=text_field,
            encoding=encoding,
            extractor=extractor,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
