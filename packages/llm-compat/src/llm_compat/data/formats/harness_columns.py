"""Columns of the records of lm-evaluation-harness: arrays, whatever the number of records."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from llm_compat.data.formats.harness_choices import Mismatch, join_mismatches
from llm_compat.data.outcomes import NO_ANSWER, Codes, Keys, Slices, keys_array

Scalar = TypeVar("Scalar", bound=np.generic)

MISSING = "(missing)"
"""The filter of records that have none, as old releases wrote them; no filter can have a name in brackets."""


@dataclass(kw_only=True)
class Columns:
    """Records of one log, in their order; `join_columns` takes their arrays away.

    Attributes:
        places: int64 [records], byte at which each line begins.
        keys: S16 [records], digests of the documents.
        doc_ids: int64 [records].
        filters: int32 [records], index into `filter_names`.
        filter_names: Names of the filters, in the order of their first record.
        prompts: uint64 [records], or None when a record has no digest of its prompt.
        targets: uint64 [records].
        scores: By metric, float64 [records]; NaN where there is none.
        left_out: By metric that is no number, what it is.
        answers: By metric, uint64 [records].
        mismatches: By metric, where the logged score is not the rebuilt one; positions count from 0 here.
        unlike_accuracy: Metrics of the name of an accuracy that have values besides 0 and 1.
        unchecked: Records of a choice whose right one is not known, so that the accuracy is unchecked.
        slices: By field.
        present: By field, whether any document has it.
        known_fields: Names of the fields of the first document.
    """

    places: npt.NDArray[np.int64]
    keys: Keys
    doc_ids: npt.NDArray[np.int64]
    filters: npt.NDArray[np.int32]
    filter_names: tuple[str, ...]
    prompts: Codes | None
    targets: Codes
    scores: dict[str, npt.NDArray[np.float64]] = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    answers: dict[str, Codes] = field(default_factory=dict)
    mismatches: Mapping[str, Mismatch] = field(default_factory=dict)
    unlike_accuracy: frozenset[str] = frozenset()
    unchecked: int = 0
    slices: Mapping[str, Slices] = field(default_factory=dict)
    present: Mapping[str, bool] = field(default_factory=dict)
    known_fields: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.places)


def empty_columns() -> Columns:
    """The columns of no record."""
    return Columns(
        places=np.zeros(0, np.int64),
        keys=keys_array(b""),
        doc_ids=np.zeros(0, np.int64),
        filters=np.zeros(0, np.int32),
        filter_names=(),
        prompts=np.zeros(0, np.uint64),
        targets=np.zeros(0, np.uint64),
    )


def join_columns(parts: Sequence[Columns]) -> Columns:
    """The records of all parts, one after the other.

    The parts give their arrays up, column after column, so that there is hardly more than one copy of them;
    they are of no use afterwards.
    """
    parts = [part for part in parts if len(part)]
    if not parts:
        return empty_columns()
    if len(parts) == 1:
        return parts[0]
    sizes = [len(part) for part in parts]
    names = tuple(dict.fromkeys(name for part in parts for name in part.filter_names))
    mismatches = [
        {name: found.moved(start) for name, found in part.mismatches.items()}
        for start, part in zip(accumulate(sizes, initial=0), parts, strict=False)
    ]
    for part in parts:
        part.filters = _recoded(part.filters, part.filter_names, names)
    fields = tuple(parts[0].slices)
    return Columns(
        places=_taken(parts, "places"),
        keys=_taken(parts, "keys"),
        doc_ids=_taken(parts, "doc_ids"),
        filters=_taken(parts, "filters"),
        filter_names=names,
        prompts=_taken(parts, "prompts") if all(part.prompts is not None for part in parts) else None,
        targets=_taken(parts, "targets"),
        scores={
            name: np.concatenate(_popped([part.scores for part in parts], name, sizes, np.nan))
            for name in dict.fromkeys(name for part in parts for name in part.scores)
        },
        left_out={name: what for part in parts for name, what in part.left_out.items()},
        answers={
            name: np.concatenate(_popped([part.answers for part in parts], name, sizes, NO_ANSWER))
            for name in dict.fromkeys(name for part in parts for name in part.answers)
        },
        mismatches=join_mismatches(mismatches),
        unlike_accuracy=frozenset().union(*(part.unlike_accuracy for part in parts)),
        unchecked=sum(part.unchecked for part in parts),
        slices={name: join_slices([part.slices[name] for part in parts]) for name in fields},
        present={name: any(part.present[name] for part in parts) for name in fields},
        known_fields=parts[0].known_fields,
    )


def slices_of(values: Sequence[str]) -> Slices:
    """The slices of items with these values."""
    names = tuple(sorted(set(values)))
    if len(names) == 1:
        return Slices(codes=np.zeros(len(values), np.int32), names=names)
    places = {name: place for place, name in enumerate(names)}
    return Slices(codes=np.array([places[value] for value in values], np.int32), names=names)


def join_slices(parts: Sequence[Slices]) -> Slices:
    """The slices of the items of all parts, one after the other."""
    names = tuple(sorted({name for part in parts for name in part.names}))
    return Slices(
        codes=np.concatenate([_recoded(part.codes, part.names, names) for part in parts]), names=names
    )


def _recoded(
    codes: npt.NDArray[np.int32], names: Sequence[str], among: Sequence[str]
) -> npt.NDArray[np.int32]:
    places = {name: place for place, name in enumerate(among)}
    return np.array([places[name] for name in names], np.int32)[codes]


def _taken(parts: Sequence[Columns], name: str) -> Any:
    """One column of all parts, which lose it."""
    arrays = [getattr(part, name) for part in parts]
    for part in parts:
        setattr(part, name, arrays[0][:0])
    return np.concatenate(arrays)


def _popped(
    columns: Sequence[dict[str, npt.NDArray[Scalar]]], name: str, sizes: Sequence[int], fill: float
) -> list[npt.NDArray[Scalar]]:
    """One column of all parts, which lose it; a part that lacks it gives as many of the fill."""
    kind = next(column[name].dtype for column in columns if name in column)
    return [
        column.pop(name) if name in column else np.full(size, fill, kind)
        for column, size in zip(columns, sizes, strict=True)
    ]
