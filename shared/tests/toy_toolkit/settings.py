"""Configurations of the toy commands, one field of each kind."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class Optimizer:
    """Nested settings.

    Attributes:
        lr: learning rate.
        kind: update rule.
        betas: decay rates.
        clip: gradient norm limit; null for none.
    """

    lr: float = 1e-3
    kind: Literal["adamw", "sgd"] = "adamw"
    betas: tuple[float, ...] = (0.9, 0.95)
    clip: float | None = 1.0

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise ValueError(f"lr is {self.lr}; it must be above 0")


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Flat settings.

    Attributes:
        steps: optimizer steps.
        label: free text.
        warm: whether to warm up.
        odds: two whole numbers.
        lengths: any number of whole numbers.
        weights: name to weight.
        cache_folder: a folder.
        optimizer: nested settings.
    """

    steps: int = 10
    label: str = "toy"
    warm: bool = True
    odds: tuple[int, int] = (2, 1)
    lengths: tuple[int, ...] = ()
    weights: dict[str, float] = field(default_factory=dict)
    cache_folder: Path | None = None
    optimizer: Optimizer = field(default_factory=Optimizer)
