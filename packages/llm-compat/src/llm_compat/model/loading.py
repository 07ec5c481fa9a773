"""Models, adapters and tokenizers from folders or the Hub: safetensors only, and no code from them."""

import re
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError

ADAPTER_CONFIG, ADAPTER_WEIGHTS = "adapter_config.json", "adapter_model.safetensors"
_HUB_NAME = re.compile(r"[\w.-]+/[\w.-]+")


def load_causal_lm(
    path: str | Path, *, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu"
) -> Any:
    """A causal language model of transformers, frozen and in eval mode.

    Args:
        path: Folder, or name on the Hub.
        dtype: Of the weights.
        device: Where they go.

    Raises:
        InputError: there is no model at `path`, or it has no safetensors weights.
    """
    from transformers import AutoModelForCausalLM

    _require_folder(path, "config.json", what="model")
    try:
        with quiet_libraries():
            model = AutoModelForCausalLM.from_pretrained(path, dtype=dtype, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"{path}: not a causal language model that can be loaded: {_reason(error)}"
        ) from None
    return _frozen(model).to(device)


def attach_adapter(base: Any, adapter: str | Path, *, name: str = "default") -> Any:
    """The base under a LoRA adapter of PEFT, frozen and in eval mode; the base is changed in place.

    Args:
        base: A model of `load_causal_lm`.
        adapter: Folder with adapter_config.json and adapter_model.safetensors, or a name on the Hub.
        name: Under which the adapter goes.

    Raises:
        InputError: the folder holds no adapter, one of another kind, or one for another model.
    """
    from peft import PeftConfig, PeftModel

    _require_folder(adapter, ADAPTER_CONFIG, what="PEFT adapter")
    if Path(adapter).is_dir() and not (Path(adapter) / ADAPTER_WEIGHTS).is_file():
        raise InputError(f"{adapter}: no {ADAPTER_WEIGHTS}; save the adapter as safetensors")
    try:
        config = PeftConfig.from_pretrained(str(adapter))
        _require_lora(config, adapter)
        with quiet_libraries():
            warnings.filterwarnings("ignore", ".*missing adapter keys.*")  # refused below
            model = PeftModel.from_pretrained(base, str(adapter), adapter_name=name, is_trainable=False)
            _require_all_keys(model, adapter, name)
    except InputError:
        raise
    except (OSError, ValueError, KeyError, TypeError, RuntimeError, UserWarning) as error:
        raise InputError(f"{adapter}: does not fit the model: {_reason(error)}") from None
    return _frozen(model)


def load_tokenizer(path: str | Path) -> Any:
    """The tokenizer beside a model.

    Raises:
        InputError: there is none, or it cannot be loaded.
    """
    from transformers import AutoTokenizer

    _require_folder(path, "tokenizer_config.json", what="tokenizer")
    try:
        return AutoTokenizer.from_pretrained(path)
    except Exception as error:  # the libraries below raise exceptions of no common kind
        raise InputError(f"{path}: no tokenizer that can be loaded: {_reason(error)}") from None


def adapter_settings(adapter: str | Path) -> dict[str, Any]:
    """What `adapter_config.json` of a local folder says.

    Raises:
        InputError: the folder holds no adapter.
    """
    _require_folder(adapter, ADAPTER_CONFIG, what="PEFT adapter")
    settings = read_json(Path(adapter) / ADAPTER_CONFIG)
    if not isinstance(settings, dict):
        raise InputError(f"{adapter}: {ADAPTER_CONFIG} holds no object; save the adapter with PEFT")
    return settings


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """Within the block transformers draws no bars, and PEFT does not warn of what it mends itself."""
    from transformers.utils import logging

    drawn = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*is_gradient_checkpointing.*", FutureWarning)
            warnings.filterwarnings(
                "ignore", "fan_in_fan_out is set to .*", UserWarning
            )  # it then mends that
            yield
    finally:
        if drawn:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]


def _frozen(model: Any) -> Any:
    model.requires_grad_(False)
    model.eval()
    return model


def _require_lora(config: Any, adapter: str | Path) -> None:
    kind = getattr(config.peft_type, "value", config.peft_type)
    if kind != "LORA":
        raise InputError(
            f"{adapter}: holds an adapter of kind {kind}; only LORA can be copied and trained on"
        )
    if config.bias != "none":
        raise InputError(
            f"{adapter}: trains biases of its base (bias '{config.bias}'), which two adapters would share; "
            "train it with bias 'none'"
        )


def _require_all_keys(model: Any, adapter: str | Path, name: str) -> None:
    """Make sure that the file has every weight of the adapter, and no LoRA weight beside; PEFT does not."""
    from peft import get_peft_model_state_dict
    from peft.utils import load_peft_weights

    wanted = set(get_peft_model_state_dict(model, adapter_name=name, save_embedding_layers=False))
    found = set(load_peft_weights(str(adapter), device="cpu"))
    missing = sorted(wanted - found)
    surplus = sorted(key for key in found - wanted if ".lora_" in key)
    if missing:
        raise InputError(f"{adapter}: does not fit the model: {missing[0]} is missing")
    if surplus:
        raise InputError(f"{adapter}: does not fit the model: {surplus[0]} is none of its weights")


def _require_folder(path: str | Path, file: str, *, what: str) -> None:
    folder = Path(path)
    if (folder / file).is_file():
        return
    if folder.exists():
        raise InputError(f"{path}: is no {what}: it has no {file}; give the folder that holds one")
    if isinstance(path, Path) or not _HUB_NAME.fullmatch(path):
        raise InputError(f"{path}: no such folder; give a {what}'s folder or its name on the Hub")


def _reason(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).strip().splitlines() if line.strip()]
    return lines[0].rstrip(".:") if lines else type(error).__name__
