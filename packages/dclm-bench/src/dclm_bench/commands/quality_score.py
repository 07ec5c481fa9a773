"""The command that scores pages with a quality classifier."""

from pathlib import Path
from typing import Annotated, Literal

from toolkit_shared.cli import Flat

from dclm_bench.settings import RunSettings


def quality_score(
    *inputs: str,
    model: Path,
    out: Path,
    key: str = "fasttext_hq_prob",
    keep_fraction: float | None = None,
    threshold: float | None = None,
    by: Literal["documents", "tokens"] = "documents",
    labels: str | None = None,
    running: Annotated[RunSettings, Flat] = RunSettings(),
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
        running: How pages are read, worked on and written.
        json: Print one JSON document.
    """
    from dataclasses import asdict

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
            **asdict(running),
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
