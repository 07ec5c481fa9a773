"""The plan of a run: which rows every optimisation step trains on, known before the first step."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from seqdecomp.mixture import select_sequences
from seqdecomp.rows import Group
from seqdecomp.schedule import (
    GroupUse,
    batches_per_cycle,
    curricula_of_sources,
    group_order,
    longest_first,
    stocks_of,
    uses_of_groups,
)

__all__ = ["Group", "GroupUse", "Plan", "check_state", "differing_fields", "refuse_changes"]

Int64s = npt.NDArray[np.int64]
Int16s = npt.NDArray[np.int16]


class Plan:
    """Every step of a run as a pure function of groups, settings, seed and step number.

    A step takes `batch_tokens` tokens of one group, without replacement, in an order that is one random
    permutation a group; each cycle goes on where the last one ended, so what has been read of a group is
    a prefix of its permutation. The plan does not know of ranks: `rank_rows` cuts a global batch.

    Args:
        groups: One for each source and length, empty ones included.
        batch_tokens: Tokens of a step; a multiple of every length that is used.
        tokens: Tokens of the run, earlier plans' included; None: as many as the mixture allows.
        curriculum: Name or odds (see `bucket_order`), or one for each source: "web=grow-p2,code=1:1:1".
        cycles: How often the curriculum starts anew.
        odds_scale: As in `algorithm_1`.
        mixture: As in `select_sequences`.
        repeat: Whether a group may be read more than once.
        leftovers: What becomes of rows that fill no batch at the end of the run: "keep" serves them as
            one smaller batch a group, "drop" reports them.
        warm_longest_first: Serve the first batch of the longest length first, so that a lack of memory
            shows at once.
        seed: Seed of the order of rows and of the curriculum.
        identity: What made the groups (arm, decomposition, store); part of the state, never interpreted.
        previous: The plan that ruled before `first_step`.
        first_step: Number of this plan's first step.

    Raises:
        InputError: the batch is no multiple of a length, or mixture or curriculum cannot be had.

    Attributes:
        groups: The groups, as given.
        batch_tokens: Tokens of a full step.
        steps: Steps of the whole run, those before `first_step` included.
        first_step: First step of this plan; above 0 when it goes on from `previous`.
        previous: The plan that ruled until `first_step`, or None.
        group_of_step: int16 [steps], index into `groups`; -1 before `first_step`.
        uses: One GroupUse a group.
        settings: Everything that the plan depends on besides the tokens.
    """

    def __init__(
        self,
        groups: Sequence[Group],
        *,
        batch_tokens: int,
        tokens: int | None = None,
        curriculum: str = "grow-p2",
        cycles: int = 8,
        odds_scale: Literal["none", "by_tokens"] = "none",
        mixture: str = "natural",
        repeat: Literal["refuse", "repeat"] = "refuse",
        leftovers: Literal["keep", "drop"] = "keep",
        warm_longest_first: bool = False,
        seed: int = 0,
        identity: Mapping[str, Any] | None = None,
        previous: "Plan | None" = None,
        first_step: int = 0,
    ) -> None:
        self.groups = tuple(groups)
        self.batch_tokens = batch_tokens
        self.first_step = first_step
        self.previous = previous
        self.seed = seed
        self.settings: dict[str, Any] = {
            **(identity or {}),
            "batch_tokens": batch_tokens,
            "tokens": tokens,
            "curriculum": curriculum,
            "cycles": cycles,
            "odds_scale": odds_scale,
            "mixture": mixture,
            "repeat": repeat,
            "leftovers": leftovers,
            "warm_longest_first": warm_longest_first,
            "seed": seed,
        }
        keep = leftovers == "keep"
        if tokens is not None and previous is not None:
            tokens = max(0, tokens - previous.tokens_before(first_step))
        selected = select_sequences(mixture, stocks_of(self.groups), tokens=tokens, repeat=repeat)
        self.uses = uses_of_groups(self.groups, selected, batch_tokens, keep=keep)
        batches = batches_per_cycle(self.uses, cycles)
        names = curricula_of_sources(curriculum, [group.source for group in groups])
        order = group_order(
            self.groups, batches, names, odds_scale=odds_scale, seed=seed, what=f"plan-{first_step}"
        )
        if warm_longest_first:
            order = longest_first(order, [group.length for group in groups])
        self.group_of_step: Int16s = np.concatenate([np.full(first_step, -1, np.int16), order])
        self.steps = len(self.group_of_step)
        self._batch_of_step = _running_number(order, len(self.groups))
        self._permutations: dict[tuple[int, int], npt.NDArray[np.integer]] = {}

    @property
    def tokens(self) -> int:
        """Tokens of this plan's own steps, `length` a row."""
        return sum((use.selected - use.dropped) * use.length for use in self.uses)

    def length_of_step(self, step: int) -> int:
        """Length of the rows of a step."""
        return self.groups[self._group(step)].length

    def rows_of_step(self, step: int) -> tuple[int, Int64s]:
        """The global batch of a step: index of its group, and int64 [rows] rows of that group."""
        group = self._group(step)
        use = self.uses[group]
        first = int(self._batch_of_step[step - self.first_step]) * use.rows_per_step
        return group, self._rows_at(group, first, min(first + use.rows_per_step, use.selected))

    def rows_served(self, group: int) -> Int64s:
        """All rows of a group that the plan's own steps take, in their order; passes one after the other."""
        return self._rows_at(group, 0, self.uses[group].selected - self.uses[group].dropped)

    def rank_rows(self, step: int, rank: int, world_size: int, accumulation: int = 1) -> list[Int64s]:
        """The rows of one rank in a step, one int64 array for each accumulation step.

        Ranks take contiguous parts of the global batch, which is the same for any number of ranks. Parts
        are equal, except in a batch that is not full: there they differ by one row at most, and some may
        be empty.

        Raises:
            InputError: the full batch cannot be cut into equal parts.
        """
        group, rows = self.rows_of_step(step)
        parts = world_size * accumulation
        self._check_share(group, world_size, accumulation)
        borders = [len(rows) * part // parts for part in range(parts + 1)]
        mine = range(rank * accumulation, (rank + 1) * accumulation)
        return [rows[borders[part] : borders[part + 1]] for part in mine]

    def check_ranks(self, world_size: int, accumulation: int = 1) -> None:
        """Checks that every step's batch can be cut into equal parts for the ranks.

        Raises:
            InputError: it cannot, and the line says which batch could; or there is no rank or step.
        """
        for name, number in (("devices", world_size), ("accumulate", accumulation)):
            if number < 1:
                raise InputError(f"{name}: {number} is not positive; give 1 or more")
        for group in np.unique(self.group_of_step[self.first_step :]).tolist():
            self._check_share(group, world_size, accumulation)

    def rows_read(self, step: int) -> Int64s:
        """How many rows of each group the steps of this plan before `step` have taken, int64 [groups]."""
        done = np.bincount(self.group_of_step[self.first_step : step], minlength=len(self.groups))
        limits = np.array([use.selected for use in self.uses], np.int64)
        return np.minimum(done * np.array([use.rows_per_step for use in self.uses], np.int64), limits)

    def tokens_before(self, step: int) -> int:
        """Tokens that the run has trained on before `step`, by earlier plans as well."""
        earlier = 0 if self.previous is None else self.previous.tokens_before(self.first_step)
        lengths = np.array([group.length for group in self.groups], np.int64)
        return earlier + int((self.rows_read(step) * lengths).sum())

    def segments_read(self, step: int) -> tuple[Int64s, Int64s]:
        """Starts and spans of all tokens that the run has read before `step`, by earlier plans as well."""
        parts = [self.previous.segments_read(self.first_step)] if self.previous is not None else []
        for index, taken in enumerate(self.rows_read(step).tolist()):
            if taken:
                rows = self._rows_at(index, 0, min(taken, len(self.groups[index].rows)))
                parts.append(self.groups[index].rows.segments(rows)[1:])
        empty = np.zeros(0, np.int64)
        return (
            np.concatenate([empty, *(starts for starts, _ in parts)]),
            np.concatenate([empty, *(spans for _, spans in parts)]),
        )

    def state_dict(self) -> dict[str, Any]:
        """The plan's settings and those of the plans before it, as plain values."""
        return {
            "version": 1,
            "settings": dict(self.settings),
            "first_step": self.first_step,
            "previous": None if self.previous is None else self.previous.state_dict(),
        }

    def _group(self, step: int) -> int:
        if not self.first_step <= step < self.steps:
            raise IndexError(f"step {step} is not in {self.first_step}..{self.steps - 1}")
        return int(self.group_of_step[step])

    def _rows_at(self, group: int, first: int, last: int) -> Int64s:
        """Rows at the places first..last of a group's order; each pass has its own permutation."""
        number = len(self.groups[group].rows)
        parts = []
        while first < last:
            turn, place = divmod(first, number)
            end = min(number, place + last - first)
            parts.append(self._permutation(group, turn)[place:end])
            first += end - place
        return np.concatenate([np.zeros(0, np.int64), *parts])

    def _permutation(self, group: int, turn: int) -> npt.NDArray[np.integer]:
        if (group, turn) not in self._permutations:
            owner = self.groups[group]
            random = stream(self.seed, f"bucket-{owner.source}-{owner.length}", turn)
            self._permutations.pop((group, turn - 1), None)
            order = random.permutation(len(owner.rows))
            self._permutations[group, turn] = order if len(order) >= 2**31 else order.astype(np.int32)
        return self._permutations[group, turn]

    def _check_share(self, group: int, world_size: int, accumulation: int) -> None:
        rows, parts = self.uses[group].rows_per_step, world_size * accumulation
        if rows % parts:
            longest = max(self.groups[i].length for i in np.unique(self.group_of_step[self.first_step :]))
            fitting = -(-self.batch_tokens // (longest * parts)) * longest * parts
            raise InputError(
                f"batch_tokens: {self.batch_tokens:,} tokens are {rows} rows of length "
                f"{self.groups[group].length}, which {world_size} x {accumulation} (devices x micro-batches) "
                f"cannot share evenly; give {fitting:,}, or change --devices or --accumulate"
            )


def check_state(plan: Plan, state: Mapping[str, Any]) -> None:
    """Checks that a saved state belongs to this plan.

    Raises:
        InputError: settings differ; the line names them with both values.
    """
    if differing_fields(state["settings"], plan.settings) or state["first_step"] != plan.first_step:
        refuse_changes(state["settings"], plan.settings)


def differing_fields(saved: Mapping[str, Any], own: Mapping[str, Any]) -> list[str]:
    """The settings that differ, sorted."""
    return [key for key in sorted(saved.keys() | own.keys()) if saved.get(key) != own.get(key)]


def refuse_changes(saved: Mapping[str, Any], own: Mapping[str, Any]) -> NoReturn:
    """Refuses to go on with other settings, and names them.

    Raises:
        InputError: always.
    """
    fields = [
        f"{key} was {saved.get(key)!r} and is {own.get(key)!r}" for key in differing_fields(saved, own)
    ] or ["the plan was changed during the run"]
    cure = "give the same again, or pass --replan to plan anew what is unread"
    if saved.get("store") != own.get("store"):
        cure = "name the store that the run was begun with"
    raise InputError(f"resume: {'; '.join(fields)}; {cure}")


def _running_number(order: Int16s, groups: int) -> Int64s:
    """For each step, how many steps before it took the same group, int64 [steps]."""
    number = np.empty(len(order), np.int64)
    for group in range(groups):
        places = np.flatnonzero(order == group)
        number[places] = np.arange(len(places))
    return number
