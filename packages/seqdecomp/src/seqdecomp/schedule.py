"""The schedule of a plan: what each cycle takes of each group, and in which order the steps come."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from seqdecomp.curriculum import bucket_order, split_over_cycles
from seqdecomp.mixture import Stock
from seqdecomp.rows import Group

Int64s = npt.NDArray[np.int64]
Int16s = npt.NDArray[np.int16]


@dataclass(frozen=True, kw_only=True)
class GroupUse:
    """What a plan does with one group; all counts are rows unless they say otherwise.

    `available` are there, `selected` are asked for by the mixture, `rows_per_step` make a full batch,
    `steps` are its steps (with `partial` rows in the last one when that is not full), and `dropped` rows
    are selected but not served.
    """

    label: str
    source: str
    length: int
    available: int
    selected: int
    rows_per_step: int
    steps: int
    partial: int
    dropped: int

    @property
    def passes(self) -> float:
        """How often the group is read; above 1 rows are repeated."""
        return (self.selected - self.dropped) / self.available if self.available else 0.0


def stocks_of(groups: Sequence[Group]) -> list[Stock]:
    """What each group has.

    Raises:
        ValueError: two groups have the same source and length.
    """
    places = [(group.source, group.length) for group in groups]
    if len(set(places)) < len(places):
        raise ValueError("two groups have the same source and length")
    return [Stock(source=g.source, length=g.length, sequences=len(g.rows)) for g in groups]


def uses_of_groups(
    groups: Sequence[Group], selected: Int64s, batch_tokens: int, *, keep: bool
) -> tuple[GroupUse, ...]:
    """What a plan with steps of `batch_tokens` tokens does with the `selected` rows, int64 [groups].

    Rows that fill no whole batch are one smaller batch with `keep`, and are dropped without.

    Raises:
        InputError: the batch is not a multiple of a length that is used, or there is not one step.
    """
    used = [group.length for group, number in zip(groups, selected.tolist(), strict=True) if number]
    for length in used:
        if batch_tokens % length or batch_tokens < 1:
            fitting = max(1, -(-batch_tokens // max(used))) * max(used)
            raise InputError(
                f"batch_tokens: {batch_tokens:,} is not a multiple of length {length}; give {fitting:,}"
            )
    uses = []
    for group, wanted in zip(groups, selected.tolist(), strict=True):
        rows = max(1, batch_tokens // group.length)
        full, rest = divmod(wanted, rows)
        uses.append(
            GroupUse(
                label=group.name,
                source=group.source,
                length=group.length,
                available=len(group.rows),
                selected=wanted,
                rows_per_step=rows,
                steps=full + (1 if rest and keep else 0),
                partial=rest if keep else 0,
                dropped=0 if keep else rest,
            )
        )
    if not any(use.steps for use in uses):
        tokens = sum(use.selected * use.length for use in uses)
        raise InputError(
            f"tokens: {tokens:,} tokens in whole sequences give no step of {batch_tokens:,}; "
            "raise --tokens, lower --batch-tokens, or keep leftovers"
        )
    return tuple(uses)


def batches_per_cycle(uses: Sequence[GroupUse], cycles: int) -> Int64s:
    """Batches that each cycle takes of each group, int64 [cycles, groups].

    Rows are cut into equal parts; rows that fill no batch in their cycle are carried to the next, so that
    the sum over cycles is exact. A smaller batch of what is left comes in the last cycle.
    """
    selected = np.array([use.selected for use in uses], np.int64)
    per_step = np.array([use.rows_per_step for use in uses], np.int64)
    rows = np.cumsum(split_over_cycles(selected, cycles), axis=0)
    batches = np.diff(rows // per_step, axis=0, prepend=0)
    batches[-1] += np.array([use.partial > 0 for use in uses], np.int64)
    return batches


def curricula_of_sources(curriculum: str, sources: Sequence[str]) -> dict[str, str]:
    """The curriculum of each source; a text without "=" is that of all.

    Raises:
        InputError: the text does not name each source once.
    """
    sources = list(dict.fromkeys(sources))
    if "=" not in curriculum:
        return dict.fromkeys(sources, curriculum)
    named = dict(part.strip().partition("=")[::2] for part in curriculum.split(","))
    missing = [source for source in sources if source not in named]
    unknown = [source for source in named if source not in sources]
    if missing or unknown:
        raise InputError(
            f"curriculum: '{curriculum}' does not name each of the sources {', '.join(sources)}; "
            f"{'add ' + ', '.join(missing) if missing else 'remove ' + ', '.join(unknown)}"
        )
    return named


def group_order(
    groups: Sequence[Group],
    batches: Int64s,
    curricula: Mapping[str, str],
    *,
    odds_scale: Literal["none", "by_tokens"],
    seed: int,
    what: str,
) -> Int16s:
    """The group of every step, int16 [steps]: each source follows its own length curriculum.

    With several sources the steps of each cycle are shuffled among them, so that every part of a cycle has
    the cycle's mix of sources, while the lengths of each source come in the order of its curriculum. (The
    paper has one source; how sources are joined is our choice.)

    Args:
        groups: The groups.
        batches: int64 [cycles, groups].
        curricula: Name or odds for each source.
        odds_scale: As in `algorithm_1`.
        seed: Seed.
        what: Name of the random streams.
    """
    orders: list[Int16s] = []
    counts: list[Int64s] = []
    for source, curriculum in curricula.items():
        members = [i for i, group in enumerate(groups) if group.source == source]
        members.sort(key=lambda i: groups[i].length)
        mine = batches[:, members]
        order = bucket_order(curriculum, mine, odds_scale=odds_scale, seed=seed, what=f"{what}-{source}")
        orders.append(np.array(members, np.int16)[order])
        counts.append(mine.sum(axis=1))
    if len(orders) == 1:
        return orders[0]
    labels = np.concatenate(
        [
            stream(seed, f"{what}-sources", cycle).permutation(np.repeat(np.arange(len(orders)), numbers))
            for cycle, numbers in enumerate(np.array(counts).T)
        ]
    )
    merged = np.empty(len(labels), np.int16)
    for place, order in enumerate(orders):
        merged[labels == place] = order
    return merged


def longest_first(order: Int16s, lengths: Sequence[int]) -> Int16s:
    """The same steps with the first step of the longest length moved to the front."""
    length_of_step = np.array(lengths)[order]
    place = int(np.argmax(length_of_step == length_of_step.max()))
    return np.concatenate([order[place : place + 1], order[:place], order[place + 1 :]])
