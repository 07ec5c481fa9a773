"""CORE, EXTENDED and MMLU out of the scores of the tasks, with their standard errors."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from dclm_bench.evaluation.tasks import MMLU, VERSIONS, Suite, Task, Version, core_names, suite_tasks, tasks

Scores = Mapping[str, float]
"""Task name -> score, 0..1; names that are no task's are never looked at."""


@dataclass(frozen=True)
class Aggregate:
    """A mean of centred scores.

    Attributes:
        suite: Which mean.
        version: Of the baselines.
        value: The mean; None where a task is missing.
        standard_error: Of the mean by the noise of the questions alone (`item_variance`); None as above.
        missing: Names of the tasks without a score, in the official order.
    """

    suite: Suite
    version: Version
    value: float | None
    standard_error: float | None
    missing: tuple[str, ...]

    @property
    def stored(self) -> float | str:
        """What the leaderboard's file holds: the number, or the sentence that names what is missing."""
        return self.value if self.value is not None else missing_sentence(self.missing)


def missing_sentence(missing: Sequence[str]) -> str:
    """What stands in a score file in the place of a mean that lacks tasks."""
    return f"N/A due to missing tasks: {list(missing)}"


def centred(score: float, task: Task, version: Version) -> float:
    """(score - b) / (1 - b) for the baseline b: 0 for a guess, 1 for all right, below 0 for worse than that.

    Source: section 3.5 of the paper, official `aggregated_metrics.get_aggregated_results`.
    """
    baseline = task.baseline(version)
    return (score - baseline) / (1.0 - baseline)


def item_variance(score: float, task: Task, version: Version) -> float:
    """Variance of the centred score of a task whose questions are a sample from more of their kind.

    Binomial: p (1 - p) / n, over (1 - b)^2; n counts questions, or their equivalent where the score is a mean
    over groups. It holds neither the choice of solved examples nor the training seed.
    """
    return score * (1.0 - score) / task.effective_items / (1.0 - task.baseline(version)) ** 2


def aggregate(scores: Scores, suite: Suite, version: Version) -> Aggregate:
    """CORE or EXTENDED: the mean of the centred scores of its tasks.

    The standard error takes the tasks as independent. Four pairs share questions (hellaswag and mmlu at two
    numbers of shots, gpqa_diamond within gpqa_main, the two genders of winogender), which it leaves out.

    Source: sections 3.5 and appendix G of the paper; versions of September 2025 in the official repository.
    """
    wanted = suite_tasks(suite)
    missing = tuple(task.name for task in wanted if task.name not in scores)
    if missing:
        return Aggregate(suite, version, None, None, missing)
    values = [centred(scores[task.name], task, version) for task in wanted]
    variance = math.fsum(item_variance(scores[task.name], task, version) for task in wanted)
    return Aggregate(suite, version, mean(values), math.sqrt(variance) / len(wanted), ())


def mmlu(scores: Scores) -> tuple[float, float] | None:
    """The score of MMLU with five shots, 0..1 and not centred, and its standard error; None without it."""
    if MMLU not in scores:
        return None
    score = scores[MMLU]
    return score, math.sqrt(score * (1.0 - score) / tasks()[MMLU].effective_items)


def category_means(scores: Scores, version: Version) -> dict[str, float]:
    """Mean centred score of each of the six task categories over the tasks that are there, by its name."""
    by_category: dict[str, list[float]] = {}
    for task in tasks().values():
        if task.name in scores:
            by_category.setdefault(task.category, []).append(centred(scores[task.name], task, version))
    return {category: mean(by_category[category]) for category in sorted(by_category)}


def summary_fields(scores: Scores) -> dict[str, object]:
    """The fields that the official code adds to a score file, of both versions.

    Fields without a version (`Core`, `aggregated_centered_results`, ...) are of version 2. Means over no task
    at all are left out.

    Source: official `aggregated_metrics.get_aggregated_results`.
    """
    present = [task for task in tasks().values() if task.name in scores]
    core = [tasks()[name] for name in core_names() if name in scores]
    fields: dict[str, object] = {
        "missing tasks": str([task.name for task in tasks().values() if task.name not in scores]),
        "eval_version": "v2",
        "aggregated_task_categories_centered": category_means(scores, "v2"),
    }
    for names, chosen in (
        (("aggregated_results", "aggregated_centered_results"), present),
        (("low_variance_datasets", "low_variance_datasets_centered"), core),
    ):
        if chosen:
            fields[names[0]] = mean([scores[task.name] for task in chosen])
            fields[names[1]] = mean([centred(scores[task.name], task, "v2") for task in chosen])
    for suite in ("Core", "Extended"):
        for version in VERSIONS:
            fields[f"{suite}_{version}"] = aggregate(scores, suite, version).stored
        fields[suite] = fields[f"{suite}_v2"]
    return fields


def mean(values: Sequence[float]) -> float:
    """The mean, its sum exact whatever the order."""
    return math.fsum(values) / len(values)
