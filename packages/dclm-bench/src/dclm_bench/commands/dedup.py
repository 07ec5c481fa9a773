"""The command that only deduplicates."""

from pathlib import Path
from typing import Literal


def dedup(
    *inputs: str,
    method: Literal["bff", "minhash", "exact", "url", "suffix", "line"] = "bff",
    out: Path,
    set: tuple[str, ...] = (),
    format: Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"] = "jsonl.zst",
    text_field: str = "text",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Remove what is duplicated, within pages and across all inputs.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        method: Bloom filter over n-grams, MinHash, equal texts, equal URLs, repeated spans, or equal lines.
        out: Folder of the pages kept, the audit and the manifest.
        set: A parameter of the method, as PARAMETER=VALUE; may be repeated.
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
    from dclm_bench.recipe import Recipe, RecipeStep, parse_settings

    func = f"{method}_dedup"
    with progress_bar(None, "dedup", "shards") as progress:
        report = run_recipe(
            Recipe(func, (RecipeStep(func, func, parse_settings(set, step=func)),)),
            inputs,
            out,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            strict=strict,
            format=format,
            text_field=text_field,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
