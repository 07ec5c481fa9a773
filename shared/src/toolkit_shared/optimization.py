"""Optimizer groups and the learning rate's schedule, for any training loop; Lightning is not needed."""

import math
from typing import Any

from torch import nn


def parameter_groups(
    model: nn.Module, weight_decay: float, *, decay_vectors: bool = False
) -> list[dict[str, Any]]:
    """Optimizer groups of the trainable parameters: matrices with `weight_decay`, the others without.

    With `decay_vectors` the others (gains, biases) have it too.

    The order within each group is that of `model.named_parameters()`, so a resumed optimizer state fits. An
    empty group is left out.
    """
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    matrices = [parameter for parameter in trainable if parameter.ndim >= 2]
    vectors = [parameter for parameter in trainable if parameter.ndim < 2]
    groups = [
        {"params": matrices, "weight_decay": weight_decay},
        {"params": vectors, "weight_decay": weight_decay if decay_vectors else 0.0},
    ]
    return [group for group in groups if group["params"]]


def cosine_schedule(step: int, *, warmup_steps: int, total_steps: int, lr: float, final_lr: float) -> float:
    """Learning rate of optimizer step `step` (from 0): linear warm-up to `lr`, then cosine to `final_lr`.

    Step 0 trains with lr / warmup_steps (with `lr` when there is no warm-up), step `warmup_steps` with `lr`,
    and every step from `total_steps` on with `final_lr`.

    Raises:
        ValueError: `warmup_steps` is negative, or `step` is.
    """
    if warmup_steps < 0 or step < 0:
        raise ValueError(f"step {step} and warmup_steps {warmup_steps} must not be negative")
    if step < warmup_steps:
        return lr * (step + 1) / warmup_steps
    done = min(1.0, (step - warmup_steps) / max(1, total_steps - warmup_steps))
    return final_lr + 0.5 * (lr - final_lr) * (1 + math.cos(math.pi * done))
