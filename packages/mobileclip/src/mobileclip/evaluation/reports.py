"""Rows of result files, those that are there already, and what the commands of evaluation print."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.report import text_table
from toolkit_shared.zero_shot import Interval, ResultRow, read_rows

from mobileclip.evaluation.datacomp_tasks import find_task
from mobileclip.evaluation.features import Encoders
from mobileclip.evaluation.task_metrics import Metrics

SHOWN_CLASSES = 20
"""Classes in the table of the text output; JSON has all."""


def existing_row(out: Path | None, key: str, mark: str, *, overwrite: bool) -> ResultRow | None:
    """The row of a result file that was made from exactly the same, or None where the work is to be done.

    Raises:
        InputError: the file has a result of this dataset by another model, other data or other prompts, and
            `overwrite` is not given.
    """
    if out is None or not out.exists():
        return None
    for row in read_rows(out):
        if row.key == key and not overwrite:
            if row.details.get("fingerprint") == mark:
                return row
            raise InputError(
                f"{out}: has a result of '{key}' from another model, other data or other prompts; choose "
                "another --out, or pass --overwrite"
            )
    return None


def evaluation_row(
    encoders: Encoders,
    key: str,
    mark: str,
    *,
    task: str,
    metrics: Metrics,
    counts: Mapping[str, int],
    losses: Losses,
    intervals: Mapping[str, Interval],
) -> ResultRow:
    """The line of a result file, in CLIP_benchmark's form.

    Args:
        encoders: What was measured.
        key: Of the dataset; one of the 38 tasks is named as they name it.
        mark: Of all that the result depends on.
        task: CLIP_benchmark's name for the kind of evaluation.
        metrics: What was found.
        counts: Numbers of what was used, by name.
        losses: What was left out.
        intervals: Of the metrics that have one.
    """
    known = find_task(key)
    return ResultRow(
        key=key if known is None else known.key,
        dataset=key if known is None else known.dataset,
        metrics=metrics,
        details={
            "model": encoders.name,
            "pretrained": encoders.checkpoint,
            "task": task,
            **counts,
            "left_out": losses.to_json()["lost"],
            "intervals": {name: list(interval) for name, interval in intervals.items()},
            "fingerprint": mark,
        },
    )


def metrics_text(row: ResultRow, counts: str) -> list[str]:
    """A heading, and the metrics of a row in percent with their intervals; groups are left to JSON."""
    intervals: Mapping[str, Sequence[float]] = row.details.get("intervals", {})
    lines = []
    for name, value in row.metrics.items():
        if ":" in name or value is None:
            continue
        interval = intervals.get(name)
        between = f"{100 * interval[0]:.2f} to {100 * interval[1]:.2f}" if interval else ""
        lines.append((name, f"{100 * value:.2f}", between))
    heading = f"{row.dataset}: {row.details['model']}, {counts}"
    return [heading, *text_table(["metric", "percent", "95 % interval"], lines)]


def classes_text(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The classes with the lowest recalls."""
    shown = rows[:SHOWN_CLASSES]
    cells = [
        (row["class"], str(row["num_images"]), "-" if row["recall"] is None else f"{100 * row['recall']:.2f}")
        for row in shown
    ]
    more = len(rows) - len(shown)
    return [
        *text_table(["class", "images", "recall %"], cells),
        *([f"{more} classes with higher recalls are not shown; --json has them"] if more else []),
    ]


def losses_text(left_out: Mapping[str, int]) -> list[str]:
    """A line on what was left out; none when nothing was."""
    if not left_out:
        return []
    return [f"left out: {', '.join(f'{count:,} {reason}' for reason, count in left_out.items())}"]
