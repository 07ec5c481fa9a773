"""What was found of the questions in training text, as a table and as a JSON document."""

from collections.abc import Mapping
from typing import Any

from toolkit_shared.report.text_table import text_table

from dclm_bench.contamination.searching import Search
from dclm_bench.evaluation.contamination_gain import ContaminationGain, contamination_gain
from dclm_bench.evaluation.score_file import ScoreFile
from dclm_bench.evaluation.tasks import Version

Pair = tuple[ScoreFile, ScoreFile]
"""The model's scores, and the control's."""


def contamination_document(
    found: Search, pair: Pair | None, version: Version, settings: Mapping[str, Any]
) -> dict[str, Any]:
    """Settings, what was read, `tasks`, and with scores `gain` (rows, pearson)."""
    document: dict[str, Any] = {
        **settings,
        "num_files": found.num_files,
        "num_pages": found.num_pages,
        "num_bad_records": found.num_bad_records,
        "tasks": {
            task.task: {
                "num_questions": task.num_questions,
                "num_too_short": task.num_questions - task.num_judged,
                "num_contaminated": task.num_contaminated,
                "contaminated_share": task.contaminated_share,
                "mean_share": task.mean_share,
            }
            for task in found.tasks
        },
    }
    if pair is not None:
        gain = _gain(found, pair, version)
        document["gain"] = {
            "model": str(pair[0].path),
            "control": str(pair[1].path),
            "version": version,
            "pearson": gain.pearson,
            "tasks": {
                row.task.name: {
                    "contaminated_share": share,
                    "centred_gain": row.difference,
                    "standard_error": row.standard_error,
                }
                for share, row in gain.rows
            },
        }
    return document


def contamination_text(found: Search, pair: Pair | None, version: Version) -> str:
    """A row a task, what was read, and with scores a table of gains."""
    rows = [
        [
            task.task,
            f"{task.num_questions:,}",
            f"{task.num_questions - task.num_judged:,}",
            f"{task.num_contaminated:,}",
            _percent(task.contaminated_share),
            _percent(task.mean_share),
        ]
        for task in found.tasks
    ]
    lines = text_table(["task", "questions", "too short", "contaminated", "share", "words found"], rows)
    lines.append(
        f"in {found.num_pages:,} pages of {found.num_files:,} files; "
        f"{found.num_bad_records:,} records could not be used"
    )
    if pair is not None:
        gain = _gain(found, pair, version)
        table = [
            [
                row.task.name,
                _percent(share),
                f"{100 * row.difference:+.2f}",
                f"{100 * row.standard_error:.2f}",
            ]
            for share, row in gain.rows
        ]
        lines += ["", *text_table(["task", "contaminated", f"gain {version}", "+-"], table)]
        correlation = "none to tell" if gain.pearson is None else f"{gain.pearson:+.2f}"
        lines.append(
            f"correlation of contamination and gain over the control, {len(table)} tasks: {correlation}"
        )
    return "\n".join(lines)


def _gain(found: Search, pair: Pair, version: Version) -> ContaminationGain:
    shares = {
        task.task: task.contaminated_share for task in found.tasks if task.contaminated_share is not None
    }
    return contamination_gain(shares, pair[0].scores, pair[1].scores, version)


def _percent(share: float | None) -> str:
    return "-" if share is None else f"{100 * share:.2f}%"
