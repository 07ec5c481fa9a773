"""Weights in every form that they are published in, read into a model and written back."""

from mobileclip.models.weights.checkpoint_file import read_state_dict
from mobileclip.models.weights.dialects import (
    Dialect,
    folding_of,
    has_head_bias,
    to_native_state_dict,
    to_official_state_dict,
)
from mobileclip.models.weights.loading import LoadedWeights, load_weights, nearest_architecture
from mobileclip.models.weights.open_clip_names import from_open_clip_state_dict, to_open_clip_state_dict

__all__ = [
    "Dialect",
    "LoadedWeights",
    "folding_of",
    "from_open_clip_state_dict",
    "has_head_bias",
    "load_weights",
    "nearest_architecture",
    "read_state_dict",
    "to_native_state_dict",
    "to_official_state_dict",
    "to_open_clip_state_dict",
]
