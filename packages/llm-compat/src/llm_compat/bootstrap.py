"""Bootstrap of paired outcomes: exact draws of the cells, of clusters, or of summed scores.

Every count metric depends on the items only through the number in each cell. A resample of the items is then
one multinomial draw of the cells, which has the same distribution as drawing item by item, at a cost that
does not depend on the number of items.
"""

import numpy as np
import numpy.typing as npt

from llm_compat.intervals import Interval

Draws = npt.NDArray[np.int64]
_CHUNK = 1 << 22  # items drawn at a time: 32 MiB of indices


def cell_draws(cells: npt.ArrayLike, draws: int, generator: np.random.Generator) -> Draws:
    """Resamples of counts: int64 [draws, *cells.shape], each with the same total.

    Args:
        cells: Counts of any shape.
        draws: How many resamples.
        generator: Its stream fixes the draws.

    Raises:
        ValueError: there are no items.
    """
    counts = np.asarray(cells, dtype=np.int64)
    total = int(counts.sum())
    if total == 0:
        raise ValueError("no items cannot be resampled")
    # empty cells stay empty: leaving them out makes the draw cheaper and does not change it
    filled = np.flatnonzero(counts)
    drawn = np.zeros((draws, counts.size), dtype=np.int64)
    drawn[:, filled] = generator.multinomial(total, counts.ravel()[filled] / total, size=draws)
    return drawn.reshape(draws, *counts.shape)


def cluster_draws(cells: npt.ArrayLike, draws: int, generator: np.random.Generator) -> Draws:
    """Resamples of whole clusters: from counts [clusters, ...] int64 [draws, ...], summed over the clusters.

    Source: the cluster bootstrap; totals vary with the sizes of the clusters drawn.
    """
    counts = np.asarray(cells, dtype=np.int64)
    clusters = len(counts)
    flat = counts.reshape(clusters, -1)
    drawn = np.empty((draws, flat.shape[1]), dtype=np.int64)
    step = max(1, _CHUNK // clusters)
    for start in range(0, draws, step):
        number = min(step, draws - start)
        weights = generator.multinomial(clusters, np.full(clusters, 1 / clusters), size=number)
        drawn[start : start + number] = weights @ flat
    return drawn.reshape(draws, *counts.shape[1:])


def sum_draws(
    values: npt.NDArray[np.float64], draws: int, generator: np.random.Generator
) -> npt.NDArray[np.float64]:
    """Sums of resampled rows: from float64 [items, columns] float64 [draws, columns].

    For scores that are not counts; the cost is items times draws.
    """
    items = len(values)
    sums = np.empty((draws, values.shape[1]))
    step = max(1, _CHUNK // items)
    for start in range(0, draws, step):
        number = min(step, draws - start)
        chosen = generator.integers(0, items, size=(number, items))
        chosen += items * np.arange(number)[:, None]  # one count for all resamples of the chunk
        times = np.bincount(chosen.ravel(), minlength=number * items).reshape(number, items)
        sums[start : start + number] = times @ values
    return sums


def percentile_interval(values: npt.NDArray[np.float64], confidence: float) -> Interval | None:
    """The percentile interval of a metric's draws [draws]; None when over half of them are undefined.

    Draws in which the metric is undefined (no error at all, say) are left out.
    """
    defined = values[np.isfinite(values)]
    if 2 * len(defined) < len(values) or len(defined) == 0:
        return None
    tail = (1 - confidence) / 2
    low, high = np.quantile(defined, [tail, 1 - tail])
    return Interval(float(low), float(high))
