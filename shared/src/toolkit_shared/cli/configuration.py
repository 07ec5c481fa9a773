"""Configuration files of a command: where they are found, what they may hold, and how they are printed.

A configuration file is YAML; its fields are the command's options, nested where the option has a dot. Here
the names and the nesting are checked; values are converted with the options, in `toolkit_shared.cli.parsing`.
"""

import dataclasses
import os
import types
import typing
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.util import find_spec
from inspect import Parameter
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import yaml

from toolkit_shared.cli import nearest_name
from toolkit_shared.errors import InputError


class ConfigFile(NamedTuple):
    """A checked configuration file: the name for messages, and its fields."""

    name: str
    fields: dict[str, Any]


class CommonOptions(NamedTuple):
    """What every command takes, and the tokens that are left for the command itself."""

    configs: list[str]
    print_config: bool
    tokens: list[str]


def split_common_options(tokens: Sequence[str]) -> CommonOptions:
    """Take `--config X`, `--config=X` and `--print-config` out of a command's tokens, up to a `--`.

    Raises:
        InputError: `--config` has no value.
    """
    configs: list[str] = []
    print_config = False
    rest: list[str] = []
    remaining = iter(tokens)
    for token in remaining:
        if token == "--":
            rest += [token, *remaining]
        elif token == "--print-config":
            print_config = True
        elif token == "--config":
            value = next(remaining, None)
            if value is None or value.startswith("--"):
                raise InputError("--config: no value is given; name a YAML file or a recipe")
            configs.append(value)
        elif token.startswith("--config="):
            configs.append(token.removeprefix("--config="))
        else:
            rest.append(token)
    return CommonOptions(configs, print_config, rest)


def read_config(given: str, function: Callable[..., Any], parameters: Mapping[str, Parameter]) -> ConfigFile:
    """The fields of the file `given`, or of the toolkit's recipe of that name when no such file exists.

    Args:
        given: what the user wrote after `--config`.
        function: the command; its top package holds the folder `recipes`.
        parameters: the command's parameters with resolved annotations.

    Raises:
        InputError: no such file or recipe, no YAML mapping, or a field is unknown or misplaced.
    """
    path = _find(given, function)
    name = given if str(path) == given else path.name
    try:
        document = yaml.load(path.read_text(encoding="utf-8"), _Loader)  # a SafeLoader
    except OSError as error:
        raise InputError(f"{name}: {error.strerror or error}; name a readable YAML file") from None
    except UnicodeDecodeError:
        raise InputError(f"{name}: not UTF-8 text; name a YAML file") from None
    except yaml.YAMLError as error:
        raise InputError(f"{name}: {_syntax_message(error)}; correct the YAML") from None
    if document is None:
        document = {}
    if not isinstance(document, dict):
        raise InputError(
            f"{name}: holds a {type(document).__name__}; write a mapping of 'field: value' lines"
        )
    return ConfigFile(name, _checked(document, _fields_of_command(parameters), name, ()))


def resolved_config(parameters: Mapping[str, Parameter], values: Mapping[str, Any]) -> str:
    """The YAML of a command's options; read back through `--config` it gives the same options.

    Inputs (positional parameters) and required options that were not given are left out.
    """
    document: dict[str, Any] = {}
    for name, parameter in parameters.items():
        if is_positional(parameter) or name not in values:
            continue
        if is_flat(parameter):
            document.update(plain_config(values[name]))
        else:
            document[name] = plain_config(values[name])
    return yaml.safe_dump(document, sort_keys=False, allow_unicode=True) if document else "{}\n"


def plain_config(value: Any) -> Any:
    """A configuration dataclass, or one of its values, as what YAML and JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain_config(getattr(value, field.name)) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: plain_config(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain_config(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    return value


def is_positional(parameter: Parameter) -> bool:
    """Whether a parameter is an input of the command rather than an option."""
    return parameter.kind in (Parameter.POSITIONAL_ONLY, Parameter.VAR_POSITIONAL)


def is_flat(parameter: Parameter) -> bool:
    """Whether a parameter carries the marker `Flat`: its fields are options without a prefix."""
    from toolkit_shared.cli.parsing import Flat

    return any(mark is Flat for mark in getattr(parameter.annotation, "__metadata__", ()))


def option_names(parameters: Mapping[str, Parameter]) -> Iterator[str]:
    """Every option's field name at the top level, with the fields of flat configurations in place."""
    for name, parameter in parameters.items():
        kind = dataclass_of(parameter.annotation)
        if is_flat(parameter) and kind is not None:
            yield from (field.name for field in dataclasses.fields(kind))
        elif not is_positional(parameter):
            yield name


