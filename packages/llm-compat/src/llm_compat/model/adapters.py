"""Two LoRA adapters on one frozen base: the new task adapter, which teaches, and the one that is trained.

The trained adapter begins as an exact copy of the teacher. Teaching switches the active adapter without
touching `requires_grad`: PEFT's own `set_adapter` would make a teacher trainable.
"""

import copy
import hashlib
import math
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.artifacts import atomic_path, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream
from torch import Tensor, nn

from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.model.loading import ADAPTER_CONFIG, ADAPTER_WEIGHTS, attach_adapter, quiet_libraries

NEW, COMPAT = "new", "compat"


class Student:
    """A frozen base under the trained adapter `compat`, and under `new`, frozen, where there is one.

    Args:
        model: The PEFT model; `compat` is active.
    """

    def __init__(self, model: Any) -> None:
        from peft.tuners.tuners_utils import BaseTunerLayer
        from peft.utils.other import AuxiliaryTrainingWrapper

        self.model = model
        kinds = (BaseTunerLayer, AuxiliaryTrainingWrapper)
        self._layers = [module for module in model.modules() if isinstance(module, kinds)]
        self._active = COMPAT
        train_only_compat(model)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters of `compat`, which are all that is trained."""
        return [parameter for parameter in self.model.parameters() if parameter.requires_grad]

    def teacher_hidden_states(self, input_ids: Tensor) -> Tensor:
        """Final hidden states [rows, length, width] of the new task model; no gradient."""
        with torch.no_grad(), self.teaching():
            return final_hidden_states(self.model, input_ids)

    @contextmanager
    def teaching(self) -> Iterator[Any]:
        """Within the block the model is the new task model in eval mode: `new` is active, or no adapter."""
        modes = {module: module.training for module in self.model.modules() if module.training}
        self._switch([NEW] if NEW in self.model.peft_config else [])
        for module in modes:
            module.training = False
        try:
            yield self.model
        finally:
            self._switch([COMPAT])
            for module in modes:
                module.training = True

    def teacher_hash(self) -> str:
        """SHA-256 over all parameters that are not trained: the base, and `new`."""
        return frozen_hash(self.model)

    def _switch(self, names: list[str]) -> None:
        for layer in self._layers:
            layer._active_adapter = list(names)


def student_from_adapter(
    base: Any, adapter: str | Path, *, rank: int | None = None, seed: int = 0
) -> Student:
    """The student that starts as a copy of the task adapter in the folder `adapter`.

    Its logits are bit-equal to the task model's. With a larger rank the function is the same up to
    rounding: the new columns of B are zero, the new rows of A are drawn as PEFT draws them (both zero
        would never learn), and
    alpha grows so that the scale is kept.

    Args:
        base: The frozen base model; adapters are put into it in place.
        adapter: Folder of a PEFT adapter, or its name on the Hub.
        rank: Larger rank of the student; None: the task adapter's.
        seed: Of the new rows.

    Raises:
        InputError: the folder holds no LoRA adapter of this base, or the rank is below the adapter's.
    """
    model = attach_adapter(base, adapter, name=NEW)
    theirs = model.peft_config[NEW]
    config = copy.deepcopy(theirs)
    config.inference_mode = False
    if rank is not None and rank != theirs.r:
        _widen(config, rank, adapter)
    with torch.random.fork_rng(devices=[]), quiet_libraries():
        torch.manual_seed(_torch_seed(seed))
        model.add_adapter(COMPAT, config)
    model.set_adapter(COMPAT)
    _copy_adapter(model)
    return Student(model)


def student_from_base(
    base: Any,
    *,
    rank: int = 128,
    alpha: float | None = None,
    dropout: float = 0.0,
    targets: str | list[str] = "all-linear",
    seed: int = 0,
) -> Student:
    """The student with a fresh LoRA that changes nothing yet, so that its logits are the base's.

    For task adapters, and for updates whose new model has no adapter: the base is then the new task model
    itself.

    Args:
        base: The frozen model; the adapter is put into it in place.
        rank: r; 128 in the paper.
        alpha: Of the scale alpha / r; None: twice the rank, as in the paper.
        dropout: Of the adapter's input; 0 in the paper.
        targets: Layers; "all-linear" leaves the output head out.
        seed: Of the matrices A.

    Raises:
        InputError: the rank is not positive, or no layer has such a name.
    """
    from peft import LoraConfig, get_peft_model

    if rank < 1:
        raise InputError(f"adapter.rank: {rank} is not positive; the paper's is 128")
    config = LoraConfig(
        r=rank,
        lora_alpha=2 * rank if alpha is None else alpha,  # type: ignore[arg-type]
        lora_dropout=dropout,
        target_modules=targets,
        bias="none",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), quiet_libraries():
        torch.manual_seed(_torch_seed(seed))
        try:
            model = get_peft_model(base, config, adapter_name=COMPAT)
        except ValueError as error:
            raise InputError(f"adapter.targets: {_first_line(error)}; name layers of the model") from None
    return Student(model)


def frozen_hash(model: nn.Module) -> str:
    """SHA-256 over the names and bytes of all parameters of a model that are not trained."""
    digest = hashlib.sha256()
    for name, parameter in sorted(model.named_parameters()):
        if not parameter.requires_grad:
            digest.update(name.encode())
            digest.update(parameter.detach().contiguous().view(-1).view(torch.uint8).cpu().numpy().data)
    return digest.hexdigest()


def train_only_compat(model: nn.Module) -> None:
    """Let the parameters of `compat` be trained, and no others."""
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(COMPAT in name.split("."))


def save_adapter(model: Any, folder: str | Path, *, adapter: str = COMPAT) -> None:
    """Write an adapter as plain PEFT: `adapter_model.safetensors`, then `adapter_config.json`.

    `PeftModel.from_pretrained(base, folder)` loads it. The same weights give the same bytes.
    """
    from peft import get_peft_model_state_dict
    from safetensors.torch import save_file

    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    state = get_peft_model_state_dict(model, adapter_name=adapter, save_embedding_layers=False)
    tensors = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in sorted(state.items())}
    with atomic_path(folder / ADAPTER_WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    config = {**model.peft_config[adapter].to_dict(), "inference_mode": True}
    write_json(folder / ADAPTER_CONFIG, {name: _plain(value) for name, value in config.items()})


def _widen(config: Any, rank: int, adapter: str | Path) -> None:
    if config.rank_pattern or config.alpha_pattern:
        raise InputError(f"{adapter}: has ranks of its own for some layers; leave adapter.rank out")
    if rank < config.r:
        raise InputError(
            f"adapter.rank: {rank} is below {config.r}, the rank of {adapter}; a copy needs as much or more"
        )
    ratio = rank / config.r
    alpha = config.lora_alpha * (math.sqrt(ratio) if config.use_rslora else ratio)
    config.lora_alpha = int(alpha) if alpha == int(alpha) else alpha
    config.r = rank


def _copy_adapter(model: nn.Module) -> None:
    """Make `compat` what `new` is; where it has a larger rank, the rest of B is zero."""
    values = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    with torch.no_grad():
        for name, theirs in values.items():
            parts = name.split(".")
            if NEW not in parts:
                continue
            place = len(parts) - 1 - parts[::-1].index(NEW)
            ours = values[".".join([*parts[:place], COMPAT, *parts[place + 1 :]])]
            if ours.shape == theirs.shape:
                ours.copy_(theirs)
                continue
            if "lora_B" in parts or "lora_embedding_B" in parts:
                ours.zero_()
            ours[tuple(slice(size) for size in theirs.shape)].copy_(theirs)


def _plain(value: Any) -> Any:
    if isinstance(value, set | frozenset):
        return sorted(value)
    return value


def _torch_seed(seed: int) -> int:
    return int(stream(seed, "llm-compat: adapter").integers(2**63))


def _first_line(error: Exception) -> str:
    return str(error).strip().splitlines()[0].rstrip(".")
