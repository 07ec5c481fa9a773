"""Architectures as JSON: in the `config.json` of a saved model, or a file of one's own.

    {"embed_dim": 512, "image": {"kind": "convolutional", "depths": [2, 6, 10, 2], ...},
     "text": {"width": 512, ...}, "preprocessing": {"interpolation": "bilinear", ...}}

The fields are those of the dataclasses in `mobileclip.architectures`; those with a default may be left out.
"""

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal

from toolkit_shared.errors import InputError

from mobileclip.architectures import (
    Architecture,
    ConvolutionalTower,
    Preprocessing,
    TextTower,
    VisionTransformer,
)

_IMAGE_KINDS: dict[str, type[ConvolutionalTower] | type[VisionTransformer]] = {
    "convolutional": ConvolutionalTower,
    "vision transformer": VisionTransformer,
}


def architecture_to_json(architecture: Architecture) -> dict[str, Any]:
    """All fields as plain JSON values; `architecture_from_json` gives an equal architecture back."""
    value = dataclasses.asdict(architecture)
    kind = next(kind for kind, tower in _IMAGE_KINDS.items() if isinstance(architecture.image, tower))
    value["image"] = {"kind": kind, **value["image"]}
    return value


def architecture_from_json(value: Any, *, where: str) -> Architecture:
    """The architecture that JSON values describe.

    Raises:
        InputError: a field is missing, unknown, of another type or out of range; the message names it.
    """
    fields = _object(value, where)
    image = dict(_object(fields.get("image"), f"{where}: image"))
    kind = image.pop("kind", None)
    if kind not in _IMAGE_KINDS:
        raise InputError(f"{where}: image.kind is {kind!r}; expected one of: {', '.join(_IMAGE_KINDS)}")
    parts = {
        **fields,
        "image": _read(_IMAGE_KINDS[kind], image, f"{where}: image"),
        "text": _read(TextTower, _object(fields.get("text"), f"{where}: text"), f"{where}: text"),
        "preprocessing": _read(
            Preprocessing,
            _object(fields.get("preprocessing", {}), f"{where}: preprocessing"),
            f"{where}: preprocessing",
        ),
    }
    architecture = _read(Architecture, parts, where)
    assert isinstance(architecture, Architecture)
    _check_sizes(architecture, where)
    return architecture


def _object(value: Any, where: str) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise InputError(f"{where}: is {type(value).__name__}, not an object of fields; add it")
    return value


def _read(kind: type[Any], fields: Mapping[str, Any], where: str) -> Any:
    known = {field.name: field for field in dataclasses.fields(kind)}
    hints = typing.get_type_hints(kind)
    for name in fields:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            meant = f"did you mean '{near[0]}'?" if near else f"expected some of: {', '.join(known)}"
            raise InputError(f"{where}: unknown field '{name}'; {meant}")
    values = {}
    for name, field in known.items():
        if name in fields:
            values[name] = _converted(fields[name], hints[name], f"{where}: {name}")
        elif field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
            raise InputError(f"{where}: field '{name}' is missing; add it")
    return kind(**values)


def _converted(value: Any, hint: Any, where: str) -> Any:
    """The value as the field holds it (lists become tuples)."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise InputError(f"{where} is {value!r}; expected a list")
        if arguments[-1] is not Ellipsis and len(value) != len(arguments):
            raise InputError(f"{where} has {len(value)} entries; expected {len(arguments)}")
        return tuple(_converted(entry, arguments[0], where) for entry in value)
    if origin is Literal:
        if value not in arguments:
            raise InputError(f"{where} is {value!r}; expected one of: {', '.join(map(str, arguments))}")
        return value
    if origin is types.UnionType or dataclasses.is_dataclass(hint):
        return value  # read already
    if hint is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise InputError(f"{where} is {value!r}; expected {hint.__name__}")
    if hint is int and value < 1:
        raise InputError(f"{where} is {value}; expected at least 1")
    return value


def _check_sizes(architecture: Architecture, where: str) -> None:
    text, image = architecture.text, architecture.image
    if text.width % text.heads:
        raise InputError(f"{where}: text.width {text.width} is no multiple of text.heads {text.heads}")
    if text.causal and text.rep_blocks:
        raise InputError(f"{where}: text.causal and text.rep_blocks exclude each other; turn one off")
    if isinstance(image, VisionTransformer):
        if image.width % image.heads:
            raise InputError(
                f"{where}: image.width {image.width} is no multiple of image.heads {image.heads}"
            )
        if image.image_size % image.patch_size:
            raise InputError(
                f"{where}: image.image_size {image.image_size} is no multiple of image.patch_size "
                f"{image.patch_size}"
            )
        return
    lengths = {
        name: len(getattr(image, name))
        for name in ("depths", "widths", "mixers", "downsample_squeeze_excite")
    }
    if len(set(lengths.values())) != 1:
        found = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise InputError(f"{where}: image: one entry a stage is needed in each list ({found})")
