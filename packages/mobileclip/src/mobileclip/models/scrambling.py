"""Weights that make parity mean something: every statistic, gain, bias and layer scale far from its start.

A fresh model hides its blocks behind layer scales of 1e-5 and batch norms that do nothing, so that wrong code
passes every comparison. Scrambled weights follow from the seed and the key names alone, so two codes that
share the names get the same ones without a file.
"""

import numpy as np
import torch
from toolkit_shared.randomness import stream
from torch import nn


def scramble(model: nn.Module, *, seed: int = 0, prefix: str = "") -> None:
    """Replace all weights and batch statistics of `model`, in place, by random ones.

    Weights are normal with a variance of one over the fan-in, gains and variances uniform in 0.5 to 1.5,
    layer scales in 0.05 to 0.2, and biases, means and positions normal with a deviation of 0.1. Integers and
    single numbers (the logit scale) stay. Layer scales twice as large make the deep encoders chaotic: float32
    rounding alone then moves the features of S2 by 1e-3.

    Args:
        model: Any module.
        seed: Of the weights.
        prefix: What stands before the key names where they are parts of a larger model's.
    """
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.ndim:
            values = _values(prefix + name, tuple(tensor.shape), seed)
            tensor.copy_(torch.from_numpy(values.astype(np.float32)))


def _values(name: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    generator = stream(seed, f"scramble {name}")
    if "layer_scale" in name:
        return generator.uniform(0.05, 0.2, shape)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        return generator.uniform(0.5, 1.5, shape)
    if len(shape) == 1 or name.endswith(("pos_embed", "cls_token")):
        return generator.normal(0.0, 0.1, shape)
    # a projection is stored as inputs x outputs, everything else as outputs x inputs
    fan_in = shape[0] if name.endswith("proj") else int(np.prod(shape[1:]))
    return generator.normal(0.0, fan_in**-0.5, shape)
