"""What repeated measurements say: paired differences with a t interval, and ratios with their range."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit_shared.errors import require


class PairedDifference(NamedTuple):
    """The mean of a - b over pairs.

    Attributes:
        mean: mean difference, in the unit of the values.
        low: lower end of the confidence interval of the mean.
        high: upper end.
        p: two-sided p value of the hypothesis that the mean is 0.
        n: number of pairs.
    """

    mean: float
    low: float
    high: float
    p: float
    n: int


class RatioOfPairs(NamedTuple):
    """The ratios a / b over pairs: their median, and the lowest and the highest of them."""

    median: float
    low: float
    high: float


def paired_difference(a: Sequence[float], b: Sequence[float], confidence: float = 0.95) -> PairedDifference:
    """Mean of a - b with its Student t interval and two-sided p value; a[i] and b[i] are one pair.

    Where all differences are equal the interval is that point, and p is 0, or 1 for the difference 0.

    Raises:
        ValueError: fewer than two pairs, unequal lengths, a value that is not finite, or a `confidence` that
            is not between 0 and 1.

    Source: Student (1908), the paired t test; interval mean +- t(n - 1) s / sqrt(n).
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it lies between 0 and 1")
    first, second = _pairs(a, b)
    n = len(first)
    if n < 2:
        raise ValueError(f"{n} pair has no interval; at least 2 are needed")
    differences = first - second
    mean = float(differences.mean())
    if np.ptp(differences) == 0:
        mean = float(differences[0])
        return PairedDifference(mean, mean, mean, 0.0 if mean else 1.0, n)
    student = require("scipy.stats", toolkit="toolkit-shared", extra="statistics").t
    error = float(differences.std(ddof=1)) / math.sqrt(n)
    half = float(student.ppf((1 + confidence) / 2, n - 1)) * error
    p = 2 * float(student.sf(abs(mean) / error, n - 1))
    return PairedDifference(mean, mean - half, mean + half, p, n)


def ratio_of_pairs(a: Sequence[float], b: Sequence[float]) -> RatioOfPairs:
    """Median and range of a[i] / b[i].

    Raises:
        ValueError: no pairs, unequal lengths, a value that is not finite, or a b[i] that is not above 0.
    """
    first, second = _pairs(a, b)
    if len(first) == 0:
        raise ValueError("no pairs have no ratio")
    if (second <= 0).any():
        raise ValueError("a ratio needs denominators above 0")
    ratios = first / second
    return RatioOfPairs(float(np.median(ratios)), float(ratios.min()), float(ratios.max()))


def _pairs(a: Sequence[float], b: Sequence[float]) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    first, second = np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64)
    if first.ndim != 1 or first.shape != second.shape:
        raise ValueError(f"{first.shape} and {second.shape} values are no pairs")
    if not (np.isfinite(first).all() and np.isfinite(second).all()):
        raise ValueError("a value is not finite")
    return first, second
