"""Batches loaded by processes ahead of time, with a position that counts what was handed out."""

from collections.abc import Iterator
from typing import TypeVar

import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from toolkit_shared.errors import InputError

Batch = TypeVar("Batch")


class PositionedSampler(Sampler[int]):
    """Item numbers from a position on.

    Attributes:
        micro_steps: The position: how many micro-batches are done.
    """

    micro_steps: int


def load_batches(
    dataset: Dataset[Batch], sampler: PositionedSampler, *, workers: int, pin_memory: bool
) -> Iterator[Batch]:
    """Yield the items of `dataset`, which are whole batches, and move the sampler's position with each.

    Batches that workers have prepared and nobody has taken do not count, so a saved position is exact.

    Args:
        dataset: The batches.
        sampler: Which of them; iterating it must not move its position.
        workers: Loading processes; 0 loads in this one.
        pin_memory: Put batches into page-locked memory, for faster copies to a CUDA device.

    Raises:
        InputError: the dataset raised it, in this process or in a worker.
    """
    batches: DataLoader[Batch] = DataLoader(
        dataset,
        batch_size=None,
        sampler=sampler,
        num_workers=workers,
        pin_memory=pin_memory,
        prefetch_factor=4 if workers else None,
        generator=torch.Generator(),  # its unused seeds would else come from the global generator
    )
    try:
        for batch in batches:
            sampler.micro_steps += 1  # before the hand-over: who saves now has this batch
            yield batch
    except InputError as error:  # out of a worker it comes with the worker's traceback in its text
        raise InputError(str(error).strip().splitlines()[-1].rpartition("InputError: ")[2]) from None
