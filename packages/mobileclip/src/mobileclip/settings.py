"""Options of training, as plain values; standard library only, for the command's help reads it."""

import math
import re
from dataclasses import dataclass
from typing import Literal

Precision = Literal["auto", "32-true", "bf16-mixed", "16-mixed"]


@dataclass(frozen=True, kw_only=True)
class OptimizationSettings:
    """How long and how fast: linear warm-up, then a cosine to 0.

    Attributes:
        steps: Optimizer steps.
        batch_size: Pairs of a step, all devices together.
        lr: Highest learning rate.
        warmup_steps: Steps of linear warm-up.
        seed: Of initial weights, order and draws.
    """

    steps: int = 1000
    batch_size: int = 256
    lr: float = 1e-3
    warmup_steps: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("steps", "batch_size"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; give 1 or more")
        for name in ("warmup_steps", "seed"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name}: {getattr(self, name)} is negative; give 0 or more")
        if not 0 < self.lr < math.inf:
            raise ValueError(f"lr: {self.lr:g} is not positive; the papers' is 1e-3")


@dataclass(frozen=True, kw_only=True)
class AdamWSettings:
    """The optimizer.

    Attributes:
        weight_decay: On matrices and kernels, not on biases, norms and the logit scale.
        beta1: Decay of the first moment.
        beta2: Decay of the second moment.
        eps: Unset: open_clip's rule, 1e-6 where the architecture's name says "vit", else 1e-8.
        gradient_clip: Highest norm of the gradient; 0: none.
    """

    weight_decay: float = 0.2
    beta1: float = 0.9
    beta2: float = 0.95
    eps: float | None = None
    gradient_clip: float = 1.0

    def __post_init__(self) -> None:
        for name in ("weight_decay", "gradient_clip"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name}: {getattr(self, name):g} is negative; give 0 or more")
        for name in ("beta1", "beta2"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name):g} is not from 0 to below 1")
        if self.eps is not None and not 0 < self.eps < 1:
            raise ValueError(f"eps: {self.eps:g} is not between 0 and 1")


@dataclass(frozen=True, kw_only=True)
class ReinforcementSettings:
    """What is learned from a store, or from teachers that run along.

    Attributes:
        distillation_weight: Lambda, from 0 (pairs alone) to 1 (teachers alone).
        loss: Softmaxes over the batch as in the papers, or sigmoids over the pairs.
        teacher_scales: Logit scale of each teacher; unset: those of the store, or the teachers' own.
        teacher_biases: Logit bias of each teacher, of the sigmoid loss; unset: 0.
        synthetic: A second stream beside the real captions (its loss is added), mixed into one stream, or
            not used.
        mix_ratio: Share of synthetic captions in a mixed stream.
        sampling: Draw augmentation and captions at random, or take them in turn, one an epoch.
        caption_groups: Regular expression for the names of the captioners whose captions are used.
        geometry: Translations in pixels of the stored size, as in the official code, or scaled with the
            student's image size.
    """

    distillation_weight: float = 1.0
    loss: Literal["softmax", "sigmoid"] = "softmax"
    teacher_scales: tuple[float, ...] = ()
    teacher_biases: tuple[float, ...] = ()
    synthetic: Literal["stream", "mix", "none"] = "stream"
    mix_ratio: float = 0.5
    sampling: Literal["random", "sequential"] = "random"
    caption_groups: str = ".*"
    geometry: Literal["official", "corrected"] = "official"

    def __post_init__(self) -> None:
        for name in ("distillation_weight", "mix_ratio"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name}: {getattr(self, name):g} is not from 0 to 1")
        if any(not 0 < scale < math.inf for scale in self.teacher_scales):
            raise ValueError(f"teacher_scales: {self.teacher_scales} are not all positive")
        try:
            re.compile(self.caption_groups)
        except re.error as error:
            raise ValueError(
                f"caption_groups: {self.caption_groups!r} is no regular expression: {error}"
            ) from None


@dataclass(frozen=True, kw_only=True)
class CheckSettings:
    """What is looked at before the first step, and what becomes of pairs that cannot be used.

    Attributes:
        images: Decode every image and check every stored row once, or read the headers only (a broken image
            or row then stops the training when its turn comes).
        mismatched_sizes: Drop an image whose size is not the one for which its crops were stored, or scale
            the crops where only the resolution differs.
        mismatched_captions: Drop a pair none of whose captions is stored, which betrays the store of other
            pairs with the same keys, or keep it and learn the stored captions.
        strict: Stop at the first pair that cannot be used.
    """

    images: Literal["decode", "header"] = "decode"
    mismatched_sizes: Literal["drop", "scale"] = "drop"
    mismatched_captions: Literal["drop", "keep"] = "drop"
    strict: bool = False


@dataclass(frozen=True, kw_only=True)
class TrainingExecution:
    """How a run is carried out.

    Attributes:
        precision: auto: bf16-mixed on a GPU, 32-true on a CPU.
        gradient_checkpointing: Compute activations again in the backward pass, for less memory.
        compile: Compile both encoders.
        sync_batch_norm: Batch statistics over all devices (GPUs only); the official trainer takes each
            device's own.
        checkpoint_steps: Optimizer steps between checkpoints.
        log_steps: Optimizer steps between writes of metrics.jsonl.
    """

    precision: Precision = "auto"
    gradient_checkpointing: bool = False
    compile: bool = False
    sync_batch_norm: bool = False
    checkpoint_steps: int = 500
    log_steps: int = 10

    def __post_init__(self) -> None:
        for name in ("checkpoint_steps", "log_steps"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: {getattr(self, name)} is not positive; give 1 or more")
