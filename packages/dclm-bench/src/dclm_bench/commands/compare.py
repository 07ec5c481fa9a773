"""The command that says whether a gap between scores is real."""

from pathlib import Path
from typing import Literal


def compare(
    a: Path,
    /,
    *b: Path,
    version: Literal["v1", "v2"] = "v2",
    suite: Literal["core", "extended", "both"] = "both",
    common: bool = False,
    item_correlation: float = 0.0,
    seed_deviation: float = 0.0025,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Compare evaluation files: what differs, and whether it is more than noise.

    Each file is compared with A, the p values corrected for their number. Two noises are weighed: that of
    questions and training seeds, and that of the choice of tasks. A suite for which a file lacks tasks is
    left out, and said so, unless --common is given.

    Args:
        a: Evaluation file that the others are compared with.
        b: One evaluation file, or several.
        version: Baselines: v2 since September 2025, v1 as in the paper.
        suite: Over the 22 tasks of CORE, the 53 of EXTENDED, or both.
        common: Compare over the tasks that both files have.
        item_correlation: How alike two models answer the same questions, 0..1; 0 is cautious.
        seed_deviation: Standard deviation of a mean over training seeds, 0..1.
        confidence: Of the intervals.
        draws: Resamples of the tasks.
        seed: Of the resamples.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError

    from dclm_bench.evaluation.comparing import compare_files
    from dclm_bench.evaluation.reports import comparison_document, comparison_text
    from dclm_bench.evaluation.score_file import read_score_file

    for name, value in (("--item-correlation", item_correlation), ("--seed-deviation", seed_deviation)):
        if not 0 <= value < 1:
            raise InputError(f"{name}: {value:g} is not from 0 to 1; give a share such as 0.0025")
    if not 0 < confidence < 1:
        raise InputError(f"--confidence: {confidence:g} is not between 0 and 1; give a share such as 0.95")
    if draws < 1:
        raise InputError(f"--draws: {draws} is not positive; give 1,000 or more")
    if not b:
        raise InputError("b: none given; name at least two evaluation files")
    files = [read_score_file(path) for path in (a, *b)]
    comparisons, skipped = compare_files(
        files,
        version,
        suites=("Core", "Extended") if suite == "both" else ("Core" if suite == "core" else "Extended",),
        common_only=common,
        item_correlation=item_correlation,
        seed_deviation=seed_deviation,
        confidence=confidence,
        draws=draws,
        seed=seed,
    )
    text = "\n".join([comparison_text(files, comparisons), *skipped])
    emit({**comparison_document(files, comparisons), "left_out": skipped}, text, as_json=json)
