"""Work units: parts of the input whose borders depend on the input alone, never on the workers."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

Document = str | npt.NDArray[np.int64]
OnBad = Callable[[str, str], None]
Format = Literal["text", "jsonl", "parquet", "arrow", "olmo", "megatron", "datatrove", "nanogpt", "released"]

# Formats whose ids already lie in one flat array on disk: they are referred to, never copied.
FLAT_FORMATS: tuple[Format, ...] = ("olmo", "megatron", "datatrove", "nanogpt")


class Input(NamedTuple):
    """One input file: its path, the name to print, its format and the number of its source."""

    path: str
    name: str
    format: Format
    source: int


@dataclass(frozen=True, kw_only=True)
class Unit:
    """A part of the input that one worker reads at one go.

    `start` and `end` are byte offsets (jsonl, text by line or blank line) or row groups (parquet); `end` None
    is the end of the file. Several paths stand together only for whole small text files.
    """

    format: Format
    paths: tuple[str, ...]
    names: tuple[str, ...]
    source: int
    start: int = 0
    end: int | None = None


class FlatTokens(NamedTuple):
    """A token file that can be used where it lies.

    `boundaries` are int64 [documents + 1] offsets in tokens; `offset_bytes` is the size of its header.
    """

    path: str
    dtype: str
    offset_bytes: int
    tokens: int
    boundaries: npt.NDArray[np.int64]


def byte_ranges(size: int, unit_bytes: int) -> list[tuple[int, int | None]]:
    """Ranges of about `unit_bytes` that cover `size` bytes; the last one is open.

    The last range takes up to half a unit more, so that no tiny one is left over.
    """
    count = max(1, round(size / unit_bytes))
    edges = [index * unit_bytes for index in range(count)]
    return [*pairwise(edges), (edges[-1], None)]
