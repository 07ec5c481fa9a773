"""Regression of continuous scores: who gained, who lost, and by how much."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]

MOMENTS = ("gains", "gained", "losses", "lost", "old", "new", "items")


class SmoothMetrics(NamedTuple):
    """Metrics of score differences; each a float or an array of bootstrap draws.

    Attributes:
        mean_old: Mean score of the old model.
        mean_new: Mean score of the new model.
        pfr: Share of items whose score rose.
        nfr: Share of items whose score fell.
        gain_magnitude: Mean rise over the items that rose; NaN when none did.
        regression_magnitude: Mean fall over the items that fell, positive; NaN when none did.
    """

    mean_old: Scores
    mean_new: Scores
    pfr: Scores
    nfr: Scores
    gain_magnitude: Scores
    regression_magnitude: Scores


def score_differences(
    old: Scores, new: Scores, *, higher_is_better: bool = True, tolerance: float = 0.0
) -> Scores:
    """By how much each item got better, float64 [items]; 0 where it changed by `tolerance` or less.

    Args:
        old: float64 [items].
        new: float64 [items].
        higher_is_better: False turns the sign.
        tolerance: Changes up to this are ties, for metrics with numerical noise.

    Source: D(x) = S(v2(x), y) - S(v1(x), y) of section 3.1 of arXiv 2407.09435; the tolerance is ours.
    """
    difference = (new - old) if higher_is_better else (old - new)
    return np.where(np.abs(difference) > tolerance, difference, 0.0)


def score_moments(differences: Scores, old: Scores, new: Scores) -> Scores:
    """What the metrics need of each item, float64 [items, 7], in the order of `MOMENTS`.

    Sums of these over any multiset of items give its metrics (`metrics_of_sums`).
    """
    rose, fell = differences > 0, differences < 0
    columns = [
        np.where(rose, differences, 0.0),
        rose,
        np.where(fell, -differences, 0.0),
        fell,
        old,
        new,
        np.ones(len(differences)),
    ]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], axis=-1)


def metrics_of_sums(sums: Scores) -> SmoothMetrics:
    """The metrics of summed moments [..., 7].

    Magnitudes are means over the items that rose or fell, not over all.

    Source: section 3.1 of arXiv 2407.09435: m_g = sum of D over D > 0 / (N PFR), m_r likewise over D < 0.
    """
    gains, gained, losses, lost, old, new, items = np.moveaxis(np.asarray(sums, dtype=np.float64), -1, 0)
    return SmoothMetrics(
        mean_old=_ratio(old, items),
        mean_new=_ratio(new, items),
        pfr=_ratio(gained, items),
        nfr=_ratio(lost, items),
        gain_magnitude=_ratio(gains, gained),
        regression_magnitude=_ratio(losses, lost),
    )


def smooth_metrics(
    old: Scores, new: Scores, *, higher_is_better: bool = True, tolerance: float = 0.0
) -> SmoothMetrics:
    """The metrics of two score arrays [items]."""
    differences = score_differences(old, new, higher_is_better=higher_is_better, tolerance=tolerance)
    return metrics_of_sums(score_moments(differences, old, new).sum(0))


def _ratio(above: Scores, below: Scores) -> Scores:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
