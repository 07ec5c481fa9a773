"""MobileCLIP: fast image-text models, folding, export, and training on reinforced datasets."""

from importlib import import_module
from typing import Any

__version__ = "0.1.0"

_EXPORTS = {
    "ARCHITECTURES": "architectures",
    "Architecture": "architectures",
    "Augmentation": "replay",
    "ImageTextModel": "models.clip",
    "ReinforcedStore": "reinforcement.store",
    "create_model": "models.factory",
    "create_model_and_transforms": "models.factory",
    "encode_prompts": "models.truncation",
    "export_onnx": "export.onnx",
    "fold": "models.folding",
    "from_pretrained": "models.factory",
    "get_tokenizer": "models.factory",
    "list_models": "models.factory",
    "list_pretrained": "models.factory",
    "load_teacher": "models.teachers",
    "reinforced_loss": "objectives",
    "save_pretrained": "models.factory",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    """Load a public name at its first use, so that importing the package loads no torch."""
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
