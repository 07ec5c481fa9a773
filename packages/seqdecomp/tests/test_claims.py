"""The questions on planted numbers, and the command that answers them."""

import json
from pathlib import Path
from typing import Any

import pytest
from seqdecomp.cli import COMMANDS
from seqdecomp.experiment.configuration import find_arms, settings_for
from seqdecomp.experiment.questions import QUESTIONS, STABILITY_QUESTIONS, seconds_to_loss
from toolkit_shared.claims import Question, answer, answer_all, gate
from toolkit_shared.cli import run
from toolkit_shared.errors import InputError
from toolkit_shared.results import read_results

METHOD, BASELINE = "dd-grow-p2-8", "concat"


def planted(arm: str, seed: int, seconds: float, early: float, loss: float = 4.0) -> dict[str, Any]:
    return {
        "arm": arm,
        "seed": seed,
        "seconds": seconds,
        "spikes": 0,
        "attended_length": 1024.0 if arm == "concat" else 326.0,
        "coverage": {"once": 655_360, "never": 0, "repeated": 0, "padding": 0},
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


def test_the_gate_needs_both_gated_questions_to_hold_and_no_other() -> None:
    baseline = [(100.0, 4.0)] * 3

    def passes(method: list[tuple[float, float]]) -> bool:
        runs = pairs(method, baseline)
        return gate(answer_all(QUESTIONS, runs))

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


def test_a_loss_that_no_seed_reaches_fails_and_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = pairs([(70.0, 3.8)] * 3, [(100.0, 4.0)] * 3)
    for seed in range(3):
        runs[METHOD, seed]["curve"] = [[160, 70.0, 4.5]]

    found = answer(question("time-to-concat-loss"), runs)

    assert found is not None
    assert (found.verdict, found.seeds, found.missing, found.effect) == ("fails", (), (0, 1, 2), None)
    assert run_command(monkeypatch, tmp_path, runs, "--gate") == 0  # not a gated question
    assert "dd-grow-p2-8 has no value in any of 3 seeds" in capsys.readouterr().out
    results = read_results(tmp_path / "claims/results").values()
    told = next(result for result in results if result.question == "claims-gate-time-to-concat-loss")
    assert (told.verdict, told.comparison) == ("fails", None)
    assert [arm.name for arm in told.arms] == [BASELINE]


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


def run_command(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, runs: dict[tuple[str, int], Any], *options: str
) -> int:
    monkeypatch.setattr("seqdecomp.experiment.claims.run_claims", lambda *_, **__: runs)
    return run("seqdecomp", "about", COMMANDS, ["claims", "--out", str(tmp_path / "claims"), *options])


def test_the_command_ends_with_0_when_the_gate_holds_and_writes_a_result_a_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = pairs([(70.0, 3.8), (72.0, 3.9)], [(100.0, 4.0)] * 2)

    code = run_command(monkeypatch, tmp_path, runs, "--gate", "--json")

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["passed"] is True
    method = next(entry for entry in document["arms"] if entry["arm"] == METHOD)
    assert method["time_ratio"] == pytest.approx((0.70 * 0.72) ** 0.5)
    # The law at d = 96, 2 layers, vocabulary 1,024: (6 N + 1152 x 326) / (6 N + 1152 x 1024), N = 319,488.
    assert method["law_ratio"] == pytest.approx(0.7404, abs=1e-4)
    results = read_results(tmp_path / "claims/results")
    assert {result.question for result in results.values()} == {
        "claims-gate-cost-against-concat",
        "claims-gate-early-loss-against-concat",
        "claims-gate-loss-against-concat",
        "claims-gate-middle-loss-against-concat",
        "claims-gate-time-to-concat-loss",
    }
    assert "</html>" in (tmp_path / "claims/index.html").read_text()


def test_the_command_ends_with_1_when_a_gated_claim_does_not_hold(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = pairs([(70.0, 4.2), (72.0, 4.1)], [(100.0, 4.0)] * 2)

    assert run_command(monkeypatch, tmp_path, runs, "--gate") == 1
    out = capsys.readouterr().out
    assert "gated claims: NOT all hold" in out
    assert out.endswith(f"page: {tmp_path}/claims/index.html\n")


def test_wrong_options_get_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    (tmp_path / "file").write_text("")
    for options, message in (
        (("--seeds", "0"), "--seeds: 0 is not positive; give 1 or more"),
        (("--arms", "concat,dd-grow"), "--arms: unknown arm 'dd-grow'; did you mean 'dd-grow-p"),
        (("--gate", "--stability"), "--stability: has no gated claim; drop --gate"),
        (("--workers", "0"), "--workers: 0 is not positive; give 1 or more"),
        (("--scale", "gpu"), "--scale gpu: no CUDA device can be used here; leave it out"),
        (
            ("--results", str(tmp_path / "file")),
            "file: cannot be made a folder (file exists); choose another",
        ),
        (("--max-length", "48"), "--max-length: 48 is not a power of two; give 512, 1024"),
    ):
        assert run_command(monkeypatch, tmp_path, {}, *options) == 2
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
