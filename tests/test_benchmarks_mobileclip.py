"""The benchmarks of mobileclip run at their smallest scale, and say what they need."""

import json
from dataclasses import replace
from importlib import import_module
from pathlib import Path

import pytest

from benchmarks import run

# these make whole models, open_clip's among them
SLOW = {
    "image_tower",
    "image_tower_gpu",
    "image_tower_torch",
    "prompt_text",
    "shapes_gpu",
    "training_step",
    "training_step_gpu",
}
QUICK = {"embedding_loader", "embedding_loader_pth_gz", "reinforced_loader"}
ORACLES = {"model_parity", "published_averages", "real_pairs"}


def test_all_questions_are_found() -> None:
    names = {name.removeprefix("mobileclip.") for name in run.questions_of("mobileclip")}
    assert names == SLOW | QUICK | ORACLES


@pytest.mark.parametrize(
    "question",
    [pytest.param(name, marks=pytest.mark.slow if name in SLOW else ()) for name in sorted(SLOW | QUICK)],
)
def test_a_question_runs_at_the_smallest_scale(
    question: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmarks.mobileclip.{question}")

    code = module.main(["--scale", "smoke", "--repeats", "1", "--out", str(tmp_path)])

    assert code == 0
    assert "scale smoke, so no verdict" in capsys.readouterr().out
    if question != "shapes_gpu":
        (path,) = tmp_path.glob("*.json")
        assert json.loads(path.read_text())["question"] == module.QUESTION.name


@pytest.mark.parametrize("question", ["published_averages", "real_pairs"])
def test_questions_about_others_data_say_what_they_need(
    question: str, capsys: pytest.CaptureFixture[str]
) -> None:
    module = import_module(f"benchmarks.mobileclip.{question}")

    assert module.main([]) == 0
    assert "skipped, it needs" in capsys.readouterr().out


@pytest.mark.slow
def test_every_command_of_the_reinforced_way_runs_on_pairs_of_a_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from mobileclip.data.generated import generate_pairs, write_parquet

    module = import_module("benchmarks.mobileclip.real_pairs")
    pairs = [replace(pair, captions=pair.captions * 5) for pair in generate_pairs(40)]
    write_parquet(tmp_path / "pairs.parquet", pairs)

    assert module.main(["--scale", "smoke", "--data", str(tmp_path)]) == 0
    assert "32 pairs to train on, 8 held out" in capsys.readouterr().out
