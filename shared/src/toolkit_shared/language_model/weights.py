"""Weights of an OpenLM: initial ones, those of a folder, and exchange with open_lm's names and files."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from toolkit_shared.artifacts import sha256_file
from toolkit_shared.checkpoints import WEIGHTS, load_pretrained, misfit
from toolkit_shared.errors import InputError
from toolkit_shared.language_model.openlm import OpenLM
from toolkit_shared.randomness import stream

_PREFIXES = ("module.", "_orig_mod.")
_BUFFER = "attention.pos_embed.inv_freq"


def build_model(
    arguments: Mapping[str, Any],
    *,
    seed: int,
    attention: str = "auto",
    low_precision_norm: bool = False,
    weights: str | Path | None = None,
) -> OpenLM:
    """A model with initial weights that depend on `seed` alone; torch's global generator stays as it is.

    With `weights`, a model folder or an open_lm checkpoint, it has those.

    Raises:
        InputError: the weights are of another model.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(stream(seed, "initial-weights").integers(2**63)))
        model = OpenLM(**arguments, attention=attention, low_precision_norm=low_precision_norm)  # type: ignore[arg-type]
    if weights is not None:
        load_weights(model, weights)
    return model


def weights_hash(weights: str | Path) -> str:
    """SHA-256 of the file that holds the weights of a model folder or open_lm checkpoint."""
    path = Path(weights)
    return sha256_file(path / WEIGHTS if path.is_dir() else path)


def to_open_lm_state_dict(model: OpenLM, *, prefix: str = "") -> dict[str, Tensor]:
    """The weights under open_lm's names, with the rotary buffer that it keeps in every layer.

    `prefix` is put before each name; open_lm's distributed checkpoints have `module.` there.
    """
    state = {f"{prefix}{name}": value.detach() for name, value in model.state_dict().items()}
    frequencies = model.rotary.inverse_frequencies()
    for layer in range(model.config["num_layers"]):
        state[f"{prefix}layers.{layer}.{_BUFFER}"] = frequencies.clone()
    return state


def from_open_lm_state_dict(
    source: str | Path | Mapping[str, Any],
    *,
    max_length: int = 8192,
    rope_base: float | int | None = None,
    norm_eps: float = 1e-5,
) -> OpenLM:
    """A model from an open_lm checkpoint: a file, its loaded content, or a bare state dict.

    All sizes come from the weights and the rotary base from the saved buffer, for no open_lm config holds it.

    Args:
        source: File (read with `weights_only=True`), or mapping with or without an entry `state_dict`.
        max_length: Tokens of the longest sequence to build the rotary table for; the file does not say.
        rope_base: What the base should be; needed when the checkpoint lacks the buffer.
        norm_eps: Not in the file either.

    Raises:
        InputError: not such a checkpoint, or its rotary base is not `rope_base`.
    """
    where = "checkpoint" if isinstance(source, Mapping) else str(source)
    state = _plain_names(_read(source, where))
    frequencies = state.get(f"layers.0.{_BUFFER}")
    weights = {name: value for name, value in state.items() if not name.endswith(_BUFFER)}
    if "tok_embeddings.weight" not in weights or "layers.0.attention.in_proj.weight" not in weights:
        raise InputError(f"{where}: no open_lm weights found; expected names such as tok_embeddings.weight")
    if "layers.0.attention.q_norm.weight" not in weights:
        raise InputError(f"{where}: no QK-norm in the weights; only open_lm models with qk_norm can be read")
    vocab_size, width = weights["tok_embeddings.weight"].shape
    if frequencies is None:
        raise InputError(
            f"{where}: the buffer layers.0.{_BUFFER} is missing; it alone tells head width and base"
        )
    saved_base = recover_rope_base(frequencies)
    if rope_base is not None and abs(saved_base / rope_base - 1) > 1e-3:
        raise InputError(
            f"{where}: rope_base is {saved_base:g} in the saved {_BUFFER} but {rope_base:g} was asked for; "
            f"use {saved_base:g}"
        )
    model = OpenLM(
        vocab_size=vocab_size,
        width=width,
        num_layers=1 + max(int(name.split(".")[1]) for name in weights if name.startswith("layers.")),
        num_heads=width // (2 * len(frequencies)),
        max_length=max_length,
        rope_base=saved_base,
        norm_eps=norm_eps,
    )
    _load(model, weights, where)
    return model


