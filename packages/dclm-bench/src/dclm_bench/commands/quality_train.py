"""The command that trains a quality classifier."""

from pathlib import Path
from typing import Annotated

from toolkit_shared.cli import Flat

from dclm_bench.fasttext.settings import FastTextSettings


def quality_train(
    *,
    positives: tuple[str, ...],
    negatives: tuple[str, ...],
    out: Path,
    settings: Annotated[FastTextSettings, Flat] = FastTextSettings(),
    held_out: float = 0.1,
    max_examples: int | None = None,
    text_field: str = "text",
    seed: int = 0,
    overwrite: bool = False,
    json: bool = False,
) -> None:
    """Train a fastText classifier of good pages against plain ones; fastText itself loads it too.

    Args:
        positives: Good pages: JSON lines, Parquet or text (an example a line); files, folders or globs.
        negatives: Plain pages, in the same formats.
        out: The model file, such as quality.bin; a report and hashes of the examples are put beside it.
        settings: How it is trained.
        held_out: Share of the examples that is kept for judging.
        max_examples: At most so many examples of each label; none for all.
        text_field: Field that holds the text.
        seed: Of the first vectors and the order of examples.
        overwrite: Replace a model of other inputs or settings.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.progress import progress_bar

    from dclm_bench.quality.classifier import train_classifier

    with progress_bar(None, "quality train", "examples") as progress:
        report = train_classifier(
            positives,
            negatives,
            out,
            settings=settings,
            held_out=held_out,
            max_examples=max_examples,
            text_field=text_field,
            seed=seed,
            overwrite=overwrite,
            progress=progress,
        )
    emit(report.as_dict(), report.to_text(), as_json=json)
