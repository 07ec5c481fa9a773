"""What the references have in common: reading into checked fields, and the two fields made on the spot."""

import dataclasses
import datetime
import types
import typing
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypeVar

from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError

Reference = TypeVar("Reference")


def creation_date(now: datetime.datetime | None = None) -> str:
    """The time in the official form, `2024_02_12-08_45_03`; of the call, where none is given.

    The official code takes it once, when its module is imported, so all files of a process have one date.
    """
    return (now or datetime.datetime.now()).strftime("%Y_%m_%d-%H_%M_%S")


def new_uuid() -> str:
    """A UUID of its own for each call; the official code draws one a process, which its files then share."""
    return str(uuid.uuid4())


def read_object(path: str | Path, kind: str) -> dict[str, Any]:
    """The JSON object of a reference file.

    Raises:
        InputError: no such file, or it holds no object.
    """
    value = read_json(path)
    if not isinstance(value, dict):
        raise InputError(f"{path}: holds no JSON object; give a {kind} reference")
    return value


def from_fields(kind: type[Reference], values: Mapping[str, Any], where: str) -> Reference:
    """An object of the dataclass `kind` out of JSON values, each checked against the type of its field.

    Raises:
        InputError: a field is missing, unknown or of another type.
    """
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for name in values:
        if name not in fields:
            raise InputError(f"{where}: field '{name}' is not known; known are {', '.join(fields)}")
    given: dict[str, Any] = {}
    for name, field in fields.items():
        if name not in values:
            if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING:
                raise InputError(f"{where}: field '{name}' is missing; add it")
            continue
        value = values[name]
        if not _fits(value, hints[name]):
            raise InputError(f"{where}: field '{name}' is {value!r}; it should be {_words(hints[name])}")
        given[name] = float(value) if hints[name] is float else value
    return kind(**given)


def _fits(value: Any, hint: Any) -> bool:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return any(_fits(value, part) for part in typing.get_args(hint))
    if hint is Any:
        return True
    if hint is None or hint is type(None):
        return value is None
    kind = typing.get_origin(hint) or hint
    if isinstance(value, bool) and kind is not bool:
        return False
    if kind is float:
        return isinstance(value, int | float)
    if kind is tuple:
        return isinstance(value, list | tuple)
    return isinstance(value, dict) if dataclasses.is_dataclass(kind) else isinstance(value, kind)


def _words(hint: Any) -> str:
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_words(part) for part in typing.get_args(hint))
    names = {str: "text", int: "a whole number", float: "a number", bool: "true or false", type(None): "null"}
    kind = typing.get_origin(hint) or hint
    return names.get(kind, "a list" if kind in (list, tuple) else "an object")
