"""Interpolating two LoRA adapters of one base: backward-compatible weight interpolation, exactly."""

from collections.abc import Mapping

import torch
from torch import Tensor

_DOWN, _UP = "lora_A", "lora_B"


def interpolate_adapters(
    old: Mapping[str, Tensor],
    new: Mapping[str, Tensor],
    *,
    old_fraction: float,
    old_scale: float,
    new_scale: float,
) -> dict[str, Tensor]:
    """The adapter whose change of the weights is old_fraction * old + (1 - old_fraction) * new.

    A LoRA changes a weight by scale * B A. The sum of two such changes has the ranks' sum, and is written
    here without loss: A is the two A one under the other, B the two B side by side, times their scales and
    fractions. The result has scale 1 (alpha equal to its rank). Averaging A and B themselves would be
    another function.

    Args:
        old: State of the old adapter, `NAME.lora_A...weight` [rank, in] and `NAME.lora_B...weight` [out,
            rank].
        new: State of the new adapter, with the same names; the rank may be another.
        old_fraction: 0 is the new adapter, 1 the old one.
        old_scale: alpha / r of the old adapter.
        new_scale: alpha / r of the new adapter.

    Raises:
        ValueError: the adapters do not change the same weights, hold anything but LoRA matrices, or the
            fraction is not from 0 to 1.

    Source: BCWI, Schumann et al. 2023, arXiv 2301.10546, equation 1; both models must have the same base.
    """
    if not 0 <= old_fraction <= 1:
        raise ValueError(f"old_fraction: {old_fraction} is not from 0 to 1")
    if old.keys() != new.keys():
        names = ", ".join(sorted(old.keys() ^ new.keys())[:3])
        raise ValueError(f"the adapters do not change the same weights; only one has {names}")
    merged = {}
    for name in old:
        if _DOWN in name:
            merged[name] = torch.cat([old[name], new[name]], dim=0)
        elif _UP in name:
            parts = [old_fraction * old_scale * old[name], (1 - old_fraction) * new_scale * new[name]]
            merged[name] = torch.cat(parts, dim=1)
        else:
            raise ValueError(f"{name} is no LoRA matrix")
    return merged
