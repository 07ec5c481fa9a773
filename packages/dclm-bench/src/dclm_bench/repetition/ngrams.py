"""Repeated n-grams of words, as the official rules count them.

Words get numbers, equal words equal ones; and so do the n-grams that occur more than once, by the pair of
the number of their first n - 1 words and the number of the last word. Hence nothing is told by hash alone,
and an n-gram is looked at only where both (n - 1)-grams in it are repeated: most pages are done early.
"""

import numpy as np
import numpy.typing as npt

from dclm_bench.repetition.spans import first_equal, span_hashes, table_size
from dclm_bench.text.character_properties import ALPHANUMERIC
from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import mix
from dclm_bench.text.word_breaks import has_flag

CodePoints = npt.NDArray[np.uint32]
Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@compiled
def word_spans(codes: CodePoints, bounds: Places, index: Bytes, blocks: Bytes) -> tuple[Places, Places]:
    """int64 [words] starts and ends of the tokens that begin with a letter or a number.

    Source: official `split_words(text, ignore_punctuation=True, model="uniseg")`.
    """
    starts = np.empty(len(bounds) - 1, np.int64)
    ends = np.empty(len(bounds) - 1, np.int64)
    count = 0
    for token in range(len(bounds) - 1):
        if has_flag(codes[bounds[token]], ALPHANUMERIC, index, blocks):
            starts[count], ends[count] = bounds[token], bounds[token + 1]
            count += 1
    return starts[:count], ends[:count]


@compiled
def ngram_counts(
    codes: CodePoints, bounds: Places, longest: int, index: Bytes, blocks: Bytes
) -> tuple[int, int, Places, Places]:
    """How many code points of a text's words are in repeated n-grams, for each n up to `longest`.

    Args:
        codes: uint32 [codes].
        bounds: int64 [tokens + 1], `word_bounds(codes)`.
        longest: Largest n, at least 1.
        index: First part of `character_table()`.
        blocks: Second part of it.

    Returns:
        Number of words; code points in them; int64 [longest + 1], by n, code points in the most frequent
        n-gram (among equally frequent ones the longest) times its frequency; int64 [longest + 1], by n, code
        points in words that are part of any repeated n-gram. Both are 0 for an n without repetition.

    Source: official `repetition_filter` with a number as granularity.
    """
    starts, ends = word_spans(codes, bounds, index, blocks)
    words = first_equal(codes, starts, ends, span_hashes(codes, starts, ends))
    before = np.zeros(len(words) + 1, np.int64)
    for word in range(len(words)):
        before[word + 1] = before[word] + ends[word] - starts[word]
    in_top, in_repeated = np.zeros(longest + 1, np.int64), np.zeros(longest + 1, np.int64)
    numbers = words.copy()
    repeats = keep_repeated(numbers, 1, before, in_top, in_repeated)
    n = 2
    while n <= longest and repeats > 0:
        _lengthen(numbers, words, n, repeats)
        repeats = keep_repeated(numbers, n, before, in_top, in_repeated)
        n += 1
    return len(words), before[len(words)], in_top, in_repeated


@compiled
def keep_repeated(numbers: Places, n: int, before: Places, in_top: Places, in_repeated: Places) -> int:
    """How many n-grams are repeated; the others' numbers become -1, and the sums for this n are written.

    Args:
        numbers: int64 [words]: where an n-gram begins the first place that has the same one, or -1 for one
            that is known to be unique; from the last n-gram on anything.
        n: Words in an n-gram.
        before: int64 [words + 1], code points in the words before each.
        in_top: int64, by n, written to.
        in_repeated: int64, by n, written to.
    """
    length = max(0, len(numbers) - n + 1)
    counts = np.zeros(length, np.int64)
    for place in range(length):
        if numbers[place] >= 0:
            counts[numbers[place]] += 1
    repeats = most = longest = covered_to = 0
    for place in range(length):
        if numbers[place] < 0:
            continue
        count = counts[numbers[place]]
        if count == 1:
            numbers[place] = -1
            continue
        repeats += 1
        size = before[place + n] - before[place]
        if count > most or (count == most and size > longest):
            most, longest = count, size
        in_repeated[n] += before[place + n] - before[max(place, covered_to)]
        covered_to = place + n
    in_top[n] = most * longest
    return repeats


@compiled
def _lengthen(numbers: Places, words: Places, n: int, entries: int) -> None:
    """Replace the numbers of repeated (n - 1)-grams by those of the n-grams that begin there."""
    size = table_size(entries)
    mask = np.uint64(size - 1)
    slots = np.full(size, -1, np.int64)
    keys = np.empty(size, np.uint64)
    for place in range(len(numbers) - n + 1):
        if numbers[place] < 0 or numbers[place + 1] < 0:
            numbers[place] = -1
            continue
        # Both are below 2^32, for a text has fewer code points.
        key = (np.uint64(numbers[place]) << np.uint64(32)) | np.uint64(words[place + n - 1])
        slot = np.int64(mix(key) & mask)
        while slots[slot] >= 0 and keys[slot] != key:
            slot = (slot + 1) & np.int64(mask)
        if slots[slot] < 0:
            slots[slot] = place
            keys[slot] = key
        numbers[place] = slots[slot]
