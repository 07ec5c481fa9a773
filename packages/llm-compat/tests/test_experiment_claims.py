"""The folder of the runs: it is resumed with the same numbers, and does not depend on the workers."""

import json
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from llm_compat.experiment import claims
from llm_compat.experiment.claims import RunTask, count_steps, run_claims
from llm_compat.experiment.configuration import SCENARIOS, ExperimentSettings
from llm_compat.experiment.intents import IntentTask
from llm_compat.experiment.measures import compare_flips, measure, pack_answers, unpack_answers
from toolkit_shared.errors import InputError

GENERATED = IntentTask(
    old_train=80, updated_train=100, old_dev=60, updated_dev=60, test=80, label_noise_ratio=0.0
)
SETTINGS = ExperimentSettings(
    width=8, num_layers=1, num_heads=2, rank=2, alpha=4, pretrain_epochs=1, epochs=2, batch_size=50
)
ARMS = ("muscle", "ce_more", "ensemble")


def do(out: Path, **changes: Any) -> dict[str, Any]:
    options: dict[str, Any] = {
        "scenarios": [SCENARIOS["same"]],
        "arms": ARMS,
        "seeds": range(2),
        "settings": SETTINGS,
        "generated": GENERATED,
    }
    return dict(run_claims(out, **{**options, **changes}))


def numbers(folder: Path) -> dict[str, Any]:
    """All runs without their seconds, and the weights of the pairs."""
    found: dict[str, Any] = {}
    for path in sorted((folder / "runs").glob("*.json")):
        found[path.name] = json.loads(path.read_text())
        found[path.name].pop("seconds")
    for path in sorted((folder / "pairs").glob("*.safetensors")):
        found[path.name] = path.read_bytes()
    return found


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("whole") / "runs"
    do(folder)
    return folder


def test_every_arm_of_every_seed_has_a_run(whole: Path) -> None:
    names = {f"same-{arm}-seed{seed}.json" for arm in ("v1", "v2", *ARMS) for seed in range(2)}

    assert {path.name for path in (whole / "runs").iterdir()} == names
    assert set(json.loads((whole / "manifest.json").read_text())["runs"]) == names


def test_progress_counts_pairs_and_runs(tmp_path: Path) -> None:
    steps: list[int] = []

    do(tmp_path / "runs", progress=steps.append)

    assert sum(steps) == count_steps([SCENARIOS["same"]], ARMS, range(2)) == 12


@pytest.mark.parametrize("interrupted", ["in the second pair", "in the fourth run"])
def test_an_interrupted_call_goes_on_to_the_same_numbers(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interrupted: str
) -> None:
    name, last = ("run_pair_task", 1) if interrupted == "in the second pair" else ("run_task", 3)
    real, calls = getattr(claims, name), []

    def stopped(task: RunTask) -> Any:
        if len(calls) == last:
            raise KeyboardInterrupt
        calls.append(task)
        return real(task)

    with monkeypatch.context() as patch:
        patch.setattr(claims, name, stopped)
        with pytest.raises(KeyboardInterrupt):
            do(tmp_path / "runs")
    assert not (tmp_path / "runs/manifest.json").exists()

    do(tmp_path / "runs")

    assert numbers(tmp_path / "runs") == numbers(whole)


def test_a_pair_that_was_killed_before_its_record_is_made_again(whole: Path, tmp_path: Path) -> None:
    do(tmp_path / "runs", seeds=range(1))
    (tmp_path / "runs/manifest.json").rename(tmp_path / "runs/job.json")
    for path in (tmp_path / "runs/pairs/same-seed0.json", *(tmp_path / "runs/runs").iterdir()):
        path.unlink()
    (tmp_path / "runs/pairs/same-seed0.safetensors").write_bytes(b"half")

    do(tmp_path / "runs", seeds=range(1))

    expected = numbers(whole)
    assert numbers(tmp_path / "runs") == {name: expected[name] for name in numbers(tmp_path / "runs")}


