"""JSON of other programs, read into the few fields that are needed; one line for what is wrong with it."""

import json
from pathlib import Path
from typing import TypeVar

import msgspec
from toolkit_shared.errors import InputError

Value = TypeVar("Value")

MAX_FILE_BYTES = 8 << 30


def read_json_as(path: str | Path, kind: type[Value], *, allow_nan: bool = False) -> Value:
    """The JSON in a file as that type; fields that the type does not have are skipped.

    Args:
        path: The file.
        kind: A type that msgspec knows.
        allow_nan: Accept NaN and Infinity, which are no JSON but which Python writes.

    Raises:
        InputError: The file is missing, no JSON, cut off, or a field is missing or of another type.
    """
    path = Path(path)
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise InputError(f"{path}: is {size:,} bytes long; at most {MAX_FILE_BYTES:,} are read")
        data = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; check the path") from None
    return decode_json_as(data, kind, where=str(path), allow_nan=allow_nan)


def decode_json_as(data: bytes, kind: type[Value], *, where: str, allow_nan: bool = False) -> Value:
    """JSON text as that type; see `read_json_as`.

    Args:
        data: UTF-8.
        kind: A type that msgspec knows.
        where: The place, for the message.
        allow_nan: Accept NaN and Infinity.

    Raises:
        InputError: As in `read_json_as`.
    """
    try:
        return msgspec.json.decode(data, type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_field(error)}; mend or replace the file") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        if not _may_be_python_json(data):
            raise InputError(f"{where}: no JSON: {_reason(error)}; mend or replace the file") from None
    # slower by far, but it knows what else Python writes
    try:
        refuse = None if allow_nan else _refuse_constant
        return msgspec.convert(json.loads(data, parse_constant=refuse), type=kind)
    except msgspec.ValidationError as error:
        raise InputError(f"{where}: {_field(error)}; mend or replace the file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{where}: no JSON: {_reason(error)}; mend or replace the file") from None


def _may_be_python_json(data: bytes) -> bool:
    """Whether there may be halves of surrogate pairs in it, NaN or Infinity, which Python writes."""
    return any(word in data for word in (b"\\ud", b"\\uD", b"NaN", b"Infinity"))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON number")


def _field(error: msgspec.ValidationError) -> str:
    """What msgspec says, such as `Expected float, got str - at $[0].mean`, with the place first."""
    reason, _, place = str(error).replace("`", "").partition(" - at ")
    reason = reason[:1].lower() + reason[1:]
    return f"field {place}: {reason}" if place not in ("", "$") else reason


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    return text.removeprefix("JSON is malformed: ")
