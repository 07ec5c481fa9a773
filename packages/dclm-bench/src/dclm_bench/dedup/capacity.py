"""Whether a Bloom filter is large enough for the n-grams of a corpus, and what its errors cost.

A filter that is sized by documents instead of n-grams, or for a smaller pool, errs far more often than asked
for, and nothing in its output shows it. So the n-grams are counted or predicted before, the fill is looked at
after every shard, and the pages and paragraphs that false positives alone would remove are computed.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from dclm_bench.dedup.bloom_filter import BloomFilter, filter_bytes

Int64s = npt.NDArray[np.int64]

TOLERANCE = 1.05
"""By which factor the rate may pass its target before a filter is refused."""
SPREAD_TOLERANCE = 4.0
"""By how many standard deviations besides: bits fall at random, which tells in filters of a few bytes."""

# Two-sided 95 % of the normal distribution.
_Z95 = 1.96


@dataclass(frozen=True)
class NgramCount:
    """How many n-grams a corpus has, predicted from some of its pages; repeats are counted.

    Attributes:
        expected: The best guess.
        low: Lower end of the 95 % interval.
        high: Upper end of it; what a filter should be made for.
    """

    expected: int
    low: int
    high: int


@dataclass(frozen=True)
class FilterReport:
    """The state of a filter after a run, and what its false positives cost.

    Attributes:
        num_ngrams: N-grams that were looked up.
        num_inserted: N-grams that were inserted, repeats counted.
        size_in_bytes: Of the bits.
        num_hashes: Positions an n-gram.
        fill_ratio: Fraction of bits set.
        fp_rate: Rate of false positives that follows from it.
        target: The rate asked for.
        false_units: Expected number of paragraphs (or pages, where they are the unit) that would be removed
            had no n-gram been seen before, at the final rate: an upper bound for a filter that was filled
            on the way.
        false_pages: The same for whole pages.
    """

    num_ngrams: int
    num_inserted: int
    size_in_bytes: int
    num_hashes: int
    fill_ratio: float
    fp_rate: float
    target: float
    false_units: float
    false_pages: float

    def __str__(self) -> str:
        """One line for a log."""
        return (
            f"Bloom filter of {self.size_in_bytes:,} bytes, {self.num_hashes} hashes: {self.num_ngrams:,} "
            f"n-grams looked up, {self.num_inserted:,} inserted, fill ratio {self.fill_ratio:.3f}, false "
            f"positives {self.fp_rate:.2g} (target {self.target:.2g}), which alone would remove at most "
            f"{self.false_units:.1f} units and {self.false_pages:.2g} pages"
        )


def predict_ngrams(page_ngrams: npt.ArrayLike, num_pages: int) -> NgramCount:
    """The n-grams of `num_pages` pages, from the counts of some that were drawn at random.

    Args:
        page_ngrams: [sample] n-grams of each page of the sample, at least 2 pages.
        num_pages: Pages of the corpus.

    Raises:
        InputError: the sample has fewer than two pages.
    """
    counts = np.asarray(page_ngrams, np.float64)
    if len(counts) < 2:
        raise InputError(f"sample: has {len(counts)} pages; give at least 2 to predict from")
    # what is in the sample is known, only the other pages vary
    rest = max(0, num_pages - len(counts))
    spread = counts.std(ddof=1) * math.sqrt(rest + rest * rest / len(counts))
    expected = counts.sum() + rest * counts.mean()
    low, high = max(counts.sum(), expected - _Z95 * spread), expected + _Z95 * spread
    return NgramCount(round(expected), math.floor(low), math.ceil(high))


def require_capacity(bloom: BloomFilter, target: float, where: str, num_ngrams: int) -> None:
    """Refuse a filter whose rate of false positives has passed `target`.

    Args:
        bloom: As filled so far.
        target: Rate asked for.
        where: Begins the message.
        num_ngrams: For how many n-grams a filter should be made instead.

    Raises:
        InputError: it has; the message says how large the filter has to be.
    """
    fill = bloom.fill_ratio
    # of fill ** k, relative: k times that of the fill ratio, whose variance is at most that of free bits
    deviation = bloom.num_hashes * math.sqrt((1 - fill) / (max(fill, 1e-9) * bloom.num_bits))
    if bloom.fp_rate <= target * (TOLERANCE + SPREAD_TOLERANCE * deviation):
        return
    raise InputError(
        f"{where}: the Bloom filter is too small: its false-positive rate is {bloom.fp_rate:.3g} after "
        f"{bloom.num_inserted} insertions, above {target:g}; set expected_ngram_count to {num_ngrams} "
        f"({filter_bytes(max(num_ngrams, 1), target)} bytes) or leave it out to have n-grams counted"
    )


def false_removals(unit_ngrams: Int64s, fp_rate: float, threshold: float) -> float:
    """The expected number of units removed though none of their n-grams was seen before.

    A unit of n shingles is removed where more than `threshold` n of them are false positives, which has a
    binomial probability. At n = 1 it is the rate itself: short paragraphs bear nearly all of the cost.

    Args:
        unit_ngrams: int64 [units], shingles of each.
        fp_rate: Of one shingle.
        threshold: Fraction above which a unit is removed.
    """
    from scipy.stats import binom

    sizes, times = np.unique(unit_ngrams[unit_ngrams > 0], return_counts=True)
    if len(sizes) == 0:
        return 0.0
    kept = np.floor(threshold * sizes).astype(np.int64)
    # the largest count whose fraction, in the arithmetic of the verdict, does not exceed the threshold
    kept += (kept + 1) / sizes <= threshold
    kept -= kept / sizes > threshold
    return float((times * binom.sf(kept, sizes, fp_rate)).sum())


def report_filter(
    bloom: BloomFilter,
    target: float,
    threshold: float,
    unit_ngrams: Sequence[Int64s],
    page_ngrams: Sequence[Int64s],
) -> FilterReport:
    """The report of a run, from the shingles that each unit and each page had.

    Args:
        bloom: After the run.
        target: The rate asked for.
        threshold: Fraction of shingles above which a unit or a page was removed.
        unit_ngrams: Shard by shard int64 [units].
        page_ngrams: Shard by shard int64 [pages].
    """
    rate = bloom.fp_rate
    return FilterReport(
        num_ngrams=sum(int(counts.sum()) for counts in page_ngrams),
        num_inserted=bloom.num_inserted,
        size_in_bytes=bloom.num_bits // 8,
        num_hashes=bloom.num_hashes,
        fill_ratio=bloom.fill_ratio,
        fp_rate=rate,
        target=target,
        false_units=sum(false_removals(counts, rate, threshold) for counts in unit_ngrams),
        false_pages=sum(false_removals(counts, rate, threshold) for counts in page_ngrams),
    )
