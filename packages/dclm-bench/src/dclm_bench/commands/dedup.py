"""The command that only deduplicates."""

from pathlib import Path
from typing import Annotated, Literal

from toolkit_shared.cli import Flat

from dclm_bench.settings import RunSettings


def dedup(
    *inputs: str,
    method: Literal["bff", "minhash", "exact", "url", "suffix", "line"] = "bff",
    out: Path,
    set: tuple[str, ...] = (),
    running: Annotated[RunSettings, Flat] = RunSettings(),
    json: bool = False,
) -> None:
    """Remove what is duplicated, within pages and across all inputs.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        method: Bloom filter over n-grams, MinHash, equal texts, equal URLs, repeated spans, or equal lines.
        out: Folder of the pages kept, the audit and the manifest.
        set: A parameter of the method, as PARAMETER=VALUE; may be repeated.
        running: How pages are read, worked on and written.
        json: Print one JSON document.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.pipeline.running import run_recipe
    from dclm_bench.recipe import Recipe, RecipeStep, parse_settings

    func = f"{method}_dedup"
    with progress_bar(None, "dedup", "shards") as progress:
        report = run_recipe(
            Recipe(func, (RecipeStep(func, func, parse_settings(set, step=func)),)),
            inputs,
            out,
            **asdict(running),
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
