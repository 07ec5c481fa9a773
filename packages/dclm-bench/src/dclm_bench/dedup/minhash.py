"""MinHash signatures of many texts at once, and the keys of their bands.

A hash function is `(x ^ b) a mod 2^32` with an odd a: a permutation of the 32-bit words, so two different
shingles never tie, and nothing wraps that should not. The shingles x are the lower halves of mixed 64-bit
hashes, hence random, and for a random set the smallest value under such a permutation is each element with
the same probability: the share of equal minima has the Jaccard similarity as its mean and, as a test
measures, the variance of independent draws. 32 bits give twice the lanes of 64 in a vector; two unrelated
pages of 500 shingles agree in one minimum by accident with a probability of 1e-7.

Source: Broder, "On the resemblance and containment of documents" (1997); arXiv 2406.11794, appendix on
deduplication (93 bands of 15 rows, where RefinedWeb has 450 of 20). Word 5-grams are unconfirmed: the paper
and its code do not tell the size for this arm.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream

from dclm_bench.dedup.shingles import tokens_of, unit_shingles
from dclm_bench.text.compiled import compiled
from dclm_bench.text.hashes import mix

Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]
UInt64s = npt.NDArray[np.uint64]

_HIGHEST = np.uint32(0xFFFFFFFF)
_ROLL = np.uint64(0xD1342543DE82EF95)


@dataclass(frozen=True)
class MinHashOptions:
    """What a signature is made of.

    Attributes:
        bands: Bands; two pages are candidates where they agree in all rows of one of them.
        rows: Hash functions a band.
        ngram: Tokens of a shingle; a page with fewer has one shingle, of all its tokens.
        seed: Of the hash functions.
        lowercase: Whether texts are lower-cased first.
    """

    bands: int = 93
    rows: int = 15
    ngram: int = 5
    seed: int = 0
    lowercase: bool = False

    @property
    def num_hashes(self) -> int:
        """Hash functions of a signature."""
        return self.bands * self.rows


PRESETS = {
    "dclm": MinHashOptions(93, 15),
    "fineweb": MinHashOptions(14, 8),
    "refinedweb": MinHashOptions(450, 20),
}


@lru_cache(maxsize=8)
def hash_functions(num_hashes: int, seed: int) -> tuple[UInt32s, UInt32s]:
    """The multipliers, which are odd, and the masks: uint32 [num_hashes] each."""
    drawn = stream(seed, "minhash functions").integers(0, 1 << 32, (num_hashes, 2), dtype=np.uint32)
    return np.ascontiguousarray(drawn[:, 0] | np.uint32(1)), np.ascontiguousarray(drawn[:, 1])


def page_shingles(texts: Sequence[str], options: MinHashOptions) -> tuple[UInt32s, Int64s]:
    """The shingles of all pages, uint32 [shingles], and how many each has, int64 [pages].

    Tokens are those of BFF: words and signs by UAX #29, without white space.
    """
    tokens = tokens_of([text.lower() for text in texts] if options.lowercase else texts)
    shingles, counts = unit_shingles(tokens, tokens.text_starts, 1, options.ngram)
    return shingles.astype(np.uint32), counts


def signatures(texts: Sequence[str], options: MinHashOptions) -> tuple[UInt32s, Int64s]:
    """The signature of each text, uint32 [texts, bands * rows], and its shingles, int64 [texts].

    A text without a token has the signature of nothing, which is the highest value throughout; no two such
    texts are to be taken for copies.
    """
    shingles, counts = page_shingles(texts, options)
    return signatures_of(shingles, counts, options), counts


def signatures_of(shingles: UInt32s, counts: Int64s, options: MinHashOptions) -> UInt32s:
    """The signatures of pages of which the shingles are given, uint32 [pages, bands * rows]."""
    multipliers, masks = hash_functions(options.num_hashes, options.seed)
    found = np.empty((len(counts), options.num_hashes), np.uint32)
    _fill_signatures(shingles, counts, multipliers, masks, found)
    return found


def band_keys(found: UInt32s, bands: int) -> UInt64s:
    """One key a band, uint64 [pages, bands]: equal where all its rows are, and hardly ever else."""
    keys: UInt64s = _band_keys(found, bands)
    return keys


@compiled
def _fill_signatures(
    shingles: UInt32s, counts: Int64s, multipliers: UInt32s, masks: UInt32s, found: UInt32s
) -> None:
    start = 0
    for page in range(len(counts)):
        keys = shingles[start : start + counts[page]]
        start += counts[page]
        # The loop over shingles is inside: it becomes a vector loop with both constants in registers.
        for j in range(len(multipliers)):
            multiplier, mask = multipliers[j], masks[j]
            smallest = _HIGHEST
            for i in range(len(keys)):
                smallest = min(smallest, np.uint32((keys[i] ^ mask) * multiplier))
            found[page, j] = smallest


@compiled
def _band_keys(found: UInt32s, bands: int) -> UInt64s:
    rows = found.shape[1] // bands
    keys = np.empty((len(found), bands), np.uint64)
    for page in range(len(found)):
        for band in range(bands):
            value = np.uint64(band)
            for row in range(rows):
                value = mix(value * _ROLL + np.uint64(found[page, band * rows + row]))
            keys[page, band] = value
    return keys
