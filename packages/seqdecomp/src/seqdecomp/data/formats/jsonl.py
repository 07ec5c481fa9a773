"""JSON lines, plain or compressed: a text field or a list of token ids in each record."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.records import BadRecord, read_jsonl

from seqdecomp.data.formats.units import Document, Input, OnBad, Unit, byte_ranges

COMPRESSED = (".gz", ".zst", ".zstd")


def plan_jsonl(inputs: Sequence[Input], unit_bytes: int) -> list[Unit]:
    """Ranges of about `unit_bytes` of plain files; compressed ones, which have no way in, stay whole."""
    units = []
    for item in inputs:
        compressed = item.path.endswith(COMPRESSED)
        ranges = [(0, None)] if compressed else byte_ranges(Path(item.path).stat().st_size, unit_bytes)
        units += [
            Unit(format="jsonl", paths=(item.path,), names=(item.name,), source=item.source, start=a, end=b)
            for a, b in ranges
        ]
    return units


def read_json_documents(unit: Unit, text_field: str, ids_field: str, on_bad: OnBad) -> Iterator[Document]:
    """The text, or else the token ids, of each record; other records go to `on_bad` with their place."""
    name = unit.names[0]

    def corrupt(record: BadRecord) -> None:
        on_bad(f"{name}, {record.place}", record.reason)

    for place, record in read_jsonl(unit.paths[0], start_byte=unit.start, end_byte=unit.end, on_bad=corrupt):
        text = record.get(text_field)
        if isinstance(text, str):
            yield text
            continue
        ids = record.get(ids_field)
        if ids is None:
            problem = "is missing" if text_field not in record else f"is {_kind(text)}, not text"
            on_bad(f"{name}, {place}", f"field '{text_field}' {problem}")
            continue
        array = ids_array(ids)
        if array is None:
            on_bad(f"{name}, {place}", f"field '{ids_field}' is not a list of whole numbers")
        else:
            yield array


def ids_array(ids: Any) -> np.ndarray[Any, np.dtype[np.int64]] | None:
    """A list of whole numbers as int64 [tokens]; None where it is anything else."""
    if not isinstance(ids, list) or not all(type(i) is int for i in ids):
        return None
    try:
        return np.array(ids, dtype=np.int64)
    except OverflowError:
        return None


def _kind(value: Any) -> str:
    return {"NoneType": "null", "list": "a list", "dict": "an object", "bool": "true or false"}.get(
        type(value).__name__, "a number"
    )
