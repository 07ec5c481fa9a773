"""A line of JSON an optimizer step, over all processes, that a resumed run goes on with to the same bytes."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from toolkit_shared.artifacts import write_text


class StepLog(Callback):
    """Writes a row of every optimizer step from the tensor `terms` that `training_step` gives out.

    A subclass says what a micro-batch adds (`micro_batch_terms`), what names a step (`label`) and what its
    row is (`row`). Terms of the micro-batches of a step are added up, and summed over the processes.

    Lines are written every `every_steps` steps, so that the device is not waited for in between, and before
    every checkpoint. They should hold nothing that differs between equal runs; a resumed run first drops the
    lines after its checkpoint.

    Args:
        path: The file.
        every_steps: Steps between writes.
    """

    def __init__(self, path: str | Path, *, every_steps: int = 10) -> None:
        self.path, self.every_steps = Path(path), every_steps
        self._terms: Tensor | None = None
        self._pending: list[tuple[dict[str, Any], Tensor]] = []

    def micro_batch_terms(self, trainer: Trainer, outputs: Mapping[str, Any]) -> Tensor:
        """What a micro-batch adds to its step, [terms]."""
        terms: Tensor = outputs["terms"]
        return terms

    def label(self, batch: Any, step: int) -> dict[str, Any]:
        """The fields that name a step: `step`, and what a subclass adds.

        Args:
            batch: The last micro-batch of the step, of this process.
            step: Number of the step, from 0.
        """
        return {"step": step}

    def row(
        self, label: Mapping[str, Any], terms: Sequence[float], trainer: Trainer, module: Any
    ) -> Mapping[str, Any]:
        """The row of a step; numbers that are not finite become null.

        Args:
            label: What `label` gave.
            terms: Sums over micro-batches and processes.
            trainer: The trainer.
            module: The LightningModule.
        """
        raise NotImplementedError

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop lines that an interrupted run wrote after its last checkpoint."""
        self._terms, self._pending, self._last_step = None, [], trainer.global_step
        if trainer.is_global_zero:
            keep_lines(self.path, before_step=trainer.global_step)

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Add a micro-batch; its step is done when the optimizer has moved."""
        terms = self.micro_batch_terms(trainer, outputs)
        self._terms = terms if self._terms is None else self._terms + terms
        if trainer.global_step == self._last_step:
            return
        self._last_step = trainer.global_step
        self._pending.append((self.label(batch, trainer.global_step - 1), self._terms))
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

    def _write(self, trainer: Trainer, module: LightningModule) -> None:
        if not self._pending:
            return
        stacked = torch.stack([terms for _, terms in self._pending])
        sums = trainer.strategy.reduce(stacked, reduce_op="sum").tolist()
        pending, self._pending = self._pending, []
        if not trainer.is_global_zero:
            return
        with self.path.open("a", encoding="utf-8") as file:
            for (label, _), terms in zip(pending, sums, strict=True):
                row = finite(self.row(label, terms, trainer, module))
                file.write(json.dumps(row, allow_nan=False) + "\n")


def read_lines(path: str | Path) -> Iterator[dict[str, Any]]:
    """The rows of a file of JSON lines; one that was cut off is left out, and a missing file has none."""
    path = Path(path)
    if not path.exists():
        return
    for line in path.read_text(encoding="utf-8").splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)


def keep_lines(path: Path, *, before_step: int) -> None:
    """Drop the rows of a file whose field `step` is `before_step` or more."""
    lines = [json.dumps(row) for row in read_lines(path) if row["step"] < before_step]
    write_text(path, "".join(f"{line}\n" for line in lines))


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with null for every number that is not finite."""
    return {
        name: None if isinstance(value, float) and not math.isfinite(value) else value
        for name, value in row.items()
    }
