"""Is a gap real: exact cases of both noises, planted gaps, and the sentences of the command."""

import json
import math
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dclm_bench.evaluation.score_file import read_score_file
from dclm_bench.evaluation.significance import (
    Comparison,
    compare_scores,
    holm,
    normal_interval,
    resampled_interval,
)
from dclm_bench.evaluation.tasks import core_names, tasks
from toolkit_shared.cli import Command, run
from toolkit_shared.errors import InputError

GOLDENS = json.loads((Path(__file__).parent / "goldens" / "evaluation_scores.json").read_text())
COMMANDS = {"compare": Command("", "dclm_bench.commands.compare:compare")}


def flat(value: float) -> dict[str, float]:
    return dict.fromkeys(tasks(), value)


def published(name: str, folder: Path) -> Path:
    path = folder / f"{name}.json"
    path.write_text(json.dumps(GOLDENS[name]))
    return path


def test_files_that_are_equal_have_no_gap() -> None:
    found = compare_scores(flat(0.7), flat(0.7), "Core", "v2")
    assert found.difference == 0
    assert found.questions.p == 1
    assert found.tasks == type(found.tasks)(0.0, 0.0, 1.0)
    assert found.verdict == "not shown"


def test_the_noise_of_questions_by_hand() -> None:
    # copa alone differs: 0.8 and 0.9 of 100 questions, baseline 0.5, one of 22 tasks without other noise
    a, b = {**flat(1.0), "copa": 0.8}, {**flat(1.0), "copa": 0.9}
    found = compare_scores(a, b, "Core", "v2", seed_deviation=0)
    assert found.difference == pytest.approx(0.2 / 22)
    assert found.standard_error == pytest.approx(math.sqrt(0.16 / 100 + 0.09 / 100) / 0.5 / 22)
    assert found.questions.p == pytest.approx(math.erfc(2 / math.sqrt(2)))


def test_answers_that_go_together_lessen_the_noise() -> None:
    a, b = {**flat(1.0), "copa": 0.8}, {**flat(1.0), "copa": 0.8}
    errors = [
        compare_scores(a, b, "Core", "v2", seed_deviation=0, item_correlation=rho).standard_error
        for rho in (0.0, 0.5, 0.75)
    ]
    assert errors[1] == pytest.approx(errors[0] / math.sqrt(2))
    assert errors[2] == pytest.approx(errors[0] / 2)


def test_seeds_add_to_the_noise_of_questions() -> None:
    found = compare_scores(flat(1.0), {**flat(1.0), "boolq": 0.62}, "Core", "v2", seed_deviation=0.003)
    quiet = compare_scores(flat(1.0), {**flat(1.0), "boolq": 0.62}, "Core", "v2", seed_deviation=0)
    assert found.standard_error**2 == pytest.approx(quiet.standard_error**2 + 2 * 0.003**2)


def test_a_normal_interval_of_1_96_errors_ends_at_zero() -> None:
    found = normal_interval(1.959963984540054, 1.0, 0.95)
    assert found.low == pytest.approx(0, abs=1e-12)
    assert found.p == pytest.approx(0.05)
    assert normal_interval(0.5, 0.0, 0.95).p == 0


def test_flipping_signs_gives_the_exact_p_of_few_tasks() -> None:
    # all of five differences are positive: 2 of the 32 sign patterns are as far from 0
    found = resampled_interval(np.array([1.0, 2.0, 3.0, 4.0, 5.0]), 0.95, 40_000, 0)
    assert found.p == pytest.approx(2 / 32, abs=0.005)
    assert 1 < found.low < 3 < found.high < 5


def test_resampling_depends_on_the_seed_alone() -> None:
    differences = np.linspace(-1, 2, 22)
    assert resampled_interval(differences, 0.95, 500, 3) == resampled_interval(differences, 0.95, 500, 3)
    assert resampled_interval(differences, 0.95, 500, 3) != resampled_interval(differences, 0.95, 500, 4)


def test_both_tests_keep_their_level_where_nothing_differs() -> None:
    random = np.random.default_rng(0)
    alarms = np.zeros(2)
    for index in range(200):
        a, b = (
            {
                name: float(random.binomial(tasks()[name].num_items, 0.6) / tasks()[name].num_items)
                for name in core_names()
            }
            for _ in range(2)
        )
        found = compare_scores(a, b, "Core", "v2", seed_deviation=0, draws=400, seed=index)
        alarms += [found.questions.p < 0.05, found.tasks.p < 0.05]
    assert (alarms / 200 < 0.1).all()
    assert alarms[0] > 0


def test_a_gap_in_one_task_alone_is_shown_by_one_noise_only() -> None:
    found = compare_scores({**flat(0.6), "jeopardy": 0.2}, {**flat(0.6), "jeopardy": 0.9}, "Core", "v2")
    assert found.questions.p < 0.05 < found.tasks.p
    assert found.verdict == "depends on the noise"


