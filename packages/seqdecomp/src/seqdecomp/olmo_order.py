"""The order in which OLMo-core 3.0.0 reads an epoch of variable-length data, number for number.

For users who move from OLMo-core's variable-length loader and want its batches in its order. Its growth
curricula are not those of the paper: a cycle is cut into sub-cycles with a moving peak (see
`seqdecomp.curriculum`, which also offers them with this package's own random streams).
"""

from typing import Literal

import numpy as np
import numpy.typing as npt

from seqdecomp.curriculum import split_over_cycles, subcycle_batches

Int64s = npt.NDArray[np.int64]


def olmo_bucket_permutation(length: int, instances: int, *, seed: int = 0, epoch: int = 1) -> Int64s:
    """The order of one bucket's instances in an epoch, int64 [instances].

    Batch k of global size b tokens then holds entries k * b / length up to (k + 1) * b / length.

    Args:
        length: Tokens of each instance of the bucket.
        instances: Number of instances in it, counted in the order of the token files.
        seed: Seed of the peer's data loader.
        epoch: Epoch, from 1.
    """
    return _generator(seed + epoch + length).permutation(np.arange(instances, dtype=np.int64))


def olmo_batch_order(
    curriculum: str, batches: Int64s, *, cycles: int = 8, seed: int = 0, epoch: int = 1
) -> tuple[Int64s, Int64s]:
    """The batches of an epoch: the bucket of each step, and which of that bucket's batches it takes.

    The growth curricula use `cycles * (n // cycles)` of a bucket's n batches. The first step has the longest
    sequences, so that memory runs out at once or never.

    Args:
        curriculum: olmo-natural, olmo-grow-p2 or olmo-grow-linear.
        batches: int64 [buckets], whole batches that each bucket has, shortest bucket first.
        cycles: Cycles of the growth curricula.
        seed: Seed of the peer's data loader.
        epoch: Epoch, from 1.

    Returns:
        int64 [steps] buckets, and int64 [steps] batch numbers within the bucket.

    Raises:
        ValueError: the curriculum is not one of the three, or the longest bucket has no batch.
    """
    if curriculum not in ("olmo-natural", "olmo-grow-p2", "olmo-grow-linear"):
        raise ValueError(f"curriculum '{curriculum}' is not one of OLMo-core's")
    used = np.asarray(batches, np.int64)
    if curriculum != "olmo-natural":
        used = cycles * (used // cycles)
    if len(used) == 0 or used[-1] == 0:
        raise ValueError("the longest bucket has no whole batch, and this order begins with one of it")
    random = _generator(seed + epoch)
    ends = np.cumsum(used)
    if curriculum == "olmo-natural":
        order = _natural(int(ends[-1]), int(ends[-1] - used[-1]), random)
    else:
        order = _growing(used, cycles, curriculum, random)
        first = int(np.argmax(order >= ends[-1] - used[-1]))
        order[[0, first]] = order[[first, 0]]
    buckets = np.searchsorted(ends, order, side="right")
    return buckets, order - (ends - used)[buckets]


def _natural(total: int, first_of_longest: int, random: np.random.Generator) -> Int64s:
    # uint32 as in the peer: the shuffle draws the same numbers for any dtype, but this is what was compared.
    order = np.arange(total, dtype=np.uint32)
    chosen = int(random.integers(first_of_longest, total))
    order[[0, chosen]] = order[[chosen, 0]]
    random.shuffle(order[1:])
    return order.astype(np.int64)


def _growing(used: Int64s, cycles: int, curriculum: str, random: np.random.Generator) -> Int64s:
    shape: Literal["p2", "linear"] = "p2" if curriculum == "olmo-grow-p2" else "linear"
    first = np.cumsum(used) - used
    parts = []
    taken = np.zeros(len(used), np.int64)
    for row in split_over_cycles(used, cycles):
        borders = [
            np.cumsum([0, *subcycle_batches(int(n), bucket, len(used), shape)])
            for bucket, n in enumerate(row)
        ]
        for subcycle in range(len(used)):
            part = np.concatenate(
                [
                    first[bucket] + taken[bucket] + np.arange(border[subcycle], border[subcycle + 1])
                    for bucket, border in enumerate(borders)
                ]
            ).astype(np.uint32)
            random.shuffle(part)
            parts.append(part.astype(np.int64))
        taken += row
    return np.concatenate(parts)


def _generator(seed: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))
