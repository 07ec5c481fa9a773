"""The command that runs only the rules on one page at a time."""

from pathlib import Path
from typing import Literal


def filter(
    *inputs: str,
    recipe: str = "heuristics",
    only: tuple[str, ...] = (),
    out: Path,
    set: tuple[str, ...] = (),
    lists: Path | None = None,
    compat: Literal["official", "fixed", "datatrove"] = "official",
    audit: Literal["full", "first"] = "full",
    format: Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"] = "jsonl.zst",
    text_field: str = "text",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Filter pages by the rules of a recipe that look at one page at a time.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        recipe: Name of a shipped recipe, or a YAML file; its steps on the whole corpus are left out.
        only: Name of a step to run alone; may be repeated, and keeps the recipe's order.
        out: Folder of the pages kept, the audit and the manifest.
        set: A parameter that differs from the recipe's, as STEP.PARAMETER=VALUE; may be repeated.
        lists: Folder of the lists of banned words that the recipe names, such as baselines/mappers/banlists
            of the official repository; unset: that of DCLM_BENCH_LISTS. Without a list its rule is left out.
        compat: Whose semantics: the official code's with its bugs, those mended, or datatrove's.
        audit: Measure every rule on every page, or stop at a page's first drop.
        format: Format of the pages written.
        text_field: Field that holds the text.
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
    from dclm_bench.recipe import load_recipe, page_steps_only, parse_settings

    chosen = page_steps_only(load_recipe(recipe), only=only)
    with progress_bar(None, "filter", "shards") as progress:
        report = run_recipe(
            chosen,
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
            text_field=text_field,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
