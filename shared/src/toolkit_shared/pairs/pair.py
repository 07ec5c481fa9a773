"""What a pair is, what a source of pairs promises, and what makes a pair unusable."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from toolkit_shared.errors import InputError
from toolkit_shared.images import SUFFIXES

Reason = Literal["no image", "no caption", "caption is no text", "unreadable", "missing file"]

CAPTION_FIELDS = ("captions", "caption", "text", "txt", "title", "sentences", "TEXT", "alt_text")
MAX_IMAGE_BYTES = 1 << 30


class BadPair(InputError):
    """A pair that cannot be used.

    Attributes:
        reason: one of few, to be counted.
        where: the file and record.
        detail: what is particular to this one, or "".
    """

    def __init__(self, reason: Reason, where: str, detail: str = "") -> None:
        self.reason, self.where, self.detail = reason, where, detail
        super().__init__(f"{where}: {reason}{f' ({detail})' if detail else ''}; mend or remove it")

    def __reduce__(self) -> tuple[type["BadPair"], tuple[Reason, str, str]]:
        return BadPair, (self.reason, self.where, self.detail)


@dataclass(frozen=True, slots=True)
class Pair:
    """An image with its captions.

    Attributes:
        key: its name (`usable_key`); unique within a file, unless the file says otherwise.
        image: the bytes of an image file, as stored and not looked at.
        captions: one or more texts; none only where captions are not required.
        members: what else belongs to the sample, by extension, read when it is asked for.
        where: file and record, for messages.
    """

    key: str
    image: bytes
    captions: tuple[str, ...]
    where: str
    members: Mapping[str, bytes] = field(default_factory=dict)


class PairSource(Protocol):
    """Pairs by number, in an order that depends on the files alone.

    Sources can be pickled, and used by processes that were forked: files are opened where they are read.
    """

    @property
    def fingerprint(self) -> str:
        """16 hexadecimal digits that change with the pairs; names of folders above them do not count."""
        ...

    @property
    def keys(self) -> Sequence[str]:
        """The keys of all pairs in order, unusable ones included, without reading any image.

        Raises:
            InputError: they cannot be read.
        """
        ...

    def __len__(self) -> int:
        """How many pairs there are, unusable ones included."""
        ...

    def __getitem__(self, index: int) -> Pair:
        """A pair.

        Raises:
            BadPair: it cannot be used.
            IndexError: there is no such number.
        """
        ...

    def blocks(self) -> list[range]:
        """Runs of numbers that are cheap to read together: a row group, a shard."""
        ...


def captions_of(value: Any, where: str) -> tuple[str, ...]:
    """The captions in a field: one text or a list of texts; texts of white space only are none.

    Raises:
        BadPair: something in it is no text.
    """
    values = [] if value is None else [value] if isinstance(value, str) else value
    if not isinstance(values, Iterable) or isinstance(values, bytes | Mapping):
        raise BadPair("caption is no text", where, f"found {type(value).__name__}")
    texts = []
    for text in values:
        if text is not None and not isinstance(text, str):
            raise BadPair("caption is no text", where, f"found {type(text).__name__} in a list")
        if text and text.strip():
            texts.append(text.strip())
    return tuple(texts)


def choose_field(
    asked: str | None, names: Sequence[str], usual: Sequence[str], *, where: str, what: str, option: str
) -> str | None:
    """The field that was asked for, or the first usual one that is there, or None.

    Raises:
        InputError: there is no field of the name that was asked for; the nearest one is shown.
    """
    if asked is None:
        return next((name for name in usual if name in names), None)
    if asked in names:
        return asked
    near = difflib.get_close_matches(asked, list(names), n=1, cutoff=0.5)
    hint = f"did you mean '{near[0]}'?" if near else f"the fields are {', '.join(names)}"
    raise InputError(f"{where}: there is no {what} field '{asked}' ({option}); {hint}")


def missing_field(
    where: str, names: Sequence[str], usual: Sequence[str], what: str, option: str
) -> InputError:
    """The error for a file in which no usual field of a kind is found."""
    return InputError(
        f"{where}: no {what} field; usual names are {', '.join(usual[:4])}, the file has {', '.join(names)}; "
        f"name one by {option}"
    )


def usable_key(name: str) -> str:
    """A name as the key of a pair, which is also the key of a sample if the pair is written to a shard.

    The suffix of an image is left out, and each other dot of the base name, where the key of a sample would
    end, becomes `_`; so do parts of a path that lead elsewhere. So a data set has the same keys as files, as
    Parquet rows that are named after files, and as shards.
    """
    parts = [part for part in name.replace("\\", "/").replace("\0", "_").split("/") if part]
    folders = ["_" * len(part) if part in (".", "..") else part for part in parts[:-1]]
    base = parts[-1] if parts else ""
    suffix = next((suffix for suffix in SUFFIXES if base.lower().endswith(suffix)), "")
    stem = base[: len(base) - len(suffix)].replace(".", "_")
    return "/".join([*folders, stem or "_"])


def unique_keys(keys: Iterable[str]) -> list[str]:
    """The keys in order; one that comes again gets `_2`, `_3` and so on behind it."""
    seen: set[str] = set()
    result = []
    counts: dict[str, int] = {}
    for key in keys:
        name = key
        while name in seen:
            counts[key] = counts.get(key, 1) + 1
            name = f"{key}_{counts[key]}"
        seen.add(name)
        result.append(name)
    return result
