"""BFF's mode "substring": runs of tokens that were seen, with small gaps bridged, are cut out."""

import numpy as np
import numpy.typing as npt

from dclm_bench.dedup.bloom_filter import contains, insert
from dclm_bench.text.compiled import compiled

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]


@compiled
def seen_intervals(found: npt.NDArray[np.bool_], ngram: int) -> Int64s:
    """int64 [intervals, 2]: the token intervals that the shingles found cover, disjoint and ascending."""
    intervals = np.empty((len(found), 2), np.int64)
    count = 0
    for place in range(len(found)):
        if not found[place]:
            continue
        if count and intervals[count - 1, 1] >= place:
            intervals[count - 1, 1] = place + ngram
        else:
            intervals[count, 0], intervals[count, 1] = place, place + ngram
            count += 1
    return intervals[:count].copy()


@compiled
def bridged(intervals: Int64s, threshold: float, forward: bool) -> Int64s:
    """Intervals joined with their neighbour where the seen share of the whole stays at `threshold` or above.

    Args:
        intervals: int64 [intervals, 2], disjoint and ascending.
        threshold: Smallest share.
        forward: From the first to the last; else from the last to the first, and so is the output.

    Returns:
        int64 [joined, 2].

    Source: official `fuzzy_sandwich_intervals`.
    """
    joined = np.empty((len(intervals), 2), np.int64)
    count, seen = 0, 0
    for i in range(len(intervals)):
        place = i if forward else len(intervals) - 1 - i
        start, end = intervals[place, 0], intervals[place, 1]
        if count:
            low, high = min(start, joined[count - 1, 0]), max(end, joined[count - 1, 1])
            both = seen + end - start
            if both >= (high - low) * threshold:
                joined[count - 1, 0], joined[count - 1, 1] = low, high
                seen = both
                continue
        joined[count, 0], joined[count, 1] = start, end
        seen = end - start
        count += 1
    return joined[:count].copy()


@compiled
def united(first: Int64s, second: Int64s) -> Int64s:
    """The union of two lists of intervals, which are merged as two ascending lists.

    A list that is not ascending loses intervals that begin before the last one that was taken: so does the
    official code with the backward list.

    Source: official `merge_sorted_interval_pair` and `merge_intervals`.
    """
    merged = np.empty((len(first) + len(second), 2), np.int64)
    count, i, j = 0, 0, 0
    while i < len(first) or j < len(second):
        from_first = j >= len(second)
        if i < len(first) and j < len(second):
            from_first = first[i, 0] < second[j, 0] or (
                first[i, 0] == second[j, 0] and first[i, 1] <= second[j, 1]
            )
        if from_first:
            start, end = first[i, 0], first[i, 1]
            i += 1
        else:
            start, end = second[j, 0], second[j, 1]
            j += 1
        if count and merged[count - 1, 1] >= start:
            merged[count - 1, 1] = max(end, merged[count - 1, 1])
        else:
            merged[count, 0], merged[count, 1] = start, end
            count += 1
    return merged[:count].copy()


@compiled
def removed_intervals(
    found: npt.NDArray[np.bool_], ngram: int, fewest: int, threshold: float, fixed: bool
) -> Int64s:
    """int64 [intervals, 2]: the token intervals of a page that are cut out.

    Args:
        found: bool [shingles], which shingles of the page were seen; shingle i has the tokens i .. i +
            ngram - 1.
        ngram: Tokens of a shingle.
        fewest: Fewest tokens that are cut out.
        threshold: As in `bridged`; 1 or more bridges nothing.
        fixed: Whether the backward list is put in order before it is merged.
    """
    intervals = seen_intervals(found, ngram)
    if threshold < 1.0 and len(intervals) > 1:
        backward = bridged(intervals, threshold, False)
        if fixed:
            backward = backward[::-1].copy()
        intervals = united(bridged(intervals, threshold, True), backward)
    kept = np.empty_like(intervals)
    count = 0
    for i in range(len(intervals)):
        if intervals[i, 1] - intervals[i, 0] >= fewest:
            kept[count] = intervals[i]
            count += 1
    return kept[:count].copy()


@compiled
def substring_pass(
    bits: UInt64s,
    num_bits: np.uint64,
    num_hashes: int,
    seed: np.uint64,
    shingles: UInt64s,
    counts: Int64s,
    token_starts: Int64s,
    page_tokens: Int64s,
    page_lengths: Int64s,
    ngram: int,
    fewest: int,
    threshold: float,
    update: bool,
    fixed: bool,
) -> tuple[Int64s, Int64s, Int64s, int]:
    """Each page is looked up, its spans found, and the shingles that lie in the rest inserted.

    Returns:
        int64 [spans, 2] in code points of the page, int64 [pages] spans, int64 [pages] shingles found, and
        the number of insertions.

    Source: official `process_line_substring`.
    """
    spans = np.empty((len(shingles), 2), np.int64)
    page_spans, contained = np.zeros(len(counts), np.int64), np.zeros(len(counts), np.int64)
    place, token, count, inserted = 0, 0, 0, 0
    for page in range(len(counts)):
        keys = shingles[place : place + counts[page]]
        starts = token_starts[token : token + page_tokens[page]]
        found = np.zeros(len(keys), np.bool_)
        for i in range(len(keys)):
            found[i] = contains(bits, num_bits, num_hashes, seed, keys[i])
            contained[page] += found[i]
        intervals = removed_intervals(found, ngram, fewest, threshold, fixed)
        begin = 0
        for i in range(len(intervals) + 1):
            end = intervals[i, 0] if i < len(intervals) else len(starts)
            if update:
                for shingle in range(begin, end - ngram + 1):
                    insert(bits, num_bits, num_hashes, seed, keys[shingle])
                    inserted += 1
            if i < len(intervals):
                begin = intervals[i, 1]
                spans[count, 0] = starts[end]
                spans[count, 1] = starts[begin] if begin < len(starts) else page_lengths[page]
                count += 1
                page_spans[page] += 1
        place += counts[page]
        token += page_tokens[page]
    return spans[:count].copy(), page_spans, contained, inserted
