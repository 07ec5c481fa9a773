"""The shards that a pattern names."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from toolkit_shared.errors import InputError
from toolkit_shared.records import expand_inputs

MAX_SHARDS = 1_000_000
_BRACES = re.compile(r"\{([^{}]*)\}")
_RANGE = re.compile(r"(\d+)\.\.(\d+)")


def expand_shards(path: str | Path | Sequence[str | Path], suffixes: Sequence[str] = (".tar",)) -> list[Path]:
    """The files that `path` names, each of which exists.

    Args:
        path: a file; a folder (its shards at any depth, sorted); a pattern with `*` or `?` (sorted); a name
            with braces, as in `train-{0000..0009}.tar` or `{a,b}.tar`, in the order of the braces; or several
            of these, whose files follow one another.
        suffixes: of the files that are taken from a folder.

    Raises:
        InputError: a named file is missing, or nothing is found, or the braces give too many names.
    """
    if not isinstance(path, str | Path):
        return [file for item in path for file in expand_shards(item, suffixes)]
    if os.path.exists(path) or not _BRACES.search(str(path)):
        return expand_inputs([path], suffixes)
    found: list[Path] = []
    for name in _expanded(str(path), str(path)):
        if len(found) >= MAX_SHARDS:
            raise _too_many(str(path))
        if any(sign in name for sign in "*?["):
            found += expand_inputs([name], suffixes)
        else:
            found.append(Path(name))
    missing = [file for file in found if not file.exists()]
    if missing:
        raise InputError(
            f"{path}: {len(missing):,} of {len(found):,} files are missing, the first is {missing[0]}; "
            "check the range in the braces"
        )
    return found


def _expanded(name: str, whole: str) -> Iterator[str]:
    braces = _BRACES.search(name)
    if braces is None:
        yield name
        return
    between = _RANGE.fullmatch(braces[1])
    if between:
        first, last = int(between[1]), int(between[2])
        if last < first:
            raise InputError(f"{whole}: {braces[0]} counts down; write the smaller number first")
        if last - first >= MAX_SHARDS:
            raise _too_many(whole)
        # zeros in front mean a fixed width, as in a shell
        padded = any(len(text) > 1 and text.startswith("0") for text in between.groups())
        width = max(map(len, between.groups())) if padded else 0
        choices: Iterator[str] = (f"{number:0{width}d}" for number in range(first, last + 1))
    elif "," in braces[1]:
        choices = iter(braces[1].split(","))
    else:
        raise InputError(f"{whole}: {braces[0]} is neither a range {{0..9}} nor a list {{a,b}}; mend it")
    for choice in choices:
        yield from _expanded(name[: braces.start()] + choice + name[braces.end() :], whole)


def _too_many(whole: str) -> InputError:
    return InputError(f"{whole}: names more than {MAX_SHARDS:,} files; give a folder or fewer shards")