def load_weights(model: OpenLM, source: str | Path) -> None:
    """Put the weights of a model folder, or of an open_lm checkpoint file, into a model that stands.

    The longest sequence may differ, for no weight depends on it.

    Raises:
        InputError: nothing readable is there, or a size or the rotary base is not the model's.
    """
    if Path(source).is_file():
        load_open_lm_weights(model, source)
        return
    weights, config = load_pretrained(source)
    differing = [
        f"{name} is {config.get(name)} there and {own} here"
        for name, own in model.config.items()
        if name != "max_length" and config.get(name) != own
    ]
    if differing:
        raise InputError(f"{source}: {'; '.join(differing)}; make the model's settings those of its weights")
    _load(model, weights, str(source))


def load_open_lm_weights(model: OpenLM, source: str | Path | Mapping[str, Any]) -> None:
    """Put the weights of an open_lm checkpoint into a model that stands.

    Raises:
        InputError: names or shapes differ, or the rotary base of the checkpoint is not the model's.
    """
    where = "checkpoint" if isinstance(source, Mapping) else str(source)
    state = _plain_names(_read(source, where))
    for name in [name for name in state if name.endswith(_BUFFER)]:
        saved, own = recover_rope_base(state.pop(name)), model.config["rope_base"]
        if abs(saved / own - 1) > 1e-3:
            raise InputError(
                f"{where}: {name}: the rotary base is {saved:g} but the model's rope_base is {own:g}; "
                f"set rope_base to {saved:g}"
            )
    _load(model, state, where)


def recover_rope_base(inverse_frequencies: Tensor) -> float:
    """The base b of frequencies b^(-2i/head_width), rounded when a round number gives them as well.

    Taken from the last entry that its precision holds in full, so that a buffer kept in half precision is
    understood too.

    Raises:
        InputError: the entries are not a geometric series that begins with 1.
    """
    saved, kind = inverse_frequencies.detach().double().cpu(), torch.finfo(inverse_frequencies.dtype)
    half = len(saved)
    exponents = torch.arange(half, dtype=torch.float64) / half
    last = int((saved >= kind.smallest_normal).sum()) - 1
    base = float(saved[last] ** (-half / last)) if last > 0 else float("nan")
    for candidate in (float(f"{base:.2g}"), float(f"{base:.4g}"), base):
        if torch.allclose(
            candidate**-exponents, saved, rtol=4 * kind.eps, atol=kind.smallest_normal * kind.eps
        ):
            return candidate
    raise InputError("pos_embed.inv_freq: the entries are not rotary frequencies of one base")


def _read(source: str | Path | Mapping[str, Any], where: str) -> Mapping[str, Any]:
    if not isinstance(source, Mapping):
        try:
            source = torch.load(source, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise InputError(f"{where}: no such file; give an open_lm checkpoint (.pt)") from None
        except Exception:  # the unpickler raises many kinds, and explains torch's options at length
            raise InputError(
                f"{where}: cannot be read as a weights-only checkpoint; give a file of torch.save that holds "
                "tensors and plain values"
            ) from None
        if not isinstance(source, Mapping):
            raise InputError(f"{where}: holds {type(source).__name__}, not a state dict")
    inner = source.get("state_dict", source)
    if not isinstance(inner, Mapping):
        raise InputError(f"{where}: entry state_dict is not a mapping")
    return inner


def _plain_names(state: Mapping[str, Any]) -> dict[str, Tensor]:
    plain = {}
    for name, value in state.items():
        while name.startswith(_PREFIXES):
            name = name.removeprefix("module.").removeprefix("_orig_mod.")
        plain[name] = value
    return plain


def _load(model: OpenLM, weights: Mapping[str, Tensor], where: str) -> None:
    if reason := misfit(model.state_dict(), weights):
        raise InputError(
            f"{where}: the weights do not fit the model: {reason}; make the model's sizes those of the file"
        )
    model.load_state_dict(dict(weights))
