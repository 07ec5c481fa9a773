"""Names that a user chose, against the names that are there."""

import difflib
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase
from pathlib import Path

from toolkit_shared.errors import InputError

SHOWN_NAMES = 8


def select_names(
    names: Iterable[str], patterns: Sequence[str], *, option: str, where: str | Path
) -> list[str]:
    """The names that match one of the patterns, in their order; all where there are no patterns.

    Args:
        names: What is there.
        patterns: Names or shell patterns; upper and lower case differ.
        option: The option that gave the patterns, such as `--task`, for the message.
        where: The file or folder, for the message.

    Raises:
        InputError: A pattern matches nothing; the line tells the nearest name.
    """
    names = list(dict.fromkeys(names))
    if not patterns:
        return names
    for pattern in patterns:
        if not any(_matches(name, pattern) for name in names):
            raise unknown_name(pattern, names, option=option, where=where)
    return [name for name in names if any(_matches(name, pattern) for pattern in patterns)]


def unknown_name(name: str, known: Iterable[str], *, option: str, where: str | Path) -> InputError:
    """The error for a name that is not there, with the nearest one and what there is."""
    known = sorted(set(known))
    if not known:
        return InputError(f"{where}: {option} '{name}' matches nothing, and there is nothing to choose")
    shown = ", ".join(known[:SHOWN_NAMES])
    if len(known) > SHOWN_NAMES:
        shown += f" and {len(known) - SHOWN_NAMES:,} more"
    near = difflib.get_close_matches(name, known, 1, 0.6)
    hint = f"did you mean '{near[0]}'? there are: {shown}" if near else f"give one of: {shown}"
    return InputError(f"{where}: {option} '{name}' matches nothing; {hint}")


def _matches(name: str, pattern: str) -> bool:
    return name == pattern or fnmatchcase(name, pattern)
