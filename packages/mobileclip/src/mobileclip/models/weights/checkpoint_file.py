"""Tensors of a checkpoint file, without running anything that it holds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.checkpoints import WEIGHTS
from toolkit_shared.errors import InputError
from torch import Tensor

# What training programs put around a state dict, and before each of its names.
_WRAPPERS = ("state_dict", "model_state_dict", "model")
_PREFIXES = ("module.", "_orig_mod.", "model.")
_KINDS = "a .safetensors file, or a .pt file of torch.save that holds tensors and plain values"


def read_state_dict(path: str | Path) -> dict[str, Tensor]:
    """The weights of a file, or of the file in a folder of `save_pretrained`; names without wrappers.

    `.safetensors` and files of `torch.save` are told apart by their content. Wrappers such as
    {"state_dict": ...} are opened, and prefixes of training programs (`module.`, `_orig_mod.`, `model.`) are
    taken off when all names have them.

    Raises:
        InputError: no such file, or not a mapping from names to tensors; pickled objects are refused.
    """
    path = Path(path)
    if path.is_dir():
        path = path / WEIGHTS
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a checkpoint: {_KINDS}")
    if path.stat().st_size == 0:
        raise InputError(f"{path}: is empty; give a checkpoint: {_KINDS}")
    value = _read_safetensors(path) if _is_safetensors(path) else _read_torch(path)
    return plain_state_dict(value, where=str(path))


def plain_state_dict(value: Any, *, where: str) -> dict[str, Tensor]:
    """The state dict within what a checkpoint held, with plain names.

    Raises:
        InputError: no mapping from names to tensors is in it.
    """
    for _ in range(len(_WRAPPERS)):
        inner = next((value[name] for name in _WRAPPERS if _has_mapping(value, name)), None)
        if inner is None:
            break
        value = inner
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: holds {type(value).__name__}, not a state dict; save model.state_dict()")
    state = {str(name): tensor for name, tensor in value.items() if isinstance(tensor, Tensor)}
    if not state:
        raise InputError(f"{where}: holds no tensors; save model.state_dict()")
    stripped = True
    while stripped:
        stripped = False
        for prefix in _PREFIXES:
            if all(name.startswith(prefix) for name in state):
                state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
                stripped = True
    return state


def _has_mapping(value: Any, name: str) -> bool:
    return isinstance(value, Mapping) and isinstance(value.get(name), Mapping)


def _is_safetensors(path: Path) -> bool:
    # Eight bytes of length, then a JSON object; files of torch.save begin as a zip or a pickle.
    with open(path, "rb") as stream:
        return stream.read(9)[8:9] == b"{"


def _read_safetensors(path: Path) -> Any:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return load_file(path)
    except (SafetensorError, OSError) as error:
        raise InputError(
            f"{path}: not a readable safetensors file: {error}; fetch or write it again"
        ) from None


def _read_torch(path: Path) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except Exception:  # the unpickler raises many kinds, and explains torch's options at length
        raise InputError(
            f"{path}: cannot be read as weights only: broken, or pickled objects beside the tensors; "
            f"give {_KINDS}"
        ) from None
