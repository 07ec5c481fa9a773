"""From a command's tokens and configuration files to its call; the only module that imports cyclopts."""

import dataclasses
import inspect
import io
import re
import shutil
import sys
import typing
from collections.abc import Callable, Iterable, Mapping, Sequence
from inspect import Parameter, Signature
from typing import Any

import cyclopts
from cyclopts.config import Dict
from rich.console import Console

from toolkit_shared.cli import configuration
from toolkit_shared.cli.configuration import ConfigFile, dataclass_of, is_flat
from toolkit_shared.cli.help import TwoColumns, usage_line
from toolkit_shared.errors import InputError

# Marks a configuration dataclass whose fields become options without a prefix.
Flat = cyclopts.Parameter(name="*")

_NOT_GIVEN = object()

_COMMON_HELP = """\
Also --config FILE|RECIPE (repeatable, the later wins)
and --print-config (the resolved YAML, which --config takes back)."""


def run_command(where: str, function: Callable[..., Any], tokens: Sequence[str]) -> int:
    """Parse `tokens` for `function` and call it; returns its exit code.

    Defaults of the classes come first, then each `--config` in order, field by field, then the options.

    Args:
        where: the program and command, for the help.
        function: a command; keyword parameters are options, positional-only ones inputs.
        tokens: what follows the command's name.

    Raises:
        InputError: a token, field or value is wrong; the message is one line.
        TypeError: a default of a nested configuration differs from its class's own; a defect of the command.
    """
    parameters = _parameters(function)
    require_class_defaults(function)
    wanted = _wanted_help(tokens)
    if wanted:
        formatter = TwoColumns(expanded=wanted == "--help-all")
        sys.stdout.write(_help(_app(where, function, parameters, [], formatter)))
        return 0
    common = configuration.split_common_options(tokens)
    files = [configuration.read_config(given, function, parameters) for given in common.configs]
    if common.print_config:
        parameters = {name: _optional(parameter) for name, parameter in parameters.items()}
    bound = _bind(where, function, parameters, files, common.tokens)
    if common.print_config:
        bound.apply_defaults()
        given = {name: value for name, value in bound.arguments.items() if value is not _NOT_GIVEN}
        sys.stdout.write(configuration.resolved_config(parameters, given))
        return 0
    return function(*bound.args, **bound.kwargs) or 0


def require_class_defaults(function: Callable[..., Any]) -> None:
    """Check that each configuration's nested defaults are those of their own class, and options distinct.

    cyclopts falls back to the class's own default as soon as another field of the same nested dataclass is
    given, so a default that stands in an instance would silently vanish. Of two options with one name it
    would serve only one.

    Raises:
        TypeError: a default differs, or an option comes twice; the message names it.
    """
    parameters = _parameters(function)
    names = list(configuration.option_names(parameters))
    for name in names:
        if names.count(name) > 1:
            raise TypeError(f"option {name} of {function.__name__} comes twice; rename one or nest its group")
    for name, parameter in parameters.items():
        if dataclass_of(parameter.annotation) and dataclasses.is_dataclass(parameter.default):
            _require_class_default(name, parameter.default)


def _require_class_default(path: str, default: Any) -> None:
    own = type(default)()
    for field in dataclasses.fields(default):
        value = getattr(default, field.name)
        if dataclasses.is_dataclass(value):
            _require_class_default(f"{path}.{field.name}", value)
        elif value != getattr(own, field.name):
            raise TypeError(
                f"default of {path}.{field.name} is {value!r}, but {type(default).__name__} has "
                f"{getattr(own, field.name)!r}; defaults live in the class, variants in recipes"
            )


def _parameters(function: Callable[..., Any]) -> dict[str, Parameter]:
    """The parameters with resolved annotations; a flat configuration gets its class's default."""
    hints = typing.get_type_hints(function, include_extras=True)
    parameters = {}
    for name, parameter in inspect.signature(function).parameters.items():
        parameter = parameter.replace(annotation=hints.get(name, parameter.annotation))
        kind = dataclass_of(parameter.annotation)
        if is_flat(parameter) and parameter.default is Parameter.empty and kind is not None:
            parameter = parameter.replace(default=kind())
        parameters[name] = parameter
    return parameters


def _optional(parameter: Parameter) -> Parameter:
    if parameter.default is not Parameter.empty or parameter.kind is Parameter.VAR_POSITIONAL:
        return parameter
    return parameter.replace(default=_NOT_GIVEN)


def _wanted_help(tokens: Sequence[str]) -> str | None:
    options = tokens[: tokens.index("--")] if "--" in tokens else tokens
    return next((token for token in options if token in ("-h", "--help", "--help-all")), None)


