"""One seed in one regime: teachers, reinforced pairs, every arm, and the learning curves."""

import time
from collections.abc import Mapping
from typing import Any

from toolkit_shared.randomness import stream

from mobileclip.experiment.configuration import (
    ARMS,
    CURVE_ARMS,
    MILD,
    Augmenting,
    ExperimentSettings,
    Regime,
)
from mobileclip.experiment.digit_pairs import DigitPairs, draw_pairs, split_digits
from mobileclip.experiment.fitting import train_student, train_teacher, zero_shot_accuracy
from mobileclip.experiment.reinforcing import ReinforcedPairs, first_pairs, reinforce

NUM_TEACHERS = 2
Reinforced = Mapping[Augmenting, ReinforcedPairs]
Found = dict[str, Any]


def run_seed(regime: Regime, seed: int, arms: tuple[str, ...], settings: ExperimentSettings) -> Found:
    """What a seed measured, as JSON values; accuracies are fractions of the zero-shot test.

    The curves are measured in the mild regime alone. `seconds` is CPU time.
    """
    started = time.process_time()
    pools = split_digits(seed)
    test = draw_pairs(pools["test"], settings.test_pairs, stream(seed, "test pairs"))
    teachers = [train_teacher(pools["teacher"], regime, settings, seed, one) for one in range(NUM_TEACHERS)]
    pairs = draw_pairs(pools["student"], regime.num_pairs, stream(seed, "student pairs"))
    kinds = dict.fromkeys(ARMS[arm].augmentation for arm in arms)
    reinforced = {kind: reinforce(pairs, teachers, kind, regime, settings, seed) for kind in kinds}
    seconds = {"teachers": time.process_time() - started}
    found: dict[str, Any] = {}
    for arm in arms:
        clock = time.process_time()
        found[arm] = _measure(reinforced, arm, test, settings, seed, steps=settings.steps)
        seconds[arm] = time.process_time() - clock
    curves = {}
    if regime.name == MILD.name and set(CURVE_ARMS) <= set(arms):
        curves = _curves(
            reinforced, {arm: found[arm]["accuracy"] for arm in CURVE_ARMS}, test, settings, seed
        )
    return {
        "regime": regime.name,
        "seed": seed,
        "teachers": [
            {"accuracy": zero_shot_accuracy(teacher, test), "scale": teacher.scale().item()}
            for teacher in teachers
        ],
        "arms": found,
        "curves": curves,
        "seconds": {**seconds, "all": time.process_time() - started},
    }


def _measure(
    reinforced: Reinforced,
    arm: str,
    test: DigitPairs,
    settings: ExperimentSettings,
    seed: int,
    *,
    steps: int,
    num_pairs: int | None = None,
) -> Found:
    pairs = reinforced[ARMS[arm].augmentation]
    if num_pairs is not None:
        pairs = first_pairs(pairs, num_pairs)
    student, losses = train_student(pairs, ARMS[arm], settings, seed, steps=steps)
    return {
        "accuracy": zero_shot_accuracy(student, test),
        "first_loss": losses[0],
        "last_loss": losses[-1],
        "scale": student.scale().item(),
    }


def _curves(
    reinforced: Reinforced,
    whole: Mapping[str, float],
    test: DigitPairs,
    settings: ExperimentSettings,
    seed: int,
) -> Found:
    """By axis and arm, [ratio, accuracy] points: shares of the steps, and of the pairs with all the steps.

    Every point is a training of its own, with its own schedule to the end.
    """
    curves: Found = {"steps": {}, "pairs": {}}
    total = len(reinforced["strong"])
    for arm in CURVE_ARMS:
        for axis, ratios in (("steps", settings.curve_step_ratios), ("pairs", settings.curve_pair_ratios)):
            points = []
            for ratio in ratios:
                steps = max(1, round(ratio * settings.steps)) if axis == "steps" else settings.steps
                count = max(2, round(ratio * total)) if axis == "pairs" else total
                if ratio == 1:
                    accuracy = whole[arm]
                else:
                    one = _measure(reinforced, arm, test, settings, seed, steps=steps, num_pairs=count)
                    accuracy = one["accuracy"]
                points.append([ratio, accuracy])
            curves[axis][arm] = points
    return curves
