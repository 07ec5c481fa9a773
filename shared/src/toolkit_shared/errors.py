"""The two errors that a user can mend; everything else is a defect and keeps its traceback."""

import importlib
from types import ModuleType


class InputError(Exception):
    """Something the user gave is wrong; the message is one line: where, what is wrong, what to do."""


class MissingExtra(InputError):
    """A command needs an optional dependency that is not installed."""


def require(module: str, *, toolkit: str, extra: str) -> ModuleType:
    """Import an optional dependency, or say which extra brings it.

    Raises:
        MissingExtra: `module` is not installed; the message holds the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or module.split(".")[0] != error.name.split(".")[0]:
            raise  # the module is there, and something inside it is broken
        raise MissingExtra(
            f"{module.split('.')[0]} is not installed; it comes with the extra '{extra}': "
            f"pip install '{toolkit}[{extra}]'"
        ) from None
