"""The record of a run: one line of metrics.jsonl an optimizer step."""

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from toolkit_shared.artifacts import write_text
from torch import Tensor

from seqdecomp.data.loading import Batch
from seqdecomp.training.module import NextTokenTraining

FILE = "metrics.jsonl"


class MetricsLog(Callback):
    """Writes step, sequence length, loss, z-loss and learning rate of every step, over all ranks.

    Losses are means over the tokens that the whole step predicts; the z-loss is without its coefficient.
    Lines are written every `every_steps` steps, so that the device is not waited for in between, and before
    every checkpoint. They hold nothing that differs between equal runs; a resumed run first drops the lines
    after its checkpoint.
    """

    def __init__(self, folder: str | Path, *, every_steps: int = 10) -> None:
        self.path, self.every_steps = Path(folder) / FILE, every_steps
        self._terms: Tensor | None = None
        self._pending: list[tuple[int, int, Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop lines that an interrupted run wrote after its last checkpoint."""
        self._terms, self._pending, self._last_step = None, [], trainer.global_step
        if trainer.is_global_zero:
            lines = [json.dumps(row) for row in read_metrics(self.path) if row["step"] < trainer.global_step]
            write_text(self.path, "".join(f"{line}\n" for line in lines))

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add a micro-batch; its step is done when the optimizer has moved."""
        terms = outputs["terms"] / trainer.accumulate_grad_batches
        self._terms = terms if self._terms is None else self._terms + terms
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        self._pending.append((batch["step"], batch["length"], self._terms))
        self._terms = None
        if trainer.global_step % self.every_steps == 0:
            self._write(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Write what is pending, so that the lines before a checkpoint are on disk with it."""
        self._write(trainer, pl_module)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the rest."""
        self._write(trainer, pl_module)

    def _write(self, trainer: Trainer, pl_module: LightningModule) -> None:
        if not self._pending:
            return
        assert isinstance(pl_module, NextTokenTraining)
        terms = torch.stack([terms for _, _, terms in self._pending])
        means = trainer.strategy.reduce(terms, reduce_op="mean").tolist()
        pending, self._pending = self._pending, []
        if not trainer.is_global_zero:
            return
        with self.path.open("a", encoding="utf-8") as file:
            for (step, length, _), (loss, z) in zip(pending, means, strict=True):
                row = {
                    "step": step,
                    "length": length,
                    "loss": loss if math.isfinite(loss) else None,
                    "z_loss": z if math.isfinite(z) else None,
                    "lr": pl_module.learning_rate(step),
                }
                file.write(json.dumps(row, allow_nan=False) + "\n")


def read_metrics(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file, or of the one in a run's folder; a line that was cut off is left out.

    Each has `step` (from 0), `length`, `loss` and `z_loss` (means over the step's predicted tokens, null when
    not finite) and `lr`. A missing file has no lines.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
