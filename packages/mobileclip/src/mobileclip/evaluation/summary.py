"""Result files averaged over DataComp's 38 tasks, compared, and checked against themselves."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.report import text_table
from toolkit_shared.zero_shot import ResultRow, read_rows

from mobileclip.evaluation.datacomp_tasks import GROUPS, NUM_TASKS, TASKS, Task, find_task

TOLERANCE = 1e-6
"""Largest difference between a stored and a recomputed score; some metrics are stored as single floats."""

HEADLINES = (
    "retrieval/flickr_1k_test_image_text_retrieval",
    "retrieval/mscoco_2014_5k_test_image_text_retrieval",
)
_DIRECTIONS = ("image_retrieval_recall@1", "text_retrieval_recall@1")


@dataclass(frozen=True)
class ResultFile:
    """One file of results.

    Attributes:
        path: Where it was read.
        scores: Score of each of the 38 tasks that it has one for, 0..1, in the order of the table.
        retrieval: Recall@1 by text and by image of the retrieval tasks, by key and metric, 0..1.
        left_out: Names of rows that enter no average: those of no task, and those without a score.
        mismatches: A line for each score that the other metrics of its row do not give.
    """

    path: Path
    scores: Mapping[str, float]
    retrieval: Mapping[str, Mapping[str, float]]
    left_out: tuple[str, ...]
    mismatches: tuple[str, ...]

    @property
    def missing(self) -> tuple[str, ...]:
        """Keys of the tasks without a score, in the order of the table."""
        return tuple(task.key for task in TASKS if task.key not in self.scores)


@dataclass(frozen=True)
class Summary:
    """Means of one file.

    Attributes:
        file: The file.
        num_tasks: Tasks behind `average`: 38, or fewer in a partial summary.
        average: Mean score over them, 0..1.
        groups: Mean score of each group that has a task among them.
    """

    file: ResultFile
    num_tasks: int
    average: float
    groups: Mapping[str, float]


def read_result_file(path: str | Path) -> ResultFile:
    """The scores of a file of CLIP_benchmark's or DataComp's lines.

    A row counts by its key alone, so further rows (SugarCrepe, long captions) and the two without a score
    (FairFace, UTKFace) change no average. Where a row of a task has no `main_metric`, the task's own metric
    is taken.

    Raises:
        InputError: the file cannot be read, has a task twice, a score outside 0..1, or no task at all.
    """
    path = Path(path)
    scores: dict[str, float] = {}
    retrieval: dict[str, dict[str, float]] = {}
    left_out, mismatches = [], []
    for row in read_rows(path):
        task = find_task(row.key)
        score = None if task is None else _score(row, task)
        if task is None or score is None:
            left_out.append(row.key)
            continue
        if task.key in scores:
            raise InputError(f"{path}: holds {task.key} twice, under two names; keep one of the two")
        if not 0 <= score <= 1:
            hint = "; divide percent by 100" if 1 < score <= 100 else ""
            raise InputError(f"{path}: {row.key}: {score!r} is no score from 0 to 1{hint}")
        scores[task.key] = score
        mismatches += [f"{path}: {row.key}: {line}" for line in _mismatches(row.metrics, task, score)]
        recalls = {name: _number(row.metrics, name) for name in _DIRECTIONS}
        if task.key in HEADLINES:
            retrieval[task.key] = {name: value for name, value in recalls.items() if value is not None}
    if not scores:
        raise InputError(f"{path}: has none of the {NUM_TASKS} tasks; give a result file of DataComp's tasks")
    ordered = {task.key: scores[task.key] for task in TASKS if task.key in scores}
    return ResultFile(path, ordered, retrieval, tuple(left_out), tuple(mismatches))


def summarize(files: Sequence[ResultFile], *, partial: bool = False) -> list[Summary]:
    """The means of each file over the 38 tasks.

    With `partial`, over the tasks that all files have: means over different tasks do not compare.

    Raises:
        InputError: no file; a file lacks tasks and `partial` is not given; or no task is in all files.
    """
    if not files:
        raise InputError("files: none given; name a result file of one JSON object a line")
    for file in files:
        if file.missing and not partial:
            raise InputError(
                f"{file.path}: lacks {len(file.missing)} of the {NUM_TASKS} tasks "
                f"({', '.join(file.missing)}); add them, or pass --partial to average what is there"
            )
    common = [task for task in TASKS if all(task.key in file.scores for file in files)]
    if not common:
        raise InputError("files: have no task in common; summarize them one by one")
    return [_summary(file, common) for file in files]


def recomputed_score(task: Task, metrics: Mapping[str, Any]) -> float | None:
    """The score of a task from the parts of its metric; None where the row has not all of them.

    The two directions of a retrieval, or the groups with images.
    """
    if task.main_metric == "mean_recall@1":
        parts = [_number(metrics, name) for name in _DIRECTIONS]
        return None if None in parts else math.fsum(part for part in parts if part is not None) / 2
    rule = task.worst_group
    if rule is None:
        return None
    shares = []
    for group in range(rule.num_groups):
        count = _number(metrics, f"count_{rule.name}:{group}")
        share = _number(metrics, f"{rule.metric}_{rule.name}:{group}")
        if count is None or (count > 0 and share is None):
            return None
        if count > 0 and share is not None:
            shares.append(share)
    return min(shares, default=None)


def summary_document(summaries: Sequence[Summary]) -> dict[str, Any]:
    """The summaries as JSON values; scores 0..1."""
    return {
        "files": [
            {
                "path": str(summary.file.path),
                "average": summary.average,
                "num_tasks": summary.num_tasks,
                "groups": dict(summary.groups),
                "tasks": dict(summary.file.scores),
                "retrieval": {key: dict(value) for key, value in summary.file.retrieval.items()},
                "missing": list(summary.file.missing),
                "left_out": list(summary.file.left_out),
                "mismatches": list(summary.file.mismatches),
            }
            for summary in summaries
        ]
    }


def summary_text(summaries: Sequence[Summary], *, tasks: bool = False, check: bool = False) -> str:
    """A table of the files in percent, and what was left out, is missing or does not agree.

    Args:
        summaries: One a column.
        tasks: A row for each task as well.
        check: Say also that all scores agree with their parts.
    """
    number = summaries[0].num_tasks
    rows: list[tuple[str, Sequence[float | None]]] = [
        ("average" if number == NUM_TASKS else f"average of {number}", [s.average for s in summaries]),
        *((group, [s.groups.get(group) for s in summaries]) for group in GROUPS),
    ]
    for key in HEADLINES:
        name = next(task.dataset for task in TASKS if task.key == key)
        for metric, way in zip(_DIRECTIONS, ("text to image", "image to text"), strict=True):
            values = [s.file.retrieval.get(key, {}).get(metric) for s in summaries]
            rows.append((f"{name} R@1, {way}", values))
    if tasks:
        rows += [(task.dataset, [s.file.scores.get(task.key) for s in summaries]) for task in TASKS]
    lines = text_table(
        ["percent", *_names(summaries)],
        [
            (name, *("-" if value is None else f"{100 * value:.3f}" for value in values))
            for name, values in rows
        ],
    )
    for summary in summaries:
        if summary.file.missing:
            missing = summary.file.missing
            lines.append(f"{summary.file.path}: lacks {len(missing)} tasks: {', '.join(missing)}")
    lines += _left_out_lines(summaries)
    lines += [line for summary in summaries for line in summary.file.mismatches]
    if check and not any(summary.file.mismatches for summary in summaries):
        lines.append("every score is the metric of its task, and agrees with its parts")
    return "\n".join(lines)


def _left_out_lines(summaries: Sequence[Summary]) -> list[str]:
    """What enters no mean, once for all files that leave out the same."""
    files: dict[tuple[str, ...], list[str]] = {}
    for summary, name in zip(summaries, _names(summaries), strict=True):
        if summary.file.left_out:
            files.setdefault(summary.file.left_out, []).append(name)
    return [
        f"{', '.join(names)}: not among the {NUM_TASKS} tasks, or without a score: {', '.join(rows)}"
        for rows, names in files.items()
    ]


def _summary(file: ResultFile, common: Sequence[Task]) -> Summary:
    def mean(tasks: Sequence[Task]) -> float:
        return math.fsum(file.scores[task.key] for task in tasks) / len(tasks)

    groups = {group: [task for task in common if task.group == group] for group in GROUPS}
    means = {str(group): mean(tasks) for group, tasks in groups.items() if tasks}
    return Summary(file, len(common), mean(common), means)


def _score(row: ResultRow, task: Task) -> float | None:
    main = _number(row.metrics, "main_metric")
    return main if main is not None else _number(row.metrics, task.main_metric)


def _mismatches(metrics: Mapping[str, Any], task: Task, score: float) -> list[str]:
    lines = []
    named, parts = _number(metrics, task.main_metric), recomputed_score(task, metrics)
    if named is not None and abs(named - score) > TOLERANCE:
        lines.append(f"main_metric is {score}, but {task.main_metric} is {named}")
    if parts is not None and abs(parts - score) > TOLERANCE:
        lines.append(f"main_metric is {score}, but its parts give {parts}")
    return lines


def _number(metrics: Mapping[str, Any], name: str) -> float | None:
    value = metrics.get(name)
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def _names(summaries: Sequence[Summary]) -> list[str]:
    """Names of the columns: the stems of the files, or the paths where two stems are the same."""
    stems = [summary.file.path.stem for summary in summaries]
    return stems if len(set(stems)) == len(stems) else [str(summary.file.path) for summary in summaries]
