"""The paper's summary of the regular tasks: group means and the plain mean of fourteen."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

# Commonsense reasoning, language understanding, reading comprehension, world knowledge.
GROUPS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "CSR": ("piqa", "copa", "openbookqa"),
        "LU": ("lambada", "hellaswag", "winograd", "winogrande"),
        "RC": ("squad", "boolq", "coqa"),
        "WK": ("jeopardy", "arc-easy", "arc-challenge", "wikiqa"),
    }
)
REGULAR_TASKS = tuple(task for tasks in GROUPS.values() for task in tasks)


@dataclass(frozen=True)
class RegularSummary:
    """Means over the regular tasks, as shares 0..1 or percent, whichever the scores were.

    Attributes:
        present: Tasks with a score, in the paper's order.
        missing: Tasks without one.
        groups: Mean of each group whose tasks are all present.
        partial_groups: Mean over the present tasks of each other group; None where there is none.
        average: Mean of all fourteen tasks; None when one is missing.
        partial_average: Mean of the present tasks when some are missing; not comparable with the paper.
    """

    present: tuple[str, ...]
    missing: tuple[str, ...]
    groups: Mapping[str, float]
    partial_groups: Mapping[str, float | None]
    average: float | None
    partial_average: float | None

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report, under the attributes' names."""
        return {
            "present": list(self.present),
            "missing": list(self.missing),
            "groups": dict(self.groups),
            "partial_groups": dict(self.partial_groups),
            "average": self.average,
            "partial_average": self.partial_average,
        }


def summarize_regular(scores: Mapping[str, float]) -> RegularSummary:
    """The group means and the average of the tasks in `scores`, other names ignored.

    Every task weighs the same, so the average is not the mean of the four group means.

    Source: Tables 1 to 5 of arXiv 2405.13226; checked against the task rows of its appendix.
    """
    present = tuple(task for task in REGULAR_TASKS if task in scores)
    missing = tuple(task for task in REGULAR_TASKS if task not in scores)
    means = {
        group: _mean([scores[task] for task in tasks if task in scores]) for group, tasks in GROUPS.items()
    }
    complete = {group for group, tasks in GROUPS.items() if all(task in scores for task in tasks)}
    overall = _mean([scores[task] for task in present])
    return RegularSummary(
        present=present,
        missing=missing,
        groups={group: mean for group, mean in means.items() if group in complete and mean is not None},
        partial_groups={group: mean for group, mean in means.items() if group not in complete},
        average=None if missing else overall,
        partial_average=overall if missing else None,
    )


def average_of_groups(groups: Mapping[str, float]) -> float:
    """The fourteen-task average from the four group means, each weighed by its number of tasks.

    Raises:
        KeyError: a group is missing.
    """
    return sum(groups[group] * len(tasks) for group, tasks in GROUPS.items()) / len(REGULAR_TASKS)


def _mean(values: list[float]) -> float | None:
    return sum(values) / len(values) if values else None
