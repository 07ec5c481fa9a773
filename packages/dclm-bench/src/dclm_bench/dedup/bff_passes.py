"""The loops of BFF's modes over the pages of a batch; what each mode does is told in `bff`."""

import numpy as np
import numpy.typing as npt

from dclm_bench.dedup.bloom_filter import contains, insert
from dclm_bench.text.compiled import compiled

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
Bools = npt.NDArray[np.bool_]
Verdicts = tuple[Bools, Bools, Int64s, Int64s, int]
"""Units removed, pages removed as a whole, shingles found and all shingles a page, and insertions."""


@compiled
def locate_shingles(
    token_starts: Int64s,
    first: Int64s,
    page_starts: Int64s,
    starts: Int64s,
    page_units: Int64s,
    counts: Int64s,
    ngram: int,
    fixed: bool,
) -> tuple[Int64s, Int64s]:
    """The paragraph that holds each shingle of whole pages (-1: none), and where its last token begins."""
    total = counts.sum()
    units, ends = np.full(total, -1, np.int64), np.empty(total, np.int64)
    place, base = 0, 0
    for page in range(len(page_units)):
        unit = 0
        short = first[page + 1] - first[page] < ngram
        for i in range(counts[page]):
            begin = first[page] + i
            last = token_starts[first[page + 1] - 1 if short else begin + ngram - 1]
            ends[place] = last - page_starts[page]
            # Official: the comparison is with the beginning of the paragraph, so `unit` stays 0.
            while fixed and token_starts[begin] >= starts[base + unit + 1]:
                unit += 1
            end = starts[base + unit + 1] if unit + 1 < page_units[page] else page_starts[page + 1] - 1
            if not short and last < end:
                units[place] = unit
            place += 1
        base += page_units[page]
    return units, ends


@compiled
def _count(bits: UInt64s, num_bits: np.uint64, num_hashes: int, seed: np.uint64, keys: UInt64s) -> int:
    """How many of the keys are found."""
    found = 0
    for key in keys:
        found += contains(bits, num_bits, num_hashes, seed, key)
    return found


@compiled
def _insert(bits: UInt64s, num_bits: np.uint64, num_hashes: int, seed: np.uint64, keys: UInt64s) -> int:
    """Insert the keys; how many they were."""
    for key in keys:
        insert(bits, num_bits, num_hashes, seed, key)
    return len(keys)


@compiled
def unit_pass(
    bits: UInt64s,
    num_bits: np.uint64,
    num_hashes: int,
    seed: np.uint64,
    shingles: UInt64s,
    counts: Int64s,
    page_units: Int64s,
    threshold: float,
    update: bool,
) -> Verdicts:
    """Each unit is looked up and then, unless removed, inserted.

    Source: official `process_line` and `process_line_oldboth`.
    """
    removed, whole = np.zeros(len(counts), np.bool_), np.zeros(len(page_units), np.bool_)
    contained, total = np.zeros(len(page_units), np.int64), np.zeros(len(page_units), np.int64)
    unit, place, inserted = 0, 0, 0
    for page in range(len(page_units)):
        for _ in range(page_units[page]):
            keys = shingles[place : place + counts[unit]]
            place += counts[unit]
            found = _count(bits, num_bits, num_hashes, seed, keys)
            contained[page] += found
            total[page] += counts[unit]
            # without a shingle 0 / 0 exceeds nothing: kept
            removed[unit] = counts[unit] > 0 and found / counts[unit] > threshold
            if update and not removed[unit]:
                inserted += _insert(bits, num_bits, num_hashes, seed, keys)
            unit += 1
    return removed, whole, contained, total, inserted


@compiled
def naive_pass(
    bits: UInt64s,
    num_bits: np.uint64,
    num_hashes: int,
    seed: np.uint64,
    document_shingles: UInt64s,
    document_counts: Int64s,
    shingles: UInt64s,
    counts: Int64s,
    page_units: Int64s,
    threshold: float,
    update: bool,
) -> Verdicts:
    """Mode "naive-both": the page as a whole, and if it stays each of its paragraphs.

    Source: official `process_file`, `RemoveType::NaiveBoth`.
    """
    removed, whole = np.zeros(len(counts), np.bool_), np.zeros(len(page_units), np.bool_)
    contained, total = np.zeros(len(page_units), np.int64), np.zeros(len(page_units), np.int64)
    unit, place, document, inserted = 0, 0, 0, 0
    for page in range(len(page_units)):
        keys = document_shingles[document : document + document_counts[page]]
        document += document_counts[page]
        found = _count(bits, num_bits, num_hashes, seed, keys)
        contained[page], total[page] = found, len(keys)
        whole[page] = len(keys) > 0 and found / len(keys) > threshold
        if update and not whole[page]:
            inserted += _insert(bits, num_bits, num_hashes, seed, keys)
        for _ in range(page_units[page]):
            keys = shingles[place : place + counts[unit]]
            place += counts[unit]
            if not whole[page] and len(keys) > 0:
                found = _count(bits, num_bits, num_hashes, seed, keys)
                removed[unit] = found / len(keys) > threshold
                if update and not removed[unit]:
                    inserted += _insert(bits, num_bits, num_hashes, seed, keys)
            unit += 1
    return removed, whole, contained, total, inserted


