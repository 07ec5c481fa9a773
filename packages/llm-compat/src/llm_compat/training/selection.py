"""Which epoch's adapter is kept, by the validation rows and nothing else."""

import json
import math
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from toolkit_shared.step_log import finite, keep_lines
from torch import Tensor

from llm_compat.data.token_rows import TokenRows
from llm_compat.model.adapters import save_adapter
from llm_compat.training.metrics import EPOCHS
from llm_compat.training.module import CompatibilityTraining
from llm_compat.training.validation import ValidationSums, right_tokens, validate

ADAPTER = "adapter"


class BestAdapter(Callback):
    """Validates after every epoch, writes a line of validation.jsonl, and saves the adapter if it is best.

    Args:
        folder: Of the run; the adapter goes to `adapter/` in it.
        rows: Validation rows.
        first_row: Number of the first of them among the rows that the teachers know.
        steps_per_epoch: Optimizer steps between validations.
        batch_size: Rows at a time.
        select_by: "cross-entropy", "nfr" (negative flips of next tokens, against the old model) or "last".

    Source: arXiv 2407.09435, appendix: chosen each epoch by validation cross-entropy. "nfr" is our option.
    """

    def __init__(
        self,
        folder: str | Path,
        rows: TokenRows,
        *,
        first_row: int,
        steps_per_epoch: int,
        batch_size: int,
        select_by: str = "cross-entropy",
    ) -> None:
        self.folder, self.rows, self.first_row = Path(folder), rows, first_row
        self.steps_per_epoch, self.batch_size, self.select_by = steps_per_epoch, batch_size, select_by
        self.best: dict[str, Any] = {"epoch": None, "value": None}
        self._old_right: Tensor | None = None

    def state_dict(self) -> dict[str, Any]:
        """The best epoch so far."""
        return dict(self.best)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from the best epoch of an interrupted run."""
        self.best = dict(state_dict)

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Drop lines after the checkpoint, and ask the old model about the validation rows, once."""
        assert isinstance(pl_module, CompatibilityTraining)
        self._last_step = trainer.global_step
        if trainer.is_global_zero:
            keep_lines(self.folder / EPOCHS, before_step=trainer.global_step)
        old_head = pl_module.heads.old
        if self.select_by == "nfr" and old_head is not None:
            self._old_right = right_tokens(
                pl_module.teachers,
                old_head,
                self.rows,
                first_row=self.first_row,
                device=pl_module.device,
                batch_size=self.batch_size,
                chunk_tokens=pl_module.chunk_tokens,
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Validate when an epoch's last step is done."""
        step = trainer.global_step
        if step == self._last_step:
            return
        self._last_step = step
        if step % self.steps_per_epoch == 0:
            self._validate(trainer, pl_module, step)

    def _validate(self, trainer: Trainer, pl_module: LightningModule, step: int) -> None:
        assert isinstance(pl_module, CompatibilityTraining)
        with trainer.precision_plugin.train_step_context():
            own = validate(
                pl_module.model,
                pl_module.heads.student,
                self.rows,
                range(trainer.global_rank, len(self.rows), trainer.world_size),
                device=pl_module.device,
                batch_size=self.batch_size,
                chunk_tokens=pl_module.chunk_tokens,
                old_right=self._old_right,
            )
        sums = ValidationSums(*trainer.strategy.reduce(torch.stack(own), reduce_op="sum"))
        tokens = sums.tokens.item()
        row = {
            "step": step - 1,
            "epoch": step // self.steps_per_epoch,
            "cross_entropy": sums.cross_entropy.item() / tokens,
            "accuracy": sums.right.item() / tokens,
            "nfr": math.nan if self._old_right is None else sums.flips.item() / tokens,
        }
        value = {"cross-entropy": row["cross_entropy"], "nfr": row["nfr"]}.get(self.select_by, -float(step))
        best = self.best["value"]
        if best is None or value < best or (math.isnan(best) and not math.isnan(value)):
            self.best = {"epoch": row["epoch"], "value": value}
            if trainer.is_global_zero:
                save_adapter(pl_module.model, self.folder / ADAPTER)
        if trainer.is_global_zero:
            with (self.folder / EPOCHS).open("a", encoding="utf-8") as file:
                file.write(json.dumps(finite(row)) + "\n")
