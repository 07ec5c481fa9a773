"""Is the gap between two score files real: noise of the questions, of the choice of tasks, and of seeds.

The files hold no answers to single questions, so none of the three is measured; each is a model:

- questions: each task's score is binomial with its number of questions. Two models answer the same questions,
  and mostly get the same ones right, which makes their difference less noisy than that of independent scores.
  How much is not in the files: `item_correlation` says, and 0, the default, is the cautious end.
- seeds: a second training run with another seed moves CORE. `seed_deviation` is its standard deviation in one
  run, added to the noise of the questions.
- tasks: the tasks are taken for a sample from more of their kind; whole tasks are drawn again, paired, or the
  signs of their differences flipped. Nothing is assumed of the questions.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.evaluation.aggregates import Scores, centred, item_variance, mean
from dclm_bench.evaluation.tasks import Suite, Task, Version, suite_tasks

SEED_DEVIATION = 0.0025
"""Standard deviation of CORE over training seeds: published runs that differ in the seed alone lie 0.3 to 0.4
points apart, which is sqrt(2) standard deviations."""

Verdict = Literal["real", "not shown", "depends on the noise"]


@dataclass(frozen=True)
class Interval:
    """A confidence interval and the two-sided p of no difference."""

    low: float
    high: float
    p: float


@dataclass(frozen=True)
class TaskDifference:
    """One task: its scores in both files, 0..1, and the difference of the centred ones with its error."""

    task: Task
    score_a: float
    score_b: float
    difference: float
    standard_error: float


@dataclass(frozen=True)
class Comparison:
    """B less A in the mean of centred scores.

    Attributes:
        suite: The tasks.
        version: Of the baselines.
        value_a: Mean of A.
        value_b: Mean of B.
        by_task: Every task, in the official order.
        standard_error: Of the difference, by questions and seeds.
        questions: Interval by questions and seeds (normal).
        tasks: Interval by drawing tasks again (percentiles), p by flipping signs.
        item_correlation: Assumed correlation of the two models over the questions.
        seed_deviation: Assumed standard deviation of a mean over seeds.
        confidence: Of the intervals.
        skipped: Tasks that were left out, for one of the files lacks them.
    """

    suite: Suite
    version: Version
    value_a: float
    value_b: float
    by_task: tuple[TaskDifference, ...]
    standard_error: float
    questions: Interval
    tasks: Interval
    item_correlation: float
    seed_deviation: float
    confidence: float
    skipped: tuple[str, ...] = ()

    @property
    def difference(self) -> float:
        """B less A."""
        return self.value_b - self.value_a

    @property
    def verdict(self) -> Verdict:
        """Whether both, one or neither of the p values is below the level."""
        return self.verdict_of(self.questions.p, self.tasks.p)

    def verdict_of(self, questions_p: float, tasks_p: float) -> Verdict:
        """The verdict with p values that were corrected for the number of comparisons."""
        level = 1 - self.confidence
        verdicts: tuple[Verdict, ...] = ("not shown", "depends on the noise", "real")
        return verdicts[(questions_p < level) + (tasks_p < level)]


def compare_scores(
    a: Scores,
    b: Scores,
    suite: Suite,
    version: Version,
    *,
    item_correlation: float = 0.0,
    seed_deviation: float = SEED_DEVIATION,
    confidence: float = 0.95,
    draws: int = 10_000,
    seed: int = 0,
    common_only: bool = False,
) -> Comparison:
    """How much better B is than A, and whether that is more than noise.

    Args:
        a: Scores of the first file.
        b: Scores of the second.
        suite: Over which tasks.
        version: Of the baselines.
        item_correlation: Of the two models' right answers over the questions of a task, 0..1.
        seed_deviation: Of the mean over training seeds, 0..1; 0 for the models as they are.
        confidence: Of the intervals.
        draws: Resamples of tasks, and flips of signs.
        seed: Of the resamples.
        common_only: Leave out tasks that one of the files lacks, rather than refuse.

    Raises:
        InputError: a task is missing in a file, or fewer than two are left.
        ValueError: a share is outside its range.
    """
    shares = {
        "item_correlation": item_correlation,
        "seed_deviation": seed_deviation,
        "confidence": confidence,
    }
    for name, value in shares.items():
        if not 0 <= value < 1:
            raise ValueError(f"{name} is {value}; it lies between 0 and 1")
    wanted = suite_tasks(suite)
    skipped = tuple(task.name for task in wanted if task.name not in a or task.name not in b)
    if skipped and not common_only:
        raise InputError(
            f"{suite} needs the tasks {', '.join(skipped)}, which one of the files lacks; "
            "compare over the common tasks (--common), or complete the file"
        )
    chosen = [task for task in wanted if task.name not in skipped]
    if len(chosen) < 2:
        raise InputError(f"{suite}: the files have {len(chosen)} tasks in common; at least 2 are needed")
    by_task = tuple(task_difference(task, a, b, version, item_correlation) for task in chosen)
    differences = np.array([found.difference for found in by_task])
    items = math.sqrt(math.fsum(found.standard_error**2 for found in by_task)) / len(chosen)
    error = math.hypot(items, math.sqrt(2) * seed_deviation)
    return Comparison(
        suite=suite,
        version=version,
        value_a=mean([centred(a[task.name], task, version) for task in chosen]),
        value_b=mean([centred(b[task.name], task, version) for task in chosen]),
        by_task=by_task,
        standard_error=error,
        questions=normal_interval(float(differences.mean()), error, confidence),
        tasks=resampled_interval(differences, confidence, draws, seed),
        item_correlation=item_correlation,
        seed_deviation=seed_deviation,
        confidence=confidence,
        skipped=skipped,
    )


def task_difference(
    task: Task, a: Scores, b: Scores, version: Version, item_correlation: float = 0.0
) -> TaskDifference:
    """B less A in one task that both have, with the error that the noise of the questions gives it."""
    first, second = a[task.name], b[task.name]
    errors = [math.sqrt(item_variance(score, task, version)) for score in (first, second)]
    variance = errors[0] ** 2 + errors[1] ** 2 - 2 * item_correlation * errors[0] * errors[1]
    return TaskDifference(
        task=task,
        score_a=first,
        score_b=second,
        difference=centred(second, task, version) - centred(first, task, version),
        standard_error=math.sqrt(max(variance, 0.0)),
    )


def normal_interval(difference: float, error: float, confidence: float) -> Interval:
    """The interval and two-sided p of a normal difference; a point where the error is 0."""
    from scipy.stats import norm

    if error == 0:
        return Interval(difference, difference, 0.0 if difference else 1.0)
    half = float(norm.ppf((1 + confidence) / 2)) * error
    return Interval(difference - half, difference + half, 2 * float(norm.sf(abs(difference) / error)))


def resampled_interval(
    differences: npt.NDArray[np.float64], confidence: float, draws: int, seed: int
) -> Interval:
    """Percentile interval of the mean of `differences` [tasks], and p by flipping their signs.

    The p counts the data itself among the flips, so it is never 0.

    Source: Efron 1979, bootstrap over tasks; Fisher's randomisation test.
    """
    tasks = len(differences)
    drawn = stream(seed, "tasks drawn").integers(0, tasks, size=(draws, tasks))
    low, high = np.quantile(
        differences[drawn].mean(axis=1), [(1 - confidence) / 2, (1 + confidence) / 2]
    ).tolist()
    signs = stream(seed, "signs flipped").integers(0, 2, size=(draws, tasks)) * 2 - 1
    flipped = np.abs(signs @ differences)
    # Flips that give the same sum in exact arithmetic may differ in the last digits.
    at_least = int((flipped >= abs(differences.sum()) * (1 - 1e-12)).sum())
    return Interval(low, high, (at_least + 1) / (draws + 1))


def holm(p_values: Sequence[float]) -> list[float]:
    """The p values corrected for their number, so that the chance of any false alarm stays at the level.

    Source: Holm 1979.
    """
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    corrected, highest = [0.0] * len(p_values), 0.0
    for rank, index in enumerate(order):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - rank)))
        corrected[index] = highest
    return corrected
