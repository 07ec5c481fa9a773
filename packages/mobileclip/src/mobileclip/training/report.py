"""What a finished run leaves: its manifest, and the report made from its files."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import finish_folder, sha256_file
from toolkit_shared.step_log import read_lines

import mobileclip
from mobileclip.training.plan import DROPPED, PLAN, Plan

RUN_KIND = "mobileclip run"
METRICS = "metrics.jsonl"
MODEL, LAST_MODEL = "model", "model-last"


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a finished run did.

    Attributes:
        out: Its folder.
        model: Folder of the trained model, for `create_model` and `from_pretrained`.
        status: "new", "resumed", or "complete" when there was nothing left to do.
        steps: Optimizer steps.
        pairs: Pairs that were trained on.
        dropped: Pairs that were not, by reason.
        without_image: Reinforcements that no pair belongs to.
        epochs: Passes over the pairs.
        loss: Mean of the last tenth of the steps; None when not finite.
        seconds: Wall time of this process's part of the run.
    """

    out: Path
    model: Path
    status: str
    steps: int
    pairs: int
    dropped: Mapping[str, int]
    without_image: int
    epochs: float
    loss: float | None
    seconds: float

    def to_text(self) -> str:
        """A few lines for a reader."""
        loss = "not finite" if self.loss is None else f"{self.loss:.4f}"
        lines = [
            f"{self.out}: {self.status} run, {self.steps:,} steps, {self.epochs:.2f} epochs of "
            f"{self.pairs:,} pairs",
            f"loss over the last tenth of the steps: {loss}",
        ]
        lines += [f"dropped, {reason}: {count:,}" for reason, count in self.dropped.items()]
        if self.dropped:
            lines.append(f"each is named in {self.out / DROPPED}")
        if self.without_image:
            lines.append(f"reinforcements without a pair: {self.without_image:,}")
        return "\n".join([*lines, f"model: {self.model}"])


def finish_run(out: Path, config: Mapping[str, Any], *, precision: str) -> None:
    """Write the manifest of a run whose model is there."""
    plan = Plan.read(out)
    rows = list(read_lines(out / METRICS))
    steps, size = len(rows), config["optimization"]["batch_size"]
    finish_folder(
        out,
        {
            "schema": 1,
            "toolkit_version": mobileclip.__version__,
            "kind": RUN_KIND,
            "config": dict(config),
            "precision": precision,
            "counts": {"steps": steps, "pairs": len(plan.pairs), "epochs": steps * size / len(plan.pairs)},
            "dropped": plan.counts,
            "without_image": plan.without_image,
            "hashes": {
                str(path.relative_to(out)): sha256_file(path)
                for path in sorted([out / METRICS, out / PLAN, out / DROPPED, *out.glob("model*/*")])
            },
        },
    )


def report_run(out: Path, *, batch_size: int, status: str, seconds: float) -> TrainingReport:
    """What the files of a finished run say of it."""
    rows = list(read_lines(out / METRICS))
    losses = [row["loss"] for row in rows][-max(1, len(rows) // 10) :]
    plan = Plan.read(out)
    return TrainingReport(
        out=out,
        model=out / MODEL,
        status=status,
        steps=len(rows),
        pairs=len(plan.pairs),
        dropped=plan.counts,
        without_image=plan.without_image,
        epochs=round(len(rows) * batch_size / len(plan.pairs), 6),
        loss=sum(losses) / len(losses) if losses and None not in losses else None,
        seconds=seconds,
    )
