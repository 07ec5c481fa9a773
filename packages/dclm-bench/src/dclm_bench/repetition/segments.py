"""Repeated lines and paragraphs, as the official rules count them."""

import numpy as np
import numpy.typing as npt

from dclm_bench.repetition.spans import first_equal, occurrences, span_hashes
from dclm_bench.text.character_properties import SPACE
from dclm_bench.text.compiled import compiled
from dclm_bench.text.word_breaks import has_flag

CodePoints = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

_NEWLINE = 10


@compiled
def segment_counts(
    codes: CodePoints, separator_length: int, index: Bytes, blocks: Bytes
) -> tuple[int, int, int, int]:
    """Segments and repeated segments of a text, and the code points in each of the two.

    Segments are what lies between separators, stripped of white space, unless nothing is left. All of equal
    segments count as repeated, the first one included.

    Args:
        codes: uint32 [codes].
        separator_length: In newlines: 1 for lines, 2 for paragraphs.
        index: First part of `character_table()`.
        blocks: Second part of it.

    Returns:
        Number of segments, of repeated ones, code points in all, in the repeated ones.

    Source: official `split_paragraphs` and `repetition_filter` with granularity "line" or "paragraph".
    """
    starts, ends = stripped_segments(codes, separator_length, index, blocks)
    counts = occurrences(first_equal(codes, starts, ends, span_hashes(codes, starts, ends)))
    repeated = codes_in_all = codes_in_repeated = 0
    for segment in range(len(starts)):
        length = ends[segment] - starts[segment]
        codes_in_all += length
        if counts[segment] > 1:
            repeated += counts[segment]
            codes_in_repeated += counts[segment] * length
    return len(starts), repeated, codes_in_all, codes_in_repeated


@compiled
def stripped_segments(
    codes: CodePoints, separator_length: int, index: Bytes, blocks: Bytes
) -> tuple[Places, Places]:
    """int64 [segments] starts and ends of the segments, without white space around them; no empty ones."""
    starts = np.empty(len(codes) // (separator_length + 1) + 1, np.int64)
    ends = np.empty(len(starts), np.int64)
    count = start = place = 0
    while place <= len(codes):
        if place < len(codes) and not _is_separator(codes, place, separator_length):
            place += 1
            continue
        left, right = start, place
        while left < right and has_flag(codes[left], SPACE, index, blocks):
            left += 1
        while right > left and has_flag(codes[right - 1], SPACE, index, blocks):
            right -= 1
        if right > left:
            starts[count], ends[count] = left, right
            count += 1
        place += separator_length
        start = place
    return starts[:count], ends[:count]


@compiled
def _is_separator(codes: CodePoints, place: int, length: int) -> bool:
    if codes[place] != _NEWLINE:
        return False
    return length == 1 or (place + 1 < len(codes) and codes[place + 1] == _NEWLINE)
