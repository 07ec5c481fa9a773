"""The contexts of a dataset in the order of a run, epoch after epoch, and the micro-batches of a step.

A position counts contexts from the start of the run, over epochs. In each epoch the shards come in an order
of their own, and so do the contexts of each shard: one shard is in memory at a time, and every context is
seen once. Nothing depends on the number of devices, on accumulation or on workers.
"""

from collections import OrderedDict
from collections.abc import Iterator, Sequence, Sized
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from toolkit_shared.errors import InputError
from toolkit_shared.language_model.objectives import IGNORED
from toolkit_shared.loading import PositionedSampler, load_batches
from toolkit_shared.randomness import stream
from torch.utils.data import Dataset

from dclm_bench.tokenization.shards import Shard, read_shard

HELD_SHARDS = 2
Batch = dict[str, Any]


class EpochOrder:
    """Which context stands at which position of a run.

    Args:
        sizes: Contexts of each shard.
        seed: Of the order.
    """

    def __init__(self, sizes: Sequence[int], *, seed: int) -> None:
        self.sizes, self.seed = np.asarray(sizes, np.int64), seed
        self.num_contexts = int(self.sizes.sum())
        self._epoch = -1

    def rows(self, start: int, end: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        """Shard and row in it of the positions `start` to `end` (not included), int64 [positions] each."""
        positions = np.arange(start, end)
        epochs, within = np.divmod(positions, self.num_contexts)
        shards, rows = np.empty_like(positions), np.empty_like(positions)
        for epoch in np.unique(epochs):
            mine = epochs == epoch
            shards[mine], rows[mine] = self._rows_of_epoch(int(epoch), within[mine])
        return shards, rows

    def _rows_of_epoch(
        self, epoch: int, within: npt.NDArray[np.int64]
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]:
        if epoch != self._epoch:
            self._epoch = epoch
            self._shards = stream(self.seed, "training: shards", epoch).permutation(len(self.sizes))
            self._starts = np.concatenate([[0], np.cumsum(self.sizes[self._shards])])
        place = np.searchsorted(self._starts, within, side="right") - 1
        rows = within - self._starts[place]
        for one in np.unique(place):
            shard, mine = int(self._shards[one]), place == one
            number = epoch * len(self.sizes) + shard
            order = stream(self.seed, "training: contexts", number).permutation(self.sizes[shard])
            rows[mine] = order[rows[mine]]
        return self._shards[place], rows


def count_pads(contexts: npt.NDArray[np.integer[Any]], *, eot_id: int, pad_id: int) -> npt.NDArray[np.int64]:
    """How many tokens at the end of each context are fill, int64 [contexts].

    Fill is what stands at the end, all `pad_id`, after the end of a document or from the start of the
    context. So the padding id within a text, where it is a run of 22 blanks in GPT-NeoX, is none.
    """
    differs = contexts[:, ::-1] != pad_id
    length = contexts.shape[1]
    pads = np.where(differs.any(axis=1), differs.argmax(axis=1), length)
    before = contexts[np.arange(len(contexts)), np.maximum(length - 1 - pads, 0)]
    return np.where((pads == length) | (before == eot_id), pads, 0).astype(np.int64)


class StepDataset(Dataset[Batch]):
    """The micro-batches of a run for one rank.

    An item has `input_ids` and `targets` (int64 [rows, tokens], -100 at fill), `weight` (for the mean over
    the whole step, see `weighted_loss`), `tokens` (predicted in the whole step), `new_tokens` (those of
    contexts that are seen for the first time) and `epoch` (passes over the data when the step is done).

    Args:
        shards: The data.
        context_length: Tokens of a context.
        vocab_size: Of the model; larger ids are refused.
        steps: Optimizer steps.
        sequences_per_step: Contexts of a step, all ranks together.
        seed: Of the order.
        eot_id: End of text.
        pad_id: Fill.
        train_on_pads: Predict the fill too.
        rank: This process.
        world_size: Number of processes.
        accumulation: Micro-batches of each in a step.

    Raises:
        InputError: a step cannot be shared out evenly.
    """

    def __init__(
        self,
        shards: Sequence[Shard],
        *,
        context_length: int,
        vocab_size: int,
        steps: int,
        sequences_per_step: int,
        seed: int,
        eot_id: int,
        pad_id: int,
        train_on_pads: bool = False,
        rank: int = 0,
        world_size: int = 1,
        accumulation: int = 1,
    ) -> None:
        check_shares(sequences_per_step, world_size, accumulation)
        self.shards, self.context_length, self.vocab_size = tuple(shards), context_length, vocab_size
        self.steps, self.sequences_per_step = steps, sequences_per_step
        self.eot_id, self.pad_id, self.train_on_pads = eot_id, pad_id, train_on_pads
        self.rank, self.world_size, self.accumulation = rank, world_size, accumulation
        self.order = EpochOrder([shard.num_sequences for shard in shards], seed=seed)
        self._held: OrderedDict[int, npt.NDArray[np.int32]] = OrderedDict()
        self._step: tuple[int, npt.NDArray[np.int32], Batch] | None = None

    def __len__(self) -> int:
        """Micro-batches of the whole run."""
        return self.steps * self.accumulation

    def __getitem__(self, micro_step: int) -> Batch:
        """The micro-batch number `micro_step` of this rank."""
        step, micro = divmod(micro_step, self.accumulation)
        contexts, counts = self.contexts_of_step(step)
        rows = self.sequences_per_step // (self.world_size * self.accumulation)
        first = (micro * self.world_size + self.rank) * rows
        mine = torch.from_numpy(contexts[first : first + rows].astype(np.int64))
        targets = mine[:, 1:].clone()
        if not self.train_on_pads:
            pads = count_pads(mine.numpy(), eot_id=self.eot_id, pad_id=self.pad_id)
            columns = torch.arange(self.context_length - 1)
            targets[columns >= self.context_length - 1 - torch.from_numpy(pads)[:, None]] = IGNORED
        weight = self.world_size * self.accumulation / max(1, counts["tokens"])
        return {
            "input_ids": mine[:, :-1].contiguous(),
            "targets": targets,
            "weight": torch.tensor(weight, dtype=torch.float32),
            **counts,
        }

    def contexts_of_step(self, step: int) -> tuple[npt.NDArray[np.int32], Batch]:
        """All contexts of a step, int32 [sequences_per_step, context_length], and what is counted of it."""
        if self._step is None or self._step[0] != step:
            start = step * self.sequences_per_step
            end = start + self.sequences_per_step
            contexts = self._read(*self.order.rows(start, end))
            predicted = np.full(len(contexts), self.context_length - 1)
            if not self.train_on_pads:
                pads = count_pads(contexts, eot_id=self.eot_id, pad_id=self.pad_id)
                predicted = np.maximum(predicted - pads, 0)
            fresh = np.arange(start, end) < self.order.num_contexts
            counts = {
                "tokens": int(predicted.sum()),
                "new_tokens": int(predicted[fresh].sum()),
                "epoch": round(end / self.order.num_contexts, 6),
            }
            self._step = step, contexts, counts
        return self._step[1], self._step[2]

    def _read(self, shards: npt.NDArray[np.int64], rows: npt.NDArray[np.int64]) -> npt.NDArray[np.int32]:
        out = np.empty((len(rows), self.context_length), np.int32)
        _, first = np.unique(shards, return_index=True)
        for shard in shards[np.sort(first)]:
            mine = shards == shard
            out[mine] = self._shard(int(shard))[rows[mine]]
        return out

    def _shard(self, index: int) -> npt.NDArray[np.int32]:
        if index not in self._held:
            contexts = read_shard(self.shards[index], context_length=self.context_length)
            if contexts.size and contexts.max() >= self.vocab_size:
                raise InputError(
                    f"{self.shards[index].path}: holds the id {contexts.max()}, and the model has "
                    f"{self.vocab_size} ids; train with the scale or tokenizer that the data were made for"
                )
            self._held[index] = contexts
            while len(self._held) > HELD_SHARDS:
                self._held.popitem(last=False)
        return self._held[index]


class MicroStepSampler(PositionedSampler):
    """The micro-steps of a run from the current one on."""

    def __init__(self, dataset: StepDataset) -> None:
        self.dataset, self.micro_steps = dataset, 0

    def __len__(self) -> int:
        """Micro-steps of the whole run."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[int]:
        """Numbers of micro-steps."""
        return iter(range(self.micro_steps, len(self.dataset)))


class ContextLoader(Sized):
    """The micro-batches of one rank, with a position that counts what was handed out.

    Args:
        dataset: The micro-batches.
        workers: Loading processes; 0 loads in this one. Each unpacks every shard, so one is mostly enough.
    """

    def __init__(self, dataset: StepDataset, *, workers: int = 0) -> None:
        self.dataset, self.workers = dataset, workers
        self.sampler = MicroStepSampler(dataset)

    def __len__(self) -> int:
        """Micro-batches of the whole run, those before the current position included."""
        return len(self.dataset)

    def __iter__(self) -> Iterator[Batch]:
        """From the current position to the end."""
        pin = torch.cuda.is_available()
        return load_batches(self.dataset, self.sampler, workers=self.workers, pin_memory=pin)

    def state_dict(self) -> dict[str, int]:
        """Optimizer step and micro-step within it."""
        step, micro = divmod(self.sampler.micro_steps, self.dataset.accumulation)
        return {"step": step, "micro": micro}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on after the batches that `state` counts.

        Raises:
            InputError: it was taken within a step.
        """
        if state["micro"]:
            raise InputError(f"loader state: taken within step {state['step']}; save at the end of a step")
        self.sampler.micro_steps = state["step"] * self.dataset.accumulation


def check_shares(sequences_per_step: int, devices: int, accumulation: int) -> None:
    """Make sure that a step can be shared out.

    Raises:
        InputError: devices times accumulation does not divide the sequences of a step.
    """
    if devices < 1 or accumulation < 1:
        raise InputError(f"--devices {devices}, --accumulate {accumulation}: give 1 or more of each")
    if sequences_per_step % (devices * accumulation):
        raise InputError(
            f"--devices {devices} x --accumulate {accumulation}: does not divide the {sequences_per_step} "
            "sequences of a step; choose other numbers"
        )
