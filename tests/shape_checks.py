"""The type checker that the tests put behind the shape annotations of models and objectives."""

from collections.abc import Callable
from typing import Any

from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintPep673Exception

# an int is good where a float is asked for
CHECK = beartype(conf=BeartypeConf(is_pep484_tower=True))


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations checked at every call.

    A method that returns `Self` stays as it is: beartype reads that annotation on whole classes only, and
    modules of torch are decorated method by method.
    """
    try:
        return CHECK(function)
    except BeartypeDecorHintPep673Exception:
        return function