def test_a_finished_folder_is_read_and_nothing_is_trained(
    whole: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = do(whole)

    def never(_: RunTask) -> Any:
        raise AssertionError("nothing is left to do")

    monkeypatch.setattr(claims, "run_task", never)
    monkeypatch.setattr(claims, "run_pair_task", never)

    assert do(whole) == before


def test_other_settings_are_refused_with_the_field(whole: Path) -> None:
    with pytest.raises(InputError) as caught:
        do(whole, settings=replace(SETTINGS, lr=1.0))

    assert str(caught.value) == (
        f"{whole}: was made with other settings (settings.lr 0.004 there, 1.0 here); "
        "choose another --out, or pass --overwrite"
    )


@pytest.mark.slow
def test_two_workers_give_the_numbers_of_one(whole: Path, tmp_path: Path) -> None:
    do(tmp_path / "runs", workers=2)

    assert numbers(tmp_path / "runs") == numbers(whole)


def test_given_data_are_used_and_not_copied(whole: Path, tmp_path: Path) -> None:
    found = do(tmp_path / "runs", data=whole / "task")

    assert numbers(tmp_path / "runs") == numbers(whole)
    assert not (tmp_path / "runs/task").exists()
    assert set(found) == {"same"}


def test_data_that_cannot_be_used_are_refused_before_a_folder_is_made(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"/old/train\.jsonl: no such file; --data wants old/ and"):
        do(tmp_path / "runs", data=tmp_path / "nothing")

    assert not (tmp_path / "runs").exists()


def test_answers_survive_their_packing_and_a_wrong_number_of_them_is_no_answer() -> None:
    answers = np.array([0, 59, 7, 65535], np.int64)
    run = {"items": 4, "answers": pack_answers(answers)}

    assert unpack_answers(run).tolist() == answers.tolist()
    with pytest.raises(ValueError, match="answers of 3"):
        unpack_answers({**run, "items": 3})
    with pytest.raises(ValueError, match="4 answers of 5"):
        unpack_answers({**run, "items": 5})


def test_metrics_by_hand() -> None:
    gold = np.array([1, 1, 1, 1, 1, 1, 1, 1])
    old = np.array([1, 1, 1, 1, 2, 2, 2, 2])
    new = np.array([1, 1, 1, 3, 1, 2, 2, 4])

    metrics = measure(old, new, gold)

    assert metrics["accuracy"] == 0.5
    assert metrics["error"] == 0.5
    assert metrics["nfr"] == metrics["pfr"] == 0.125
    assert metrics["nfr_mc"] == 0.25  # the flip, and the last item: both wrong, differently
    assert metrics["btc"] == 0.75
    assert metrics["nfi"] == 0.25
    assert metrics["rel_nfr"] == 0.5  # 0.125 / (0.5 * 0.5)


def test_an_undefined_metric_is_none() -> None:
    perfect = np.ones(3, np.int64)

    assert measure(perfect, perfect, perfect)["nfi"] is None
    assert measure(perfect, perfect, perfect)["rel_nfr"] is None


def test_flips_of_two_updates_are_compared_on_the_same_items() -> None:
    gold = np.zeros(12, np.int64)
    old = np.array([0] * 10 + [1] * 2)
    first = np.array([0] * 9 + [1] * 3)  # flips item 9; items 10 and 11 were wrong before
    second = np.array([1] * 7 + [0] * 2 + [1] * 3)  # flips items 0 to 6, and 9

    assert compare_flips(old, first, second, gold) == (0, 7, pytest.approx(2 / 2**7))


KILLED = """
import sys
sys.path.insert(0, sys.argv[1])
from pathlib import Path
import torch
torch.set_num_threads(1)
from test_experiment_claims import do
do(Path(sys.argv[2]))
"""


@pytest.mark.slow
def test_a_call_that_was_killed_goes_on_to_the_same_numbers(whole: Path, tmp_path: Path) -> None:
    out = tmp_path / "runs"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(Path(__file__).parent), str(out)])
    while not list(out.glob("runs/*.json")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert not (out / "manifest.json").exists()

    do(out)

    assert numbers(out) == numbers(whole)
    assert not list(out.rglob(".tmp-*"))
