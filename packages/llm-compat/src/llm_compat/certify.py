"""The release gate: is the negative flip rate below a limit, how surely, and how many items it takes."""

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats

from llm_compat.intervals import upper_bound

MOST_ITEMS = 10**12


class Certificate(NamedTuple):
    """What a gate found.

    Attributes:
        flips: Negative flips seen.
        items: Items.
        max_rate: The limit.
        confidence: One-sided.
        bound: Exact upper confidence bound of the true rate.
        certified: Whether the bound is at most the limit.
        items_needed: Items at which the rate seen would be certified; None when it is not below the limit.
        items_for_power: Items at which a new set with the same true rate passes in 80 % of cases, or None.
    """

    flips: int
    items: int
    max_rate: float
    confidence: float
    bound: float
    certified: bool
    items_needed: int | None
    items_for_power: int | None


def certify_rate(flips: int, items: int, max_rate: float, confidence: float = 0.95) -> Certificate:
    """Whether the true rate is shown to be at most `max_rate`, by the exact one-sided bound.

    Raises:
        ValueError: `max_rate` or `confidence` is not between 0 and 1, or `items` is 0.
    """
    if not 0 < max_rate < 1 or not 0 < confidence < 1:
        raise ValueError("max_rate and confidence lie between 0 and 1")
    if items <= 0 or not 0 <= flips <= items:
        raise ValueError(f"{flips} flips of {items} items are no rate")
    bound = upper_bound(flips, items, confidence)
    rate = flips / items
    return Certificate(
        flips=flips,
        items=items,
        max_rate=max_rate,
        confidence=confidence,
        bound=bound,
        certified=bound <= max_rate,
        items_needed=items_needed(rate, max_rate, confidence),
        items_for_power=items_for_power(rate, max_rate, confidence),
    )


def items_needed(rate: float, max_rate: float, confidence: float = 0.95) -> int | None:
    """The smallest number of items at which the rate, rounded up to whole flips, is certified.

    None when `rate` is not below `max_rate`, or so near that over 10^12 items would be needed.
    """
    # With a count that need not be whole the bound falls steadily; rounding the count up only raises it.
    start = _first(lambda items: _bound(rate * items, items, confidence) <= max_rate, rate, max_rate)
    if start is None:
        return None
    while True:  # a whole flip more comes every 1 / rate items, so the search ends within a few of these
        items = np.arange(start, start + 4096)
        good = np.flatnonzero(_bound(np.ceil(rate * items - 1e-9), items, confidence) <= max_rate)
        if len(good):
            return int(items[good[0]])
        start += len(items)


def items_for_power(rate: float, max_rate: float, confidence: float = 0.95, power: float = 0.8) -> int | None:
    """A number of items at which a model with this true rate passes with probability `power`.

    The probability rises in a saw-tooth, and the number is where one of its last teeth passes. None as in
    `items_needed`.
    """

    def passes(items: int) -> bool:
        allowed = most_flips(items, max_rate, confidence)
        return allowed >= 0 and float(stats.binom.cdf(allowed, items, rate)) >= power

    return _first(passes, rate, max_rate)


def most_flips(items: int, max_rate: float, confidence: float = 0.95) -> int:
    """The most flips among `items` that are certified; -1 when even none would not be."""
    # the bound is at most the limit when so few flips have a probability of at most 1 - confidence there
    allowed = int(stats.binom.ppf(1 - confidence, items, max_rate))
    while allowed >= 0 and upper_bound(allowed, items, confidence) > max_rate:
        allowed -= 1
    return allowed


def _bound(flips: npt.ArrayLike, items: npt.ArrayLike, confidence: float) -> npt.NDArray[np.float64]:
    count, total = np.asarray(flips, dtype=np.float64), np.asarray(items, dtype=np.float64)
    # where every item flips the bound is 1, and the distribution does not exist
    left = np.maximum(total - count, 1e-9)
    return np.where(count < total, stats.beta.ppf(confidence, count + 1, left), 1.0)


def _first(good: Callable[[int], Any], rate: float, max_rate: float) -> int | None:
    """The first number of items that is good, where all larger ones are."""
    if rate >= max_rate:
        return None
    high = 1
    while not good(high):
        high *= 2
        if high > MOST_ITEMS:
            return None
    low = high // 2
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if good(middle) else (middle, high)
    return high
