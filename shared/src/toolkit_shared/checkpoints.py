"""Model folders: safetensors weights beside a JSON config, on disk or on the Hugging Face Hub."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit_shared.artifacts import atomic_path, read_json, write_json
from toolkit_shared.errors import InputError, require

if TYPE_CHECKING:
    from torch import Tensor

WEIGHTS = "model.safetensors"
CONFIG = "config.json"
_SHOWN = 3


def save_pretrained(
    folder: str | Path, state_dict: "Mapping[str, Tensor]", config: Mapping[str, Any]
) -> None:
    """Write `model.safetensors` and, after it, `config.json`; each file appears whole or not at all.

    Tensors that share memory are stored once each; any device and dtype. The same values give the same bytes.
    """
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state_dict.items()}
    with atomic_path(folder / WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    write_json(folder / CONFIG, dict(config))


def load_pretrained(path_or_hub_id: str | Path) -> "tuple[dict[str, Tensor], dict[str, Any]]":
    """The weights, on the CPU, and the config of a folder that `save_pretrained` wrote.

    A name `owner/model` that is no folder here is fetched from the Hugging Face Hub.

    Raises:
        InputError: no such folder or repository, or one of its two files is missing or broken.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    folder = _local_folder(path_or_hub_id)
    config, weights = folder / CONFIG, folder / WEIGHTS
    for path in (config, weights):
        if not path.is_file():
            raise InputError(f"{path}: no such file; give a folder with {CONFIG} and {WEIGHTS}")
    try:
        state_dict = load_file(weights)
    except (SafetensorError, OSError) as error:
        raise InputError(f"{weights}: not a readable safetensors file: {error}") from None
    values = read_json(config)
    if not isinstance(values, dict):
        raise InputError(f"{config}: holds {type(values).__name__}, not an object of fields")
    return state_dict, values


def misfit(own: "Mapping[str, Tensor]", found: "Mapping[str, Tensor]") -> str | None:
    """Why weights `found` cannot go into a model with the weights `own`, in one phrase; None if they can.

    Names and shapes are compared; of many differences the first three are named.
    """
    problems = [f"{name} is missing" for name in own if name not in found]
    problems += [f"{name} is none of the model's weights" for name in found if name not in own]
    for name in own.keys() & found.keys():
        there, here = (tuple(weights[name].shape) for weights in (found, own))
        if there != here:
            problems.append(f"{name} is {_by(there)} in the file and {_by(here)} in the model")
    if not problems:
        return None
    problems.sort()
    more = len(problems) - _SHOWN
    return "; ".join(problems[:_SHOWN]) + (f"; {more} more" if more > 0 else "")


def _by(shape: tuple[int, ...]) -> str:
    return " x ".join(map(str, shape)) or "a scalar"


def _local_folder(path_or_hub_id: str | Path) -> Path:
    folder = Path(path_or_hub_id)
    if folder.is_dir():
        return folder
    name = str(path_or_hub_id)
    if isinstance(path_or_hub_id, Path) or name.count("/") != 1 or name.startswith((".", "/", "~")):
        raise InputError(f"{name}: no such folder; give a folder with {CONFIG} and {WEIGHTS}, or a Hub name")
    hub = require("huggingface_hub", toolkit="toolkit-shared", extra="hub")
    try:
        return Path(hub.snapshot_download(name, allow_patterns=[CONFIG, WEIGHTS]))
    except (OSError, ValueError, json.JSONDecodeError) as error:
        reason = str(error).strip().splitlines()[0]
        raise InputError(f"{name}: no such folder, and the Hub did not give it: {reason}") from None
