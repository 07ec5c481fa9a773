"""Batches of token rows: shuffled by seed and epoch, and shared out to devices and micro-batches."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import torch
from toolkit_shared.randomness import stream
from torch import Tensor

from llm_compat.data.token_rows import TokenRows
from llm_compat.objectives.compatibility import IGNORED


class Batch(NamedTuple):
    """One micro-batch of rows, padded on the right, where a causal model does not look.

    Attributes:
        input_ids: int64 [rows, length].
        targets: int64 [rows, length]; the token after each position, or -100 where it is not trained.
        rows: int64 [rows]; numbers of the rows in their `TokenRows`; -1 for a filler without trained tokens.
        step_tokens: Scalar; trained tokens of the whole optimizer step that this is a part of.
    """

    input_ids: Tensor
    targets: Tensor
    rows: Tensor
    step_tokens: Tensor

    @property
    def trained(self) -> Tensor:
        """Bool [rows, length]; the positions that are trained."""
        return self.targets != IGNORED

    @property
    def sequences(self) -> Tensor:
        """int64 [trained tokens]; the row, within this batch, of each trained token."""
        return self.trained.nonzero()[:, 0]

    def to(self, device: torch.device | str) -> "Batch":
        """The batch on a device."""
        return Batch(*(part.to(device) for part in self))


def collate(rows: TokenRows, indices: Sequence[int], *, step_tokens: int | None = None) -> Batch:
    """The rows of these numbers as one batch; without any, a filler of one position that is not trained.

    Args:
        rows: All rows.
        indices: Which ones.
        step_tokens: Trained tokens of the optimizer step; None: of this batch.
    """
    pairs = [rows.row(index) for index in indices]
    length = max((len(tokens) for tokens, _ in pairs), default=1)
    input_ids = np.zeros((max(1, len(pairs)), length), np.int64)
    targets = np.full_like(input_ids, IGNORED)
    for place, (tokens, trained) in enumerate(pairs):
        input_ids[place, : len(tokens)] = tokens
        here = trained.nonzero()[0]
        targets[place, here] = tokens[here + 1]
    own = int((targets != IGNORED).sum())
    return Batch(
        torch.from_numpy(input_ids),
        torch.from_numpy(targets),
        torch.tensor(list(indices) or [-1]),
        torch.tensor(float(own if step_tokens is None else step_tokens)),
    )


def epoch_batches(
    rows: TokenRows,
    *,
    batch_size: int,
    accumulation: int = 1,
    world_size: int = 1,
    rank: int = 0,
    seed: int = 0,
    epoch: int = 0,
    shuffle: bool = True,
    skip_steps: int = 0,
) -> Iterator[Batch]:
    """The micro-batches of one process in one epoch, `accumulation` for each optimizer step.

    Every row comes once an epoch. A step takes batch_size * accumulation * world_size rows, sorted by length
    within the step so that less is padded; the last step takes what is left, and its processes may get
    fillers. Which rows a step takes depends on the seed, the epoch and the number of rows a step alone.

    Args:
        rows: All rows.
        batch_size: Rows of a micro-batch.
        accumulation: Micro-batches of a process in a step.
        world_size: Number of processes.
        rank: Which of them this is.
        seed: Of the order.
        epoch: From 0; each has an order of its own.
        shuffle: Whether there is an order; without it, that of the rows.
        skip_steps: Steps at the beginning that are left out, for a run that is resumed.
    """
    order = np.arange(len(rows))
    if shuffle:
        order = stream(seed, "llm-compat: order of rows", epoch).permutation(len(rows))
    parts = accumulation * world_size
    counts = np.diff(rows.trained_offsets)
    for start in range(skip_steps * batch_size * parts, len(rows), batch_size * parts):
        taken = order[start : start + batch_size * parts]
        taken = taken[np.argsort(-rows.lengths[taken], kind="stable")]
        step_tokens = int(counts[taken].sum())
        for part in range(rank * accumulation, (rank + 1) * accumulation):
            mine = taken[part * batch_size : (part + 1) * batch_size]
            yield collate(rows, mine.tolist(), step_tokens=step_tokens)


def steps_per_epoch(rows: TokenRows, *, rows_per_step: int) -> int:
    """Optimizer steps of one epoch; the last may have fewer rows."""
    return math.ceil(len(rows) / rows_per_step)
