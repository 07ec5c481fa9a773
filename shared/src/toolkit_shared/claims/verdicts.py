"""What the runs say: each question, its paired values over the seeds, an interval, and a verdict."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from toolkit_shared.results import Verdict
from toolkit_shared.statistics import paired_difference

Run = Mapping[str, Any]
"""What one run measured, as plain values."""
Runs = Mapping[tuple[str, int], Run]
"""The runs of one scenario by arm and seed."""

# With fewer pairs a t interval says nothing; then all pairs must agree.
PAIRS_FOR_INTERVAL = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """One comparison of two arms, with the side on which the first is expected.

    Attributes:
        name: Name in files and tables: lower case, dashes between.
        metric: What is compared.
        unit: Its unit; "" for counts and fractions.
        value: The metric of a run; None where the run has none.
        first: The arm that is expected to be lower, or higher.
        second: The arm it is compared with.
        form: "ratio" of first to second, or "difference" first minus second.
        expected: What is expected, in words.
        direction: Whether the first arm is expected "lower" or "higher" than the second.
        higher_is_better: Which way is good, for the report; it need not be the way that is expected.
        gated: Whether the claims fail unless this holds.
    """

    name: str
    metric: str
    unit: str
    value: Callable[[Run, Runs], float | None]
    first: str
    second: str
    form: Literal["ratio", "difference"]
    expected: str
    direction: Literal["lower", "higher"] = "lower"
    higher_is_better: bool = False
    gated: bool = False


@dataclass(frozen=True, kw_only=True)
class Answer:
    """A question with its values.

    Attributes:
        question: The question.
        seeds: Seeds in which both arms have a value.
        missing: Seeds in which both arms ran but one has no value.
        values: Values of every arm that has one in all `seeds` (in all `missing`, where `seeds` is empty),
            in their order.
        effect: Mean difference, or geometric mean of the ratios; None when the first arm has no value at all.
        low: Lower end of the 95 % interval; of the range where pairs are too few.
        high: Upper end.
        verdict: What follows.
    """

    question: Question
    seeds: tuple[int, ...]
    missing: tuple[int, ...]
    values: Mapping[str, tuple[float, ...]]
    effect: float | None
    low: float | None
    high: float | None
    verdict: Verdict


def answer(question: Question, runs: Runs) -> Answer | None:
    """The answer of a question, or None when no seed has both of its arms, or neither has values.

    The verdict is "holds" when the whole 95 % t interval of the paired differences (of the logarithms, for a
    ratio) lies on the expected side, "fails" when it lies on the other, else "inconclusive". With one or two
    pairs there is no useful interval, and all pairs must lie on the same side. A run without a value (it
    never reached the baseline's loss) makes a claim that would hold inconclusive; when only the second arm
    has values, the claim fails.

    Raises:
        ValueError: a value is not finite, or not above 0 where a ratio is asked for.
    """
    shared = sorted(
        {seed for arm, seed in runs if arm == question.first} & {s for a, s in runs if a == question.second}
    )
    first, second, seeds, missing = [], [], [], []
    for seed in shared:
        a = question.value(runs[question.first, seed], runs)
        b = question.value(runs[question.second, seed], runs)
        if a is None or b is None:
            missing.append(seed)
        else:
            first.append(a)
            second.append(b)
            seeds.append(seed)
    if not seeds:
        values = _values(question, runs, missing)
        if question.second not in values:
            return None
        return Answer(
            question=question,
            seeds=(),
            missing=tuple(missing),
            values=values,
            effect=None,
            low=None,
            high=None,
            verdict="fails",
        )
    effect, low, high = _effect(first, second, question.form)
    verdict = _verdict(question, low, high)
    return Answer(
        question=question,
        seeds=tuple(seeds),
        missing=tuple(missing),
        values=_values(question, runs, seeds),
        effect=effect,
        low=low,
        high=high,
        verdict="inconclusive" if missing and verdict == "holds" else verdict,
    )


def answer_all(questions: Iterable[Question], runs: Runs) -> list[Answer]:
    """The answers of those questions that have one, in their order."""
    return [found for question in questions if (found := answer(question, runs)) is not None]


def gate(answers: Sequence[Answer]) -> bool:
    """Whether the claim stands: gated questions were answered, and all of them hold."""
    gated = [entry for entry in answers if entry.question.gated]
    return bool(gated) and all(entry.verdict == "holds" for entry in gated)


def _verdict(question: Question, low: float, high: float) -> Verdict:
    neutral = 1.0 if question.form == "ratio" else 0.0
    below, above = high < neutral, low > neutral
    expected, other = (below, above) if question.direction == "lower" else (above, below)
    return "holds" if expected else "fails" if other else "inconclusive"


def _effect(
    first: Sequence[float], second: Sequence[float], form: Literal["ratio", "difference"]
) -> tuple[float, float, float]:
    to = math.log if form == "ratio" else float
    back = math.exp if form == "ratio" else float
    a, b = [to(value) for value in first], [to(value) for value in second]
    if len(a) < PAIRS_FOR_INTERVAL:
        differences = np.subtract(a, b)
        return back(differences.mean()), back(differences.min()), back(differences.max())
    paired = paired_difference(a, b)
    return back(paired.mean), back(paired.low), back(paired.high)


def _values(question: Question, runs: Runs, seeds: Sequence[int]) -> dict[str, tuple[float, ...]]:
    if not seeds:
        return {}
    arms = list(dict.fromkeys([question.second, question.first, *(arm for arm, _ in runs)]))
    found = {}
    for arm in arms:
        values = [question.value(runs[arm, seed], runs) if (arm, seed) in runs else None for seed in seeds]
        if all(value is not None for value in values):
            found[arm] = tuple(float(value) for value in values if value is not None)
    return found
