"""The command that scores pages with a quality classifier."""

from pathlib import Path
from typing import Literal


def quality_score(
    *inputs: str,
    model: Path,
    out: Path,
    key: str = "fasttext_hq_prob",
    keep_fraction: float | None = None,
    threshold: float | None = None,
    by: Literal["documents", "tokens"] = "documents",
    labels: str | None = None,
    text_field: str = "text",
    format: Literal["jsonl", "jsonl.gz", "jsonl.zst", "parquet"] = "jsonl.zst",
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    json: bool = False,
) -> None:
    """Score pages with a fastText classifier, keep the best share of them, and compare with human labels.

    Args:
        inputs: WARC, WET, JSON lines (plain, .gz, .zst) or Parquet: files, folders or globs.
        model: A fastText classifier, of `quality train` or of fastText.
        out: Folder of the pages, the audit and the manifest.
        key: Field that the score goes to.
        keep_fraction: Share that is kept, exactly; none for all.
        threshold: Lowest score that is kept; none for all.
        by: What the share is of.
        labels: Field with human labels (0 or 1): print the AUC beside that of the length.
        text_field: Field that holds the text.
        format: Format of the pages written.
        workers: Processes; the output is the same for any number.
        engine: Where the processes run.
        resume: Go on with an unfinished run.
        overwrite: Replace a run of another configuration.
        strict: Stop at the first record that cannot be used instead of counting and skipping it.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.quality.scoring import score_pages

    with progress_bar(None, "quality score", "shards") as progress:
        report = score_pages(
            inputs,
            model,
            out,
            key=key,
            keep_fraction=keep_fraction,
            threshold=threshold,
            by=by,
            labels=labels,
            text_field=text_field,
            format=format,
            workers=workers,
            engine=engine,
            resume=resume,
            overwrite=overwrite,
            strict=strict,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