def _help(app: cyclopts.App) -> str:
    """The help text; through a buffer, for the console answers a closed pipe with an exit of its own."""
    buffer = io.StringIO()
    app.help_print([], console=Console(file=buffer, width=min(shutil.get_terminal_size().columns, 100)))
    return buffer.getvalue().replace("\n\n\n", "\n\n").rstrip("\n") + "\n"


def _app(
    where: str,
    function: Callable[..., Any],
    parameters: Mapping[str, Parameter],
    config: list[Any],
    formatter: TwoColumns | None = None,
) -> cyclopts.App:
    def command(*args: Any, **kwargs: Any) -> None:
        """Stands in for the function, with the signature of `parameters`."""

    command.__doc__ = function.__doc__
    command.__name__ = function.__name__
    command.__module__ = function.__module__
    command.__annotations__ = {}
    command.__signature__ = Signature(list(parameters.values()))  # type: ignore[attr-defined]
    app = cyclopts.App(
        name=where,
        help_format="plaintext",
        help_formatter=formatter,
        help_epilogue=_COMMON_HELP,
        usage=usage_line(where, parameters),
        help_flags=[],
        version_flags=[],
        default_parameter=cyclopts.Parameter(consume_multiple=True, negative_iterable=()),
        result_action="return_value",
        config=config,
    )
    app.default(command)
    return app


def _bind(
    where: str,
    function: Callable[..., Any],
    parameters: Mapping[str, Parameter],
    files: Sequence[ConfigFile],
    tokens: Sequence[str],
) -> inspect.BoundArguments:
    origins: dict[str, str] = {}

    def check_values(app: Any, commands: Any, arguments: Iterable[Any]) -> None:
        """Runs after the files: each argument now carries its tokens and where they came from."""
        for argument in arguments:
            for token in argument.tokens:
                origins[str(argument.name).lstrip("-")] = "" if token.source == "cli" else token.source
                if token.source == "cli":
                    _refuse_bare_value(argument.hint, token)
                _refuse_fraction(argument.hint, token)

    # cyclopts lets the first configuration win
    layers = [Dict(file.fields, source=file.name, use_commands_as_keys=False) for file in reversed(files)]
    app = _app(where, function, parameters, [*layers, check_values])
    try:
        _, bound, _ = app.parse_args(list(tokens), print_error=False, exit_on_error=False, verbose=False)
    except cyclopts.CycloptsError as error:
        raise InputError(_sentence(error, where, tokens)) from None
    except ValueError as error:  # from the __post_init__ of a configuration
        raise InputError(_with_origin(str(error), origins)) from None
    return bound


def _sentence(error: cyclopts.CycloptsError, where: str, tokens: Sequence[str]) -> str:
    """What is wrong in one sentence; cyclopts' own where it says enough."""
    if isinstance(error, cyclopts.MissingArgumentError) and error.argument and not error.argument.tokens:
        name = str(error.argument.name)
        if name in tokens:
            return f"option {name} has no value; write one after it"
        if name.startswith("-"):
            return f"option {name} is missing; give it here or in a --config file"
        return f"input {name} is missing; '{where} --help' shows what to give"
    if isinstance(error, cyclopts.UnusedCliTokensError):
        unused = " ".join(error.unused_tokens or ())
        return f"unexpected input '{unused}'; '{where} --help' shows what the command takes"
    return str(error)


def _refuse_bare_value(hint: Any, token: Any) -> None:
    """Refuse `--optimizer 3`, which cyclopts would give to the first field of the nested configuration."""
    if dataclass_of(hint) and not token.keys and not str(token.value).lstrip().startswith("{"):
        raise InputError(
            f"option {token.keyword} is a group; give its fields, as in {token.keyword}.FIELD VALUE"
        )


def _refuse_fraction(hint: Any, token: Any) -> None:
    """Refuse 1.5 for an integer, which cyclopts would round."""
    kinds = {hint, *typing.get_args(hint)}
    if int not in kinds or float in kinds or not isinstance(token.value, str):
        return
    try:
        fraction = not float(token.value).is_integer()
    except ValueError:
        return  # no number at all: cyclopts says so
    if fraction:
        source = "" if token.source == "cli" else f" from {token.source}"
        raise InputError(
            f'Invalid value for {token.keyword}{source}: unable to convert "{token.value}" into int.'
        )


def _with_origin(message: str, origins: Mapping[str, str]) -> str:
    """The message with the file in front that gave the field which the message names."""
    words = set(re.findall(r"[A-Za-z_][A-Za-z0-9_]*", message))
    for option, file in origins.items():
        if file and option.rpartition(".")[2].replace("-", "_") in words:
            return f"{file}: {message}"
    return message
