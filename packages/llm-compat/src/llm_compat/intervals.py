"""Confidence intervals of a share: Wilson's, and Clopper and Pearson's exact one."""

from typing import Literal, NamedTuple

import numpy as np
from scipy import stats

IntervalKind = Literal["wilson", "clopper-pearson"]


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def wilson_interval(count: int, items: int, confidence: float = 0.95) -> Interval | None:
    """Wilson's score interval of count / items; None without items.

    Source: Wilson 1927, without continuity correction.
    """
    if items == 0:
        return None
    z = float(stats.norm.ppf((1 + confidence) / 2))
    share = count / items
    middle = share + z * z / (2 * items)
    half = z * np.sqrt(share * (1 - share) / items + z * z / (4 * items * items))
    scale = 1 + z * z / items
    # the ends of the extreme counts are exact, and rounding must not move them past 0 and 1
    low = 0.0 if count == 0 else max(0.0, (middle - half) / scale)
    high = 1.0 if count == items else min(1.0, (middle + half) / scale)
    return Interval(float(low), float(high))


def clopper_pearson_interval(count: int, items: int, confidence: float = 0.95) -> Interval | None:
    """The exact interval of count / items, with at least the stated coverage; None without items.

    Source: Clopper and Pearson 1934.
    """
    if items == 0:
        return None
    tail = (1 - confidence) / 2
    return Interval(1 - upper_bound(items - count, items, 1 - tail), upper_bound(count, items, 1 - tail))


def upper_bound(count: int, items: int, confidence: float = 0.95) -> float:
    """The exact one-sided upper confidence bound of a share, of which `count` of `items` were seen.

    Were the true share above the bound, so few would be seen with a probability of at most 1 - confidence.

    Source: Clopper and Pearson 1934.
    """
    if count >= items:
        return 1.0
    return float(stats.beta.ppf(confidence, count + 1, items - count))


def share_interval(
    count: int, items: int, confidence: float, kind: IntervalKind = "wilson"
) -> Interval | None:
    """The interval of that kind; None without items."""
    function = wilson_interval if kind == "wilson" else clopper_pearson_interval
    return function(int(count), int(items), confidence)
