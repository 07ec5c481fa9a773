"""Random streams that depend on a seed, a name and an index, and on nothing else."""

import hashlib

import numpy as np


def stream(seed: int, what: str, index: int = 0) -> np.random.Generator:
    """A generator for item `index` of the purpose `what`, the same in every process and for any worker count.

    Two purposes, two indices or two seeds give independent streams.

    Raises:
        ValueError: `seed` or `index` is negative.
    """
    name = int.from_bytes(hashlib.blake2b(what.encode(), digest_size=8).digest(), "little")
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([seed, name, index])))
