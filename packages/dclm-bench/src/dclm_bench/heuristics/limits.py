"""Values that compare with a limit as the official products do."""

import math


def least_ratio(count: int, total: int) -> float:
    """The smallest ratio for which `ratio * total >= count` holds in floating point.

    The official code drops a page where `count > max_ratio * total`. With this value the same pages are
    dropped by `value <= max_ratio`, at every limit. `count / total` differs at some: 1 of 49 is above 1 / 49,
    as that product is less than 1.

    Returns:
        The ratio; NaN where `total` is 0, as nothing is then above any limit.
    """
    if total == 0:
        return math.nan
    ratio = count / total
    while ratio * total < count:
        ratio = math.nextafter(ratio, math.inf)
    while True:
        below = math.nextafter(ratio, -math.inf)
        if below * total < count or ratio == 0:
            return ratio
        ratio = below
