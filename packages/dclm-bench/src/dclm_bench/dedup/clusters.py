"""Pages that belong together, and which one of them stays."""

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.dedup.normalizers import NORMALIZERS
from dclm_bench.steps.step import Arrays
from dclm_bench.text.compiled import compiled

Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]

_TOP = np.uint64(1 << 63)
_LARGEST = sys.float_info.max  # whole numbers in JSON may have any length


@compiled
def root_of(parents: Int64s, member: int) -> int:
    """The first page of the cluster of `member`; paths are halved on the way."""
    while parents[member] != member:
        parents[member] = parents[parents[member]]
        member = parents[member]
    return member


@compiled
def unite(parents: Int64s, first: int, second: int) -> None:
    """Put two pages into one cluster; the root is always the page that comes first in the corpus."""
    a, b = root_of(parents, first), root_of(parents, second)
    if a < b:
        parents[b] = a
    elif b < a:
        parents[a] = b


@compiled
def unite_equal(parents: Int64s, keys: UInt64s, order: Int64s) -> None:
    """Unite the pages with equal keys.

    Args:
        parents: int64 [pages], changed.
        keys: uint64 [pages].
        order: int64 [members], the pages in question, sorted by key and then by number.
    """
    for place in range(1, len(order)):
        if keys[order[place]] == keys[order[place - 1]]:
            unite(parents, order[place - 1], order[place])


@compiled
def unite_similar(parents: Int64s, keys: UInt64s, order: Int64s, signatures: UInt32s, fewest: int) -> None:
    """As `unite_equal`, where at least `fewest` rows of the signature agree with the first of equal key."""
    first = 0
    for place in range(1, len(order)):
        if keys[order[place]] != keys[order[first]]:
            first = place
            continue
        a, b = order[first], order[place]
        equal = 0
        for j in range(signatures.shape[1]):
            equal += signatures[a, j] == signatures[b, j]
        if equal >= fewest:
            unite(parents, a, b)


@compiled
def all_roots(parents: Int64s) -> Int64s:
    """int64 [pages]: the first page of the cluster of each."""
    roots = np.empty_like(parents)
    for member in range(len(parents)):
        roots[member] = root_of(parents, member)
    return roots


def equal_groups(high: UInt64s, low: UInt64s) -> Int64s:
    """int64 [members]: for each 128-bit key the number of the first member that has it."""
    order = np.lexsort((low, high))  # stable, so equal keys stand in the order of the corpus
    new = np.ones(len(order), np.bool_)
    new[1:] = (high[order][1:] != high[order][:-1]) | (low[order][1:] != low[order][:-1])
    groups = np.empty(len(order), np.int64)
    groups[order] = order[np.flatnonzero(new)[np.cumsum(new) - 1]] if len(order) else order
    return groups


def places_in_groups(groups: Int64s, selection: Arrays | None, *, reverse: bool) -> Int64s:
    """How many members of its group come before each member, int64 [members]; 0 is the one that stays.

    Args:
        groups: int64 [members].
        selection: From `selection_of`: the member with the lowest value comes first, ties and None by the
            order of the corpus; a member without a value comes last.
        reverse: Whether the highest value comes first instead.

    Source: official `get_dupe_rows` (argmin, or argmax with `selection_reverse`).
    """
    keys: list[npt.NDArray[Any]] = [groups]
    if selection is not None:
        values = [selection["selection_low"], selection["selection_high"]]
        keys = [*(~value if reverse else value for value in values), selection["selection_missing"], groups]
    order = np.lexsort(keys)
    found = groups[order]
    starts = np.ones(len(order), np.bool_)
    starts[1:] = found[1:] != found[:-1]
    begin = np.flatnonzero(starts)
    places = np.empty(len(order), np.int64)
    places[order] = np.arange(len(order)) - np.repeat(begin, np.diff([*begin, len(order)]))
    return places


def selection_of(pages: Sequence[Page], key: str, normalize: str | None, where: str) -> Arrays:
    """What decides which of some copies stays, as integers in the order of the values.

    Numbers, and texts that a normaliser turns into a number or a hash, can be compared; other texts cannot.

    Returns:
        `selection_high` and `selection_low`, uint64 [pages], and `selection_missing`, bool [pages].

    Raises:
        InputError: a value is neither.
    """
    missing = np.zeros(len(pages), np.bool_)
    high, low = np.zeros(len(pages), np.uint64), np.zeros(len(pages), np.uint64)
    for number, page in enumerate(pages):
        value = page.record.get(key)
        if normalize is not None and isinstance(value, str):
            value = NORMALIZERS[normalize](value)
        if value is None or value != value:
            missing[number] = True
        elif isinstance(value, float) or (isinstance(value, int) and abs(value) <= _LARGEST):
            bits = np.float64(value).view(np.uint64)
            high[number] = ~bits if bits & _TOP else bits | _TOP
        elif normalize == "hash_text":
            high[number], low[number] = int(value[:16], 16), int(value[16:], 16)
        else:
            raise InputError(
                f"{where}: selection_key '{key}' holds {value!r:.60}, which has no order; give a key with "
                "numbers, or selection_normalize: hash_text or normalize_timestamps"
            )
    return {"selection_high": high, "selection_low": low, "selection_missing": missing}
