"""The LightningDataModule: all epochs of a run as one pass, resumed where a checkpoint stood."""

from collections.abc import Iterator, Sized
from typing import Any

from lightning.pytorch import LightningDataModule

from llm_compat.data.token_rows import TokenRows
from llm_compat.training.batches import Batch, epoch_batches, steps_per_epoch


class RunLoader(Sized):
    """The micro-batches of one process over all epochs, from any optimizer step on.

    Args:
        rows: Training rows.
        epochs: Passes over them.
        batch_size: Rows of a micro-batch.
        accumulation: Micro-batches of a process in a step.
        world_size: Number of processes.
        rank: Which of them this is.
        seed: Of the order.
        first_step: Optimizer steps that an interrupted run has behind it.
    """

    def __init__(
        self,
        rows: TokenRows,
        *,
        epochs: int,
        batch_size: int,
        accumulation: int,
        world_size: int,
        rank: int,
        seed: int,
        first_step: int = 0,
    ) -> None:
        self.rows, self.epochs, self.first_step = rows, epochs, first_step
        self.accumulation, self._handed_out = accumulation, 0
        self.options: dict[str, Any] = {
            "batch_size": batch_size,
            "accumulation": accumulation,
            "world_size": world_size,
            "rank": rank,
            "seed": seed,
        }
        self.steps = steps_per_epoch(rows, rows_per_step=batch_size * accumulation * world_size)

    def __len__(self) -> int:
        """Micro-batches of the whole run, those before the first step included."""
        return self.epochs * self.steps * self.accumulation

    def __iter__(self) -> Iterator[Batch]:
        """From the first step to the end of the last epoch."""
        for epoch in range(self.first_step // self.steps, self.epochs):
            skipped = max(0, self.first_step - epoch * self.steps)
            for batch in epoch_batches(self.rows, epoch=epoch, skip_steps=skipped, **self.options):
                self._handed_out += 1  # before the hand-over: who saves now has this batch
                yield batch

    def state_dict(self) -> dict[str, Any]:
        """How many optimizer steps' batches were handed out."""
        return {"step": self.first_step + self._handed_out // self.accumulation}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the steps that `state` counts."""
        self.first_step, self._handed_out = int(state["step"]), 0


class RowsDataModule(LightningDataModule):
    """Hands token rows to a Lightning Trainer, for whatever processes and accumulation that has.

    Args:
        rows: Training rows.
        epochs: Passes over them.
        batch_size: Rows of a micro-batch of each process.
        seed: Of the order.
    """

    def __init__(self, rows: TokenRows, *, epochs: int, batch_size: int, seed: int) -> None:
        super().__init__()
        self.rows, self.epochs, self.batch_size, self.seed = rows, epochs, batch_size, seed
        self._first_step = 0

    def train_dataloader(self) -> RunLoader:
        """The batches of this process, from the step that was restored."""
        assert self.trainer is not None
        return RunLoader(
            self.rows,
            epochs=self.epochs,
            batch_size=self.batch_size,
            accumulation=self.trainer.accumulate_grad_batches,
            world_size=self.trainer.world_size,
            rank=self.trainer.global_rank,
            seed=self.seed,
            first_step=self._first_step,
        )

    def state_dict(self) -> dict[str, Any]:
        """How many optimizer steps are done."""
        assert self.trainer is not None
        return {"step": self.trainer.global_step}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Keep the step for the loader that will be made."""
        self._first_step = int(state_dict["step"])
