"""What may differ between runs of one scale; standard library only, for the command's help reads it."""

import dataclasses
import math
from typing import Literal

from dclm_bench.scales import Scale

Precision = Literal["auto", "32-true", "bf16-mixed", "bf16-true"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Overrides:
    """Values in place of the scale's; whoever sets one leaves the competition.

    Attributes:
        lr: Highest learning rate.
        final_lr: Learning rate at the end.
        weight_decay: On all parameters.
        warmup_steps: Steps of linear warm-up.
        sequences_per_step: Sequences of an optimizer step, all devices together.
        z_loss: Coefficient of the z-loss.
        train_on_pads: Predict the fill of last contexts too, as the official trainer does.
    """

    lr: float | None = None
    final_lr: float | None = None
    weight_decay: float | None = None
    warmup_steps: int | None = None
    sequences_per_step: int | None = None
    z_loss: float | None = None
    train_on_pads: bool = False

    def __post_init__(self) -> None:
        for name, value in self.given().items():
            if not 0 <= value < math.inf or (name in ("lr", "sequences_per_step") and value == 0):
                raise ValueError(f"{name}: {value:g} is out of range; give a number above 0")

    def given(self) -> dict[str, float]:
        """The fields of the scale that are set."""
        fields = dataclasses.asdict(self)
        del fields["train_on_pads"]
        return {name: value for name, value in fields.items() if value is not None}

    def apply(self, scale: Scale) -> Scale:
        """The scale with these values."""
        return dataclasses.replace(scale, **self.given())  # type: ignore[arg-type]


@dataclasses.dataclass(frozen=True, kw_only=True)
class ExecutionSettings:
    """How a run is carried out, which does not make it another run.

    Attributes:
        compile: Compile model and objective; unset: on a GPU.
        chunk_tokens: Tokens whose logits exist at a time; 0: all of a micro-batch; unset: all on a GPU, 2,048
            on a CPU, whose memory the logits of a whole step would fill.
        checkpoint_steps: Optimizer steps between checkpoints.
        log_steps: Optimizer steps between writes of metrics.jsonl.
        open_lm_files: Write epoch_1.pt and stats_1.pt for open_lm beside the model folder at the end.
    """

    compile: bool | None = None
    chunk_tokens: int | None = None
    checkpoint_steps: int = 500
    log_steps: int = 10
    open_lm_files: bool = False

    def __post_init__(self) -> None:
        if self.chunk_tokens is not None and self.chunk_tokens < 0:
            raise ValueError(f"chunk_tokens: {self.chunk_tokens} is negative; give 0 or more")
        for name in ("checkpoint_steps", "log_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; give 1 or more")
