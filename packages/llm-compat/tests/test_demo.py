"""The demonstration: flips that were planted are found, and what is not as planted is told."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_compat.cli import COMMANDS
from llm_compat.comparison.compare import compare_paths, main_tasks
from llm_compat.experiment import demonstration
from llm_compat.experiment.configuration import ExperimentSettings
from llm_compat.experiment.demonstration import STEPS, demonstrate, finish
from llm_compat.experiment.demonstration_page import to_document, to_page, to_text
from llm_compat.experiment.intents import IntentTask, write_intents
from llm_compat.experiment.logs import write_log
from llm_compat.experiment.planting import COUNTS, MODELS, Planted, check_planted, plant_runs
from llm_compat.experiment.task import read_task
from llm_compat.flips import NEGATIVE
from toolkit_shared.cli import run

TINY = ExperimentSettings(
    width=8, num_layers=1, num_heads=2, rank=2, alpha=4, pretrain_epochs=1, epochs=2, batch_size=50
)
GENERATED = IntentTask(
    old_train=80, updated_train=100, old_dev=60, updated_dev=60, test=80, label_noise_ratio=0.0
)


def compared(folder: Path) -> Any:
    return compare_paths({model: folder / model for model in MODELS})


def test_planted_flips_are_found_to_the_item(tmp_path: Path) -> None:
    planted = plant_runs(tmp_path, seed=3)

    comparison = compared(tmp_path)

    assert check_planted(planted, comparison) == []
    for task in main_tasks(comparison.tasks):
        _, counts = COUNTS[task.task]
        items = sum(counts.values())
        assert len(task.items) == items
        assert task.measured.values["nfr"] == pytest.approx(counts[NEGATIVE] / items)


def test_the_compatible_model_has_fewer_flips_and_the_rerun_the_fewest(tmp_path: Path) -> None:
    for task in plant_runs(tmp_path, seed=0):
        lost = {model: int(task.cells(model)[NEGATIVE]) for model in MODELS[1:]}

        assert 0 < lost["rerun"] < lost["compat"] < lost["new"]


def test_a_flip_that_is_not_found_is_told(tmp_path: Path) -> None:
    first, second = plant_runs(tmp_path, seed=0)
    comparison = compared(tmp_path)
    right = np.flatnonzero(first.answers["new"] == first.gold)
    changed = first.answers["new"].copy()
    was_right = next(item for item in right if first.answers["old"][item] == first.gold[item])
    changed[was_right] = (first.gold[was_right] + 1) % 4
    other = replace(first, answers={**first.answers, "new": changed})

    problems = check_planted([other, second], comparison)

    assert problems == [
        "science_choice acc, new: both_right_same: 300 found, 299 planted",
        "science_choice acc, new: negative_flip: 45 found, 46 planted",
        "science_choice acc: the list of lost items is not the planted one",
    ]


def test_a_task_that_is_not_compared_is_told(tmp_path: Path) -> None:
    first, second = plant_runs(tmp_path, seed=0)
    missing = Planted("gone", first.kind, first.gold, first.answers)

    assert check_planted([missing, second], compared(tmp_path)) == ["gone: was planted and not compared"]


def test_answers_of_the_experiment_are_a_log_that_diff_reads(tmp_path: Path) -> None:
    write_intents(tmp_path / "task", GENERATED)
    task = read_task(tmp_path / "task")
    gold = task.test.labels
    old, new = gold.copy(), gold.copy()
    old[:10] = (gold[:10] + 1) % 60
    new[8:30] = (gold[8:30] + 2) % 60
    for model, answers in (("old", old), ("new", new)):
        write_log(tmp_path / "logs", model, task, answers)

    (found,) = compare_paths({model: tmp_path / "logs" / model for model in ("old", "new")}).tasks

    assert found.measured.values["nfr"] == pytest.approx(20 / 80)
    assert found.measured.values["pfr"] == pytest.approx(8 / 80)
    assert found.measured.values["nfr_mc"] == pytest.approx(22 / 80)  # items 8 and 9: wrong twice, otherwise


def test_the_demonstration_writes_a_page_and_tells_the_same_again(tmp_path: Path) -> None:
    documents = []
    for name in ("a", "b"):
        steps: list[int] = []
        found = demonstrate(tmp_path / name, settings=TINY, generated=GENERATED, progress=steps.append)
        path = finish(found, to_page(found))
        page = path.read_text()
        assert page.count("data:image/svg+xml;base64,") == 3
        assert "<script" not in page
        assert "All counts and all lost items are as they were planted." in page
        assert sum(steps) == STEPS
        assert (tmp_path / name / "manifest.json").exists()
        documents.append(to_document(found))
        text = to_text(found)
        assert "science_choice" in text
        assert "the update with a compatibility adapter" in text

    first, again = documents
    assert first["problems"] == []
    assert json.dumps(first, allow_nan=False)
    arms = first["trained"]["arms"]
    assert list(arms) == ["v1", "v2", "muscle", "ce_more", "ensemble"]
    for arm, told in arms.items():
        assert told["metrics"] == again["trained"]["arms"][arm]["metrics"]
    (log,) = first["trained"]["comparison"]["tasks"]
    assert log["nfr"] == pytest.approx(arms["v2"]["metrics"]["nfr"])


def demo(tmp_path: Path, *options: str) -> int:
    return run("llm-compat", "about", COMMANDS, ["demo", "--out", str(tmp_path / "demo"), *options])


def test_the_command_ends_with_1_when_a_planted_flip_is_not_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(
        demonstration.demonstrate,
        "__kwdefaults__",
        {**(demonstration.demonstrate.__kwdefaults__ or {}), "settings": TINY, "generated": GENERATED},
    )
    assert demo(tmp_path) == 0
    assert f"report: {tmp_path}/demo/index.html" in capsys.readouterr().out

    monkeypatch.setattr(demonstration, "check_planted", lambda *_: ["science_choice: planted"])

    assert demo(tmp_path, "--overwrite") == 1
    assert "NOT as planted: science_choice: planted" in capsys.readouterr().out


def test_a_negative_seed_is_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert demo(tmp_path, "--seed", "-1") == 2

    assert capsys.readouterr().err == "llm-compat demo: error: --seed: -1 is negative; give 0 or more\n"
    assert not (tmp_path / "demo").exists()


def test_a_folder_of_something_else_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo/letter.txt").write_text("keep")

    assert demo(tmp_path) == 2

    assert capsys.readouterr().err == (
        f"llm-compat demo: error: {tmp_path}/demo: holds files of something else; choose an empty or new "
        "folder as --out\n"
    )
