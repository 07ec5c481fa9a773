"""What one core can read and copy, to say how near to it a measurement is."""

import time
from collections.abc import Callable

import numpy as np


def read_bandwidth(megabytes: int = 256) -> float:
    """Bytes a second that one thread reads from memory: the best of five passes of a maximum."""
    data = np.ones(megabytes << 17, np.uint64)  # zeros would all be one page
    return data.nbytes / _best(lambda: data.max())


def copy_bandwidth(megabytes: int = 256) -> float:
    """Bytes a second that one thread copies, each counted once: the best of five copies."""
    data, target = np.ones(megabytes << 20, np.uint8), np.ones(megabytes << 20, np.uint8)
    return data.nbytes / _best(lambda: np.copyto(target, data))


def _best(function: Callable[[], object]) -> float:
    times = []
    for _ in range(5):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)
