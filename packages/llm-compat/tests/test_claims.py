"""Verdicts on planted runs, the share that extra training explains, and the command that tells them."""

import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.cli import COMMANDS
from llm_compat.experiment.configuration import find_arms, find_scenarios
from llm_compat.experiment.intents import IntentTask, write_intents
from llm_compat.experiment.measures import measure, pack_answers
from llm_compat.experiment.questions import questions_for
from llm_compat.experiment.report import answer_scenarios, passes
from llm_compat.experiment.shares import explain_drop, ratio_of_means
from llm_compat.experiment.summary import explained, within_seeds
from scipy import stats
from toolkit_shared.claims import Runs
from toolkit_shared.cli import run
from toolkit_shared.errors import InputError
from toolkit_shared.results import read_results

ITEMS = 1000
GOLD = np.zeros(ITEMS, np.int64)
SCENARIOS = ("same", "gap")


def planted(scenario: str, arm: str, seed: int, flips: int, gains: int = 0) -> dict[str, Any]:
    """A run beside an old model that has the first half right: so many of its right items are wrong now."""
    old = np.where(np.arange(ITEMS) < ITEMS // 2, 0, 1)
    answers = old.copy()
    answers[:flips] = 2
    answers[ITEMS // 2 : ITEMS // 2 + gains] = 0
    return {
        "scenario": scenario,
        "arm": arm,
        "seed": seed,
        "metrics": measure(old, answers, GOLD),
        "answers": pack_answers(answers),
        "items": ITEMS,
        "mask_rates": [0.3, 0.1] if arm == "muscle" else [],
        "losses": [1.0, 0.5],
        "validation_losses": [1.0, 0.9],
        "kept_epoch": 2,
        "steps": 8,
        "seconds": 1.5,
    }


def runs_of(scenario: str = "same", **flips: Sequence[int]) -> dict[tuple[str, int], Any]:
    """Planted runs: by arm, negative flips of each seed."""
    seeds = range(len(next(iter(flips.values()))))
    runs = {("v1", seed): planted(scenario, "v1", seed, 0) for seed in seeds}
    for arm, numbers in flips.items():
        for seed, number in enumerate(numbers):
            runs[arm, seed] = planted(scenario, arm, seed, number)
    return runs


def verdicts(runs: Runs) -> dict[str, str]:
    return {found.question.name: found.verdict for found in answer_scenarios({"same": runs})["same"]}


OWN_GAIN = {"v2": [100, 105, 95, 102], "ce_more": [95, 99, 91, 97], "muscle": [85, 88, 82, 85]}
ALL_EXPLAINED = {"v2": [100, 105, 95, 102], "ce_more": [85, 89, 81, 86], "muscle": [86, 88, 82, 85]}
CONTROL_BETTER = {"v2": [100, 105, 95, 102], "ce_more": [80, 86, 74, 83], "muscle": [90, 95, 86, 92]}
NO_DROP = {"v2": [100, 105, 95, 102], "ce_more": [95, 99, 91, 96], "muscle": [99, 107, 94, 103]}


def test_a_gain_over_extra_training_holds_and_its_share_is_told() -> None:
    runs = runs_of(**OWN_GAIN)

    found = explained(runs, "nfr")

    # Means in percent: v2 10.05, ce_more 9.55, muscle 8.5; 0.5 of 1.55 is 32 %.
    assert found is not None
    assert (found.drop, found.left) == (pytest.approx(1.55), pytest.approx(1.05))
    assert found.share.value == pytest.approx(0.5 / 1.55)
    # t(3) at 97.5 % is 3.182; standard errors 0.0957 of the drop and 0.0645 of what is left
    assert found.sentence == (
        "muscle changes NFR by -1.55 points [-1.85, -1.25] against v2; as much extra training alone "
        "(ce_more) has 32% ([28%, 37%]) of that drop; what is left is the method's own: over ce_more it "
        "changes by -1.05 points [-1.26, -0.84]."
    )
    assert verdicts(runs)["nfr-against-ce-more"] == "holds"


def test_where_extra_training_explains_everything_the_verdict_says_so() -> None:
    runs = runs_of(**ALL_EXPLAINED)

    found = explained(runs, "nfr")

    assert found is not None
    assert found.share.value == pytest.approx(1.0)
    assert "ce_more) has 100% (" in found.sentence
    assert "nothing is shown to be left, so ce_more explains it as far as can be told" in found.sentence
    assert verdicts(runs)["nfr-against-v2"] == "holds"
    assert verdicts(runs)["nfr-against-ce-more"] == "inconclusive"
    assert verdicts(runs)["ce-more-nfr-against-v2"] == "holds"


def test_where_extra_training_does_more_the_verdict_says_so() -> None:
    found = explained(runs_of(**CONTROL_BETTER), "nfr")

    assert found is not None
    assert found.share.value > 1
    assert "ce_more lowers it by more than muscle does, so it explains all of it" in found.sentence
    assert verdicts(runs_of(**CONTROL_BETTER))["nfr-against-ce-more"] == "fails"


def test_a_drop_that_distillation_from_v2_has_as_well_is_told() -> None:
    runs = runs_of(**OWN_GAIN, kd_new=OWN_GAIN["muscle"])

    found = explained(runs, "nfr", "kd_new")

    assert found is not None
    assert found.share.value == pytest.approx(1.0)
    assert (
        "as much distillation from v2 alone (kd_new) has 100% ([100%, 100%]) of that drop" in found.sentence
    )
    assert "so kd_new explains it as far as can be told" in found.sentence


def test_without_a_drop_there_is_nothing_to_explain() -> None:
    runs = runs_of(**NO_DROP)

    found = explained(runs, "nfr")

    assert found is not None
    assert "no drop is shown, so there is none to explain" in found.sentence
    assert (found.share.low, found.share.high) == (None, None)
    assert verdicts(runs)["nfr-against-v2"] == "inconclusive"


def test_two_seeds_give_no_share() -> None:
    assert explain_drop([10.0, 11.0], [9.0, 9.0], [8.0, 8.0], metric="NFR", name="a", words="b") is None


def test_a_rate_that_is_undefined_in_a_seed_leaves_the_seed_out() -> None:
    runs = runs_of(**OWN_GAIN)
    runs["muscle", 2]["metrics"]["rel_nfr"] = None

    found = explained(runs, "rel_nfr")

    kept = [0, 1, 3]
    values = {arm: [100 * runs[arm, seed]["metrics"]["rel_nfr"] for seed in kept] for arm in ("v2", "muscle")}
    assert found is not None
    assert found.drop == pytest.approx(np.mean(np.subtract(values["v2"], values["muscle"])))


@given(
    st.lists(st.tuples(st.floats(-3, 3), st.floats(0.5, 3)), min_size=3, max_size=9),
    st.floats(-2, 2),
)
def test_fiellers_interval_holds_the_ratios_that_a_t_test_does_not_reject(
    pairs: list[tuple[float, float]], ratio: float
) -> None:
    above, below = np.array(pairs).T
    found = ratio_of_means(above, below)
    if found.low is None or found.high is None or np.ptp(above - ratio * below) < 1e-9:
        return
    p = stats.ttest_1samp(above - ratio * below, 0.0).pvalue
    if abs(p - 0.05) > 1e-6:
        assert (found.low <= ratio <= found.high) == (p > 0.05)
    assert found.low <= found.value <= found.high


def test_a_ratio_over_a_difference_that_may_be_0_has_no_bounds() -> None:
    found = ratio_of_means([1.0, 2.0, 3.0], [-1.0, 1.0, 0.5])

    assert found.value == pytest.approx(2.0 / (0.5 / 3))
    assert (found.low, found.high) == (None, None)
    assert math.isnan(ratio_of_means([1.0, 2.0], [-1.0, 1.0]).value)


def test_flips_within_a_seed_are_compared_by_mcnemars_exact_test() -> None:
    runs = runs_of(v2=[100, 100], ce_more=[60, 50], muscle=[50, 50])

    found = within_seeds(runs, GOLD.tolist())

    assert found == [
        {"seed": 0, "muscle_only": 0, "ce_more_only": 10, "p": pytest.approx(2 / 2**10)},
        {"seed": 1, "muscle_only": 0, "ce_more_only": 0, "p": 1.0},
    ]


def test_only_muscle_against_v2_in_the_same_scenario_is_gated() -> None:
    gated = {
        scenario: [entry.name for entry in questions_for(scenario) if entry.gated] for scenario in SCENARIOS
    }

    assert gated == {"same": ["nfr-against-v2"], "gap": []}
    for scenario in SCENARIOS:
        names = [entry.name for entry in questions_for(scenario)]
        assert len(set(names)) == len(names)


def test_the_gate_falls_with_muscle_alone() -> None:
    def passed(flips: dict[str, Sequence[int]], scenario: str = "same") -> bool:
        return passes(answer_scenarios({scenario: runs_of(scenario, **flips)}))

    assert passed(OWN_GAIN)
    assert passed(CONTROL_BETTER)  # reported, and not gated
    assert not passed(NO_DROP)
    assert passed(NO_DROP, scenario="gap")  # the gated claim was not put


def test_flips_of_the_update_are_compared_across_scenarios() -> None:
    found = answer_scenarios(
        {"same": runs_of("same", v2=[100, 90, 95]), "gap": runs_of("gap", v2=[50, 45, 50])}
    )

    (across,) = found[""]
    assert across.verdict == "holds"
    assert across.effect == pytest.approx(-14 / 3)
    assert "" not in answer_scenarios({"same": runs_of("same", v2=[100, 90, 95])})


def test_more_accuracy_of_extra_training_is_what_is_expected() -> None:
    runs = runs_of(**OWN_GAIN)
    for seed in range(4):
        runs["ce_more", seed] = planted("same", "ce_more", seed, 95, gains=60 + seed)
        runs["muscle", seed] = planted("same", "muscle", seed, 85, gains=40 + seed)

    assert verdicts(runs)["accuracy-against-ce-more"] == "holds"


def test_unknown_and_doubled_names_are_refused() -> None:
    with pytest.raises(InputError, match=r"^--arms: unknown arm 'muscel'; did you mean 'muscle'\? \("):
        find_arms(("muscel",))
    with pytest.raises(InputError, match=r"^--arms: 'ce' is given twice; name each arm once$"):
        find_arms(("ce", "ce"))
    with pytest.raises(InputError, match=r"^--scenarios: unknown scenario 'wide' \(there are same, gap\)$"):
        find_scenarios(("wide",))
    assert find_arms(("v1", "v2", "muscle")) == ("muscle",)


def command(*options: str) -> int:
    return run("llm-compat", "about", COMMANDS, ["claims", *options])


def with_runs(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, flips: dict[str, Sequence[int]], *options: str
) -> int:
    def planted_runs(out: Path, **_: Any) -> dict[str, Any]:
        write_intents(out / "task", IntentTask(test=ITEMS, updated_train=600))
        return {scenario: runs_of(scenario, **flips) for scenario in SCENARIOS}

    monkeypatch.setattr("llm_compat.experiment.report.run_claims", planted_runs)
    return command("--out", str(tmp_path / "claims"), *options)


def test_the_command_ends_with_0_and_writes_a_result_a_question(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_runs(monkeypatch, tmp_path, OWN_GAIN, "--json") == 0

    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "claims/summary.json").read_text())
    assert printed["passed"] is True
    assert printed["scenarios"]["same"]["explained"]["ce_more"]["nfr"]["left"] == pytest.approx(1.05)
    results = read_results(tmp_path / "claims/results").values()
    questions = {result.question for result in results}
    assert {
        "claims-same-nfr-against-ce-more",
        "claims-gap-nfr-against-v2",
        "claims-gap-nfr-of-the-update",
    } <= questions
    assert all(question.startswith("claims-") for question in questions)
    page = (tmp_path / "claims/index.html").read_text()
    assert "Scenario gap" in page
    assert "Share of trained tokens that are distilled from the old model." in page
    assert "<script" not in page


def test_the_command_ends_with_1_when_muscle_does_not_lower_the_flips(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert with_runs(monkeypatch, tmp_path, NO_DROP) == 1

    printed = capsys.readouterr().out
    assert "no drop is shown, so there is none to explain" in printed
    assert "gated claims: NOT all hold" in printed


@pytest.mark.parametrize(
    ("options", "line"),
    [
        (["--seeds", "0"], "--seeds: 0 is not positive; give 1 or more"),
        (["--workers", "0"], "--workers: 0 is not positive; give 1 or more"),
        (["--arms", "muscle,muscle"], "--arms: 'muscle' is given twice; name each arm once"),
        (
            ["--scenarios", "gab"],
            "--scenarios: unknown scenario 'gab'; did you mean 'gap'? (there are same, gap)",
        ),
        (["--scale", "gpu"], "--scale gpu: no CUDA device can be used here; leave it out"),
    ],
)
def test_options_that_cannot_be_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], options: list[str], line: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)

    assert command(*options) == 2

    assert capsys.readouterr().err == f"llm-compat claims: error: {line}\n"


def test_a_data_folder_without_the_parts_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert command("--data", str(tmp_path), "--out", str(tmp_path / "out"), "--workers", "1") == 2

    assert capsys.readouterr().err == (
        f"llm-compat claims: error: {tmp_path}/old/train.jsonl: no such file; "
        "--data wants old/ and updated/, each with train, dev and test\n"
    )
    assert not (tmp_path / "out").exists()


def test_a_missing_extra_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(__import__("sys").modules, "peft", None)

    assert command() == 2

    assert capsys.readouterr().err == (
        "llm-compat claims: error: peft is not installed; it comes with the extra 'train': "
        "pip install 'llm-compat[train]'\n"
    )
