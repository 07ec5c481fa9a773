"""The repetition rules as datatrove 0.10 counts them (`GopherRepetitionFilter`).

What differs from the official rules: only the second and later occurrences count; lines and paragraphs are
not stripped; all denominators are the whole text; words are spaCy's, signs among them; of the most frequent
n-grams the first one counts, even if it occurs once; a repeated n-gram is searched for after the end of the
last one found, and is compared as a string without blanks between its words.
"""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dclm_bench.repetition.fractions import (
    ALWAYS_DROPPED,
    DUPLICATE_NGRAMS,
    FRACTIONS,
    NOT_APPLICABLE,
    TOP_NGRAMS,
    RepetitionFractions,
)
from dclm_bench.repetition.spans import first_equal, occurrences, same_codes, span_hashes, table_size
from dclm_bench.text.code_points import code_points
from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import mix

CodePoints = npt.NDArray[np.uint32]
Places = npt.NDArray[np.int64]
Hashes = npt.NDArray[np.uint64]

_NEWLINE = 10
_ROLL = np.uint64(0xD1342543DE82EF95)


def datatrove_repetition_fractions(text: str, words: Sequence[str]) -> RepetitionFractions:
    """The fractions of a text by datatrove's rules; those of n-grams longer than the text are 0 or NaN.

    Args:
        text: The text; an empty one has infinite fractions (datatrove fails on it).
        words: Its words, none of them empty; datatrove takes those of spaCy's English tokenizer, stripped.

    Source: datatrove 0.10.0, `GopherRepetitionFilter.filter`.
    """
    if not text:
        return RepetitionFractions(*[ALWAYS_DROPPED] * len(FRACTIONS))
    paragraphs, paragraph_repeats, paragraph_characters = line_repeats(code_points(text.strip()), 2)
    lines, repeats, line_characters = line_repeats(code_points(text), 1)
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    in_top = top_ngram_codes(code_points(" ".join(words)), lengths, np.array(TOP_NGRAMS))
    in_repeats = repeated_ngram_codes(code_points("".join(words)), lengths, np.array(DUPLICATE_NGRAMS))
    return RepetitionFractions(
        repeats / lines,
        paragraph_repeats / paragraphs,
        line_characters / len(text),
        paragraph_characters / len(text),
        *(
            found / len(text) if len(words) >= n else NOT_APPLICABLE
            for n, found in zip(TOP_NGRAMS, in_top.tolist(), strict=True)
        ),
        *(found / len(text) for found in in_repeats.tolist()),
    )


@compiled
def line_repeats(codes: CodePoints, newlines: int) -> tuple[int, int, int]:
    """Lines of a text, how many of them were there before, and the code points in these.

    Lines lie between runs of at least `newlines` newlines; empty ones at either end count.

    Source: datatrove 0.10.0, `find_duplicates`.
    """
    starts, ends = np.empty(len(codes) + 1, np.int64), np.empty(len(codes) + 1, np.int64)
    count = place = 0
    starts[0] = 0
    while place < len(codes):
        after = place
        while after < len(codes) and codes[after] == _NEWLINE:
            after += 1
        if after - place >= newlines:
            ends[count] = place
            count += 1
            starts[count] = after
        place = max(after, place + 1)
    ends[count] = len(codes)
    count += 1
    starts, ends = starts[:count], ends[:count]
    first = first_equal(codes, starts, ends, span_hashes(codes, starts, ends))
    repeats = codes_in_repeats = 0
    for line in range(count):
        if first[line] != line:
            repeats += 1
            codes_in_repeats += ends[line] - starts[line]
    return count, repeats, codes_in_repeats


@compiled
def top_ngram_codes(codes: CodePoints, lengths: Places, sizes: Places) -> Places:
    """int64 [sizes]: the length of the most frequent n-gram times its frequency; 0 if there is no n-gram.

    Args:
        codes: The words with one blank after each but the last.
        lengths: int64 [words], code points of each word.
        sizes: int64 [sizes], the n.

    Source: datatrove 0.10.0, `find_top_duplicate`; of equally frequent ones the first.
    """
    found = np.zeros(len(sizes), np.int64)
    starts = np.zeros(len(lengths) + 1, np.int64)
    for word in range(len(lengths)):
        starts[word + 1] = starts[word] + lengths[word] + 1
    prefixes, powers = _prefix_hashes(codes)
    for number in range(len(sizes)):
        n = sizes[number]
        if n > len(lengths):
            continue
        begins, ends = starts[: len(lengths) - n + 1], starts[n:] - 1
        hashes = np.empty(len(begins), np.uint64)
        for place in range(len(begins)):
            hashes[place] = _hash_between(prefixes, powers, begins[place], ends[place])
        counts = occurrences(first_equal(codes, begins, ends, hashes))
        best = np.argmax(counts)
        found[number] = counts[best] * (ends[best] - begins[best])
    return found


@compiled
def repeated_ngram_codes(codes: CodePoints, lengths: Places, sizes: Places) -> Places:
    """int64 [sizes]: code points in n-grams that were there before, none of which overlap.

    Args:
        codes: The words one after the other.
        lengths: int64 [words], code points of each word.
        sizes: int64 [sizes], the n.

    Source: datatrove 0.10.0, `find_all_duplicate`.
    """
    found = np.zeros(len(sizes), np.int64)
    starts = np.zeros(len(lengths) + 1, np.int64)
    for word in range(len(lengths)):
        starts[word + 1] = starts[word] + lengths[word]
    prefixes, powers = _prefix_hashes(codes)
    mask = table_size(len(lengths)) - 1
    hashes = np.empty(len(lengths), np.uint64)
    for number in range(len(sizes)):
        n = sizes[number]
        slots = np.full(mask + 1, -1, np.int64)
        place = 0
        while place < len(lengths) - n + 1:
            start, end = starts[place], starts[place + n]
            hashes[place] = _hash_between(prefixes, powers, start, end)
            slot = np.int64(hashes[place] & np.uint64(mask))
            while slots[slot] >= 0:
                known = slots[slot]
                if hashes[known] == hashes[place] and same_codes(
                    codes, starts[known], starts[known + n], start, end
                ):
                    break
                slot = (slot + 1) & mask
            if slots[slot] < 0:
                slots[slot] = place
                place += 1
            else:
                found[number] += end - start
                place += n
    return found


@compiled
def _prefix_hashes(codes: CodePoints) -> tuple[Hashes, Hashes]:
    """uint64 [codes + 1] polynomial hashes of all beginnings, and the powers of their multiplier."""
    prefixes, powers = np.zeros(len(codes) + 1, np.uint64), np.ones(len(codes) + 1, np.uint64)
    for place in range(len(codes)):
        prefixes[place + 1] = prefixes[place] * _ROLL + np.uint64(codes[place])
        powers[place + 1] = powers[place] * _ROLL
    return prefixes, powers


@compiled
def _hash_between(prefixes: Hashes, powers: Hashes, start: int, end: int) -> np.uint64:
    return mix(prefixes[end] - prefixes[start] * powers[end - start])
