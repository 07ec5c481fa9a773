"""A toolkit's command line: one table of commands, one line for an error, one habit for configuration.

A toolkit's `cli.py` holds a table of `Command`s and calls `run`; each command is a typed function in the
toolkit's `commands` folder, which raises `InputError` for what the user can mend and returns its exit code.
A name of two words, as `quality train`, makes a group: `PROG quality` lists its commands.

This module imports the standard library only, for it answers the root `--help` alone. The library that parses
a command's options is imported by `toolkit_shared.cli.parsing` and nowhere else.
"""

import errno
import importlib
import json
import logging
import math
import os
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from toolkit_shared.errors import InputError

if TYPE_CHECKING:
    from cyclopts import Parameter

    Flat: Parameter

__all__ = ["Command", "Flat", "emit", "nearest_name", "run"]

DONE, BAD_INPUT, INTERRUPTED = 0, 2, 130


@dataclass(frozen=True)
class Command:
    """One row of a command table: a line of help, and the function as `module:function`."""

    help: str
    target: str


def run(prog: str, about: str, commands: Mapping[str, Command], argv: Sequence[str] | None = None) -> int:
    """Run one command of a toolkit; returns its exit code.

    0 is done, 1 a check that failed (what the command returns), 2 bad input or usage, 130 interrupted.
    Errors, those of the operating system included, are one line on stderr, `prog command: error: message`; a
    reader that closes the pipe early is no error. `--config` (a file or a recipe's name, repeatable) and
    `--print-config` belong to every command.

    Args:
        prog: name of the console script.
        about: one sentence, printed above the table.
        commands: the table, in the order in which it is shown; names have one word, or two.
        argv: arguments without the program's name; the process's own when None.
    """
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:  # closed by whoever started this process
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))
    try:
        code = _dispatch(prog, about, commands, list(sys.argv[1:] if argv is None else argv))
        sys.stdout.flush()  # here, where a closed pipe can still be answered
        return code
    except BrokenPipeError:
        _forget_stdout()
        return DONE
    except OSError as error:
        if error.errno is None:
            raise
        _forget_stdout()
        return _fail(prog, _of_the_system(error))
    except KeyboardInterrupt:
        return INTERRUPTED


def emit(document: Mapping[str, Any], text: str, *, as_json: bool) -> None:
    """Print a command's report on stdout: `document` as one JSON document, or `text`.

    Numpy scalars and arrays become numbers and lists, paths become text, NaN and infinities become null.

    Raises:
        TypeError: `document` holds what JSON cannot, a defect of the command.
    """
    if as_json:
        text = json.dumps(_plain(document), indent=1, allow_nan=False, ensure_ascii=False)
    sys.stdout.write(text.rstrip("\n") + "\n")


def nearest_name(name: str, names: Iterable[str]) -> str | None:
    """The one of `names` that is most like `name`, or None when none is near."""
    import difflib

    found = difflib.get_close_matches(name, list(names), n=1, cutoff=0.6)
    return found[0] if found else None


def __getattr__(name: str) -> Any:
    if name == "Flat":
        from toolkit_shared.cli.parsing import Flat

        return Flat
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def _dispatch(prog: str, about: str, commands: Mapping[str, Command], argv: list[str]) -> int:
    name, *rest = argv or ["--help"]
    if name in ("-h", "--help"):
        return _print_table(prog, about, commands)
    if name not in commands and name in _groups(commands):
        if not rest or rest[0] in ("-h", "--help"):
            return _print_table(prog, "", _groups(commands)[name])
        name = f"{name} {rest.pop(0)}"
    if name == "--version":
        return _print_version(prog)
    if name not in commands:
        kind = "option" if name.startswith("-") else "command"
        if kind == "option":
            near = nearest_name(name.lstrip("-"), ["help", "version"])
            near = f"--{near}" if near else None
        else:
            near = nearest_name(name, commands)
        hint = f"did you mean '{near}'?" if near else f"the commands are {', '.join(commands)}"
        return _fail(prog, f"unknown {kind} '{name}'; {hint}")
    target = commands[name].target
    _log_to_stderr(target.partition(".")[0].partition(":")[0])
    try:
        function = _load(target)
        from toolkit_shared.cli.parsing import run_command

        return run_command(f"{prog} {name}", function, rest)
    except InputError as error:
        return _fail(f"{prog} {name}", str(error))
    except OSError as error:
        if error.errno is None or isinstance(error, BrokenPipeError):
            raise
        return _fail(f"{prog} {name}", _of_the_system(error))


def _of_the_system(error: OSError) -> str:
    """A refusal of the operating system in one line: which file, why, and what to do."""
    reason = (error.strerror or str(error)).lower()
    where = f"{os.fspath(error.filename)}: " if isinstance(error.filename, str | os.PathLike) else ""
    cure = "check the path"
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        cure = "make room, and give the same command again"
    elif isinstance(error, PermissionError) or error.errno == errno.EROFS:
        cure = "choose another place, or change its permissions"
    elif error.errno in (errno.EMFILE, errno.ENFILE):
        cure = "raise the limit of open files (ulimit -n)"
    return f"{where}{reason}; {cure}"


def _load(target: str) -> Callable[..., Any]:
    module, _, function = target.partition(":")
    loaded: Callable[..., Any] = getattr(importlib.import_module(module), function)
    return loaded


def _groups(commands: Mapping[str, Command]) -> dict[str, dict[str, Command]]:
    """The rows of each first word, in the order in which these words come."""
    groups: dict[str, dict[str, Command]] = {}
    for name, command in commands.items():
        groups.setdefault(name.split(" ")[0], {})[name] = command
    return groups


def _print_table(prog: str, about: str, commands: Mapping[str, Command]) -> int:
    width = max(len(name) for name in commands)
    lines = [f"Usage: {prog} COMMAND [INPUTS] [OPTIONS]", ""]
    lines += [*textwrap.wrap(about, 100), ""] if about else []
    lines += ["Commands:"]
    for group in _groups(commands).values():  # a group's rows stand together, wherever the table has them
        lines += [f"  {name:<{width}}  {command.help}" for name, command in group.items()]
    lines += [
        "",
        f"'{prog} COMMAND --help' lists the options of one command; '{prog} --version' the version.",
    ]
    print("\n".join(lines))
    return DONE


def _print_version(prog: str) -> int:
    from importlib.metadata import version

    print(prog, version(prog))
    return DONE


def _fail(where: str, message: str) -> int:
    print(f"{where}: error: {' '.join(message.split())}", file=sys.stderr)
    return BAD_INPUT


def _log_to_stderr(package: str) -> None:
    """Show this toolkit's and the shared package's log from level info on.

    Other libraries are left alone: they log warnings themselves, and a handler at the root would repeat them.
    """
    for name in (package, "toolkit_shared"):
        logger = logging.getLogger(name)
        for handler in logger.handlers[:]:
            logger.removeHandler(handler)  # of an earlier run in this process, perhaps with another stderr
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(name)s: %(message)s"))
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


def _forget_stdout() -> None:
    """Point stdout at the null device, so that the interpreter's own flush at exit stays quiet."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, sys.stdout.fileno())
    os.close(null)


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_key(key): _plain(item) for key, item in value.items()}
    if isinstance(value, str | bool | int) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "tolist"):  # a numpy scalar or array
        return _plain(value.tolist())
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value  # json says what it is


def _key(key: Any) -> str:
    return key if isinstance(key, str) else str(_plain(key))
