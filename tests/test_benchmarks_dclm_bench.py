"""The benchmarks of dclm-bench run at their smallest scale, without peers, and say what they need."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import run

SLOW = pytest.mark.slow
# the questions of the ladder have tests of their own
QUESTIONS = [name for name in run.questions_of("dclm-bench") if ".ladder_" not in name]
# those whose arms all stand in this process
WITHOUT_PEERS = {"extraction", "language"}
# what their files say the agreement of the arms is in words
WITH_PEERS = {
    "bloom_dedup": "of which",
    "minhash": "planted pairs found: ours",
    "repetition": "gives the same verdict and reason on all of them",
}


def test_all_questions_are_found() -> None:
    names = {name.removeprefix("dclm_bench.") for name in QUESTIONS}
    assert names == {
        "bloom_dedup",
        "extraction",
        "filter_pipeline",
        "language",
        "minhash",
        "published_scores",
        "repetition",
        "repetition_official",
        "rule_parity",
        "scale_step_gpu",
    }


@pytest.mark.parametrize(
    "question", [pytest.param(name, marks=SLOW if "_gpu" in name else ()) for name in QUESTIONS]
)
def test_a_question_runs_at_the_smallest_scale(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmarks.{question}")

    code = module.main(["--scale", "smoke", "--no-peers", "--repeats", "1", "--out", str(tmp_path)])

    printed = capsys.readouterr().out
    assert code == 0
    assert any(text in printed for text in ("/CPU s (", "scale smoke, so no verdict", "skipped, it needs"))
    if question.removeprefix("dclm_bench.") in WITHOUT_PEERS:
        (path,) = tmp_path.glob("*.json")
        assert json.loads(path.read_text())["question"] == module.QUESTION.name


@pytest.mark.peer
@pytest.mark.slow
@pytest.mark.parametrize(("question", "agreement"), WITH_PEERS.items())
def test_the_peers_agree_at_the_smallest_scale(
    question: str, agreement: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmarks.dclm_bench.{question}")

    code = module.main(["--scale", "smoke", "--repeats", "1", "--out", str(tmp_path)])

    assert code == 0
    (path,) = tmp_path.glob("*.json")  # none where a peer cannot be installed, which this test is for
    assert agreement in json.loads(path.read_text())["note"]
    assert "scale smoke, so no verdict" in capsys.readouterr().out


def test_the_official_function_is_compared_where_there_is_a_checkout(
    capsys: pytest.CaptureFixture[str],
) -> None:
    module = import_module("benchmarks.dclm_bench.repetition_official")

    assert module.main(["--scale", "smoke"]) == 0
    expected = "repetition-official: skipped, it needs --official CHECKOUT of github.com/mlfoundations/dclm\n"
    assert capsys.readouterr().out == expected


def test_published_scores_say_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module("benchmarks.dclm_bench.published_scores")

    assert module.main([]) == 0
    expected = "published-scores: skipped, it needs --data FOLDER with the published evals/\n"
    assert capsys.readouterr().out == expected
