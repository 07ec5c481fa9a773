"""Batches of a plan for torch: a dataset, a sampler and a loader that resume exactly.

An item of the dataset is one micro-batch of one rank, already a whole batch; item numbers run through the
plan in order: `(step * accumulation + micro) * world_size + rank`. Every rank and every worker computes the
same plan, so nothing is communicated: the bucket of a step is the same everywhere, no row comes twice, and
the global batch of a step does not depend on the number of ranks or workers.
"""

from collections.abc import Iterator, Sequence, Sized
from typing import Any, Protocol, TypedDict

import numpy as np
import numpy.typing as npt
import torch
from toolkit_shared.errors import InputError
from toolkit_shared.loading import PositionedSampler, load_batches
from torch import Tensor
from torch.utils.data import Dataset

from seqdecomp.data.store import Store

IGNORED = -100


class PlannedRows(Protocol):
    """The rows of one group, as `seqdecomp.rows.Rows` has them."""

    def segments(self, indices: Any = None) -> tuple[npt.NDArray[np.int64], ...]:
        """Offsets int64 [rows + 1] into the segments, and their starts and spans, int64 [segments] each."""

    def gather(
        self, store: Store, indices: Any
    ) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32] | None]:
        """Tokens [rows, span], and the number of the segment of each or None when there is one a row."""


class PlannedGroup(Protocol):
    """Rows of one length, as `seqdecomp.rows.Group` has them."""

    @property
    def length(self) -> int:
        """Input positions of a row."""

    @property
    def rows(self) -> PlannedRows:
        """The rows."""

    @property
    def masked(self) -> bool:
        """Whether attention stays inside each segment."""


class StepPlan(Protocol):
    """What loading needs of `seqdecomp.plan.Plan`."""

    batch_tokens: int
    steps: int
    first_step: int
    group_of_step: npt.NDArray[np.int16]

    @property
    def groups(self) -> Sequence[PlannedGroup]:
        """The groups that steps draw from."""

    def rows_of_step(self, step: int) -> tuple[int, npt.NDArray[np.int64]]:
        """Index of the group of a step, and the rows of its global batch, int64 [rows]."""

    def rank_rows(
        self, step: int, rank: int, world_size: int, accumulation: int = 1
    ) -> list[npt.NDArray[np.int64]]:
        """The rows of one rank, one array int64 [rows] for each micro-batch."""

    def check_ranks(self, world_size: int, accumulation: int = 1) -> None:
        """Raises InputError when a full batch cannot be cut into equal parts."""

    def state_dict(self) -> dict[str, Any]:
        """The plan's settings as plain values."""


class Batch(TypedDict, total=False):
    """One micro-batch of one rank."""

    input_ids: Tensor
    """int64 [rows, length]."""

    targets: Tensor
    """int64 [rows, length], the token after each position; -100 where there is none to predict."""

    document_ids: Tensor
    """int64 [rows, length], only where attention stays inside documents; a new number begins a document."""

    weight: Tensor
    """float32 scalar: ranks * accumulation / tokens that the whole step predicts."""

    length: int
    """Input positions of a row, the same for the whole step."""

    step: int
    """Optimizer step, from 0."""


