"""How much of a drop in negative flips a control explains, with an interval over paired seeds."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats
from toolkit_shared.statistics import paired_difference


class Share(NamedTuple):
    """A ratio of two mean differences over the same pairs.

    Attributes:
        value: The ratio of the means; NaN where the lower one is 0.
        low: Lower end of the interval; None where the data set no bound, for the drop may be 0.
        high: Upper end.
    """

    value: float
    low: float | None
    high: float | None


class Explained(NamedTuple):
    """The drop of the method against the update, split by what the control reaches.

    Attributes:
        drop: Mean of update - method, with its interval, in the unit of the values.
        drop_interval: Ends of its 95 % t interval.
        share: The part of the drop that the control alone has: (update - control) / (update - method).
        left: Mean of control - method: what the method adds to the control.
        left_interval: Ends of its 95 % t interval.
        sentence: All of it in words.
    """

    drop: float
    drop_interval: tuple[float, float]
    share: Share
    left: float
    left_interval: tuple[float, float]
    sentence: str


def ratio_of_means(above: Sequence[float], below: Sequence[float], confidence: float = 0.95) -> Share:
    """mean(above) / mean(below) over pairs, with Fieller's interval.

    The interval holds every ratio r for which the mean of above - r * below is not significantly other than
    0. When the mean of `below` is not significantly other than 0 that set has no bound, and none is given.

    Raises:
        ValueError: fewer than two pairs, or unequal lengths.

    Source: Fieller (1954), for paired values that are about normal.
    """
    a, b = np.asarray(above, np.float64), np.asarray(below, np.float64)
    n = len(a)
    if n < 2 or a.shape != b.shape:
        raise ValueError(f"{a.shape} and {b.shape} values give no interval; at least 2 pairs are needed")
    covariance = np.cov(a, b, ddof=1) / n
    t = float(stats.t.ppf((1 + confidence) / 2, n - 1))
    mean_a, mean_b = float(a.mean()), float(b.mean())
    value = mean_a / mean_b if mean_b else math.nan
    # (mean_a - r mean_b)^2 <= t^2 var(a - r b), a quadratic in r
    square = mean_b**2 - t**2 * covariance[1, 1]
    middle = mean_a * mean_b - t**2 * covariance[0, 1]
    rest = mean_a**2 - t**2 * covariance[0, 0]
    root = middle**2 - square * rest
    if square <= 0 or root < 0:
        return Share(value, None, None)
    return Share(
        value, float((middle - math.sqrt(root)) / square), float((middle + math.sqrt(root)) / square)
    )


def explain_drop(
    update: Sequence[float],
    control: Sequence[float],
    method: Sequence[float],
    *,
    metric: str,
    name: str,
    words: str,
    digits: int = 2,
) -> Explained | None:
    """Split the drop of the method against the update into what the control reaches, and what is left.

    Args:
        update: The rate of each seed after the plain update, in percent.
        control: After the control.
        method: After the method, with as much training as the control.
        metric: Name of the rate, for the sentence.
        name: Name of the control.
        words: What the control is.
        digits: Decimals in the sentence.

    Returns:
        None for fewer than three seeds, which give no useful interval.
    """
    if len(update) < 3:
        return None
    drop, left = paired_difference(update, method), paired_difference(control, method)
    of_control = np.subtract(update, control).tolist()
    share = ratio_of_means(of_control, np.subtract(update, method).tolist())
    rise = paired_difference(control, update)

    def points(value: float) -> str:
        return f"{value:+.{digits}f}"

    def interval(low: float, high: float) -> str:
        return f"[{points(low)}, {points(high)}]"

    changed = (
        f"muscle changes {metric} by {points(-drop.mean)} points {interval(-drop.high, -drop.low)} against v2"
    )
    own = f"over {name} it changes by {points(-left.mean)} points {interval(-left.high, -left.low)}"
    if drop.low <= 0:
        told = f"{changed}: no drop is shown, so there is none to explain; {own}."
    else:
        bounds = "its interval has no bound" if share.low is None else f"[{share.low:.0%}, {share.high:.0%}]"
        part = f"{words} ({name}) has {share.value:.0%} ({bounds}) of that drop"
        if left.low > 0:
            ending = f"what is left is the method's own: {own}"
        elif left.high < 0:
            ending = f"{name} lowers it by more than muscle does, so it explains all of it: {own}"
        else:
            ending = f"nothing is shown to be left, so {name} explains it as far as can be told: {own}"
        if rise.high >= 0 and left.low > 0:
            part += ", a drop that is not shown by itself"
        told = f"{changed}; {part}; {ending}."
    return Explained(drop.mean, (drop.low, drop.high), share, left.mean, (left.low, left.high), told)
