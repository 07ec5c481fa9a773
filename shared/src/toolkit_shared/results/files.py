"""Result files: written once, never over one another, checked field by field when they are read."""

import dataclasses
import math
import types
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.results.result import Comparison, Result, compare_again

SCHEMA = "schema.json"
_PLAIN = {str: "string", bool: "boolean", int: "integer", float: "number"}


def write_result(result: Result, folder: str | Path) -> Path:
    """Write a result as `question-date-commit.json`; the path.

    A file that is there already stays, and the new one is numbered: a run that failed is not lost to its
    repetition.
    """
    folder = Path(folder)
    stem = f"{result.question}-{result.started[:10]}-{result.commit}"
    path, number = folder / f"{stem}.json", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.json"
    write_json(path, dataclasses.asdict(result))
    return path


def read_result(path: str | Path) -> Result:
    """The result in a file.

    Raises:
        InputError: the file is missing, no result of this schema, or states a comparison that its own values
            do not give; the message names the field.
    """
    value = read_json(path)
    try:
        result = _decode(Result, value, "")
        again = compare_again(result)
    except ValueError as error:
        raise InputError(f"{path}: {error}; write results with toolkit_shared.results") from None
    if not _close(result.comparison, again):
        raise InputError(f"{path}: field 'comparison' is not what the values of the arms give; run it again")
    assert isinstance(result, Result)
    return result


def read_results(folder: str | Path) -> dict[str, Result]:
    """All results in a folder by file name, ordered by toolkit, question and start; the schema is left out.

    Raises:
        InputError: there is no such folder, or one of its JSON files is no result.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; give the folder of result files")
    results = {path.name: read_result(path) for path in folder.glob("*.json") if path.name != SCHEMA}

    def place(name: str) -> tuple[Any, ...]:
        result = results[name]
        # of runs that began together, number 10 comes after number 2
        return result.toolkit, result.question, result.started, len(name), name

    return {name: results[name] for name in sorted(results, key=place)}


def result_schema() -> dict[str, Any]:
    """The JSON Schema (draft 2020-12) of a result file, made from the dataclasses."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Result of a benchmark or a claim",
        **_schema(Result),
    }


def _schema(kind: Any) -> dict[str, Any]:
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return {
            "type": "object",
            "properties": {name: _schema(hint) for name, hint in hints.items()},
            "required": _required(kind),
            "additionalProperties": False,
        }
    if kind is type(None):
        return {"type": "null"}
    if origin in (Union, types.UnionType):
        return {"anyOf": [_schema(argument) for argument in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin is tuple and arguments[-1] is Ellipsis:
        return {"type": "array", "items": _schema(arguments[0]), "minItems": 1}
    if origin is tuple:
        count = len(arguments)
        return {"type": "array", "items": _schema(arguments[0]), "minItems": count, "maxItems": count}
    if origin is Mapping:
        return {"type": "object", "additionalProperties": _schema(arguments[1])}
    return {"type": _PLAIN[kind]}


def _decode(kind: Any, value: Any, where: str) -> Any:
    """The value as that type; ValueError names the field that does not fit."""
    origin, arguments = get_origin(kind), get_args(kind)
    if dataclasses.is_dataclass(kind):
        return _decode_fields(kind, value, where)
    if origin in (Union, types.UnionType):
        return _decode_choice(arguments, value, where)
    if origin is Literal:
        if not any(value == argument and type(value) is type(argument) for argument in arguments):
            raise ValueError(f"field '{where}' is {value!r}; it is one of {', '.join(map(repr, arguments))}")
        return value
    if origin is tuple:
        count = None if arguments[-1] is Ellipsis else len(arguments)
        if not isinstance(value, list) or (count is not None and len(value) != count):
            raise ValueError(f"field '{where}' is no list" + (f" of {count}" if count else ""))
        return tuple(_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping:
        if not isinstance(value, dict):
            raise ValueError(f"field '{where}' is no object")
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not (number if kind is float else type(value) is kind):
        raise ValueError(f"field '{where}' is {value!r}, not a {_PLAIN[kind]}")
    return float(value) if kind is float else value


def _decode_fields(kind: Any, value: Any, where: str) -> Any:
    hints = get_type_hints(kind)
    if not isinstance(value, dict):
        raise ValueError(f"field '{where}' is no object" if where else "holds no object")
    for name in sorted(value.keys() - hints.keys()):
        raise ValueError(f"field '{_join(where, name)}' is unknown")
    for name in _required(kind):
        if name not in value:
            raise ValueError(f"field '{_join(where, name)}' is missing")
    return kind(**{name: _decode(hints[name], item, _join(where, name)) for name, item in value.items()})


def _decode_choice(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    known = [kind for kind in kinds if kind is not type(None)]
    if len(known) > 1 and isinstance(value, dict):
        # of several dataclasses, the one that has most of these fields says what is wrong
        known.sort(key=lambda kind: -len(get_type_hints(kind).keys() & value.keys()))
    return _decode(known[0], value, where)


def _required(kind: Any) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.default is dataclasses.MISSING]


def _join(where: str, name: str) -> str:
    return f"{where}.{name}" if where else name


def _close(stored: Comparison | None, again: Comparison | None) -> bool:
    """Whether two comparisons agree but for the last digits, which another scipy may give otherwise."""
    a = {} if stored is None else _leaves(dataclasses.asdict(stored))
    b = {} if again is None else _leaves(dataclasses.asdict(again))
    return a.keys() == b.keys() and all(
        math.isclose(a[name], b[name], rel_tol=1e-6, abs_tol=1e-12)
        if isinstance(a[name], float)
        else a[name] == b[name]
        for name in a
    )


def _leaves(fields: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in fields.items():
        parts = value if isinstance(value, tuple) else [value]
        found |= {f"{name}[{index}]": part for index, part in enumerate(parts)}
    return found
