"""Length curricula: from which bucket each optimisation step takes its batch."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

Int64s = npt.NDArray[np.int64]
Int16s = npt.NDArray[np.int16]
Float64s = npt.NDArray[np.float64]

ODDS_PRESETS = ("uniform", "grow-linear", "grow-p2", "grow-p100", "shrink-p100")
OLMO_PRESETS = ("olmo-natural", "olmo-grow-p2", "olmo-grow-linear")
CURRICULA = ODDS_PRESETS + OLMO_PRESETS


def curriculum_odds(curriculum: str, num_buckets: int) -> Float64s:
    """The odds of each bucket, shortest first, float64 [num_buckets].

    Args:
        curriculum: A preset (uniform, grow-linear, grow-p2, grow-p100, shrink-p100), or one positive number
            a bucket, such as "32:16:8:4:2:1".
        num_buckets: The number of buckets; presets fit any number.

    Raises:
        InputError: the name is unknown, or the odds are not one positive number a bucket.

    Source: the length curricula of arXiv 2405.13226 (Table 2); with six buckets, the odds printed there.
    """
    rank = np.arange(num_buckets, dtype=np.float64)
    presets = {
        "uniform": np.ones(num_buckets),
        "grow-linear": num_buckets - rank,
        "grow-p2": 2.0 ** rank[::-1],
        "grow-p100": 100.0 ** rank[::-1],
        "shrink-p100": 100.0**rank,
    }
    if curriculum in presets:
        return np.asarray(presets[curriculum], np.float64)
    try:
        odds = np.array([float(part) for part in curriculum.split(":")])
    except ValueError:
        raise InputError(
            f"curriculum: '{curriculum}' is not known; give one of {', '.join(CURRICULA)}, "
            "or odds from the shortest bucket on, such as 4:2:1"
        ) from None
    if len(odds) != num_buckets:
        raise InputError(
            f"curriculum: '{curriculum}' gives {len(odds)} odds for {num_buckets} buckets; give {num_buckets}"
        )
    if not np.all((odds > 0) & np.isfinite(odds)):
        raise InputError(
            f"curriculum: '{curriculum}' holds odds that are not positive; leave a bucket out by the mixture"
        )
    return odds


def bucket_order(
    curriculum: str,
    batches: Int64s,
    *,
    odds_scale: Literal["none", "by_tokens"] = "none",
    seed: int = 0,
    what: str = "curriculum",
) -> Int16s:
    """The bucket of every step, int16 [steps], for any curriculum of either family.

    Args:
        curriculum: Name or odds, as in `curriculum_odds`, or olmo-natural, olmo-grow-p2, olmo-grow-linear.
        batches: int64 [cycles, buckets], the batches that each cycle takes from each bucket.
        odds_scale: As in `algorithm_1`; the olmo family has no odds.
        seed: Seed.
        what: Name of the random stream; differs between sources of text.

    Raises:
        InputError: the curriculum is unknown or does not fit the number of buckets.
    """
    if curriculum == "olmo-natural":
        order = np.repeat(np.arange(batches.shape[1], dtype=np.int16), batches.sum(axis=0))
        return stream(seed, what).permutation(order)
    if curriculum in OLMO_PRESETS:
        shape: Literal["p2", "linear"] = "p2" if curriculum == "olmo-grow-p2" else "linear"
        return _moving_peak(batches, shape, seed, what)
    odds = curriculum_odds(curriculum, batches.shape[1])
    return algorithm_1(batches, odds, odds_scale=odds_scale, seed=seed, what=what)


def algorithm_1(
    batches: Int64s,
    odds: npt.ArrayLike,
    *,
    cycles: int = 1,
    odds_scale: Literal["none", "by_tokens"] = "none",
    seed: int = 0,
    what: str = "curriculum",
) -> Int16s:
    """The bucket of every step by the paper's Algorithm 1, int16 [steps].

    In each cycle a bucket is drawn for every step, with probability proportional to the odds of those
    buckets that still have batches in this cycle; so the curriculum comes from exhaustion.

    Args:
        batches: int64 [buckets], batches of each bucket over the run, cut into `cycles` parts whose sum is
            exact; or int64 [cycles, buckets] when they are cut already (then `cycles` is not used).
        odds: float [buckets], positive.
        cycles: Number of cycles.
        odds_scale: "none": the odds as they are; "by_tokens": times the bucket's tokens, which is to say
            times its batches, as every batch has as many tokens (the paper's released planning helper).
        seed: Seed; each cycle has its own stream.
        what: Name of the random stream.

    Source: Appendix B.2, Algorithm 1 of arXiv 2405.13226.
    """
    batches = np.asarray(batches, np.int64)
    if batches.ndim == 1:
        batches = split_over_cycles(batches, cycles)
    scaled = np.asarray(odds, np.float64)
    if odds_scale == "by_tokens":
        scaled = scaled * batches.sum(axis=0)
    parts = [
        exhaust(row, scaled, stream(seed, what, cycle).random(int(row.sum())))
        for cycle, row in enumerate(batches)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)


def split_over_cycles(totals: Int64s, cycles: int) -> Int64s:
    """Whole parts of each total, int64 [cycles, buckets], equal to one unit and with an exact sum."""
    borders = np.arange(cycles + 1)[:, None] * np.asarray(totals, np.int64)[None, :] // cycles
    return np.diff(borders, axis=0)


def exhaust(batches: Int64s, odds: Float64s, uniforms: Float64s) -> Int16s:
    """The buckets drawn in one cycle, int16 [steps]; step t uses uniforms[t].

    Gives what a loop over steps would give, phase by phase: as long as the set of non-empty buckets is the
    same, a block of steps is drawn at once, up to the step that empties a bucket.

    Args:
        batches: int64 [buckets], batches in this cycle; their sum is the number of steps.
        odds: float64 [buckets], positive.
        uniforms: float64 [steps] in [0, 1).
    """
    left = np.array(batches, np.int64)
    order = np.empty(int(left.sum()), np.int16)
    done = 0
    while done < len(order):
        active = np.flatnonzero(left)
        if len(active) == 1:
            order[done:] = active[0]
            break
        bounds = np.cumsum(odds[active])
        # About as many steps as will empty a bucket; too few costs one more round, too many are not used.
        expected = float(np.min(left[active] * bounds[-1] / odds[active]))
        block = int(min(expected * 1.1 + 64, len(order) - done))
        drawn = np.searchsorted(bounds, uniforms[done : done + block] * bounds[-1], side="right")
        drawn = np.minimum(drawn, len(active) - 1)
        last = block
        counts = np.bincount(drawn, minlength=len(active))
        for place in np.flatnonzero(counts >= left[active]).tolist():
            last = min(last, int(np.flatnonzero(drawn == place)[left[active[place]] - 1]) + 1)
        order[done : done + last] = active[drawn[:last]]
        left[active] -= np.bincount(drawn[:last], minlength=len(active))
        done += last
    return order


def subcycle_batches(
    batches: int, bucket: int, num_buckets: int, shape: Literal["p2", "linear"]
) -> list[int]:
    """Batches of one bucket in each sub-cycle of a cycle, in OLMo-core's growth curricula.

    A cycle has as many sub-cycles as buckets. The weight of bucket k of K rises from K - k to K, one a
    sub-cycle, and then falls from K - k - 1 to 1; it is that rank (linear) or 2 to that rank (p2). Batches
    are rounded to the nearest. Where that gives more than there are (the peer then fails), the entries
    that were rounded up the most give one back.
    """
    start = num_buckets - bucket
    ranks = [*range(start, num_buckets + 1), *range(start - 1, 0, -1)]
    weights = [rank if shape == "linear" else 2 ** (rank - 1) for rank in ranks]
    shares = [weight / sum(weights) * batches for weight in weights]
    counts = [round(share) for share in shares]
    surplus = sum(counts) - batches
    for place in sorted(range(num_buckets), key=lambda i: shares[i] - counts[i])[: max(surplus, 0)]:
        counts[place] -= 1
    counts[-1] += max(-surplus, 0)
    return counts


def _moving_peak(batches: Int64s, shape: Literal["p2", "linear"], seed: int, what: str) -> Int16s:
    buckets = batches.shape[1]
    parts = []
    for cycle, row in enumerate(batches.tolist()):
        random = stream(seed, what, cycle)
        counts = np.array([subcycle_batches(n, k, buckets, shape) for k, n in enumerate(row)], np.int64)
        for subcycle in range(buckets):
            parts.append(
                random.permutation(np.repeat(np.arange(buckets, dtype=np.int16), counts[:, subcycle]))
            )
    return np.concatenate(parts) if parts else np.zeros(0, np.int16)
