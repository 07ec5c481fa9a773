"""The threads of torch."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def one_thread(device: str = "cpu") -> Iterator[None]:
    """On the CPU, torch on one thread inside the block: the same sums everywhere, and a clear CPU time."""
    threads = torch.get_num_threads()
    if device == "cpu":
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)
