"""The record of a run: one line of metrics.jsonl an optimizer step."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch import Trainer
from toolkit_shared.step_log import StepLog, read_lines

from seqdecomp.data.loading import Batch

FILE = "metrics.jsonl"


class MetricsLog(StepLog):
    """Writes step, sequence length, loss, z-loss and learning rate of every step, over all ranks.

    Losses are means over the tokens that the whole step predicts; the z-loss is without its coefficient.
    """

    def __init__(self, folder: str | Path, *, every_steps: int = 10) -> None:
        super().__init__(Path(folder) / FILE, every_steps=every_steps)

    def label(self, batch: Batch, step: int) -> dict[str, Any]:
        """The number of the step in the plan, and the length of its sequences."""
        return {"step": batch["step"], "length": batch["length"]}

    def row(
        self, label: Mapping[str, Any], terms: Sequence[float], trainer: Trainer, module: Any
    ) -> Mapping[str, Any]:
        """The row of a step."""
        loss, z_loss = (term / (trainer.accumulate_grad_batches * trainer.world_size) for term in terms)
        return {**label, "loss": loss, "z_loss": z_loss, "lr": module.learning_rate(label["step"])}


def read_metrics(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file, or of the one in a run's folder; a line that was cut off is left out.

    Each has `step` (from 0), `length`, `loss` and `z_loss` (means over the step's predicted tokens, null when
    not finite) and `lr`. A missing file has no lines.
    """
    path = Path(path)
    path = path / FILE if path.is_dir() else path
    return read_lines(path)
