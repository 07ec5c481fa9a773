"""Which pieces of a text are equal: exactly, by hash and then by their code points."""

import numpy as np
import numpy.typing as npt

from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import hash_span

CodePoints = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]


@compiled
def span_hashes(codes: CodePoints, starts: Places, ends: Places) -> Hashes:
    """uint64 [spans]: the hash of each `codes[starts[i]:ends[i]]`."""
    hashes = np.empty(len(starts), np.uint64)
    for span in range(len(starts)):
        hashes[span] = hash_span(codes, starts[span], ends[span])
    return hashes


@compiled
def first_equal(codes: CodePoints, starts: Places, ends: Places, hashes: Hashes) -> Places:
    """int64 [spans]: for each span the number of the first one that is equal to it (its own, if none is).

    Args:
        codes: uint32 [codes].
        starts: int64 [spans].
        ends: int64 [spans].
        hashes: uint64 [spans]; equal spans have equal hashes, and others hardly ever.
    """
    first = np.empty(len(starts), np.int64)
    slots = np.full(table_size(len(starts)), -1, np.int64)
    mask = len(slots) - 1
    for span in range(len(starts)):
        slot = np.int64(hashes[span] & np.uint64(mask))
        while True:
            known = slots[slot]
            if known < 0:
                slots[slot] = span
                first[span] = span
                break
            if hashes[known] == hashes[span] and same_codes(
                codes, starts[known], ends[known], starts[span], ends[span]
            ):
                first[span] = known
                break
            slot = (slot + 1) & mask
    return first


@compiled
def occurrences(first: Places) -> Places:
    """int64 [spans]: at the first of equal spans how many there are, elsewhere 0."""
    counts = np.zeros(len(first), np.int64)
    for span in range(len(first)):
        counts[first[span]] += 1
    return counts


@compiled
def same_codes(codes: CodePoints, start: int, end: int, other_start: int, other_end: int) -> bool:
    """Whether two spans hold the same code points."""
    if end - start != other_end - other_start:
        return False
    for offset in range(end - start):
        if codes[start + offset] != codes[other_start + offset]:
            return False
    return True


@compiled
def table_size(entries: int) -> int:
    """The size of a hash table that is at most half full: a power of two."""
    size = 16
    while size < 2 * entries:
        size *= 2
    return size
