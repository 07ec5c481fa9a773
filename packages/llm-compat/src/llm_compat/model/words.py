"""Hidden states between torch and the words that a cache stores, and output heads as files."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError
from torch import Tensor

from llm_compat.heads import Head

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def words_of(states: Tensor, precision: str) -> npt.NDArray[Any]:
    """The states as numpy words: float32, float16, or uint16 with the bits of bfloat16."""
    stored = states.detach().to("cpu", DTYPES[precision]).contiguous()
    return stored.view(torch.uint16).numpy() if precision == "bfloat16" else stored.numpy()


def states_of(words: npt.NDArray[Any], precision: str) -> Tensor:
    """The states back from words, in the precision that they were stored in."""
    tensor = torch.from_numpy(np.ascontiguousarray(words))
    return tensor.view(torch.bfloat16) if precision == "bfloat16" else tensor


def write_head(head: Head, path: str | Path) -> None:
    """Write a head without trained parameters as safetensors; whole or absent after a crash."""
    from safetensors.torch import save_file

    tensors = {"weight": head.weight.detach().cpu().contiguous().clone()}
    if head.bias is not None:
        tensors["bias"] = head.bias.detach().cpu().contiguous().clone()
    softcap = "" if head.softcap is None else repr(head.softcap)
    with atomic_path(path) as temporary:
        save_file(tensors, temporary, metadata={"scale": repr(head.scale), "softcap": softcap})
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read


def read_head(path: str | Path) -> Head:
    """The head of a file that `write_head` wrote.

    Raises:
        InputError: the file is missing or broken.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(path), "pt") as file:
            tensors = {name: file.get_tensor(name) for name in file.keys()}
            facts = file.metadata() or {}
        softcap = facts.get("softcap")
        return Head(
            tensors["weight"],
            tensors.get("bias"),
            scale=float(facts.get("scale", 1.0)),
            softcap=float(softcap) if softcap else None,
        )
    except (SafetensorError, OSError, KeyError, ValueError) as error:
        raise InputError(f"{path}: no readable output head: {error}; make the cache anew") from None
