"""A row an optimizer step: sums over micro-batches, written in time, the same bytes after an interruption."""

import json

import pytest
import torch
from lightning.pytorch import LightningDataModule, LightningModule
from toolkit_shared.errors import InputError
from toolkit_shared.step_log import StepLog, finite, keep_lines, read_lines
from toolkit_shared.training import StepCheckpoint, make_trainer, run_trainer, trainer_defaults

pytestmark = [
    pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers"),
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint"),  # `Numbers` knows where it was
]


MICRO_BATCHES = 12


class Line(LightningModule):
    """A straight line that learns nothing of note, and counts its inputs."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return {"loss": self.layer(batch).square().mean(), "terms": torch.tensor([batch.sum(), float("nan")])}

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


class Left(torch.utils.data.IterableDataset):
    """What is left of the numbers; it has no length, by which Lightning would count again what was read."""

    def __init__(self, numbers):
        self.numbers = numbers

    def __iter__(self):
        return (torch.tensor([float(number)]) for number in self.numbers)


class Numbers(LightningDataModule):
    """The numbers from 1 on, one a micro-batch; a resumed run begins after those that were read."""

    def __init__(self, count):
        super().__init__()
        self.count, self.read = count, 0

    def train_dataloader(self):
        return torch.utils.data.DataLoader(Left(range(self.read + 1, self.count + 1)))

    def state_dict(self):
        return {"read": 2 * self.trainer.global_step}

    def load_state_dict(self, state):
        self.read = state["read"]


class SumLog(StepLog):
    def label(self, batch, step):
        return {"step": step, "last": float(batch)}

    def row(self, label, terms, trainer, module):
        return {**label, "sum": terms[0], "nothing": terms[1]}


def train(folder, steps, *, every_steps=1, checkpoint_steps=100):
    trainer = make_trainer(
        {**trainer_defaults("cpu"), "enable_checkpointing": True},
        max_steps=steps,
        accumulate_grad_batches=2,
        callbacks=[
            SumLog(folder / "log.jsonl", every_steps=every_steps),
            StepCheckpoint(folder / "checkpoints", every_steps=checkpoint_steps),
        ],
        default_root_dir=folder,
    )
    run_trainer(trainer, Line(), Numbers(MICRO_BATCHES), folder / "checkpoints")


def test_a_row_holds_the_sum_over_the_micro_batches_of_its_step(tmp_path):
    train(tmp_path, 3)

    assert list(read_lines(tmp_path / "log.jsonl")) == [
        {"step": 0, "last": 2.0, "sum": 3.0, "nothing": None},
        {"step": 1, "last": 4.0, "sum": 7.0, "nothing": None},
        {"step": 2, "last": 6.0, "sum": 11.0, "nothing": None},
    ]


def test_what_was_not_yet_due_is_written_at_the_end(tmp_path):
    train(tmp_path, 3, every_steps=100)

    assert len(list(read_lines(tmp_path / "log.jsonl"))) == 3


def test_a_resumed_run_drops_the_rows_after_its_checkpoint_and_ends_in_the_same_bytes(tmp_path):
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    for folder in (whole, cut):
        folder.mkdir()
    train(whole, 6)

    # given a run that was killed after step 3, whose newest checkpoint is of step 2, in the middle of a line
    train(cut, 2, checkpoint_steps=2)
    with (cut / "log.jsonl").open("a") as file:
        file.write('{"step": 2, "last": 99.0, "sum": 99.0, "nothing": null}\n{"step": 3, "la')
    train(cut, 6, checkpoint_steps=100)

    assert (cut / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()


def test_a_line_that_was_cut_off_is_left_out_and_a_missing_file_has_no_rows(tmp_path):
    path = tmp_path / "log.jsonl"
    assert list(read_lines(path)) == []

    path.write_text('{"step": 0}\n{"step": 1}\n{"st')

    assert [row["step"] for row in read_lines(path)] == [0, 1]
    keep_lines(path, before_step=1)
    assert path.read_text() == '{"step": 0}\n'


def test_numbers_that_are_not_finite_become_null():
    row = finite({"a": float("inf"), "b": 1.5, "c": "x", "d": None})

    assert json.dumps(row) == '{"a": null, "b": 1.5, "c": "x", "d": null}'


def test_what_lightning_refuses_is_one_line():
    with pytest.raises(
        InputError, match=r"^--strategy deepspeed on 1 x cpu: .*; choose another --strategy or"
    ):
        make_trainer({**trainer_defaults("cpu"), "strategy": "deepspeed"})
