"""What the runs say: each question, its paired values over the seeds, an interval, and a verdict.

Two questions are gated, for the paper's claim stands or falls with them: that decomposed training costs less
than concatenation at equal tokens, and that it predicts the beginnings of documents better. All others are
told as they fall.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from toolkit_shared.statistics import paired_difference

Run = Mapping[str, Any]
Runs = Mapping[tuple[str, int], Run]
Verdict = Literal["holds", "fails", "inconclusive"]
# With fewer pairs a t interval says nothing; then all pairs must agree.
PAIRS_FOR_INTERVAL = 3


@dataclass(frozen=True, kw_only=True)
class Question:
    """One comparison of two arms, expected to be lower in the first than in the second.

    Attributes:
        name: Name in files and tables.
        metric: What is compared.
        unit: Its unit.
        value: The metric of a run; None where the run has none.
        first: The arm expected to have the lower value.
        second: The arm it is compared with.
        form: "ratio" of first to second, or "difference" first minus second.
        expected: What is expected, in words.
        gated: Whether `seqdecomp claims` fails unless this holds.
    """

    name: str
    metric: str
    unit: str
    value: Callable[[Run, Runs], float | None]
    first: str
    second: str
    form: Literal["ratio", "difference"]
    expected: str
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
    neutral = 1.0 if question.form == "ratio" else 0.0
    verdict: Verdict = "holds" if high < neutral else "fails" if low > neutral else "inconclusive"
    if missing and verdict == "holds":
        verdict = "inconclusive"
    return Answer(
        question=question,
        seeds=tuple(seeds),
        missing=tuple(missing),
        values=_values(question, runs, seeds),
        effect=effect,
        low=low,
        high=high,
        verdict=verdict,
    )


def gate(answers: Sequence[Answer]) -> bool:
    """Whether the claim stands: gated questions were answered, and all of them hold."""
    gated = [entry for entry in answers if entry.question.gated]
    return bool(gated) and all(entry.verdict == "holds" for entry in gated)


def seconds_to_loss(curve: Sequence[Sequence[float]], loss: float) -> float | None:
    """Training seconds after which a validation curve first falls to `loss`, or None if it never does.

    Args:
        curve: [step, seconds, loss] in order; between two points the loss is taken as linear in the seconds.
        loss: The loss to reach.
    """
    before = None
    for _, seconds, value in curve:
        if value <= loss:
            if before is None:
                return seconds
            share = (before[1] - loss) / (before[1] - value)
            return float(before[0] + share * (seconds - before[0]))
        before = (seconds, value)
    return None


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
