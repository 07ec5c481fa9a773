"""The models of the experiment: what starts equal, what stays as it is, and what is the same again."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from llm_compat.arms import ARMS
from llm_compat.experiment.configuration import DEFAULT_ARMS, FURTHER_ARMS, SCENARIOS, ExperimentSettings
from llm_compat.experiment.fitting import cross_entropy, fit
from llm_compat.experiment.intents import IntentTask, write_intents
from llm_compat.experiment.measures import unpack_answers
from llm_compat.experiment.pairs import (
    Pair,
    copy_of,
    fresh_adapter,
    load_pair,
    make_pair,
    save_pair,
    training_parts,
)
from llm_compat.experiment.runs import label_scores, run_arm, run_pair
from llm_compat.experiment.task import Task, read_task
from llm_compat.experiment.teachers import RememberedTeachers, all_states
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.training.batches import epoch_batches
from llm_compat.training.teachers import LiveTeachers
from toolkit_shared.errors import InputError

GENERATED = IntentTask(
    old_train=80, updated_train=120, old_dev=60, updated_dev=70, test=100, label_noise_ratio=0.0
)
SETTINGS = ExperimentSettings(
    width=16, num_layers=1, num_heads=2, rank=4, alpha=8, pretrain_epochs=2, epochs=2, batch_size=32
)
SAME, GAP = SCENARIOS["same"], SCENARIOS["gap"]


@pytest.fixture(scope="module")
def task(tmp_path_factory: pytest.TempPathFactory) -> Task:
    folder = tmp_path_factory.mktemp("task")
    write_intents(folder, GENERATED)
    return read_task(folder)


@pytest.fixture(scope="module")
def pair(task: Task) -> Pair:
    return make_pair(task, SAME, 0, SETTINGS)[0]


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def without_seconds(run: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in run.items() if name != "seconds"}


def test_a_compatibility_arm_starts_bit_equal_to_v2(task: Task, pair: Pair) -> None:
    student = copy_of(pair.v2, task, SETTINGS)

    assert torch.equal(label_scores(student, task, SETTINGS), label_scores(pair.v2, task, SETTINGS))
    assert [name for name, value in student.named_parameters() if value.requires_grad]
    assert all("lora_" in name for name, value in student.named_parameters() if value.requires_grad)


def test_a_fresh_adapter_changes_nothing_of_the_base(task: Task, pair: Pair) -> None:
    fresh = fresh_adapter(pair.v2, task, SETTINGS, 3)

    with fresh.disable_adapter():
        of_base = label_scores(fresh, task, SETTINGS)
    assert torch.equal(label_scores(fresh, task, SETTINGS), of_base)
    assert not torch.equal(of_base, label_scores(pair.v2, task, SETTINGS))


def test_no_arm_changes_its_teachers(task: Task, pair: Pair) -> None:
    before = weights(pair.v1), weights(pair.v2)

    for arm in ("muscle", "ce+ll_seq", "ce", "ensemble"):
        run_arm(arm, task, SAME, 0, pair, SETTINGS)

    assert equal(weights(pair.v1), before[0])
    assert equal(weights(pair.v2), before[1])


def test_a_run_gives_the_same_bits_again(task: Task) -> None:
    def once() -> list[dict[str, Any]]:
        pair, runs = run_pair(task, SAME, 1, SETTINGS)
        run, _ = run_arm("muscle", task, SAME, 1, pair, SETTINGS)
        return [without_seconds(entry) for entry in (*runs.values(), run)]

    first = once()
    torch.rand(3)  # what else is drawn does not matter

    assert once() == first


def test_another_seed_gives_other_models(task: Task, pair: Pair) -> None:
    other = make_pair(task, SAME, 1, SETTINGS)[0]

    assert not equal(weights(pair.v1), weights(pair.v2))
    assert not equal(weights(pair.v1), weights(other.v1))


def test_the_gap_scenario_has_a_narrower_old_and_a_wider_new_model(task: Task) -> None:
    gap = make_pair(task, GAP, 0, replace(SETTINGS, width=8, epochs=1, pretrain_epochs=1))[0]

    assert gap.v1.get_base_model().config.hidden_size == 4
    assert gap.v2.get_base_model().config.hidden_size == 12


def test_a_kept_pair_is_the_pair(task: Task, pair: Pair, tmp_path: Path) -> None:
    save_pair(pair, tmp_path / "pair.safetensors")

    again = load_pair(tmp_path / "pair.safetensors", task, SAME, SETTINGS)

    assert equal(weights(again.v1), weights(pair.v1))
    assert equal(weights(again.v2), weights(pair.v2))
    assert not any(parameter.requires_grad for parameter in again.v2.parameters())
    fresh, _ = run_arm("muscle", task, SAME, 0, pair, SETTINGS)
    from_file, _ = run_arm("muscle", task, SAME, 0, again, SETTINGS)
    assert without_seconds(fresh) == without_seconds(from_file)


def test_a_pair_of_another_size_is_refused(task: Task, pair: Pair, tmp_path: Path) -> None:
    path = tmp_path / "pair.safetensors"
    save_pair(pair, path)

    with pytest.raises(InputError) as caught:
        load_pair(path, task, SAME, replace(SETTINGS, rank=2))

    assert str(caught.value) == f"{path}: holds models of another task or size; remove the file"


@pytest.mark.parametrize("loss_on", ["answer", "all"])
def test_remembered_teachers_are_the_live_ones(task: Task, pair: Pair, loss_on: Any) -> None:
    rows, _ = training_parts(task, replace(SETTINGS, loss_on=loss_on))
    remembered = RememberedTeachers(
        rows, old=all_states(pair.v1, rows, "cpu"), new=all_states(pair.v2, rows, "cpu")
    )
    live = LiveTeachers(
        old=lambda ids: final_hidden_states(pair.v1, ids), new=lambda ids: final_hidden_states(pair.v2, ids)
    )

    for batch in epoch_batches(rows, batch_size=32, seed=5):
        kept, now = remembered(batch), live(batch)
        # other batch sizes round otherwise
        torch.testing.assert_close((kept.old, kept.new), (now.old, now.new), atol=1e-6, rtol=1e-6)


def test_all_arms_take_the_steps_of_ce_more_and_ce_takes_them_twice(task: Task, pair: Pair) -> None:
    steps = {
        arm: run_arm(arm, task, SAME, 0, pair, SETTINGS)[0]["steps"]
        for arm in ("muscle", "v1_correct", "ce+ll_token", "ce_more", "ce", "ensemble")
    }

    assert steps == {"muscle": 8, "v1_correct": 8, "ce+ll_token": 8, "ce_more": 8, "ce": 16, "ensemble": 0}


def test_the_mask_of_muscle_changes_and_that_of_kd_old_is_1(task: Task, pair: Pair) -> None:
    muscle, _ = run_arm("muscle", task, SAME, 0, pair, replace(SETTINGS, lr=2e-2))
    kd_old, _ = run_arm("kd_old", task, SAME, 0, pair, SETTINGS)
    more, _ = run_arm("ce_more", task, SAME, 0, pair, SETTINGS)

    assert len(set(muscle["mask_rates"])) == 2
    assert all(0 < rate < 1 for rate in muscle["mask_rates"])
    assert kd_old["mask_rates"] == [1.0, 1.0]
    assert more["mask_rates"] == []


def test_distillation_from_v2_alone_starts_at_no_loss_and_leaves_nearly_all_answers(
    task: Task, pair: Pair
) -> None:
    run, _ = run_arm("kd_new", task, SAME, 0, pair, SETTINGS)

    of_v2 = label_scores(pair.v2, task, SETTINGS).argmax(dim=1).numpy()
    assert run["losses"][0] < 1e-3  # AdamW turns rounding errors into small steps
    assert np.mean(unpack_answers(run) == of_v2) > 0.95


def test_the_ensemble_is_the_likeliest_label_of_the_averaged_log_probabilities(
    task: Task, pair: Pair
) -> None:
    run, model = run_arm("ensemble", task, SAME, 0, pair, SETTINGS)

    scores = label_scores(pair.v1, task, SETTINGS) + label_scores(pair.v2, task, SETTINGS)
    assert model is None
    assert unpack_answers(run).tolist() == scores.argmax(dim=1).tolist()


def test_metrics_of_a_run_are_those_of_its_answers(task: Task) -> None:
    longer = replace(SETTINGS, width=32, pretrain_epochs=20, pretrain_lr=1e-2, epochs=10, lr=2e-2)
    _, runs = run_pair(task, SAME, 0, longer)
    old, new = unpack_answers(runs["v1"]), unpack_answers(runs["v2"])
    gold = task.test.labels

    metrics = runs["v2"]["metrics"]

    assert metrics["accuracy"] == pytest.approx(np.mean(new == gold))
    assert metrics["nfr"] == pytest.approx(np.mean((old == gold) & (new != gold)))
    assert metrics["nfr_mc"] == pytest.approx(np.mean((new != gold) & (new != old)))
    assert runs["v1"]["metrics"]["nfr"] == 0.0
    assert metrics["accuracy"] > 0.08  # labels that are off by one would be at chance, 1 of 60


@pytest.mark.parametrize(("checkpoint", "kept"), [("validation-loss", 2), ("last", 4)])
def test_the_kept_epoch_is_that_of_the_lowest_validation_loss_or_the_last(
    task: Task, pair: Pair, monkeypatch: pytest.MonkeyPatch, checkpoint: Any, kept: int
) -> None:
    seen: list[dict[str, torch.Tensor]] = []

    def planted(model: Any, *_: Any) -> float:
        seen.append(weights(model))
        return (3.0, 1.0, 2.0, 1.0)[len(seen) - 1]

    monkeypatch.setattr("llm_compat.experiment.fitting.cross_entropy", planted)
    student = copy_of(pair.v2, task, SETTINGS)
    settings = replace(SETTINGS, checkpoint=checkpoint)

    done = fit(
        student, *training_parts(task, SETTINGS), ARMS["ce_more"], settings, epochs=4, lr=1e-2, order=1
    )

    assert done.kept_epoch == kept
    assert equal(weights(student), seen[kept - 1])
    assert not equal(seen[1], seen[3])


def test_validation_loss_is_the_mean_cross_entropy_of_the_answers(task: Task, pair: Pair) -> None:
    _, dev = training_parts(task, SETTINGS)
    total = 0.0
    for batch in epoch_batches(dev, batch_size=1, shuffle=False):
        with torch.no_grad():
            logits = pair.v2(input_ids=batch.input_ids).logits[batch.trained]
        targets = batch.targets[batch.trained]
        total += torch.nn.functional.cross_entropy(logits, targets, reduction="sum").item()

    assert cross_entropy(pair.v2, dev, "cpu") == pytest.approx(total / 70, abs=1e-5)


@pytest.mark.parametrize("loss_on", ["answer", "all"])
@pytest.mark.parametrize("arm", [*DEFAULT_ARMS, *FURTHER_ARMS])
def test_every_arm_that_can_be_named_trains(task: Task, pair: Pair, arm: str, loss_on: Any) -> None:
    run, model = run_arm(arm, task, SAME, 0, pair, replace(SETTINGS, loss_on=loss_on))

    assert run["arm"] == arm
    assert len(unpack_answers(run)) == 100
    assert (model is None) == (arm == "ensemble")
    if model is not None:
        assert all(np.isfinite(run["losses"]))
        assert not equal(weights(model), weights(pair.v2))


def test_both_likelihood_masks_are_one_where_a_sequence_has_one_trained_token(task: Task, pair: Pair) -> None:
    def losses(arm: str, loss_on: Any) -> Any:
        return run_arm(arm, task, SAME, 0, pair, replace(SETTINGS, loss_on=loss_on))[0]["losses"]

    assert losses("ce+ll_token", "answer") == losses("ce+ll_seq", "answer")
    assert losses("ce+ll_token", "all") != losses("ce+ll_seq", "all")
