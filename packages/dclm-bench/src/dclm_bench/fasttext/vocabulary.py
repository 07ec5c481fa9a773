"""The words and labels of a model with their counts, and the hash table that finds them."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from dclm_bench.fasttext.lines import (
    END_OF_LINE,
    LABEL_PREFIX,
    Bytes,
    Rows,
    fill_table,
    find_slot,
    hash_bytes,
    is_blank,
    starts_with,
)
from dclm_bench.text.compiled import compiled

Number = TypeVar("Number", bound=np.generic)

# How many bytes of text are counted between two looks at whether the tables have room.
_BYTES_AT_ONCE = 1 << 22


@dataclass(frozen=True)
class Vocabulary:
    """Entries in the order of a file: the words, then the labels.

    Attributes:
        letters: The bytes of all entries, uint8.
        starts: Where each begins in `letters`, int64, one more than there are entries.
        counts: How often each was seen, int64.
        num_words: How many entries are words; those after them are labels.
        num_tokens: Tokens seen in training, ends of line included.
        pruned: For each bucket its row after pruning, or -1; empty when nothing was pruned.
        hashes: The hash of each entry.
        table: Entry numbers by hash, -1 where free; its length is a power of two.
    """

    letters: Bytes
    starts: npt.NDArray[np.int64]
    counts: npt.NDArray[np.int64]
    num_words: int
    num_tokens: int
    pruned: Rows
    hashes: npt.NDArray[np.uint32] = field(init=False)
    table: Rows = field(init=False)

    def __post_init__(self) -> None:
        hashes = hash_entries(self.letters, self.starts)
        table = empty_table(len(hashes))
        fill_table(table, hashes)
        object.__setattr__(self, "hashes", hashes)
        object.__setattr__(self, "table", table)

    def __len__(self) -> int:
        return len(self.counts)

    def entry(self, index: int) -> bytes:
        """The bytes of an entry."""
        return self.letters[self.starts[index] : self.starts[index + 1]].tobytes()

    @property
    def words(self) -> list[str]:
        """The words, in the order of their rows."""
        return [self.entry(index).decode("utf-8", "replace") for index in range(self.num_words)]

    @property
    def labels(self) -> list[str]:
        """The labels without their prefix."""
        prefix = LABEL_PREFIX.tobytes()
        entries = (self.entry(index) for index in range(self.num_words, len(self)))
        return [entry.removeprefix(prefix).decode("utf-8", "replace") for entry in entries]


def empty_table(num_entries: int) -> Rows:
    """A table full of -1 that is at most half full with this many entries."""
    return np.full(1 << max(4, (2 * num_entries).bit_length()), -1, np.int32)


@compiled
def hash_entries(letters: Bytes, starts: npt.NDArray[np.int64]) -> npt.NDArray[np.uint32]:
    """The hash of every entry."""
    hashes = np.empty(len(starts) - 1, np.uint32)
    for entry in range(len(hashes)):
        hashes[entry] = hash_bytes(letters, starts[entry], starts[entry + 1])
    return hashes


@compiled
def _count_words(
    text: Bytes,
    begin: int,
    end: int,
    size: int,
    table: Rows,
    hashes: npt.NDArray[np.uint32],
    letters: Bytes,
    starts: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
    label_prefix: Bytes,
) -> tuple[int, int]:
    """Count the words of `text[begin:end]`; the number of entries after it, and the words seen."""
    place, seen = begin, 0
    while place < end:
        if is_blank(text[place]):
            place += 1
            continue
        first = place
        while place < end and not is_blank(text[place]):
            place += 1
        if starts_with(text, first, place, label_prefix):
            continue  # no word: a model would take it for a label
        seen += 1
        value = hash_bytes(text, first, place)
        slot = find_slot(table, hashes, letters, starts, text, first, place, value)
        entry = table[slot]
        if entry < 0:
            entry = size
            table[slot] = entry
            hashes[entry] = value
            letters[starts[entry] : starts[entry] + place - first] = text[first:place]
            starts[entry + 1] = starts[entry] + place - first
            counts[entry] = 0
            size += 1
        counts[entry] += 1
    return size, seen


def count_vocabulary(
    text: Bytes,
    bounds: npt.NDArray[np.int64],
    labels: Sequence[str],
    label_counts: Sequence[int],
    *,
    min_count: int,
) -> Vocabulary:
    """The vocabulary of the lines `text[bounds[i]:bounds[i + 1]]`: frequent words first, ties as they came.

    The end of line counts as a word once a line. Words seen fewer than `min_count` times are left out.

    Source: fastText's dictionary; the order of ties is its sort's own there, and the first seen here.
    """
    size, seen = 0, 0
    table = empty_table(0)
    hashes, counts = np.zeros(0, np.uint32), np.zeros(0, np.int64)
    letters, starts = np.zeros(0, np.uint8), np.zeros(1, np.int64)
    eos = np.concatenate([END_OF_LINE, np.frombuffer(b" ", np.uint8)])
    chunks = [(eos, 0, len(eos))]
    begin = 0
    while begin < len(bounds) - 1:
        end = begin + 1
        while end < len(bounds) - 1 and bounds[end + 1] - bounds[begin] <= _BYTES_AT_ONCE:
            end += 1
        # lines are apart by one line feed, which belongs to the line before it
        chunks.append((text, int(bounds[begin]), int(bounds[end])))
        begin = end
    for source, first, last in chunks:
        most = size + (last - first + 1) // 2 + 1
        if most > len(counts):
            hashes, counts = _grown(hashes, 2 * most), _grown(counts, 2 * most)
            starts = _grown(starts, 2 * most + 1)
        if starts[size] + last - first > len(letters):
            letters = _grown(letters, 2 * (int(starts[size]) + last - first))
        if 2 * most > len(table):
            table = empty_table(most)
            fill_table(table, hashes[:size])
        size, words = _count_words(
            source, first, last, size, table, hashes, letters, starts, counts, LABEL_PREFIX
        )
        seen += words
    counts[0] += len(bounds) - 2  # the end of line was seen once so far
    kept = np.flatnonzero(counts[:size] >= min_count)
    order = kept[np.argsort(-counts[kept], kind="stable")]
    entries = [letters[starts[entry] : starts[entry + 1]] for entry in order]
    prefix = LABEL_PREFIX.tobytes()
    entries += [np.frombuffer(prefix + label.encode(), np.uint8) for label in labels]
    lengths = np.array([len(entry) for entry in entries], np.int64)
    return Vocabulary(
        letters=np.concatenate(entries) if entries else np.zeros(0, np.uint8),
        starts=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        counts=np.concatenate([counts[order], np.array(label_counts, np.int64)]),
        num_words=len(order),
        num_tokens=seen + len(bounds) - 2,
        pruned=np.zeros(0, np.int32),
    )


def _grown(array: npt.NDArray[Number], length: int) -> npt.NDArray[Number]:
    grown = np.zeros(length, array.dtype)
    grown[: len(array)] = array
    return grown
