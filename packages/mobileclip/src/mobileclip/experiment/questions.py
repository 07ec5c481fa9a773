"""The questions that the experiment puts to its runs, with what was expected before they were run.

What is expected are the figures of a prototype of this experiment: three seeds of the mild regime, and one of
the harsh. Gated are the four steps of the ladder in the mild regime, and that a tenth of the steps, or of the
pairs, is enough for the full method to beat plain CLIP. All else is told as it falls.
"""

import itertools
from collections.abc import Mapping
from typing import Literal

from toolkit_shared.claims import Answer, Question, Run, Runs, answer_all

from mobileclip.experiment.claims import AXES, EFFICIENCY, Found, arm_runs, efficiency_runs, tenth_arm
from mobileclip.experiment.configuration import (
    DISTILL_REAL,
    MILD,
    MISALIGNED,
    MIXED_LOSS,
    ONE_AUGMENTATION,
    ONE_TEACHER,
    REINFORCED,
    STRONG_CLIP,
    SYNTHETIC_CLIP,
    WEAK_CLIP,
    WEAK_STORED,
)

STEPS_OF_LADDER = (WEAK_CLIP, STRONG_CLIP, SYNTHETIC_CLIP, DISTILL_REAL, REINFORCED)


def accuracy(run: Run, _: Runs) -> float | None:
    """Zero-shot accuracy in percent; None where it was not measured."""
    value = run["accuracy"]
    return None if value is None else 100.0 * float(value)


def crossing(run: Run, _: Runs) -> float | None:
    """Fraction at which the arm is as good as B with everything; None where it never is."""
    value = run["crossing"]
    return None if value is None else float(value)


def questions_for(regime: str) -> tuple[Question, ...]:
    """The questions of a regime."""
    if regime == MILD.name:
        return (
            _ask(STRONG_CLIP, WEAK_CLIP, "higher, by 7 to 10", gated=True),
            _ask(SYNTHETIC_CLIP, STRONG_CLIP, "higher, by about 40", gated=True),
            _ask(DISTILL_REAL, SYNTHETIC_CLIP, "higher, by 13 to 19", gated=True),
            _ask(REINFORCED, DISTILL_REAL, "higher, by 4 to 5", gated=True),
            _ask(REINFORCED, ONE_TEACHER, "higher, by about 1.5: small, and of one sign"),
            _ask(REINFORCED, MIXED_LOSS, "higher, by about 1.2: small, and of one sign"),
        )
    return (
        _ask(STRONG_CLIP, WEAK_CLIP, "higher, by about 19 in one pilot seed"),
        _ask(DISTILL_REAL, STRONG_CLIP, "higher, by about 17"),
        _ask(SYNTHETIC_CLIP, STRONG_CLIP, "higher, by about 22: this captioner errs little"),
        _ask(SYNTHETIC_CLIP, DISTILL_REAL, "higher, by about 5"),
        _ask(REINFORCED, SYNTHETIC_CLIP, "about equal: the ladder is not all of one piece"),
        _ask(REINFORCED, ONE_TEACHER, "higher, a little"),
        _ask(REINFORCED, MIXED_LOSS, "higher, a little"),
        _ask(MISALIGNED, REINFORCED, "lower, by about 19: the embedding is another image's", "lower"),
        _ask(ONE_AUGMENTATION, REINFORCED, "lower, by about 55", "lower"),
        _ask(WEAK_STORED, REINFORCED, "higher, by about 16: strong ones are not free in a short schedule"),
    )


def efficiency_questions() -> tuple[Question, ...]:
    """Whether a tenth suffices, and where the curves cross."""
    found = []
    for axis in AXES:
        found.append(
            Question(
                name=f"tenth-of-{axis}-against-b",
                metric="zero-shot accuracy",
                unit="%",
                value=accuracy,
                first=tenth_arm(axis),
                second=STRONG_CLIP,
                form="difference",
                expected=f"higher: with a tenth of the {axis} the full method beats CLIP with all of them",
                direction="higher",
                higher_is_better=True,
                gated=True,
            )
        )
    for axis in AXES:
        found.append(
            Question(
                name=f"{axis}-to-accuracy-of-b",
                metric=f"fraction of the {axis} that reaches B's accuracy",
                unit="",
                value=crossing,
                first=tenth_arm(axis),
                second=STRONG_CLIP,
                form="ratio",
                expected="at most 0.1",
            )
        )
    return tuple(found)


def answer_regimes(found: Mapping[str, Mapping[int, Found]]) -> dict[str, list[Answer]]:
    """Answers by regime, and under "efficiency" those of the learning curves."""
    answers = {regime: answer_all(questions_for(regime), arm_runs(seeds)) for regime, seeds in found.items()}
    if MILD.name in found:
        answers[EFFICIENCY] = answer_all(efficiency_questions(), efficiency_runs(found[MILD.name]))
    return answers


def broken_seeds(seeds: Mapping[int, Found]) -> list[int]:
    """Seeds in which A < B < C < D < F does not hold."""
    broken = []
    for seed, run in seeds.items():
        values = [run["arms"][arm]["accuracy"] for arm in STEPS_OF_LADDER]
        if any(low >= high for low, high in itertools.pairwise(values)):
            broken.append(seed)
    return broken


def _ask(
    first: str,
    second: str,
    expected: str,
    direction: Literal["lower", "higher"] = "higher",
    *,
    gated: bool = False,
) -> Question:
    return Question(
        name=f"{first.lower()}-against-{second.lower()}",
        metric="zero-shot accuracy",
        unit="%",
        value=accuracy,
        first=first,
        second=second,
        form="difference",
        expected=expected,
        direction=direction,
        higher_is_better=True,
        gated=gated,
    )
