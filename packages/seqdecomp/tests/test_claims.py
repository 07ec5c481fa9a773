"""Verdicts on planted numbers, resumption of interrupted claims, and the command."""

from typing import Any

import pytest
from seqdecomp.experiment.configuration import find_arms, settings_for
from seqdecomp.experiment.questions import QUESTIONS, STABILITY_QUESTIONS
from seqdecomp.experiment.verdicts import Question, answer, gate, seconds_to_loss
from toolkit_shared.errors import InputError

METHOD, BASELINE = "dd-grow-p2-8", "concat"


def planted(arm: str, seed: int, seconds: float, early: float, loss: float = 4.0) -> dict[str, Any]:
    return {
        "arm": arm,
        "seed": seed,
        "seconds": seconds,
        "spikes": 0,
        "curve": [[80, seconds / 2, loss + 1], [160, seconds, loss]],
        "validation": {
            "loss": loss,
            "bands": [
                {"start": 0, "stop": 64, "loss": early},
                {"start": 64, "stop": 256, "loss": loss},
                {"start": 256, "stop": 1024, "loss": None},
            ],
        },
    }


def pairs(
    method: list[tuple[float, float]], baseline: list[tuple[float, float]]
) -> dict[tuple[str, int], Any]:
    runs = {}
    for name, values in ((METHOD, method), (BASELINE, baseline)):
        for seed, (seconds, early) in enumerate(values):
            runs[name, seed] = planted(name, seed, seconds, early)
    return runs


def question(name: str) -> Question:
    return next(entry for entry in QUESTIONS + STABILITY_QUESTIONS if entry.name == name)


def verdict(name: str, runs: dict[tuple[str, int], Any]) -> str:
    found = answer(question(name), runs)
    assert found is not None
    return found.verdict


def test_a_clear_gain_in_five_seeds_holds_with_the_t_interval_of_the_pairs() -> None:
    method = [(70.0, 3.9), (71.0, 3.8), (69.0, 3.7), (70.0, 3.8), (70.0, 3.8)]
    runs = pairs(method, [(100.0, 4.0)] * 5)

    found = answer(question("early-loss-against-concat"), runs)

    # Differences -0.1 -0.2 -0.3 -0.2 -0.2: mean -0.2, s = sqrt(0.02 / 4), t(4) at 97.5 % is 2.7764.
    assert found is not None
    assert found.effect == pytest.approx(-0.2)
    assert (found.low, found.high) == pytest.approx((-0.2878, -0.1122), abs=1e-4)
    assert found.verdict == "holds"
    assert verdict("cost-against-concat", runs) == "holds"


def test_a_cost_ratio_is_the_geometric_mean_over_seeds() -> None:
    runs = pairs([(50.0, 3.0), (80.0, 3.0), (64.0, 3.0)], [(100.0, 3.5)] * 3)

    found = answer(question("cost-against-concat"), runs)

    assert found is not None
    assert found.effect == pytest.approx((0.5 * 0.8 * 0.64) ** (1 / 3))
    assert found.low < found.effect < found.high
    assert found.low * found.high == pytest.approx(found.effect**2)


def test_a_loss_that_rises_in_every_seed_fails() -> None:
    runs = pairs([(70.0, 4.1), (70.0, 4.2), (70.0, 4.15)], [(100.0, 4.0)] * 3)

    assert verdict("early-loss-against-concat", runs) == "fails"
    assert verdict("cost-against-concat", runs) == "holds"


def test_a_difference_within_the_noise_is_inconclusive() -> None:
    runs = pairs([(70.0, 3.9), (130.0, 4.2), (70.0, 3.8)], [(100.0, 4.0)] * 3)

    assert verdict("early-loss-against-concat", runs) == "inconclusive"
    assert verdict("cost-against-concat", runs) == "inconclusive"


def test_two_seeds_are_judged_by_whether_they_agree() -> None:
    baseline = [(100.0, 4.0)] * 2

    assert verdict("cost-against-concat", pairs([(70.0, 3.9), (99.0, 3.9)], baseline)) == "holds"
    assert verdict("cost-against-concat", pairs([(70.0, 3.9), (101.0, 3.9)], baseline)) == "inconclusive"
    assert verdict("cost-against-concat", pairs([(102.0, 3.9), (101.0, 3.9)], baseline)) == "fails"


def test_the_gate_needs_both_gated_questions_to_hold_and_no_other() -> None:
    baseline = [(100.0, 4.0)] * 3

    def passes(method: list[tuple[float, float]]) -> bool:
        runs = pairs(method, baseline)
        return gate([found for entry in QUESTIONS if (found := answer(entry, runs)) is not None])

    assert passes([(70.0, 3.8)] * 3)
    assert not passes([(70.0, 4.1)] * 3)
    assert not passes([(110.0, 3.8)] * 3)
    assert not gate([])
    assert [entry.name for entry in QUESTIONS if entry.gated] == [
        "cost-against-concat",
        "early-loss-against-concat",
    ]


def test_a_question_whose_arms_did_not_run_has_no_answer() -> None:
    runs = pairs([(70.0, 3.8)] * 3, [(100.0, 4.0)] * 3)

    assert answer(question("loss-against-uniform"), runs) is None
    assert answer(question("late-loss-against-concat"), runs) is None  # no document reaches the band


def test_time_to_a_loss_is_interpolated_and_none_when_it_is_never_reached() -> None:
    curve = [[40, 10.0, 5.0], [80, 20.0, 4.0], [160, 40.0, 3.5]]

    assert seconds_to_loss(curve, 4.5) == pytest.approx(15.0)
    assert seconds_to_loss(curve, 3.75) == pytest.approx(30.0)
    assert seconds_to_loss(curve, 6.0) == 10.0
    assert seconds_to_loss(curve, 3.4) is None


def test_a_seed_that_never_reaches_the_baselines_loss_keeps_the_time_claim_from_holding() -> None:
    runs = pairs([(70.0, 3.8)] * 4, [(100.0, 4.0)] * 4)
    assert verdict("time-to-concat-loss", runs) == "holds"

    runs[METHOD, 2]["curve"] = [[160, 70.0, 4.5]]
    found = answer(question("time-to-concat-loss"), runs)

    assert found is not None
    assert found.missing == (2,)
    assert found.verdict == "inconclusive"


def test_an_unknown_arm_gets_the_nearest_name_and_a_doubled_one_is_refused() -> None:
    with pytest.raises(InputError, match="unknown arm 'dd-grow-p2'; did you mean 'dd-grow-p2-"):
        find_arms(("dd-grow-p2",))
    with pytest.raises(InputError, match="'concat' is given twice; name each arm once"):
        find_arms(("concat", "concat"))


def test_settings_follow_steps_length_and_stability() -> None:
    settings = settings_for("cpu", steps=40, max_length=8192, stability=True)

    assert (settings.steps, settings.warmup_steps) == (40, 4)
    assert (settings.max_length, settings.batch_tokens) == (8192, 8192)
    assert (settings.lr, settings.clip_norm) == (1e-2, 0.0)
    with pytest.raises(ValueError, match="steps: 0 is not positive"):
        settings_for("cpu", steps=0)
    with pytest.raises(ValueError, match="max_length: 48 is not a power of two"):
        settings_for("cpu", max_length=48)
