"""Two models as one: the average of their log-probabilities."""

import torch
from torch import Tensor


def average_log_probabilities(first: Tensor, second: Tensor) -> Tensor:
    """The normalised log of the geometric mean of two distributions, [items, choices], float32.

    An upper bound for compatible updates: it needs both models in memory at every answer.

    Args:
        first: Log-probabilities of the old model, [items, choices]; they need not be normalised.
        second: Of the new one.

    Raises:
        ValueError: the shapes differ, so the models have other choices.
    """
    if first.shape != second.shape:
        raise ValueError(f"{tuple(first.shape)} and {tuple(second.shape)}: the models have other choices")
    return torch.log_softmax((first.float() + second.float()) / 2, dim=-1)
