"""The n-grams ("shingles") of many texts at once, as 64-bit hashes.

The texts are joined with a line feed between each two, so that all of them are cut into words in one call; a
word never crosses a line feed, hence each text has the words that it has alone. Tokens are those of UAX #29
without those that are white space throughout. A unit (a paragraph, a page) of at least `max_ngram` tokens has
all its n-grams of that size; a shorter one of at least `min_ngram` tokens has one, of all its tokens; one
that is shorter still has none.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dclm_bench.text.code_points import code_points
from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import hash_span, ngram_hashes
from dclm_bench.text.word_breaks import word_bounds

Int64s = npt.NDArray[np.int64]
UInt64s = npt.NDArray[np.uint64]
CodePoints = npt.NDArray[np.uint32]

LINE_FEED = 10


@dataclass(frozen=True)
class Tokens:
    """The tokens of some texts, one text after the other.

    Attributes:
        codes: uint32 [codes], the texts with a line feed between each two.
        text_starts: int64 [texts + 1], where each begins in `codes`; the last entry is where another would.
        starts: int64 [tokens], where each token begins in `codes`.
        ends: int64 [tokens], where each ends.
        hashes: uint64 [tokens].
    """

    codes: CodePoints
    text_starts: Int64s
    starts: Int64s
    ends: Int64s
    hashes: UInt64s

    def lengths(self) -> Int64s:
        """int64 [texts]: code points of each text."""
        return np.diff(self.text_starts) - 1


def tokens_of(texts: Sequence[str]) -> Tokens:
    """The tokens of the texts that are more than white space.

    Source: official `dedup/bff`, `tokenize`: word bounds of UAX #29, and a token is left out where every
    character is white space in Unicode's sense.
    """
    codes = code_points("\n".join(texts))
    lengths = np.fromiter((len(text) for text in texts), np.int64, len(texts))
    text_starts = np.zeros(len(texts) + 1, np.int64)
    np.cumsum(lengths + 1, out=text_starts[1:])
    starts, ends, hashes = _solid_tokens(codes, word_bounds(codes))
    return Tokens(codes, text_starts, starts, ends, hashes)


def paragraph_starts(tokens: Tokens) -> tuple[Int64s, Int64s]:
    """Where paragraphs begin in the joined texts, and how many each text has.

    A paragraph is what lies between line feeds, and the line feed belongs to the paragraph after it; so a
    text has one more paragraph than line feeds, and an empty text one that is empty.

    Returns:
        int64 [paragraphs + 1] starts, the last entry being where another would begin, and int64 [texts].

    Source: official `dedup/bff`, ``match_indices` of the line feed`.
    """
    starts, counts = _paragraph_starts(tokens.codes, tokens.text_starts)
    return starts, counts


def unit_shingles(
    tokens: Tokens, unit_starts: Int64s, min_ngram: int, max_ngram: int
) -> tuple[UInt64s, Int64s]:
    """The shingles of each unit.

    Args:
        tokens: Of the texts.
        unit_starts: int64 [units + 1], ascending, in the joined texts.
        min_ngram: Fewest tokens of a unit that has a shingle.
        max_ngram: Tokens of a shingle.

    Returns:
        uint64 [shingles], and int64 [units] how many each has.
    """
    first = np.searchsorted(tokens.starts, unit_starts)
    whole = ngram_hashes(tokens.hashes, max_ngram)
    shingles, counts = _unit_shingles(tokens.hashes, whole, first, min_ngram, max_ngram)
    return shingles, counts


def text_hashes(tokens: Tokens) -> UInt64s:
    """uint64 [texts]: a hash of each text as it stands."""
    hashes: UInt64s = _text_hashes(tokens.codes, tokens.text_starts)
    return hashes


@compiled
def is_white(code: int) -> bool:
    """Whether a code point has Unicode's property White_Space; U+001C to U+001F, unlike for Python, have not.

    Source: Unicode Character Database 16.0.0, PropList.txt; Rust's `char::is_whitespace`.
    """
    if code < 128:
        return code == 32 or 9 <= code <= 13
    return code in (0x85, 0xA0, 0x1680, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000) or 0x2000 <= code <= 0x200A


WHITE_SPACE = (
    "\t\n\v\f\r \x85\xa0\u1680" + "".join(map(chr, range(0x2000, 0x200B))) + "\u2028\u2029\u202f\u205f\u3000"
)
"""The characters for which `is_white` holds."""


@compiled
def _solid_tokens(codes: CodePoints, bounds: Int64s) -> tuple[Int64s, Int64s, UInt64s]:
    starts = np.empty(len(bounds) - 1, np.int64)
    ends = np.empty(len(bounds) - 1, np.int64)
    hashes = np.empty(len(bounds) - 1, np.uint64)
    count = 0
    for token in range(len(bounds) - 1):
        start, end = bounds[token], bounds[token + 1]
        for place in range(start, end):
            if not is_white(int(codes[place])):
                starts[count] = start
                ends[count] = end
                hashes[count] = hash_span(codes, start, end)
                count += 1
                break
    return starts[:count].copy(), ends[:count].copy(), hashes[:count].copy()


@compiled
def _paragraph_starts(codes: CodePoints, text_starts: Int64s) -> tuple[Int64s, Int64s]:
    num_texts = len(text_starts) - 1
    counts = np.ones(num_texts, np.int64)
    total = num_texts
    for text in range(num_texts):
        for place in range(text_starts[text], text_starts[text + 1] - 1):
            if codes[place] == LINE_FEED:
                counts[text] += 1
                total += 1
    starts = np.empty(total + 1, np.int64)
    count = 0
    for text in range(num_texts):
        starts[count] = text_starts[text]
        count += 1
        for place in range(text_starts[text], text_starts[text + 1] - 1):
            if codes[place] == LINE_FEED:
                starts[count] = place
                count += 1
    starts[count] = text_starts[num_texts]
    return starts, counts


@compiled
def _unit_shingles(
    hashes: UInt64s, whole: UInt64s, first: Int64s, min_ngram: int, max_ngram: int
) -> tuple[UInt64s, Int64s]:
    num_units = len(first) - 1
    counts = np.zeros(num_units, np.int64)
    total = 0
    for unit in range(num_units):
        num_tokens = first[unit + 1] - first[unit]
        if num_tokens >= max_ngram:
            counts[unit] = num_tokens - max_ngram + 1
        elif num_tokens >= min_ngram:
            counts[unit] = 1
        total += counts[unit]
    shingles = np.empty(total, np.uint64)
    place = 0
    for unit in range(num_units):
        start, end = first[unit], first[unit + 1]
        if end - start >= max_ngram:
            for token in range(start, end - max_ngram + 1):
                shingles[place] = whole[token]
                place += 1
        elif end - start >= min_ngram:
            shingles[place] = ngram_hashes(hashes[start:end], end - start)[0]
            place += 1
    return shingles, counts


@compiled
def _text_hashes(codes: CodePoints, text_starts: Int64s) -> UInt64s:
    hashes = np.empty(len(text_starts) - 1, np.uint64)
    for text in range(len(hashes)):
        hashes[text] = hash_span(codes, text_starts[text], text_starts[text + 1] - 1)
    return hashes
