"""Exact cuts at a percentile of scores that come in parts, in bounded memory.

One pass over the scores fills a histogram (the sketch) that tells in which narrow range of scores the cut
lies and what share lies before any score; a second pass holds and ranks the scores of that range alone. A
corpus of up to `MOST_RANKED` pages is ranked as a whole instead, so that its shares are exact everywhere, and
another fraction can be asked for later (`what-if`).
"""

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Scores = npt.NDArray[np.float64]
Keys = npt.NDArray[np.uint64]
Parts = Callable[[], Iterable[tuple[Scores, Scores]]]

MOST_RANKED = 1 << 24
"""Scores up to which all are ranked, in some 50 bytes each."""

# A float64 has 12 bits of sign and exponent; with 8 more a bin spans 1/256 of a power of two at most.
_BIN_BITS = 20
_SHIFT = 64 - _BIN_BITS
_SIGN = np.uint64(1 << 63)
_NO_SCORE = np.uint64(2**64 - 1)


@dataclass(frozen=True)
class Cut:
    """Where the best share of a corpus ends.

    Attributes:
        threshold: The worst score that is kept; NaN where nothing is kept, or pages without a score are.
        kept: Weight that is kept.
        total: Weight of all.
    """

    threshold: float
    kept: float
    total: float


@dataclass(frozen=True)
class Ranking:
    """A cut, and what ranks any score against it.

    Attributes:
        cut: The cut.
        fraction: The share that was wanted.
        lower_better: Whether low scores come first.
        before: Weight before each bin of the histogram, and the weight of all.
        place: The bin that holds the cut.
        whole: Whether all scores were held and ranked, and not those of that bin alone.
        middles: For the scores held, as they came, the weight before each and half of its own.
        keeps: Whether each of them is kept.
    """

    cut: Cut
    fraction: float
    lower_better: bool
    before: Scores
    place: int
    whole: bool
    middles: Scores
    keeps: npt.NDArray[np.bool_]

    def shares(self, parts: Iterable[Scores]) -> Iterator[Scores]:
        """For each part the share of all weight that comes before each score, half of its own included.

        `share <= fraction` holds exactly for what is kept; where all scores were ranked, that is so for any
        fraction. Else a share in another bin than that of the cut is accurate to its bin, and on its side of
        the cut.
        """
        taken = 0
        total = max(self.cut.total, math.ulp(0.0))
        above = math.nextafter(self.fraction, math.inf)
        for scores in parts:
            keys = order_keys(scores, self.lower_better)
            bins = _bins(keys)
            inside = (keys & np.uint64((1 << _SHIFT) - 1)).astype(np.float64) / 2.0**_SHIFT
            middles = self.before[bins] + inside * (self.before[bins + 1] - self.before[bins])
            keeps = bins < self.place
            here = np.flatnonzero(self.whole | (bins == self.place))
            middles[here] = self.middles[taken : taken + len(here)]
            keeps[here] = self.keeps[taken : taken + len(here)]
            taken += len(here)
            shares = middles / total
            yield np.where(keeps, np.minimum(shares, self.fraction), np.maximum(shares, above))


def rank_scores(parts: Parts, fraction: float, *, lower_better: bool = False) -> Ranking:
    """The cut that keeps the best scores up to the weight nearest to `fraction` of all.

    With weights of 1 exactly floor(n * fraction + 1/2) scores are kept. Equal scores rank in the order in
    which they come; NaN, for no score, ranks last. Memory is 16 MB, and some 50 bytes for each score that is
    held: all of them up to `MOST_RANKED`, beyond that those in the bin of the cut.

    Args:
        parts: Gives scores and weights (>= 0) of each part anew; called twice.
        fraction: Share that is to be kept, 0..1.
        lower_better: Whether the lowest score is the best.
    """
    weights, num_scores = np.zeros(1 << _BIN_BITS, np.float64), 0
    for scores, own in parts():
        weights += np.bincount(_bins(order_keys(scores, lower_better)), own, len(weights))
        num_scores += len(scores)
    before = np.concatenate([np.zeros(1), np.cumsum(weights)])
    total = max(float(before[-1]), math.ulp(0.0))
    # all of the bins before this one is within what is wanted, and nothing of those after it
    place = min(int(np.searchsorted(before[1:] / total, fraction, "right")), len(weights) - 1)
    whole = num_scores <= MOST_RANKED
    keys, own, worst_before = _held(parts, None if whole else place, lower_better)
    order = np.argsort(keys, kind="stable")
    first = 0.0 if whole else float(before[place])
    through = first + np.cumsum(own[order])
    middles, keeps = np.empty(len(keys), np.float64), np.zeros(len(keys), np.bool_)
    middles[order] = through - own[order] / 2
    # as shares, in the arithmetic of the rule that compares them later
    num_kept = int(np.searchsorted(middles[order] / total, fraction, "right"))
    keeps[order[:num_kept]] = True
    kept = float(through[num_kept - 1]) if num_kept else first
    worst = keys[order[num_kept - 1]] if num_kept else worst_before
    threshold = math.nan if worst is None else _score_of_key(worst, lower_better)
    cut = Cut(threshold, kept, float(before[-1]))
    return Ranking(cut, fraction, lower_better, before, place, whole, middles, keeps)


def order_keys(scores: Scores, lower_better: bool) -> Keys:
    """Unsigned keys in the order of the scores, the best first and NaN last; -0 is 0."""
    scores = np.asarray(scores, np.float64)
    bits = ((scores if lower_better else -scores) + 0.0).view(np.uint64)
    keys: Keys = np.where(bits & _SIGN != 0, ~bits, bits | _SIGN)
    return np.where(np.isnan(scores), _NO_SCORE, keys)


def _score_of_key(key: np.uint64, lower_better: bool) -> float:
    if key == _NO_SCORE:
        return math.nan
    bits = np.array([key ^ _SIGN if key & _SIGN else ~key], np.uint64)
    score = float(bits.view(np.float64)[0])
    return score if lower_better else 0.0 - score


def _bins(keys: Keys) -> npt.NDArray[np.int64]:
    return (keys >> np.uint64(_SHIFT)).astype(np.int64)


def _held(parts: Parts, place: int | None, lower_better: bool) -> tuple[Keys, Scores, np.uint64 | None]:
    """Keys and weights in a bin, and the last key before it; all of them without a bin."""
    held_keys, held_weights = [np.zeros(0, np.uint64)], [np.zeros(0, np.float64)]
    worst: np.uint64 | None = None
    for scores, own in parts():
        keys = order_keys(scores, lower_better)
        if place is None:
            held_keys.append(keys)
            held_weights.append(own)
            continue
        bins = _bins(keys)
        held_keys.append(keys[bins == place])
        held_weights.append(own[bins == place])
        earlier = keys[bins < place]
        if len(earlier):
            worst = earlier.max() if worst is None else max(worst, earlier.max())
    return np.concatenate(held_keys), np.concatenate(held_weights), worst
