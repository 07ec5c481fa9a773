"""How far the features of two forms of a model are from each other, on random inputs."""

from typing import Any

import torch
from torch import Tensor, nn


def relative_difference(found: Tensor, expected: Tensor) -> float:
    """The norm of the difference over the norm of `expected`, in float64; NaN where either is not finite."""
    found, expected = found.detach().double(), expected.detach().double()
    if not (torch.isfinite(found).all() and torch.isfinite(expected).all()):
        return float("nan")
    return float((found - expected).norm() / expected.norm().clamp_min(torch.finfo(torch.float64).tiny))


def relative_differences(model: nn.Module, other: nn.Module, *, seed: int = 0) -> dict[str, float]:
    """The relative difference of the features of two forms of a model, by "image" and "text".

    Both are run in evaluation mode, on two random images and texts, and left in their modes.

    Args:
        model: A whole model or one of its towers; its features count as the expected ones.
        other: Of the same shape.
        seed: Of the inputs.

    Raises:
        ValueError: `model` is neither a model nor a tower.
    """
    pairs = list(_towers(model, other))
    if not pairs:
        raise ValueError(f"{type(model).__name__} is no tower and has none, so it has no features to compare")
    found = {}
    for what, expected_tower, tower in pairs:
        inputs = random_inputs(expected_tower, seed=seed)
        found[what] = relative_difference(_features(tower, inputs), _features(expected_tower, inputs))
    return found


def random_inputs(tower: Any, *, num_inputs: int = 2, seed: int = 0) -> Tensor:
    """Images in 0..1, or texts of various lengths that end with the last token id, on the tower's device."""
    first = next(iter(tower.parameters()))
    generator = torch.Generator().manual_seed(seed)
    if hasattr(tower, "image_size"):
        size = tower.image_size
        return torch.rand(num_inputs, 3, size, size, generator=generator).to(first.device, first.dtype)
    length, vocabulary = tower.context_length, tower.vocabulary
    tokens = torch.randint(1, vocabulary - 1, (num_inputs, length), generator=generator)
    ends = torch.randint(1, length, (num_inputs, 1), generator=generator)
    places = torch.arange(length)
    tokens = tokens.where(places < ends, 0).where(places != ends, vocabulary - 1)
    return tokens.to(first.device)


def _towers(model: Any, other: Any) -> list[tuple[str, Any, Any]]:
    if hasattr(model, "image_encoder") and hasattr(model, "text_encoder"):
        return [
            ("image", model.image_encoder, other.image_encoder),
            ("text", model.text_encoder, other.text_encoder),
        ]
    if hasattr(model, "image_size"):
        return [("image", model, other)]
    return [("text", model, other)] if hasattr(model, "context_length") else []


def _features(tower: nn.Module, inputs: Tensor) -> Tensor:
    training = tower.training
    tower.eval()
    try:
        with torch.no_grad():
            features: Tensor = tower(inputs)
    finally:
        if training:
            tower.train()
    return features
