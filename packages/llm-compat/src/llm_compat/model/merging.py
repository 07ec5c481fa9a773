"""Adapters of one base merged into one: weight interpolation between an old and a new task adapter."""

from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import atomic_path, write_json
from toolkit_shared.errors import InputError

from llm_compat.interpolation import interpolate_adapters
from llm_compat.model.loading import ADAPTER_CONFIG, ADAPTER_WEIGHTS, adapter_settings


def interpolate_adapter_folders(
    old: str | Path, new: str | Path, out: str | Path, *, old_fraction: float
) -> None:
    """Write the adapter that changes the weights by old_fraction * old + (1 - old_fraction) * new.

    A plain LoRA adapter of PEFT, whose rank is the sum of the two. Both must be adapters of the same
    weights: of one base, as when only the data of an update differ.

    Args:
        old: Folder of the old task adapter.
        new: Folder of the new task adapter.
        out: Folder of the result.
        old_fraction: 0 is the new adapter, 1 the old one.

    Raises:
        InputError: a folder holds no plain LoRA adapter, or the two are of other bases or layers.

    Source: BCWI, Schumann et al. 2023, arXiv 2301.10546.
    """
    settings = [_plain_lora(folder) for folder in (old, new)]
    bases = [str(one.get("base_model_name_or_path")) for one in settings]
    if bases[0] != bases[1]:
        raise InputError(
            f"{new}: is an adapter of {bases[1]}, not of {bases[0]} as {old} is; both need one base"
        )
    scales = [
        one["lora_alpha"] / (one["r"] ** 0.5 if one.get("use_rslora") else one["r"]) for one in settings
    ]
    states = [_weights(folder) for folder in (old, new)]
    try:
        merged = interpolate_adapters(
            *states, old_fraction=old_fraction, old_scale=scales[0], new_scale=scales[1]
        )
    except ValueError as error:
        raise InputError(f"{old} and {new}: {error}") from None
    rank = settings[0]["r"] + settings[1]["r"]
    config = {**settings[1], "r": rank, "lora_alpha": rank, "use_rslora": False, "inference_mode": True}
    _save(Path(out), merged, config)


def _plain_lora(folder: str | Path) -> dict[str, Any]:
    settings = adapter_settings(folder)
    plain = settings.get("peft_type") == "LORA" and settings.get("bias") == "none"
    if not plain or any(settings.get(name) for name in ("rank_pattern", "alpha_pattern", "use_dora")):
        raise InputError(
            f"{folder}: is no plain LoRA adapter of one rank and scale; it cannot be interpolated"
        )
    return settings


def _weights(folder: str | Path) -> dict[str, Any]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    path = Path(folder) / ADAPTER_WEIGHTS
    try:
        return dict(load_file(path))
    except (SafetensorError, OSError) as error:
        raise InputError(f"{path}: not a readable safetensors file: {error}") from None


def _save(out: Path, state: dict[str, Any], config: dict[str, Any]) -> None:
    from safetensors.torch import save_file

    out.mkdir(parents=True, exist_ok=True)
    tensors = {name: tensor.contiguous() for name, tensor in sorted(state.items())}
    with atomic_path(out / ADAPTER_WEIGHTS) as temporary:
        save_file(tensors, temporary, metadata={"format": "pt"})
        temporary.chmod(0o644)  # safetensors makes files that only their owner can read
    write_json(out / ADAPTER_CONFIG, config)
