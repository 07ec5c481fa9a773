"""The record of a run: one line of metrics.jsonl an optimizer step, one of validation.jsonl an epoch."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from toolkit_shared.step_log import StepLog

STEPS, EPOCHS = "metrics.jsonl", "validation.jsonl"


class MetricsLog(StepLog):
    """Writes loss, mask rate, divergences, cross-entropy and learning rate of every step, over all processes.

    All but the loss are means over the trained tokens of the step; null is what the arm does not have.
    """

    def __init__(self, folder: str | Path, *, every_steps: int = 10) -> None:
        super().__init__(Path(folder) / STEPS, every_steps=every_steps)

    def row(
        self, label: Mapping[str, Any], terms: Sequence[float], trainer: Trainer, module: Any
    ) -> Mapping[str, Any]:
        """The row of a step."""
        loss, masked, old, new, cross_entropy, tokens = terms
        parts = trainer.accumulate_grad_batches * trainer.world_size
        means = {
            "mask_rate": masked,
            "old_divergence": old,
            "new_divergence": new,
            "cross_entropy": cross_entropy,
        }
        return {
            **label,
            "loss": loss / parts,
            **{name: value / tokens if tokens else math.nan for name, value in means.items()},
            "tokens": int(tokens),
            "lr": module.learning_rate(label["step"]),
        }
