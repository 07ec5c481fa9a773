"""What a step's parameters must be, said in one line where they are not."""

import re
from collections.abc import Collection, Sequence
from numbers import Real
from typing import Any

from toolkit_shared.errors import InputError


def require_numbers(func: str, **parameters: Any) -> None:
    """Nothing, if each parameter is a number.

    Raises:
        InputError: one is not.
    """
    for name, value in parameters.items():
        if not isinstance(value, Real) or isinstance(value, bool):
            raise InputError(f"{func}: {name} is {value!r}, no number; give a number")


def require_choice(func: str, name: str, value: Any, known: Collection[str]) -> None:
    """Nothing, if the value is one of those that are known.

    Raises:
        InputError: it is not.
    """
    if value not in known:
        raise InputError(f"{func}: {name} is {value!r}; known are {', '.join(known)}")


def as_strings(func: str, name: str, value: Any) -> list[str]:
    """A list of strings out of one string or a list of them.

    Raises:
        InputError: it is neither, or empty.
    """
    values = [value] if isinstance(value, str) else value
    if not isinstance(values, Sequence) or not all(isinstance(entry, str) for entry in values):
        raise InputError(f"{func}: {name} is no list of strings; give strings, or one of them")
    if not values:
        raise InputError(f"{func}: {name} is empty; give at least one string")
    return list(values)


def compile_pattern(func: str, pattern: str, flags: int = 0) -> re.Pattern[str]:
    """The compiled pattern.

    Raises:
        InputError: it is no regular expression.
    """
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError) as error:
        raise InputError(
            f"{func}: {pattern[:80]!r} is no regular expression ({error}); under --compat fixed entries "
            "are taken letter by letter"
        ) from None
