"""The claims: verdicts on planted runs, runs that are kept, and the command that tells them."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from mobileclip.commands.claims import claims as claims_command
from mobileclip.experiment import claims
from mobileclip.experiment.claims import RunTask, efficiency_runs, mean_curves, run_claims
from mobileclip.experiment.configuration import ARMS, ARMS_OF, SMOKE, regimes_for, settings_for
from mobileclip.experiment.questions import answer_regimes, broken_seeds, efficiency_questions, questions_for
from mobileclip.experiment.summary import passes, to_document, to_text
from toolkit_shared.errors import InputError
from toolkit_shared.results import read_results

LADDER = {"A": 0.15, "B": 0.18, "C": 0.63, "D": 0.84, "E": 0.87, "F": 0.885, "G": 0.87}
TINY = replace(
    SMOKE,
    steps=3,
    teacher_steps=3,
    teacher_pairs=60,
    test_pairs=20,
    curve_step_ratios=(0.1, 1.0),
    curve_pair_ratios=(0.1, 1.0),
)
REGIMES = tuple(replace(regime, num_pairs=20) for regime in regimes_for("cpu"))


def planted(regime: str, seed: int, **changes: float) -> dict[str, Any]:
    """A run of a seed: the ladder as given, a little higher with each seed, and curves with F ahead."""
    values = {arm: LADDER.get(arm, 0.5) for arm in ARMS_OF[regime]} | changes
    values = {
        arm: value + 0.002 * seed + 0.0003 * ((seed * 7 + ord(arm[0])) % 5) for arm, value in values.items()
    }
    b, f = values["B"], values["F"]
    curve = {
        "B": [[0.02, 0.1 * b], [0.1, 0.5 * b], [1.0, b]],
        "F": [[0.02, 0.5 * b], [0.1, b + 0.1], [1.0, f]],
    }
    return {
        "regime": regime,
        "seed": seed,
        "teachers": [{"accuracy": 0.92, "scale": 16.0}] * 2,
        "arms": {arm: {"accuracy": value} for arm, value in values.items()},
        "curves": {"steps": curve, "pairs": curve} if regime == "mild" else {},
        "seconds": {"all": 60.0},
    }


def found(seeds: int = 5, **changes: float) -> dict[str, dict[int, Any]]:
    return {
        "mild": {seed: planted("mild", seed, **changes) for seed in range(seeds)},
        "harsh": {seed: planted("harsh", seed) for seed in range(seeds)},
    }


def verdicts(runs: dict[str, dict[int, Any]], part: str) -> dict[str, str]:
    return {one.question.name: one.verdict for one in answer_regimes(runs)[part]}


def test_the_ladder_holds_where_every_step_goes_up() -> None:
    runs = found()

    assert set(verdicts(runs, "mild").values()) == {"holds"}
    assert passes(runs, answer_regimes(runs))


@pytest.mark.parametrize("arm", ["B", "C", "D"])
def test_a_step_that_goes_down_fails_the_claims(arm: str) -> None:
    below = {"B": "A", "C": "B", "D": "C"}[arm]
    runs = found(**{arm: LADDER[below] - 0.02})

    assert verdicts(runs, "mild")[f"{arm.lower()}-against-{below.lower()}"] == "fails"
    assert not passes(runs, answer_regimes(runs))


def test_one_seed_out_of_order_fails_the_claims_whatever_the_mean_says() -> None:
    runs = found()
    runs["mild"][2]["arms"]["F"]["accuracy"] = runs["mild"][2]["arms"]["D"]["accuracy"] - 0.0001
    for seed in (0, 1, 3, 4):
        runs["mild"][seed]["arms"]["F"]["accuracy"] = 0.99

    assert broken_seeds(runs["mild"]) == [2]
    assert not passes(runs, answer_regimes(runs))
    document = to_document(runs, answer_regimes(runs), settings_for("cpu"), passed=False)
    assert "A < B < C < D < F does NOT hold in seeds 2 of 5." in to_text(document)


def test_the_gate_does_not_ask_for_one_teacher_the_mixed_loss_or_the_harsh_regime() -> None:
    gated = {
        "mild": [one.name for one in questions_for("mild") if one.gated],
        "harsh": [one.name for one in questions_for("harsh") if one.gated],
        "efficiency": [one.name for one in efficiency_questions() if one.gated],
    }

    assert gated == {
        "mild": ["b-against-a", "c-against-b", "d-against-c", "f-against-d"],
        "harsh": [],
        "efficiency": ["tenth-of-steps-against-b", "tenth-of-pairs-against-b"],
    }
    runs = found(E=0.95, G=0.95)
    assert verdicts(runs, "mild")["f-against-e"] == "fails"
    assert passes(runs, answer_regimes(runs))


def test_the_crossing_is_where_the_curve_of_f_meets_the_end_of_b() -> None:
    runs = efficiency_runs(found()["mild"])
    b = runs["B", 0]["accuracy"]

    # by hand: from (0.02, b / 2) to (0.1, b + 0.1), b is reached after b/2 of b/2 + 0.1
    expected = 0.02 + 0.08 * (b / 2) / (b / 2 + 0.1)
    assert runs["F, 1/10 of the steps", 0]["crossing"] == pytest.approx(expected)
    assert runs["F, 1/10 of the steps", 0]["accuracy"] == pytest.approx(b + 0.1)
    assert verdicts(found(), "efficiency") == {
        "tenth-of-steps-against-b": "holds",
        "tenth-of-pairs-against-b": "holds",
        "steps-to-accuracy-of-b": "holds",
        "pairs-to-accuracy-of-b": "holds",
    }


def test_a_tenth_that_does_not_suffice_fails_the_claims() -> None:
    runs = found()
    for run in runs["mild"].values():
        run["curves"]["steps"]["F"][1][1] = 0.1

    assert verdicts(runs, "efficiency")["tenth-of-steps-against-b"] == "fails"
    assert not passes(runs, answer_regimes(runs))


def test_curves_are_means_over_the_seeds_in_percent() -> None:
    runs = {0: planted("mild", 0), 1: planted("mild", 1)}
    for run, value in zip(runs.values(), (0.2, 0.4), strict=True):
        run["curves"]["steps"]["B"] = [[0.1, value / 2], [1.0, value]]

    assert mean_curves(runs, "steps")["B"] == [(0.1, pytest.approx(15.0)), (1.0, pytest.approx(30.0))]
    assert mean_curves({0: planted("harsh", 0)}, "steps") == {}


def do(out: Path, **changes: Any) -> dict[str, dict[int, Any]]:
    options: dict[str, Any] = {"regimes": REGIMES, "seeds": range(1), "settings": TINY}
    return run_claims(out, **{**options, **changes})


def numbers(folder: Path) -> dict[str, Any]:
    """All runs without their seconds."""
    runs = {path.name: json.loads(path.read_text()) for path in sorted((folder / "runs").glob("*.json"))}
    for run in runs.values():
        run.pop("seconds")
    return runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "claims"
    do(folder)
    return folder


def test_every_regime_has_its_arms_and_the_mild_one_the_curves(whole: Path) -> None:
    runs = numbers(whole)

    assert set(runs) == {"mild-seed0.json", "harsh-seed0.json"}
    assert set(runs["mild-seed0.json"]["arms"]) == set(ARMS_OF["mild"])
    assert set(runs["harsh-seed0.json"]["arms"]) == set(ARMS_OF["harsh"]) == set(ARMS)
    curves = runs["mild-seed0.json"]["curves"]
    assert runs["harsh-seed0.json"]["curves"] == {}
    for axis in ("steps", "pairs"):
        for arm in ("B", "F"):
            assert [ratio for ratio, _ in curves[axis][arm]] == [0.1, 1.0]
            assert curves[axis][arm][-1][1] == runs["mild-seed0.json"]["arms"][arm]["accuracy"]


def test_an_interrupted_call_goes_on_to_the_same_numbers(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = claims.run_task, []

    def stopped(task: RunTask) -> Any:
        if calls:
            raise KeyboardInterrupt
        calls.append(task)
        return real(task)

    with monkeypatch.context() as patch:
        patch.setattr(claims, "run_task", stopped)
        with pytest.raises(KeyboardInterrupt):
            do(tmp_path / "claims")
    assert not (tmp_path / "claims/manifest.json").exists()

    do(tmp_path / "claims")

    assert numbers(tmp_path / "claims") == numbers(whole)


def test_other_settings_are_refused_with_the_field(whole: Path) -> None:
    with pytest.raises(InputError, match=r"settings\.lr 0\.002 there, 0\.1 here"):
        do(whole, settings=replace(TINY, lr=0.1))


@pytest.mark.slow
def test_two_workers_give_the_numbers_of_one(whole: Path, tmp_path: Path) -> None:
    do(tmp_path / "claims", workers=2)

    assert numbers(tmp_path / "claims") == numbers(whole)


def test_the_command_at_scale_smoke_writes_a_page_and_no_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mobileclip.experiment.configuration.SMOKE", TINY)

    code = claims_command(scale="smoke", workers=1, out=tmp_path / "claims", json=True)

    document = json.loads(capsys.readouterr().out)
    assert code == 0
    assert document["passed"] is None
    assert set(document["regimes"]) == {"mild", "harsh"}
    assert "<svg" not in (tmp_path / "claims/index.html").read_text()
    assert (tmp_path / "claims/index.html").read_text().count("data:image/svg+xml") == 4
    assert not (tmp_path / "claims/results").exists()


def test_the_command_writes_a_result_for_every_question_and_fails_with_the_gate(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    runs = found(seeds=3, C=0.1)
    monkeypatch.setattr("mobileclip.experiment.report.run_claims", lambda *_, **__: runs)
    (tmp_path / "claims").mkdir()

    code = claims_command(seeds=3, out=tmp_path / "claims", results=tmp_path / "results")

    assert code == 1
    results = read_results(tmp_path / "results")
    expected = len(questions_for("mild")) + len(questions_for("harsh")) + len(efficiency_questions())
    assert len(results) == expected
    by_question = {result.question: result for result in results.values()}
    assert by_question["claims-mobileclip-mild-c-against-b"].verdict == "fails"
    assert by_question["claims-mobileclip-mild-b-against-a"].verdict == "holds"
    assert all(result.toolkit == "mobileclip" and result.expected for result in results.values())
    assert "gated claims: NOT all hold" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("options", "line"),
    [
        ({"seeds": 0}, "--seeds: 0 is not positive; give 1 or more"),
        ({"workers": 0}, "--workers: 0 is not positive; give 1 or more"),
    ],
)
def test_wrong_options_are_one_line(options: dict[str, Any], line: str) -> None:
    with pytest.raises(InputError) as caught:
        claims_command(**options)

    assert str(caught.value) == line
