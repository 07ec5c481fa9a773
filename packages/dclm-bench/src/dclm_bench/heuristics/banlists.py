"""Lists of banned words: given in the recipe, or in a file of the user."""

import logging
from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.heuristics.checks import as_strings

MAX_BANLIST_BYTES = 1 << 30
OFFICIAL_LISTS = frozenset(
    {
        "ldnoobw.txt",
        "refinedweb_banned_domains_curated.txt",
        "refinedweb_banned_words_hard_reverse_engineered.txt",
        "refinedweb_banned_words_soft_reverse_engineered.txt",
        "refinedweb_banned_words_strict_reverse_engineered.txt",
    }
)
"""Lists that official recipes name, and that are not ours to give: four are in the official repository, under
`baselines/mappers/banlists`, and the domains were never published."""

log = logging.getLogger(__name__)


def banned_words(func: str, banlist: Any, banlist_from_fname: Any) -> list[str] | None:
    """The entries of a banlist; None for a list of the official repository that the user has not given.

    A path that does not exist stands for the list of that name in this package, where there is one. Empty
    lines are passed over: the official code would find them in every text.

    Raises:
        InputError: neither a list nor a file is given, the file cannot be read, or it is a pickle.
    """
    if banlist_from_fname is None:
        if banlist is None:
            raise InputError(f"{func}: no banlist; give banlist or banlist_from_fname")
        return [word for word in as_strings(func, "banlist", banlist) if word]
    if not isinstance(banlist_from_fname, str):
        raise InputError(f"{func}: banlist_from_fname is {banlist_from_fname!r}, no path; give one")
    text = _read(func, banlist_from_fname)
    if text is None:
        log.debug("%s: %s is not here; the rule does not apply", func, banlist_from_fname)
        return None
    words = [line for line in text.splitlines() if line]
    if not words:
        raise InputError(f"{banlist_from_fname}: holds no entry; add some, or leave the step out")
    return words


def is_missing(banlist_from_fname: Any) -> bool:
    """Whether a parameter names a list of the official repository that is not there."""
    return (
        isinstance(banlist_from_fname, str)
        and PurePosixPath(banlist_from_fname).name in OFFICIAL_LISTS
        and not Path(banlist_from_fname).is_file()
    )


def shipped_list(name: str) -> str:
    """The text of a list of this package."""
    return (files("dclm_bench.heuristics") / "word_lists" / name).read_text(encoding="utf-8")


def _read(func: str, name: str) -> str | None:
    if name.endswith((".pkl", ".pickle")):
        raise InputError(f"{func}: {name} is a pickle, which may run code; give the words, one a line")
    path = Path(name)
    if not path.is_file():
        base = PurePosixPath(name).name
        if (files("dclm_bench.heuristics") / "word_lists" / base).is_file():
            return shipped_list(base)
        if is_missing(name):
            return None
        raise InputError(f"{func}: {name} is not there, nor is a list of that name shipped; check the path")
    try:
        if path.stat().st_size > MAX_BANLIST_BYTES:
            raise InputError(f"{name}: is larger than {MAX_BANLIST_BYTES:,} bytes; a banlist is shorter")
        return path.read_text(encoding="utf-8")
    except OSError as error:
        raise InputError(f"{name}: cannot be read ({error.strerror}); check the path") from None
    except UnicodeDecodeError:
        raise InputError(f"{name}: is no UTF-8 text; give one word a line") from None
