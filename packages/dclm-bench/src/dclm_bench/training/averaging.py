"""The last steps of the published 2.6 T run: cool-downs on two mixes, and the average of their weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import OpenLM, load_weights
from torch import Tensor

# Of the cool-downs over 270 and 200 billion tokens.
SOUP_WEIGHTS = (0.8, 0.2)


def average_state_dicts(
    state_dicts: Sequence[Mapping[str, Tensor]], weights: Sequence[float]
) -> dict[str, Tensor]:
    """The weighted mean of each tensor, summed in float64 and given out in the dtype of the first.

    Raises:
        ValueError: names or shapes differ, or the weights do not sum to 1.

    Source: section 2.9 of the specification ("model soup" of two cool-downs, 0.8 and 0.2).
    """
    if len(state_dicts) != len(weights) or not state_dicts:
        raise ValueError(f"{len(state_dicts)} models and {len(weights)} weights")
    if abs(sum(weights) - 1) > 1e-6:
        raise ValueError(f"the weights sum to {sum(weights):g}, not to 1")
    first = state_dicts[0]
    shapes = {name: value.shape for name, value in first.items()}
    if any({name: value.shape for name, value in other.items()} != shapes for other in state_dicts[1:]):
        raise ValueError("the models have other names or shapes of weights")
    averaged = {}
    for name, value in first.items():
        total = torch.zeros(value.shape, dtype=torch.float64)
        for other, weight in zip(state_dicts, weights, strict=True):
            total += weight * other[name].detach().cpu().double()
        averaged[name] = total.to(value.dtype)
    return averaged


def average_models(paths: Sequence[str | Path], weights: Sequence[float] = SOUP_WEIGHTS) -> OpenLM:
    """The model with the weighted mean of the weights of model folders.

    Args:
        paths: Folders that `train` wrote; the first tells the sizes.
        weights: One a folder, with sum 1.

    Raises:
        InputError: a folder holds no such model, the models differ, or the weights are unusable.
    """
    if not paths:
        raise InputError("average: no model is given; name the folders of two or more")
    first = OpenLM.from_pretrained(paths[0])
    states = [dict(first.state_dict())]
    for path in paths[1:]:
        other = OpenLM(**{name: value for name, value in first.config.items() if name != "model_type"})
        load_weights(other, path)
        states.append(dict(other.state_dict()))
    try:
        first.load_state_dict(average_state_dicts(states, weights))
    except ValueError as error:
        raise InputError(f"average: {error}; give a weight for each model, with sum 1") from None
    return first