def test_fasttext_beats_the_refinedweb_reproduction_by_2_7_points(tmp_path: Path) -> None:
    # spec: 2.7 points, a standard error of the difference of about 0.9
    a, b = (read_score_file(published(name, tmp_path)).scores for name in ("refinedweb", "fasttext"))
    found = compare_scores(a, b, "Core", "v1")
    assert found.difference == pytest.approx(0.0267, abs=5e-5)
    assert found.standard_error == pytest.approx(0.0093, abs=1e-4)
    assert found.verdict == "real"
    assert compare_scores(a, b, "Extended", "v1").verdict == "not shown"


def test_a_missing_task_is_refused_by_name_or_left_out_of_both() -> None:
    a = flat(0.5)
    b = {name: 0.6 for name in tasks() if name != "piqa"}
    with pytest.raises(
        InputError, match=re.escape("Core needs the tasks piqa, which one of the files lacks")
    ):
        compare_scores(a, b, "Core", "v2")
    found = compare_scores(a, b, "Core", "v2", common_only=True)
    assert found.skipped == ("piqa",)
    assert len(found.by_task) == 21
    assert found == compare_scores({**a, "piqa": 0.0}, b, "Core", "v2", common_only=True)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([]) == []


def test_a_share_outside_its_range_is_a_defect() -> None:
    for name in ("item_correlation", "seed_deviation"):
        with pytest.raises(ValueError, match=name):
            compare_scores(flat(0.5), flat(0.6), "Core", "v2", **{name: 1.5})


def test_compare_says_in_a_sentence_whether_the_gap_is_real(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(published(name, tmp_path)) for name in ("refinedweb", "fasttext")]
    assert run("dclm-bench", "", COMMANDS, ["compare", *paths, "--version", "v1"]) == 0
    out = capsys.readouterr().out
    assert "CORE v1: fasttext is 2.67 points above refinedweb (standard error 0.93): the gap is real" in out
    assert "EXTENDED v1: fasttext is 0.83 points above refinedweb" in out
    assert "no gap is shown" in out
    assert re.search(r"^jeopardy +14\.88 +27\.71 +\+12\.83 +1\.25  \*$", out, re.MULTILINE)


def test_compare_corrects_for_the_number_of_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    paths = [str(published(name, tmp_path)) for name in ("refinedweb", "fasttext", "pagerank")]
    arguments = ["compare", *paths, "--suite", "core", "--json"]
    assert run("dclm-bench", "", COMMANDS, arguments) == 0
    document = json.loads(capsys.readouterr().out)
    fast, rank = document["comparisons"]
    assert fast["questions"]["p_corrected"] == pytest.approx(2 * fast["questions"]["p"])
    assert rank["questions"]["p_corrected"] == rank["questions"]["p"]
    assert (fast["verdict"], rank["verdict"]) == ("real", "not shown")
    assert rank["difference"] < 0
    assert "refinedweb is" in rank["sentence"]


def test_compare_leaves_out_a_suite_with_gaps_and_says_so(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(published(name, tmp_path)) for name in ("refinedweb", "pagerank")]
    assert run("dclm-bench", "", COMMANDS, ["compare", *paths]) == 0
    out = capsys.readouterr().out
    assert "EXTENDED is left out:" in out
    assert "pagerank.json lacks gsm8k_cot, agi_eval_sat_math_cot" in out
    assert run("dclm-bench", "", COMMANDS, ["compare", *paths, "--common", "--json"]) == 0
    extended = json.loads(capsys.readouterr().out)["comparisons"][1]
    assert extended["sentence"].startswith("EXTENDED v2 over 47 of 53 tasks: ")
    assert len(extended["skipped_tasks"]) == 6


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        (["--item-correlation", "1.5"], "--item-correlation: 1.5 is not from 0 to 1"),
        (["--confidence", "95"], "--confidence: 95 is not between 0 and 1"),
        (["--draws", "0"], "--draws: 0 is not positive"),
    ],
)
def test_compare_refuses_settings_out_of_range(
    extra: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    paths = [str(published(name, tmp_path)) for name in ("refinedweb", "fasttext")]
    assert run("dclm-bench", "", COMMANDS, ["compare", *paths, *extra]) == 2
    assert message in capsys.readouterr().err


def test_compare_needs_two_files(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("dclm-bench", "", COMMANDS, ["compare", str(published("fasttext", tmp_path))]) == 2
    assert "name at least two evaluation files" in capsys.readouterr().err


def test_the_errors_of_tasks_are_those_of_the_comparison() -> None:
    found: Comparison = compare_scores(flat(0.5), flat(0.6), "Extended", "v1", seed_deviation=0)
    errors: Any = [row.standard_error for row in found.by_task]
    assert math.sqrt(sum(error**2 for error in errors)) / 53 == pytest.approx(found.standard_error)