@compiled
def _count_by_unit(
    bits: UInt64s,
    num_bits: np.uint64,
    num_hashes: int,
    seed: np.uint64,
    keys: UInt64s,
    homes: Int64s,
    num_units: int,
) -> tuple[Int64s, Int64s, int]:
    """Keys found and all keys of each unit, without those that are in none (-1), and all that were found."""
    found, own, total = np.zeros(num_units, np.int64), np.zeros(num_units, np.int64), 0
    for i in range(len(keys)):
        hit = contains(bits, num_bits, num_hashes, seed, keys[i])
        total += hit
        if homes[i] >= 0:
            found[homes[i]] += hit
            own[homes[i]] += 1
    return found, own, total


@compiled
def crossing_pass(
    bits: UInt64s,
    num_bits: np.uint64,
    num_hashes: int,
    seed: np.uint64,
    shingles: UInt64s,
    counts: Int64s,
    shingle_units: Int64s,
    shingle_ends: Int64s,
    unit_starts: Int64s,
    page_units: Int64s,
    threshold: float,
    update: bool,
) -> Verdicts:
    """Mode "both": shingles run across paragraphs.

    Source: official `process_line_both`.
    """
    removed, whole = np.zeros(len(unit_starts), np.bool_), np.zeros(len(page_units), np.bool_)
    contained, total = np.zeros(len(page_units), np.int64), counts.copy()
    base, place, inserted = 0, 0, 0
    for page in range(len(page_units)):
        units, end = page_units[page], place + counts[page]
        keys, homes = shingles[place:end], shingle_units[place:end]
        found, own, contained[page] = _count_by_unit(bits, num_bits, num_hashes, seed, keys, homes, units)
        if counts[page] > 0 and contained[page] / counts[page] >= threshold:
            whole[page] = True
        elif counts[page] > 0:
            crossing = inside = place
            for unit in range(units):
                gone = own[unit] > 0 and found[unit] / own[unit] >= threshold
                removed[base + unit] = gone
                while inside < end and shingle_units[inside] <= unit:
                    if shingle_units[inside] == unit and update and not gone:
                        insert(bits, num_bits, num_hashes, seed, shingles[inside])
                        inserted += 1
                    inside += 1
                # crossing shingles that end before this paragraph survive; those that touch it go with it
                while crossing < end:
                    if shingle_units[crossing] >= 0:
                        crossing += 1
                    elif shingle_ends[crossing] < unit_starts[base + unit]:
                        if update:
                            insert(bits, num_bits, num_hashes, seed, shingles[crossing])
                            inserted += 1
                        crossing += 1
                    elif gone:
                        crossing += 1
                    else:
                        break
            for i in range(crossing, end):
                if shingle_units[i] < 0 and update:
                    insert(bits, num_bits, num_hashes, seed, shingles[i])
                    inserted += 1
        base += units
        place = end
    return removed, whole, contained, total, inserted


@compiled
def removed_spans(
    removed: Bools, whole: Bools, page_units: Int64s, unit_starts: Int64s, page_lengths: Int64s
) -> tuple[Int64s, Int64s]:
    """The spans of the units removed, one a unit or one for a whole page, and how many each page has."""
    spans = np.empty((removed.sum() + whole.sum(), 2), np.int64)
    page_spans = np.zeros(len(page_units), np.int64)
    unit, count = 0, 0
    for page in range(len(page_units)):
        if whole[page]:
            spans[count, 0], spans[count, 1] = 0, page_lengths[page]
            count += 1
            page_spans[page] = 1
        for i in range(page_units[page]):
            if removed[unit] and not whole[page]:
                spans[count, 0] = unit_starts[unit]
                spans[count, 1] = unit_starts[unit + 1] if i + 1 < page_units[page] else page_lengths[page]
                count += 1
                page_spans[page] += 1
            unit += 1
    return spans[:count].copy(), page_spans