class StepDataset(Dataset[Batch]):
    """The micro-batches of a plan, by item number.

    Args:
        store: Where the tokens are.
        plan: Which rows each step takes.
        world_size: Ranks that share a step's batch.
        accumulation: Micro-batches of one rank in a step.
        static_rows: Fill the last, smaller batch of a bucket up to full size with ignored rows, so that each
            length has one shape (for compiled models); otherwise only up to what divides evenly.
        vocab_size: Ids that the model knows; an item with another is refused. None: nothing is checked.

    Raises:
        InputError: the full batch of a length cannot be cut into equal parts.
    """

    def __init__(
        self,
        store: Store,
        plan: StepPlan,
        *,
        world_size: int = 1,
        accumulation: int = 1,
        static_rows: bool = False,
        vocab_size: int | None = None,
    ) -> None:
        plan.check_ranks(world_size, accumulation)
        self.store, self.plan, self.vocab_size = store, plan, vocab_size
        self.world_size, self.accumulation, self.static_rows = world_size, accumulation, static_rows

    def __len__(self) -> int:
        """Items of all steps, with those before the plan's first step, which cannot be had."""
        return self.plan.steps * self.accumulation * self.world_size

    def __getitem__(self, item: int) -> Batch:
        if not 0 <= item < len(self):
            raise IndexError(f"item {item} of {len(self)}")
        micro_step, rank = divmod(item, self.world_size)
        step, micro = divmod(micro_step, self.accumulation)
        index, all_rows = self.plan.rows_of_step(step)
        group = self.plan.groups[index]
        mine = self.plan.rank_rows(step, rank, self.world_size, self.accumulation)[micro]
        shares = self.world_size * self.accumulation
        rows = self.plan.batch_tokens // group.length if self.static_rows else len(all_rows)
        batch = _micro_batch(self.store, group, mine, -(-rows // shares))
        if self.vocab_size is not None:
            self._check_ids(batch, step)
        weight = shares / max(predicted_tokens(group, all_rows), 1)
        batch["weight"] = torch.tensor(weight, dtype=torch.float32)
        batch["length"], batch["step"] = group.length, step
        return batch

    def _check_ids(self, batch: Batch, step: int) -> None:
        """Refuse ids that the embedding lacks; a tenth of a nanosecond a token."""
        highest = max(int(batch["input_ids"].max()), int(batch["targets"].max()))
        if self.vocab_size is not None and highest >= self.vocab_size:
            raise InputError(
                f"{self.store.path or 'store'}: step {step} holds id {highest}, and the model knows "
                f"{self.vocab_size} ids; give --architecture.vocab-size, or see seqdecomp verify"
            )

    def shapes(self) -> list[tuple[int, int]]:
        """(rows, length) of a full micro-batch of each length that is trained on, the longest first."""
        shares = self.world_size * self.accumulation
        used = np.unique(self.plan.group_of_step[self.plan.first_step :]).tolist()
        lengths = sorted({self.plan.groups[index].length for index in used}, reverse=True)
        return [(self.plan.batch_tokens // length // shares, length) for length in lengths]


def predicted_tokens(group: PlannedGroup, indices: npt.NDArray[np.int64]) -> int:
    """Tokens that the rows `indices`, int64 [rows], of `group` predict.

    Each run of n tokens predicts n - 1: a run is a row, or a document of it where attention stays inside
    documents. A row that holds no token predicts none.
    """
    offsets, _, spans = group.rows.segments(indices)
    if group.masked:
        return int(np.maximum(spans - 1, 0).sum())
    held = np.concatenate([np.zeros(1, np.int64), np.cumsum(spans)])
    return int(np.maximum(held[offsets[1:]] - held[offsets[:-1]] - 1, 0).sum())


class PlanSampler(PositionedSampler):
    """Item numbers of a plan in order: those of one rank, or of all ranks for a trainer that shares them out.

    Args:
        dataset: The micro-batches.
        rank: Whose items; None: all, for trainers that deal consecutive items to consecutive ranks.
    """

    def __init__(self, dataset: StepDataset, *, rank: int | None = None) -> None:
        if rank is not None and not 0 <= rank < dataset.world_size:
            raise ValueError(f"rank: {rank} is not below the world size {dataset.world_size}")
        self.dataset, self.rank = dataset, rank
        self.micro_steps = dataset.plan.first_step * dataset.accumulation

    def __iter__(self) -> Iterator[int]:
        """From the current position to the end; iterating does not move the position that is saved."""
        world = self.dataset.world_size
        ranks: Sequence[int] = range(world) if self.rank is None else (self.rank,)
        for micro_step in range(self.micro_steps, len(self.dataset) // world):
            for rank in ranks:
                yield micro_step * world + rank

    def __len__(self) -> int:
        """Items of the whole plan, those before the current position included."""
        return len(self.dataset) // (self.dataset.world_size if self.rank is not None else 1)

    def state_dict(self) -> dict[str, Any]:
        """The position, valid for any number of ranks at the end of a step."""
        step, micro = divmod(self.micro_steps, self.dataset.accumulation)
        return {
            "plan": self.dataset.plan.state_dict(),
            "step": step,
            "micro": micro,
            "world_size": self.dataset.world_size,
            "accumulation": self.dataset.accumulation,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the micro-batches that `state` counts.

        A plan that was made anew from that very state on may also go on with it.

        Raises:
            InputError: the state is of another plan, or inside a step that is now shared out otherwise.
        """
        _require_same_plan(state, self.dataset.plan.state_dict())
        shares = (self.dataset.world_size, self.dataset.accumulation)
        if state["micro"] and (state["world_size"], state["accumulation"]) != shares:
            raise InputError(
                f"loader state: taken inside step {state['step']} with {state['world_size']} ranks and "
                f"accumulation {state['accumulation']}; resume with the same, or save at the end of a step"
            )
        self.micro_steps = state["step"] * self.dataset.accumulation + state["micro"]


class PlanLoader(Sized):
    """One rank's batches of a plan, loaded by workers ahead of time, with a position that is exact.

    The position counts batches that were handed out, not those that workers have prepared.

    Args:
        dataset: The micro-batches.
        rank: This process among `dataset.world_size`.
        workers: Loading processes; 0 loads in this one.
        pin_memory: Put batches into page-locked memory, for faster copies to a CUDA device; None: when there
            is one.
    """

    def __init__(
        self, dataset: StepDataset, *, rank: int = 0, workers: int = 0, pin_memory: bool | None = None
    ) -> None:
        self.dataset, self.rank, self.workers = dataset, rank, workers
        self.pin_memory = torch.cuda.is_available() if pin_memory is None else pin_memory
        self.sampler = PlanSampler(dataset, rank=rank)

    def __len__(self) -> int:
        """Batches of the whole plan, those before the current position included."""
        return len(self.sampler)

    def __iter__(self) -> Iterator[Batch]:
        """From the current position to the end of the plan."""
        return load_batches(self.dataset, self.sampler, workers=self.workers, pin_memory=self.pin_memory)

    def state_dict(self) -> dict[str, Any]:
        """The position, as `PlanSampler.state_dict` gives it."""
        return self.sampler.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on after the batches that `state` counts; see `PlanSampler.load_state_dict`."""
        self.sampler.load_state_dict(state)


def collate_for_trainer(items: Sequence[Batch]) -> dict[str, Tensor]:
    """The only item of a batch under the names that a Hugging Face causal model takes.

    For `Trainer` with `per_device_train_batch_size=1` and `remove_unused_columns=False`. Its models shift
    labels themselves, hence `labels` stand at their tokens' places, -100 at each place that must not be
    predicted; where the store holds one token more than the length (plus1), so does `input_ids`. Rows whose
    attention stays inside documents get `position_ids` that begin anew with each.

    Raises:
        ValueError: more than one item; an item is a whole batch.
    """
    if len(items) != 1:
        raise ValueError(
            f"{len(items)} items; an item is a whole batch, so use per_device_train_batch_size=1"
        )
    batch = items[0]
    inputs, targets = batch["input_ids"], batch["targets"]
    labels = torch.nn.functional.pad(targets, (1, 0), value=IGNORED)
    plus1 = bool((targets[:, -1] != IGNORED).any())
    if plus1:
        inputs = torch.cat([inputs, targets[:, -1:].clamp(min=0)], dim=1)
    else:
        labels = labels[:, :-1]
    collated = {"input_ids": inputs, "labels": labels}
    if "document_ids" in batch:
        collated["position_ids"] = _positions(batch["document_ids"], inputs.shape[1])
    return collated


def _micro_batch(store: Store, group: PlannedGroup, indices: npt.NDArray[np.int64], rows: int) -> Batch:
    """The rows `indices`, and fully ignored rows up to `rows` in all."""
    length, held = group.length, len(indices)
    if held == 0:
        inputs, targets = np.zeros((rows, length), np.int64), np.full((rows, length), IGNORED, np.int64)
        return _as_batch(inputs, targets, np.full_like(targets, -1) if group.masked else None)
    tokens, segments = group.rows.gather(store, indices)
    inputs, targets = _inputs_and_targets(tokens, length)
    documents: npt.NDArray[np.int64] | None = None
    if group.masked:
        whole = np.zeros(tokens.shape, np.int32) if segments is None else segments
        documents = whole[:, :length].astype(np.int64)
    if segments is not None:
        after = segments[:, 1 : length + 1]
        forbidden = after < 0
        if group.masked:
            forbidden |= after != segments[:, : after.shape[1]]
        targets[:, : after.shape[1]][forbidden] = IGNORED
    if held < rows:
        inputs, targets = _filled(inputs, rows, 0), _filled(targets, rows, IGNORED)
        documents = None if documents is None else _filled(documents, rows, -1)
    return _as_batch(inputs, targets, documents)


def _inputs_and_targets(tokens: npt.NDArray[np.int64], length: int) -> tuple[npt.NDArray[np.int64], ...]:
    """Inputs and the token after each, int64 [rows, length] both; `tokens` may have one column more."""
    if tokens.shape[1] > length:
        return np.ascontiguousarray(tokens[:, :length]), np.ascontiguousarray(tokens[:, 1:])
    targets = np.empty_like(tokens)
    # Shifted over the rows' borders and mended after: row by row, both sides lie 4 KiB multiples apart at the
    # lengths used here, and the copy was measured to be ten times slower.
    targets.reshape(-1)[:-1] = tokens.reshape(-1)[1:]
    targets[:, -1] = IGNORED
    return tokens, targets


def _filled(part: npt.NDArray[np.int64], rows: int, value: int) -> npt.NDArray[np.int64]:
    return np.concatenate([part, np.full((rows - len(part), part.shape[1]), value, np.int64)])


def _as_batch(
    inputs: npt.NDArray[np.int64], targets: npt.NDArray[np.int64], documents: npt.NDArray[np.int64] | None
) -> Batch:
    batch: Batch = {"input_ids": torch.from_numpy(inputs), "targets": torch.from_numpy(targets)}
    if documents is not None:
        batch["document_ids"] = torch.from_numpy(documents)
    return batch


def _positions(document_ids: Tensor, columns: int) -> Tensor:
    extended = torch.nn.functional.pad(document_ids, (0, columns - document_ids.shape[1]), value=-1)
    begins = torch.nn.functional.pad(extended[:, 1:] != extended[:, :-1], (1, 0), value=True)
    index = torch.arange(columns).expand_as(extended)
    return index - torch.where(begins, index, 0).cummax(dim=1).values


def _require_same_plan(state: dict[str, Any], own: dict[str, Any]) -> None:
    saved = state["plan"]
    goes_on = (own["previous"], own["first_step"], 0) == (saved, state["step"], state["micro"])
    if saved == own or goes_on:
        return
    before, now = saved["settings"], own["settings"]
    fields = [name for name in sorted(before.keys() | now.keys()) if before.get(name) != now.get(name)]
    differences = "; ".join(f"{name} was {before.get(name)!r} and is {now.get(name)!r}" for name in fields)
    raise InputError(
        f"loader state: of another plan: {differences or 'an earlier part of it differs'}; "
        "restore the settings, or plan anew what is unread"
    )
