"""The same documents in several runs, by their keys and never by their position."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from llm_compat.data.outcomes import Outcomes
from llm_compat.data.runs import read_details

Index = npt.NDArray[np.int64]
SHOWN = 3


@dataclass(frozen=True, kw_only=True)
class Pairing:
    """Where the shared documents stand.

    Attributes:
        index: For each run, int64 [items], positions of the shared documents in the order of the first run.
        unpaired: Documents that are not in all runs.
        notes: Prompts that differ, and documents left out.
    """

    index: tuple[Index, ...]
    unpaired: int
    notes: tuple[str, ...]


def pair(runs: Sequence[Outcomes], *, allow_unpaired: bool = False) -> Pairing:
    """The documents that all runs have, with the same expected answer.

    Prompts may differ (another template or number of examples); that is a note.

    Args:
        runs: Outcomes of one task, the old model's first.
        allow_unpaired: Leave out what is not in all runs.

    Raises:
        InputError: documents are missing in a run, no document is shared, or expected answers differ.
    """
    first = runs[0]
    position = np.arange(len(first))
    found = []
    shared = np.ones(len(first), dtype=bool)
    for other in runs[1:]:
        order = np.argsort(other.keys, kind="stable")
        place = np.minimum(np.searchsorted(other.keys, first.keys, sorter=order), max(len(other) - 1, 0))
        where = order[place] if len(other) else np.zeros(len(first), dtype=np.int64)
        same = other.keys[where] == first.keys if len(other) else np.zeros(len(first), dtype=bool)
        extra = len(other) - int(same.sum())
        if (not same.all() or extra) and not allow_unpaired:
            raise InputError(_missing(first, other, same))
        found.append(where)
        shared &= same
    index = (position[shared], *(where[shared] for where in found))
    if len(index[0]) == 0:
        raise InputError(
            f"{runs[-1].source}: {first.name}: has no document of {first.source}; give runs of the same task"
        )
    notes = []
    for other, own in zip(runs[1:], index[1:], strict=True):
        _require_same_targets(first, other, index[0], own)
        notes += _prompt_notes(first, other, index[0], own)
    everything = np.unique(np.concatenate([run.keys for run in runs]))
    unpaired = len(everything) - len(index[0])
    if unpaired:
        notes.append(f"{unpaired:,} documents are not in all runs and were left out")
    return Pairing(index=index, unpaired=unpaired, notes=tuple(notes))


def _missing(first: Outcomes, other: Outcomes, same: npt.NDArray[np.bool_]) -> str:
    """One line that says how many documents are missing where, and names some."""
    parts = []
    lost = np.flatnonzero(~same)
    extra = np.flatnonzero(~np.isin(other.keys, first.keys))
    if len(lost):
        parts.append(
            f"{len(lost):,} of {len(first):,} documents of {first.source} are missing ({_ids(first, lost)})"
        )
    if len(extra):
        parts.append(f"{len(extra):,} documents are not in {first.source} ({_ids(other, extra)})")
    return (
        f"{other.source}: {first.name}: {' and '.join(parts)}; "
        "compare runs on the same documents, or pass --allow-unpaired"
    )


def _require_same_targets(first: Outcomes, other: Outcomes, left: Index, right: Index) -> None:
    if first.targets is None or other.targets is None:
        return
    differs = np.flatnonzero(first.targets[left] != other.targets[right])
    if len(differs):
        raise InputError(
            f"{other.source}: {first.name}: the expected answer of {len(differs):,} of {len(left):,} "
            f"documents is not that of {first.source} ({_ids(first, left[differs])}); "
            "evaluate both on the same data"
        )


def _prompt_notes(first: Outcomes, other: Outcomes, left: Index, right: Index) -> list[str]:
    if first.prompts is None or other.prompts is None:
        return []
    differs = int((first.prompts[left] != other.prompts[right]).sum())
    if not differs:
        return []
    return [
        f"prompts of {differs:,} of {len(left):,} documents differ between {first.source.name} and "
        f"{other.source.name}: a change of template or examples is part of what is compared"
    ]


def _ids(outcomes: Outcomes, items: Index) -> str:
    shown = [detail.id for detail in read_details(outcomes, [int(item) for item in items[:SHOWN]])]
    return "id " + ", ".join(shown) + (", ..." if len(items) > SHOWN else "")
