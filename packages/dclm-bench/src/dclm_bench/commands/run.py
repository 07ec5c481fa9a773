"""The command that runs a recipe."""

from pathlib import Path
from typing import Annotated, Literal

from toolkit_shared.cli import Flat

from dclm_bench.settings import RuleSettings, RunSettings


def run(
    *inputs: str,
    recipe: str = "dclm-baseline",
    out: Path,
    set: tuple[str, ...] = (),
    tokenizer: str | None = None,
    extractor: Literal["resiliparse", "resiliparse-all", "trafilatura"] = "resiliparse",
    encoding: Literal["strict", "detect"] = "strict",
    rules: Annotated[RuleSettings, Flat] = RuleSettings(),
    running: Annotated[RunSettings, Flat] = RunSettings(),
    json: bool = False,
) -> None:
    """Run a recipe over crawl files or pages, with an audit of every verdict.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        recipe: Name of a shipped recipe, or a YAML file (the official ones run as they are).
        out: Folder of the pages kept, the audit and the manifest.
        set: A parameter that differs from the recipe's, as STEP.PARAMETER=VALUE; may be repeated.
        tokenizer: What counts tokens: a .tiktoken or tokenizer.json file, or "bytes"; else words are counted.
        extractor: What takes the text out of the pages of a WARC.
        encoding: Lose pages that are no UTF-8, as the official code does, or detect their encoding.
        rules: How the rules are read, and what is kept of their verdicts.
        running: How pages are read, worked on and written.
        json: Print one JSON document.
    """
    from dataclasses import asdict

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
            tokenizer=tokenizer,
            encoding=encoding,
            extractor=extractor,
            **asdict(rules),
            **asdict(running),
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
