"""A run as one table, from which the same outcomes are read."""

import csv
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.artifacts import atomic_path, require_place
from toolkit_shared.errors import InputError
from toolkit_shared.records import write_jsonl

from llm_compat.data.formats.table_columns import (
    ANSWER_PREFIX,
    KEY_PREFIX,
    LOWER_PREFIX,
    PROMPT_CODE,
    SCORE_PREFIX,
    TARGET_CODE,
)
from llm_compat.data.outcomes import KEY_BYTES, Codes, Outcomes

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".csv", ".parquet")

_ROWS_AT_ONCE = 4096
_FIRST = ("task", "filter", "id")

Row = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Conversion:
    """What was written.

    Attributes:
        out: The file.
        rows: Its rows, one for each item of each task and filter.
        tasks: Names of the tasks, each with its filter where it has one.
        columns: Names of the columns, in their order.
    """

    out: str
    rows: int
    tasks: tuple[str, ...]
    columns: tuple[str, ...]


def write_table(outcomes: Sequence[Outcomes], out: str | Path) -> Conversion:
    """Write outcomes as CSV, JSONL or parquet, told by the name; the file is whole or absent.

    Every item is a row: task, filter, id (the key of its document), `score:` and `lower_score:` columns,
    `answer_code:` columns, digests of prompt and target, and a column for each field that was kept. Read as
    a table it gives equal keys, scores, answers, directions, digests and slices. A metric that has no score
    on any item is lost.

    Raises:
        InputError: The name has another suffix, the place cannot be written to, or a field has the name of
            one of the columns.
    """
    out = Path(out)
    writer = _writer_for(out)
    require_place(out)
    columns = _columns(outcomes, out)
    count = writer(out, columns, (row for one in outcomes for row in _rows(one)))
    return Conversion(out=str(out), rows=count, tasks=tuple(one.name for one in outcomes), columns=columns)


def _writer_for(out: Path) -> Callable[[Path, Sequence[str], Iterator[Row]], int]:
    name = out.name.lower()
    if name.endswith(".csv"):
        return _write_csv
    if name.endswith(".parquet"):
        return _write_parquet
    if name.endswith(SUFFIXES):
        return _write_jsonl
    raise InputError(f"--out: {out} has no known suffix; give a name that ends in {', '.join(SUFFIXES)}")


def _columns(outcomes: Sequence[Outcomes], out: Path) -> tuple[str, ...]:
    own = [name for one in outcomes for name in _columns_of(one)]
    fields = {name for one in outcomes for name in one.slices}
    for name in sorted(fields):
        if name in own or name in _FIRST:
            raise InputError(f"{out}: field '{name}' has the name of a column of the table; leave it out")
    return (*_FIRST, *dict.fromkeys(own), *sorted(fields))


def _columns_of(one: Outcomes) -> Iterator[str]:
    yield from (_score_column(one, name) for name in one.scores)
    yield from (ANSWER_PREFIX + name for name in one.answers)
    if one.prompts is not None:
        yield PROMPT_CODE
    if one.targets is not None:
        yield TARGET_CODE


def _score_column(one: Outcomes, metric: str) -> str:
    return (SCORE_PREFIX if one.higher_is_better.get(metric, True) else LOWER_PREFIX) + metric


def _rows(one: Outcomes) -> Iterator[Row]:
    keys = np.ascontiguousarray(one.keys).tobytes().hex()
    digits = 2 * KEY_BYTES
    codes: dict[str, Codes] = {ANSWER_PREFIX + name: values for name, values in one.answers.items()}
    if one.prompts is not None:
        codes[PROMPT_CODE] = one.prompts
    if one.targets is not None:
        codes[TARGET_CODE] = one.targets
    for item in range(len(one)):
        row: Row = {
            "task": one.task,
            "filter": one.filter,
            "id": KEY_PREFIX + keys[digits * item : digits * (item + 1)],
        }
        for name, scores in one.scores.items():
            score = float(scores[item])
            row[_score_column(one, name)] = None if np.isnan(score) else score
        for name, values in codes.items():
            row[name] = f"{int(values[item]):016x}"
        for name, slices in one.slices.items():
            row[name] = slices.names[slices.codes[item]]
        yield row


def _write_jsonl(out: Path, columns: Sequence[str], rows: Iterator[Row]) -> int:
    return write_jsonl(out, rows)


def _write_csv(out: Path, columns: Sequence[str], rows: Iterator[Row]) -> int:
    count = 0
    with atomic_path(out) as path, open(path, "w", encoding="utf-8", newline="") as stream:
        # quoted, since a carriage return in a bare field would end its line
        writer = csv.DictWriter(
            stream, columns, restval="", lineterminator="\n", quoting=csv.QUOTE_NONNUMERIC
        )
        writer.writeheader()
        for row in rows:
            writer.writerow({name: "" if value is None else value for name, value in row.items()})
            count += 1
    return count


def _write_parquet(out: Path, columns: Sequence[str], rows: Iterator[Row]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    scores = (SCORE_PREFIX, LOWER_PREFIX)
    schema = pa.schema([(name, pa.float64() if name.startswith(scores) else pa.string()) for name in columns])
    count = 0
    with atomic_path(out) as path, pq.ParquetWriter(path, schema) as writer:
        batch: list[Row] = []
        for row in rows:
            batch.append(row)
            if len(batch) == _ROWS_AT_ONCE:
                writer.write_table(pa.Table.from_pylist(batch, schema=schema))
                count, batch = count + len(batch), []
        if batch:
            writer.write_table(pa.Table.from_pylist(batch, schema=schema))
        return count + len(batch)
