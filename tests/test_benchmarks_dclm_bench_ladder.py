"""The two halves of the token-level ladder run at their smallest scale, and answer from kept runs."""

import json
from pathlib import Path

import pytest
from dclm_bench.experiment.token_arms import read_token_arms

from benchmarks.dclm_bench import ladder_arms, ladder_gpu


@pytest.mark.slow
def test_arms_are_made_of_generated_pages(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "arms.npz"

    assert ladder_arms.main(["--scale", "smoke", "--arms", str(path), "--seeds", "1"]) == 0

    assert "ladder: english: " in capsys.readouterr().out
    (plan,) = read_token_arms(path).plan["seeds"]
    assert set(plan["experiments"]) == {"ladder", "classifier-20", "classifier-10"}


@pytest.mark.slow
def test_models_train_and_answers_come_from_their_runs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ladder_gpu.main(["--scale", "smoke", "--out", str(tmp_path)]) == 0
    assert "scale smoke, so no verdict" in capsys.readouterr().out

    # a time limit is part of a real run only
    runs = tmp_path / ladder_gpu.RUNS
    document = json.loads(runs.read_text())
    assert [run["seed"] for run in document["runs"]] == [0, 1]
    runs.write_text(json.dumps({**document, "time_limit": 1.0}))
    assert ladder_gpu.main(["--runs", str(runs), "--out", str(tmp_path / "results")]) == 0

    results = [json.loads(path.read_text()) for path in (tmp_path / "results").glob("*.json")]
    names = {result["question"] for result in results}
    assert "claims-ladder-smoke-english-against-main-content" in names
    assert len(results) == len(names) == 16
    assert all(result["kind"] == "claim" and "2 seeds" in result["note"] for result in results)


def test_no_arm_is_begun_after_the_time_limit(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arms = ladder_gpu.smoke_arms()

    found = ladder_gpu.train(arms, ladder_gpu.SMOKE_MODELS, ladder_gpu.SMOKE_BUDGET, "cpu", 0.0, tmp_path)

    assert found["runs"] == []
    assert "smoke: no seed was whole" in ladder_gpu.describe(found)[0]
    ladder_gpu.answer(found, tmp_path / "results")
    assert "fewer than two whole seeds" in capsys.readouterr().out
    assert not (tmp_path / "results").exists()


@pytest.mark.parametrize(
    ("options", "reason"),
    [([], "it is asked at --scale gpu"), (["--scale", "gpu"], "it needs --arms FILE, which")],
)
def test_training_says_what_it_needs(
    options: list[str], reason: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert ladder_gpu.main(options) == 0
    assert capsys.readouterr().out.startswith(f"ladder-gpu: skipped, {reason}")


def test_making_arms_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert ladder_arms.main([]) == 0
    assert capsys.readouterr().out.startswith("ladder-arms: skipped, it needs --data FOLDER")


def test_a_file_that_holds_no_arms_is_a_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = ladder_arms.main(
        ["--texts", str(tmp_path / "none.jsonl"), "--tokenizer", "bytes", "--arms", str(tmp_path / "a.npz")]
    )
    assert code == 1
    assert "none.jsonl" in capsys.readouterr().err
