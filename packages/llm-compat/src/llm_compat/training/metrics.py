"""The record of a run: one line of metrics.jsonl an optimizer step, one of validation.jsonl an epoch."""

import json
import math
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from toolkit_shared.artifacts import write_text
from torch import Tensor

from llm_compat.training.batches import Batch
from llm_compat.training.module import CompatibilityTraining

STEPS, EPOCHS = "metrics.jsonl", "validation.jsonl"


class MetricsLog(Callback):
    """Writes loss, mask rate, divergences, cross-entropy and learning rate of every step, over all processes.

    All but the loss are means over the trained tokens of the step; null is what the arm does not have.
    Lines are written every `every_steps` steps, and before every checkpoint. They hold nothing that
    differs between equal runs; a resumed run first drops the lines after its checkpoint.
    """

    def __init__(self, folder: str | Path, *, every_steps: int = 10) -> None:
        self.path, self.every_steps = Path(folder) / STEPS, every_steps
        self._terms: Tensor | None = None
        self._pending: list[tuple[int, Tensor]] = []

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop lines that an interrupted run wrote after its last checkpoint."""
        self._terms, self._pending, self._last_step = None, [], trainer.global_step
        if trainer.is_global_zero:
            keep_lines(self.path, before_step=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Batch, batch_idx: int
    ) -> None:
        """Add a micro-batch; its step is done when the optimizer has moved."""
        terms = outputs["terms"]
        self._terms = terms if self._terms is None else self._terms + terms
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        self._pending.append((trainer.global_step - 1, self._terms))
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
        assert isinstance(pl_module, CompatibilityTraining)
        parts = trainer.accumulate_grad_batches * trainer.world_size
        sums = trainer.strategy.reduce(torch.stack([terms for _, terms in self._pending]), reduce_op="sum")
        pending, self._pending = self._pending, []
        if not trainer.is_global_zero:
            return
        with self.path.open("a", encoding="utf-8") as file:
            for (step, _), (loss, masked, old, new, cross_entropy, tokens) in zip(
                pending, sums.tolist(), strict=True
            ):
                row = {
                    "step": step,
                    "loss": loss / parts,
                    "mask_rate": masked / tokens if tokens else math.nan,
                    "old_divergence": old / tokens if tokens else math.nan,
                    "new_divergence": new / tokens if tokens else math.nan,
                    "cross_entropy": cross_entropy / tokens if tokens else math.nan,
                    "tokens": int(tokens),
                    "lr": pl_module.learning_rate(step),
                }
                file.write(json.dumps(finite(row)) + "\n")


def read_lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of metrics.jsonl or validation.jsonl that are whole; none of a missing file."""
    path = Path(path)
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def keep_lines(path: Path, *, before_step: int) -> None:
    """Drop the lines of a file from a step on."""
    lines = [json.dumps(row) for row in read_lines(path) if row["step"] < before_step]
    write_text(path, "".join(f"{line}\n" for line in lines))


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with null for every number that is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
