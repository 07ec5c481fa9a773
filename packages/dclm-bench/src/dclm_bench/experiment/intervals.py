"""How sure a mean difference is when both the training pages and the held-out pages are samples."""

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import stats


class TwoWay(NamedTuple):
    """A mean over splits and pages.

    Attributes:
        mean: The mean difference.
        error: Its standard error.
        low: Lower end of the interval.
        high: Upper end.
        p: Two-sided, of no difference.
        splits: How many splits there are.
        pages: How many held-out pages.
    """

    mean: float
    error: float
    low: float
    high: float
    p: float
    splits: int
    pages: int


def two_way_interval(differences: npt.NDArray[Any], confidence: float = 0.95) -> TwoWay:
    """The mean of paired differences with an interval for samples of splits and of pages at once.

    The differences of a split share its training pages, those of a page share its text, so neither are
    independent. The variance of the mean is that with splits as clusters, plus that with pages as clusters,
    less that of single differences, which both of them hold; never below the larger of the two. Student's t
    has as many degrees of freedom as the fewer of splits and pages, less one.

    It speaks of splits of these pages: that all splits draw on one pool is not in it.

    Args:
        differences: float [splits, pages]; NaN where a page is not held out in a split.
        confidence: Coverage of the interval, between 0 and 1.

    Raises:
        ValueError: fewer than two splits or pages have a difference.

    Source: Cameron, Gelbach and Miller (2011), two-way clustering.
    """
    values = np.asarray(differences, np.float64)
    present = ~np.isnan(values)
    values = values[present.any(axis=1)][:, present.any(axis=0)]
    present = ~np.isnan(values)
    splits, pages = values.shape
    if splits < 2 or pages < 2:
        raise ValueError(f"{splits} splits and {pages} pages have no interval; at least 2 of each are needed")
    number = int(present.sum())
    mean = float(values[present].mean())
    residuals = np.where(present, values - mean, 0.0)

    def clustered(axis: int, clusters: int) -> float:
        sums = residuals.sum(axis=axis)
        return float((sums**2).sum()) / number**2 * clusters / (clusters - 1)

    of_splits, of_pages = clustered(1, splits), clustered(0, pages)
    of_both = float((residuals**2).sum()) / number**2 * number / (number - 1)
    error = math.sqrt(max(of_splits + of_pages - of_both, of_splits, of_pages))
    if error == 0:
        return TwoWay(mean, 0.0, mean, mean, 0.0 if mean else 1.0, splits, pages)
    freedom = min(splits, pages) - 1
    half = float(stats.t.ppf((1 + confidence) / 2, freedom)) * error
    p = 2 * float(stats.t.sf(abs(mean) / error, freedom))
    return TwoWay(mean, error, mean - half, mean + half, p, splits, pages)
