"""What training needs to know; shared by the commands that train and that cache teachers."""

import math
from dataclasses import dataclass
from typing import Literal

LossOn = Literal["all", "answer"]
TooLong = Literal["truncate", "drop", "refuse"]
Precision = Literal["auto", "32-true", "bf16-mixed"]
CachePrecision = Literal["auto", "float32", "float16", "bfloat16"]
SelectBy = Literal["cross-entropy", "nfr", "last"]


@dataclass(frozen=True, kw_only=True)
class ModelSettings:
    """A task model.

    Attributes:
        model: Folder of the model, or its name on the Hub.
        adapter: Folder of its PEFT task adapter, or the name on the Hub; unset: the model has none.
    """

    model: str | None = None
    adapter: str | None = None


@dataclass(frozen=True, kw_only=True)
class ExampleSettings:
    """How examples become rows of tokens.

    Attributes:
        loss_on: Train all tokens, as the paper does, or those of the answers alone.
        max_length: Longest row, in tokens.
        too_long: What becomes of longer ones: truncate, drop or refuse.
        validation_fraction: Part of the examples that the checkpoint is chosen by.
        limit: Read no more records than this.
        strict: Stop at the first record that cannot be used.
    """

    loss_on: LossOn = "all"
    max_length: int = 512
    too_long: TooLong = "truncate"
    validation_fraction: float = 0.2
    limit: int | None = None
    strict: bool = False

    def __post_init__(self) -> None:
        if self.max_length < 2:
            raise ValueError(f"max_length: {self.max_length} is below 2; a row needs a token and its next")
        if not 0 < self.validation_fraction < 1:
            raise ValueError(f"validation_fraction: {self.validation_fraction} is not between 0 and 1")
        if self.limit is not None and self.limit < 1:
            raise ValueError(f"limit: {self.limit} is not positive")


@dataclass(frozen=True, kw_only=True)
class AdapterSettings:
    """The adapter that is trained.

    Attributes:
        rank: Unset: that of the task adapter which it starts from, or 128 for a fresh one.
        alpha: Of a fresh adapter; unset: twice the rank. A copy keeps the scale of what it copies.
        dropout: Of a fresh adapter.
        targets: Layers of a fresh adapter; unset: all linear ones but the head.
    """

    rank: int | None = None
    alpha: float | None = None
    dropout: float = 0.0
    targets: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.rank is not None and self.rank < 1:
            raise ValueError(f"rank: {self.rank} is not positive")
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout: {self.dropout} is not from 0 to below 1")


@dataclass(frozen=True, kw_only=True)
class ObjectiveSettings:
    """The loss of an arm.

    Attributes:
        temperature: T; unset: the arm's own, which is 2 in the paper.
        distillation_weight: Lambda of the arms that add a cross-entropy; unset: 0.5.
        chunk_tokens: Tokens whose logits exist at a time; the result does not depend on it.
    """

    temperature: float | None = None
    distillation_weight: float | None = None
    chunk_tokens: int = 256

    def __post_init__(self) -> None:
        if self.temperature is not None and not 0 < self.temperature < math.inf:
            raise ValueError(f"temperature: {self.temperature} is not positive; the paper's is 2")
        if self.distillation_weight is not None and not 0 <= self.distillation_weight <= 1:
            raise ValueError(f"distillation_weight: {self.distillation_weight} is not from 0 to 1")
        if self.chunk_tokens < 1:
            raise ValueError(f"chunk_tokens: {self.chunk_tokens} is not positive")


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings:
    """AdamW and its schedule.

    Attributes:
        lr: Highest learning rate.
        epochs: Passes over the training rows.
        batch_size: Rows of a micro-batch of each device.
        accumulate: Micro-batches of each device in a step.
        warmup_steps: Steps of linear warm-up; the rate then falls linearly to 0.
        weight_decay: On matrices.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        gradient_clip: Highest norm of the gradient; 0: none.
        select_by: The epoch that is kept: of the lowest validation cross-entropy (as in the paper), of the
            lowest validation rate of negative flips of next tokens, or the last.
    """

    lr: float = 1e-4
    epochs: int = 10
    batch_size: int = 4
    accumulate: int = 8
    warmup_steps: int = 500
    weight_decay: float = 0.0
    beta1: float = 0.9
    beta2: float = 0.999
    gradient_clip: float = 0.0
    select_by: SelectBy = "cross-entropy"

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "accumulate"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: {self.lr} is not positive")
        for name in ("warmup_steps", "weight_decay", "gradient_clip"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is negative")


@dataclass(frozen=True, kw_only=True)
class ExecutionSettings:
    """What does not change the result, beyond rounding.

    Attributes:
        precision: auto is 32-true on a CPU and bf16-mixed, on weights in bfloat16, on CUDA.
        checkpoint_steps: Steps between checkpoints.
        log_steps: Steps between writes of metrics.jsonl, which has a line a step.
    """

    precision: Precision = "auto"
    checkpoint_steps: int = 200
    log_steps: int = 10

    def __post_init__(self) -> None:
        for name in ("checkpoint_steps", "log_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive")
