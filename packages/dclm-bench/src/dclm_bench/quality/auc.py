"""How well a score agrees with human labels, beside what length alone would give.

Long pages are judged better, and most scores rise with length, so an area under the curve means little by
itself: it is always given with that of the length, and with the area among pages of about one length.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
Labels = npt.NDArray[np.bool_]

NUM_LENGTH_BINS = 10
_Z_95 = 1.959963984540054


@dataclass(frozen=True)
class Auc:
    """Area under the ROC curve with its 95 % interval.

    Attributes:
        area: Chance that a good page scores above a bad one, ties counting half.
        low: Lower end of the interval.
        high: Upper end.
    """

    area: float
    low: float
    high: float


@dataclass(frozen=True)
class QualityAuc:
    """A score against labels.

    Attributes:
        score: The area of the score.
        length: The area of the number of characters.
        within_length: Chance that a good page scores above a bad one of about its length: pairs within tenths
            of the corpus by length; NaN when there is none.
        length_within_length: The same of the length itself, 1/2 but for what differs inside a tenth.
        gain: Area of the score minus that of the length, with its paired interval.
        num_good: Pages labelled good.
        num_bad: Pages labelled bad.
    """

    score: Auc
    length: Auc
    within_length: float
    length_within_length: float
    gain: Auc
    num_good: int
    num_bad: int

    def as_dict(self) -> dict[str, Any]:
        """The figures as JSON values, None for what too few pages leave open."""
        return _without_nan(asdict(self))

    def to_text(self) -> str:
        """The figures as a table."""
        rows = [
            ("", "AUC", "95 % interval"),
            ("score", f"{self.score.area:.3f}", f"{self.score.low:.3f} .. {self.score.high:.3f}"),
            ("length alone", f"{self.length.area:.3f}", f"{self.length.low:.3f} .. {self.length.high:.3f}"),
            ("score - length", f"{self.gain.area:+.3f}", f"{self.gain.low:+.3f} .. {self.gain.high:+.3f}"),
            ("score within tenths of length", f"{self.within_length:.3f}", ""),
            ("length within tenths of length", f"{self.length_within_length:.3f}", ""),
        ]
        lines = [f"{name:<31} {area:>6}  {interval}".rstrip() for name, area, interval in rows]
        return "\n".join([*lines, f"{self.num_good} good and {self.num_bad} bad pages"])


def quality_auc(
    scores: Sequence[float] | Floats,
    labels: Sequence[bool | int] | Labels,
    lengths: Sequence[int] | npt.NDArray[np.int64],
) -> QualityAuc:
    """The areas of a score and of the length against labels.

    Args:
        scores: Higher is better; finite.
        labels: Whether a page is good.
        lengths: Its number of characters.

    Raises:
        ValueError: lengths differ, a score is not finite, or one of the labels is missing.

    Source: DeLong, DeLong and Clarke-Pearson (1988) for the intervals.
    """
    values, good = np.asarray(scores, np.float64), np.asarray(labels).astype(bool)
    sizes = np.asarray(lengths, np.float64)
    if not len(values) == len(good) == len(sizes):
        raise ValueError(f"{len(values)} scores, {len(good)} labels and {len(sizes)} lengths are no pages")
    if not np.isfinite(values).all():
        raise ValueError("a score is not finite, so it has no rank")
    if good.all() or not good.any():
        raise ValueError("all pages have one label, so there is no area")
    places = np.stack([_placements(values, good), _placements(sizes, good)])
    score, length = (_auc(place, good) for place in places)
    bins = _length_bins(sizes)
    return QualityAuc(
        score=score,
        length=length,
        within_length=stratified_area(values, good, bins),
        length_within_length=stratified_area(sizes, good, bins),
        gain=_auc(places[0] - places[1], good, bounded=False),
        num_good=int(good.sum()),
        num_bad=int((~good).sum()),
    )


def area_under_curve(scores: Floats, labels: Labels) -> float:
    """Chance that a good page scores above a bad one, ties counting half (Mann-Whitney)."""
    return float(_placements(scores, labels)[labels].mean())


def stratified_area(scores: Floats, labels: Labels, strata: npt.NDArray[np.int64]) -> float:
    """The area over the pairs of pages that are in one stratum; NaN when there is no such pair."""
    won, pairs = 0.0, 0
    for stratum in np.unique(strata):
        inside = strata == stratum
        good = labels[inside]
        own = int(good.sum()) * int((~good).sum())
        if own:
            won += area_under_curve(scores[inside], good) * own
            pairs += own
    return won / pairs if pairs else math.nan


def _without_nan(values: dict[str, Any]) -> dict[str, Any]:
    return {
        name: _without_nan(value)
        if isinstance(value, dict)
        else None
        if isinstance(value, float) and math.isnan(value)
        else value
        for name, value in values.items()
    }


def _placements(scores: Floats, labels: Labels) -> Floats:
    """For each good page the share of bad ones below it, for each bad one the share of good ones above it."""
    good, bad = np.sort(scores[labels]), np.sort(scores[~labels])
    places = np.empty(len(scores), np.float64)
    places[labels] = _share_below(bad, scores[labels])
    places[~labels] = 1 - _share_below(good, scores[~labels])
    return places


def _share_below(ordered: Floats, scores: Floats) -> Floats:
    below, through = np.searchsorted(ordered, scores, "left"), np.searchsorted(ordered, scores, "right")
    shares: Floats = (below + through) / (2 * len(ordered))
    return shares


def _auc(placements: Floats, labels: Labels, *, bounded: bool = True) -> Auc:
    """The mean placement, with the interval of DeLong."""
    good, bad = placements[labels], placements[~labels]
    area = float(good.mean())
    parts = [float(group.var(ddof=1)) / len(group) if len(group) > 1 else math.nan for group in (good, bad)]
    half = _Z_95 * math.sqrt(sum(parts))  # NaN where a label has one page
    low, high = area - half, area + half
    return (
        Auc(area, float(np.maximum(low, 0.0)), float(np.minimum(high, 1.0)))
        if bounded
        else Auc(area, low, high)
    )


def _length_bins(sizes: Floats) -> npt.NDArray[np.int64]:
    """The tenth of the corpus by length that each page is in; equal lengths are in one."""
    edges = np.quantile(sizes, np.arange(1, NUM_LENGTH_BINS) / NUM_LENGTH_BINS)
    return np.searchsorted(edges, sizes, "right").astype(np.int64)
