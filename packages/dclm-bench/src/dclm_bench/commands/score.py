"""The command that recomputes scores."""

from pathlib import Path
from typing import Literal


def score(
    *files: Path,
    version: Literal["v1", "v2"] = "v2",
    check: bool = False,
    json: bool = False,
) -> int:
    """Recompute CORE, EXTENDED and MMLU of evaluation files, with standard errors.

    Every mean comes from the scores of the single tasks; gaps are named. The errors hold the noise of the
    questions, not that of the training seed.

    Args:
        files: Evaluation files, folders or patterns.
        version: Baselines: v2 since September 2025, v1 as in the paper.
        check: Exit with 1 when a mean that a file holds is not what its scores give.
        json: Print one JSON document.
    """
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.records import expand_inputs

    from dclm_bench.evaluation.reports import scores_document, scores_text
    from dclm_bench.evaluation.score_file import mismatches, read_score_file

    if not files:
        raise InputError("files: none given; name an evaluation file or a folder of them")
    found = [read_score_file(path) for path in expand_inputs(files, (".json",))]
    emit(scores_document(found, version), scores_text(found, version, check=check), as_json=json)
    return 1 if check and any(mismatches(file) for file in found) else 0
