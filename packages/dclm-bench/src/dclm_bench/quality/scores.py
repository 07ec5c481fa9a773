"""How a score gets into the record of a page, and out of it again."""

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.steps.step import Step


def scoring_step(func: str, key: str, overwrite: bool, score: Callable[[str], float | None]) -> Step:
    """The step that puts `score(text)` under `key`; None where a text has no score, or none that is finite.

    Args:
        func: Name of the step.
        key: Where the score goes.
        overwrite: Whether a score that is there already is replaced.
        score: The score of a text.
    """

    def apply(page: Page) -> Sequence[float]:
        if not overwrite and key in page.record:
            raise InputError(f"{func}: the key '{key}' is there already; choose another, or overwrite: true")
        value = score(page.text)
        # files of pages hold no NaN
        page.record[key] = None if value is None or not math.isfinite(value) else value
        return ()

    return Step(func, apply)


def score_of(func: str, page: Page, key: str, *, key_must_exist: bool = True) -> float:
    """The score under `key` of a page; NaN where there is none.

    Raises:
        InputError: the key is missing and must exist, or holds no number.
    """
    if key not in page.record and key_must_exist:
        raise InputError(f"{func}: a page has no key '{key}'; put the step that makes it before this one")
    value: Any = page.record.get(key)
    if value is None:
        return math.nan
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(value)
    except OverflowError:  # whole numbers in JSON may have any length
        pass
    raise InputError(f"{func}: the key '{key}' holds {str(value)[:40]!r}, no number; name another key")


def require_path(func: str, parameter: str, path: str, *, folder: bool = False) -> Path:
    """The path, if it is there.

    Raises:
        InputError: it is not, or is a folder where a file is wanted, or the other way round.
    """
    found = Path(path)
    if not (found.is_dir() if folder else found.is_file()):
        kind = "folder" if folder else "file"
        raise InputError(f"{func}: {parameter}: {path}: no such {kind}; give the path of the {kind}")
    return found


@lru_cache(maxsize=4)
def once_per_process(load: Callable[..., Any], *arguments: Any) -> Any:
    """`load(*arguments)`, kept for the next step that asks for the same."""
    return load(*arguments)
