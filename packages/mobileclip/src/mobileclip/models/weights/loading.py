"""Weights into a model that fits them, or a line that says what does not fit and what would."""

from collections.abc import Mapping
from functools import cache
from typing import Literal, NamedTuple

import torch
from toolkit_shared.checkpoints import misfit
from toolkit_shared.errors import InputError
from torch import Tensor

from mobileclip.architectures import ARCHITECTURES, Architecture
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import Form, fold
from mobileclip.models.weights.dialects import (
    Dialect,
    dialect_of,
    folding_of,
    has_head_bias,
    to_native_state_dict,
)


class LoadedWeights(NamedTuple):
    """A model with the weights of a checkpoint, and what the checkpoint was."""

    model: ImageTextModel
    """In evaluation mode, folded as the checkpoint was."""

    dialect: Dialect
    """Whose names it used."""

    folding: Form | None
    """How far it had been folded."""


def load_weights(
    state: Mapping[str, Tensor],
    architecture: Architecture,
    *,
    where: str,
    compat: Literal["official", "open_clip"] = "official",
    drop_path_ratio: float = 0.0,
) -> LoadedWeights:
    """A model of `architecture` with these weights, whatever names they have and however far folded.

    Args:
        state: names to tensors, as `read_state_dict` gives them.
        architecture: what the model is to be.
        where: the file, for the line that says what is wrong.
        compat: as for `ImageTextModel`.
        drop_path_ratio: as for `ImageTextModel`.

    Raises:
        InputError: names or shapes differ from the architecture's; the first differences are named, and the
            published architecture that fits better.
    """
    dialect, folding = dialect_of(state, where=where), folding_of(state)
    head_bias = True if has_head_bias(state, architecture) else None
    model = ImageTextModel(
        architecture, compat=compat, head_bias=head_bias, drop_path_ratio=drop_path_ratio
    ).eval()
    if folding is not None:
        model = fold(model, form=folding)
    native = to_native_state_dict(state, architecture, model.state_dict(), dialect)
    if reason := misfit(model.state_dict(), native):
        hint = _hint(state, architecture, dialect, folding)
        raise InputError(f"{where}: these {dialect} weights do not fit the architecture: {reason}; {hint}")
    model.load_state_dict(native)
    return LoadedWeights(model, dialect, folding)


def nearest_architecture(
    state: Mapping[str, Tensor], dialect: Dialect, folding: Form | None
) -> tuple[str, float]:
    """The published architecture that most of these weights fit by name and shape, and their share in 0..1.

    Of two that fit equally well, as of two generations, the first by name.
    """
    shares = {
        name: _share(state, architecture, dialect, folding)
        for name, architecture in sorted(ARCHITECTURES.items())
    }
    best = max(shares, key=shares.__getitem__)
    return best, shares[best]


def _share(
    state: Mapping[str, Tensor], architecture: Architecture, dialect: Dialect, folding: Form | None
) -> float:
    own = _shapes(architecture, has_head_bias(state, architecture))
    native = to_native_state_dict(state, architecture, own, dialect)
    fits = sum(own.get(key) == tuple(tensor.shape) for key, tensor in native.items())
    # Folded weights have names that the unfolded model lacks, and the other way round.
    return fits / max(1, len(native) if folding else len(own.keys() | native.keys()))


@cache
def _shapes(architecture: Architecture, head_bias: bool) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        model = ImageTextModel(architecture, head_bias=head_bias or None)
    return {key: tuple(tensor.shape) for key, tensor in model.state_dict().items()}


def _hint(
    state: Mapping[str, Tensor], architecture: Architecture, dialect: Dialect, folding: Form | None
) -> str:
    best, share = nearest_architecture(state, dialect, folding)
    if ARCHITECTURES[best] == architecture or _share(state, architecture, dialect, folding) >= share:
        return "the checkpoint is incomplete or altered; fetch or write it again"
    if share < 0.2:
        return "no published architecture fits; give the JSON file of its own"
    return f"nearest is {best} ({share:.0%} of the names and shapes)"
