"""The benchmarks of llm-compat run at their smallest scale."""

import json
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import run

QUESTIONS = [name for name in run.questions_of("llm-compat") if not name.endswith("published_outcomes")]


def test_all_questions_are_found() -> None:
    names = {name.removeprefix("llm_compat.") for name in run.questions_of("llm-compat")}
    assert names == {"bootstrap", "log_reading", "published_outcomes", "training_step", "training_step_gpu"}


@pytest.mark.parametrize("question", QUESTIONS)
def test_a_question_runs_at_the_smallest_scale(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmarks.{question}")

    code = module.main(["--scale", "smoke", "--repeats", "1", "--out", str(tmp_path)])

    assert code == 0
    if not question.endswith("_gpu"):
        assert "scale smoke, so no verdict" in capsys.readouterr().out
        (path,) = tmp_path.glob("*.json")
        assert json.loads(path.read_text())["question"] == module.QUESTION.name


def test_published_outcomes_say_what_they_need(capsys: pytest.CaptureFixture[str]) -> None:
    module = import_module("benchmarks.llm_compat.published_outcomes")

    assert module.main([]) == 0
    expected = "published-outcomes: skipped, it needs --data FOLDER with gsm8k/ and realsumm/\n"
    assert capsys.readouterr().out == expected


def test_published_outcomes_tell_figures_that_differ(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # given four problems in the published layout, which cannot give the published figures
    module = import_module("benchmarks.llm_compat.published_outcomes")
    rows = [
        {
            "question": f"q{number}",
            "ground_truth": "A: 1",
            module.OLD: {"is_correct": number < 2, "solution": "A: 1" if number < 2 else "A: 2"},
            module.NEW: {"is_correct": number < 3, "solution": "A: 1" if number < 3 else "no answer"},
        }
        for number in range(4)
    ]
    folder = tmp_path / "data" / "gsm8k"
    folder.mkdir(parents=True)
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    (folder / "example_model_solutions.jsonl").write_text(lines)
    monkeypatch.setattr(module, "PUBLISHED", {"gsm8k": module.PUBLISHED["gsm8k"]})

    code = module.main(["--data", str(tmp_path / "data"), "--out", str(tmp_path / "out")])

    assert code == 1
    assert "gsm8k: NFR_mc %: 25.0 (published 60.7278)" in capsys.readouterr().out
    (path,) = (tmp_path / "out").glob("*.json")
    assert json.loads(path.read_text())["verdict"] == "fails"