def dataclass_of(annotation: Any) -> type | None:
    """The dataclass that an annotation names, through `Annotated` and `| None`, or None."""
    if typing.get_origin(annotation) is Annotated:
        return dataclass_of(typing.get_args(annotation)[0])
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        found = [dataclass_of(option) for option in typing.get_args(annotation)]
        return next((kind for kind in found if kind is not None), None)
    return annotation if isinstance(annotation, type) and dataclasses.is_dataclass(annotation) else None


def _find(given: str, function: Callable[..., Any]) -> Path:
    path = Path(given)
    if path.exists():
        return path
    recipes = dict(_recipes(function))
    stem = given.removesuffix(".yaml")
    if stem in recipes:
        return recipes[stem]
    near = nearest_name(stem, recipes)
    shipped = f"the recipes are {', '.join(recipes)}" if recipes else "no recipes are shipped"
    meant = f" (did you mean '{near}'?)" if near else ""
    raise InputError(f"--config {given}: no such file or recipe{meant}; {shipped}")


def _recipes(function: Callable[..., Any]) -> Iterator[tuple[str, Path]]:
    spec = find_spec(function.__module__.partition(".")[0])
    for folder in (spec.submodule_search_locations or ()) if spec else ():
        for path in sorted(Path(folder, "recipes").glob("*.yaml")):
            yield path.stem, path


def _syntax_message(error: Exception) -> str:
    mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
    problem = getattr(error, "problem", None) or str(error)
    return f"line {mark.line + 1}, column {mark.column + 1}: {problem}" if mark else problem


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, which would let the second of two equal keys win in silence."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = self.construct_object(key_node, deep=True)
            if isinstance(key, str) and key in seen:
                mark = key_node.start_mark
                raise yaml.constructor.ConstructorError(None, None, f"field '{key}' is given twice", mark)
            seen.add(key if isinstance(key, str) else None)
        return super().construct_mapping(node, deep=deep)


def _fields_of_command(parameters: Mapping[str, Parameter]) -> dict[str, Any]:
    """Field name to annotation; None as annotation marks an input, which no file can give."""
    fields: dict[str, Any] = {}
    for name, parameter in parameters.items():
        kind = dataclass_of(parameter.annotation)
        if is_positional(parameter):
            fields[name] = None
        elif is_flat(parameter) and kind is not None:
            fields.update(_fields_of_class(kind))
        else:
            fields[name] = parameter.annotation
    return fields


def _fields_of_class(kind: type) -> dict[str, Any]:
    hints = typing.get_type_hints(kind, include_extras=True)
    return {field.name: hints[field.name] for field in dataclasses.fields(kind)}


def _checked(
    document: Mapping[Any, Any], fields: Mapping[str, Any], file: str, path: tuple[str, ...]
) -> dict[str, Any]:
    """`document` with field names as in the code, once each name and each nesting is known to be right."""
    checked: dict[str, Any] = {}
    seen: set[str] = set()
    for key, value in document.items():
        name = str(key).replace("-", "_")
        shown = ".".join((*path, str(key)))
        if name not in fields:
            options = [field for field, annotation in fields.items() if annotation is not None]
            near = nearest_name(name, options)
            known = (
                f"did you mean '{'.'.join((*path, near))}'?" if near else f"known are {', '.join(options)}"
            )
            raise InputError(f"{file}: unknown field '{shown}'; {known}")
        if name in seen:
            raise InputError(f"{file}: field '{shown}' is given twice; keep one")
        seen.add(name)
        if fields[name] is None:
            raise InputError(f"{file}: field '{shown}' is an input; give it on the command line")
        nested = dataclass_of(fields[name])
        if nested is not None and not isinstance(value, dict):
            raise InputError(f"{file}: field '{shown}' is {value!r}; write a mapping of its own fields")
        if nested is None:
            checked[name] = value
        elif value:  # an empty group changes nothing
            checked[name] = _checked(value, _fields_of_class(nested), file, (*path, str(key)))
    return checked
