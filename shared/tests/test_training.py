import os

import pytest
import torch
from lightning.pytorch import LightningModule, Trainer
from toolkit_shared.errors import InputError
from toolkit_shared.training import (
    AtomicCheckpointIO,
    StepCheckpoint,
    StepProgress,
    Throughput,
    trainer_defaults,
)

pytestmark = pytest.mark.filterwarnings(
    "ignore:The 'train_dataloader' does not have many workers",
)


class Line(LightningModule):
    """A straight line that learns nothing of note."""

    def __init__(self):
        super().__init__()
        self.layer = torch.nn.Linear(1, 1)

    def training_step(self, batch, batch_idx):
        return self.layer(batch).square().mean()

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.01)


def train(steps, *, callbacks, accumulate=1, **options):
    saves = any(isinstance(callback, StepCheckpoint) for callback in callbacks)
    trainer = Trainer(
        **{**trainer_defaults("cpu"), "enable_checkpointing": saves},
        max_epochs=1,
        callbacks=callbacks,
        accumulate_grad_batches=accumulate,
        plugins=[AtomicCheckpointIO()],
    )
    trainer.fit(Line(), torch.utils.data.DataLoader(torch.ones(steps * accumulate, 1)), **options)


def test_a_checkpoint_that_fails_half_way_leaves_the_old_one_whole(tmp_path, monkeypatch):
    path = tmp_path / "folder" / "a.ckpt"
    files = AtomicCheckpointIO()
    files.save_checkpoint({"step": 1, "weights": torch.ones(3)}, path)

    def half(checkpoint, target):
        target.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk full"):
        files.save_checkpoint({"step": 2}, path)

    assert files.load_checkpoint(path)["step"] == 1
    assert os.listdir(path.parent) == ["a.ckpt"]
    files.remove_checkpoint(path)
    files.remove_checkpoint(path)
    assert not path.exists()
    with pytest.raises(ValueError, match="storage_options"):
        files.save_checkpoint({}, path, storage_options={})


def test_a_checkpoint_never_runs_code(tmp_path):
    path = tmp_path / "evil.ckpt"
    torch.save({"x": tmp_path}, path)
    with pytest.raises(Exception, match=r"weights_only|Unsupported"):
        AtomicCheckpointIO().load_checkpoint(path, weights_only=False)


@pytest.mark.parametrize("accumulate", [1, 3])
def test_checkpoints_come_after_whole_steps_and_only_the_newest_stays(tmp_path, accumulate):
    saver = StepCheckpoint(tmp_path, every_steps=4)
    train(10, callbacks=[saver], accumulate=accumulate)
    newest = StepCheckpoint.newest(tmp_path)
    assert os.listdir(tmp_path) == ["step-0000000008.ckpt"]
    assert AtomicCheckpointIO().load_checkpoint(newest)["global_step"] == 8
    assert StepCheckpoint.newest(tmp_path / "absent") is None


def test_progress_counts_optimizer_steps_and_throughput_reports_them():
    steps, rates = [], []
    reporter = Throughput(
        tokens_per_step=100, every_steps=4, report=lambda step, rate: rates.append((step, rate))
    )
    train(9, callbacks=[StepProgress(steps.append), reporter], accumulate=2)
    assert steps == [1] * 9
    assert [step for step, _ in rates] == [4, 8]
    assert all(rate > 0 for _, rate in rates)


def test_devices_that_are_not_there_are_refused_in_one_line():
    with pytest.raises(InputError, match="'gpu' is not one of auto, cpu, cuda"):
        trainer_defaults("gpu")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="no CUDA device"):
            trainer_defaults("cuda")


def test_an_unknown_strategy_is_refused_in_one_line():
    with pytest.raises(InputError, match=r"^--strategy: 'dpp' is not one of auto, .*; nearest: 'ddp'$"):
        trainer_defaults("cpu", strategy="dpp")
    assert trainer_defaults("cpu", strategy="ddp")["strategy"] == "ddp"


def test_several_cpu_processes_are_spawned_rather_than_the_script_run_again():
    assert trainer_defaults("cpu", devices=2)["strategy"] == "ddp_spawn"
    assert trainer_defaults("cpu")["strategy"] == "auto"
    assert (
        type(trainer_defaults("cpu", devices=2, strategy="fsdp2")["strategy"]).__name__
        == "ModelParallelStrategy"
    )
