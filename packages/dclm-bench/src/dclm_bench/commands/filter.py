"""The command that runs only the rules on one page at a time."""

from pathlib import Path
from typing import Annotated

from toolkit_shared.cli import Flat

from dclm_bench.settings import RuleSettings, RunSettings


def filter(
    *inputs: str,
    recipe: str = "heuristics",
    only: tuple[str, ...] = (),
    out: Path,
    set: tuple[str, ...] = (),
    rules: Annotated[RuleSettings, Flat] = RuleSettings(),
    running: Annotated[RunSettings, Flat] = RunSettings(),
    json: bool = False,
) -> None:
    """Filter pages by the rules of a recipe that look at one page at a time.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        recipe: Name of a shipped recipe, or a YAML file; its steps on the whole corpus are left out.
        only: Name of a step to run alone; may be repeated, and keeps the recipe's order.
        out: Folder of the pages kept, the audit and the manifest.
        set: A parameter that differs from the recipe's, as STEP.PARAMETER=VALUE; may be repeated.
        rules: How the rules are read, and what is kept of their verdicts.
        running: How pages are read, worked on and written.
        json: Print one JSON document.
    """
    from dataclasses import asdict

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
            **asdict(rules),
            **asdict(running),
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
