"""Checkpoint files of open_lm: `epoch_K.pt` with the weights and `stats_K.pt` beside it."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.language_model import OpenLM, to_open_lm_state_dict


def write_checkpoint(
    model: OpenLM,
    folder: str | Path,
    *,
    epoch: int,
    name: str,
    is_final: bool = True,
    metrics: Sequence[Any] = (),
) -> tuple[Path, Path]:
    """Write `epoch_K.pt` and `stats_K.pt` for open_lm; their paths.

    Plain values and tensors only, so that both can be read with `weights_only=True`.

    Args:
        model: Whose weights are written, under open_lm's names with its prefix `module.`.
        folder: Where.
        epoch: K; open_lm calls a part of the token budget an epoch.
        name: Of the run.
        is_final: Whether training is done; the official evaluation asks for it.
        metrics: What was evaluated.

    Source: `main.py` of open_lm; `training/train.py` of the official code reads the statistics.
    """
    folder = Path(folder)
    statistics = {
        "epoch": epoch,
        "name": name,
        "is_final_checkpoint": is_final,
        "evaluation_metrics": list(metrics),
    }
    checkpoint = {
        "epoch": epoch,
        "name": name,
        "state_dict": to_open_lm_state_dict(model, prefix="module."),
        "evaluation_metrics": list(metrics),
    }
    paths = folder / f"epoch_{epoch}.pt", folder / f"stats_{epoch}.pt"
    for path, value in zip(paths, (checkpoint, statistics), strict=True):
        with atomic_path(path) as temporary:
            torch.save(value, temporary)
    return paths
