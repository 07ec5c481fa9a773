"""The items that flipped, with what was asked and what both models said."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from toolkit_shared.report.text_table import text_table

from llm_compat import flips
from llm_compat.comparison.compare import POOLED, Comparison, TaskComparison
from llm_compat.data.outcomes import Outcomes
from llm_compat.data.runs import read_details
from llm_compat.reporting.markdown import markdown_cell, markdown_rows

FlipKind = Literal["lost", "gained", "changed", "all"]


@dataclass(frozen=True, kw_only=True)
class FlippedItem:
    """One item of a list.

    Attributes:
        task: Its task.
        filter: The answer filter.
        metric: The metric.
        id: As the log names it.
        kind: "lost" (right or better before), "gained", or "changed" (wrong twice, in another way).
        question: What was asked.
        target: What was expected.
        old_answer: What the old model said, None where nothing could be extracted.
        new_answer: What the new model said.
        old_score: Score of the old model.
        new_score: Score of the new model.
        fields: Other fields of the document.
    """

    task: str
    filter: str
    metric: str
    id: str
    kind: str
    question: str
    target: str
    old_answer: str | None
    new_answer: str | None
    old_score: float
    new_score: float
    fields: Mapping[str, str] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """The item as plain values."""
        return asdict(self)


def flipped_items(
    comparison: Comparison, task: TaskComparison, *, kind: FlipKind = "lost", limit: int | None = None
) -> tuple[list[FlippedItem], int]:
    """The flipped items of one row, and how many there are without the limit.

    Right and wrong are listed in the order of the old log; scores by the size of the change.

    Args:
        comparison: The whole, which knows the logs.
        task: One of its rows; not the pooled one.
        kind: Which items.
        limit: At most so many.

    Raises:
        ValueError: the row is the pooled one, whose items are those of the filters.
    """
    if task.filter == POOLED:
        raise ValueError("the pooled row has no items of its own")
    chosen, kinds = _chosen(task, kind, comparison.settings.tolerance)
    total = len(chosen)
    chosen = chosen if limit is None else chosen[:limit]
    runs = {model: comparison.runs[model][task.task, task.filter] for model in ("old", "new")}
    old, new = (_details(runs[model], task.items.positions[model][chosen]) for model in ("old", "new"))
    scores = task.items.scores
    return [
        FlippedItem(
            task=task.task,
            filter=task.filter,
            metric=task.metric,
            id=before.id,
            kind=kinds[place],
            question=before.question,
            target=before.target,
            old_answer=before.answer,
            new_answer=after.answer,
            old_score=float(scores["old"][place]),
            new_score=float(scores["new"][place]),
            fields=before.fields,
        )
        for place, before, after in zip(chosen.tolist(), old, new, strict=True)
    ], total


def to_csv(items: Sequence[FlippedItem]) -> str:
    """The items as CSV with a header line, one column a field of the documents at the end."""
    extra = sorted({name for item in items for name in item.fields})
    stream = io.StringIO()
    names = [name for name in FlippedItem.__dataclass_fields__ if name != "fields"]
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow([*names, *(f"field.{name}" for name in extra)])
    for item in items:
        writer.writerow(
            [*(getattr(item, name) for name in names), *(item.fields.get(name, "") for name in extra)]
        )
    return stream.getvalue()


def _details(run: Outcomes, positions: npt.NDArray[np.int64]) -> list[Any]:
    return read_details(run, positions.tolist())


def _chosen(
    task: TaskComparison, kind: FlipKind, tolerance: float
) -> tuple[npt.NDArray[np.int64], dict[int, str]]:
    """Positions of the items of that kind, and the kind of each."""
    items = task.items
    differences = items.differences("new", tolerance)
    named = {"lost": differences < 0, "gained": differences > 0}
    if items.kind == "binary":
        named["changed"] = items.cells("new") == flips.WRONG_DIFFERENT
    wanted = [name for name in named if kind in ("all", name)]
    kinds = {int(place): name for name in wanted for place in np.flatnonzero(named[name])}
    chosen = np.array(sorted(kinds), dtype=np.int64)
    if items.kind == "graded" and len(chosen):
        chosen = chosen[np.argsort(-np.abs(differences[chosen]), kind="stable")]
    return chosen, kinds


class TaskItems(NamedTuple):
    """The items of one row: those that are shown, and how many there are."""

    task: TaskComparison
    items: list[FlippedItem]
    total: int


def items_by_task(
    comparison: Comparison, *, kind: FlipKind, limit: int | None, all_metrics: bool = False
) -> list[TaskItems]:
    """The flipped items of the first metric of every task and filter, or of all metrics."""
    seen: set[tuple[str, str]] = set()
    found = []
    for task in comparison.tasks:
        if not all_metrics and (task.task, task.filter) in seen:
            continue
        seen.add((task.task, task.filter))
        found.append(TaskItems(task, *flipped_items(comparison, task, kind=kind, limit=limit)))
    return found


def items_document(comparison: Comparison, found: Sequence[TaskItems], kind: FlipKind) -> dict[str, Any]:
    """The lists as plain values."""
    return {
        **{model: str(path) for model, path in comparison.paths.items()},
        "kind": kind,
        "tasks": [
            {
                "task": one.task.task,
                "filter": one.task.filter,
                "metric": one.task.metric,
                "total": one.total,
                "items": [item.as_dict() for item in one.items],
            }
            for one in found
        ],
    }


def items_text(found: Sequence[TaskItems], *, kind: FlipKind, width: int, markdown: bool = False) -> str:
    """A table a task, texts cut to `width` characters."""
    header = ["id", "kind", "question", "expected", "old answer", "new answer"]
    lines: list[str] = []
    for one in found:
        rows = [
            [
                item.id,
                item.kind,
                *(
                    shorten(text if text is not None else "(none)", width)
                    for text in (item.question, item.target, item.old_answer, item.new_answer)
                ),
            ]
            for item in one.items
        ]
        what = "flipped" if kind == "all" else kind
        shown = "" if one.total == len(rows) else f", the first {len(rows):,} shown"
        title = f"{one.task.name}: {one.total:,} {what} of {len(one.task.items):,}{shown}"
        if markdown:
            lines += [f"## {markdown_cell(title)}", ""]
            lines += markdown_rows(header, rows) if rows else []
        else:
            lines += [title, *(text_table(header, rows) if rows else [])]
        lines.append("")
    return "\n".join(lines).rstrip()


def shorten(text: str, width: int) -> str:
    """One line of at most `width` characters; signs that a terminal would obey become spaces."""
    plain = " ".join("".join(sign if sign.isprintable() else " " for sign in text).split())
    return plain if len(plain) <= width else plain[: width - 3] + "..."
