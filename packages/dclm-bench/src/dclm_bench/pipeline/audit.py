"""The audit table: for every page of a pass each rule's value, what dropped it, and its size at the end.

One Parquet file a pass and shard. The columns are `position` (of the page in its shard, from 0), `id`, `url`,
one of doubles for each rule (`STEP.RULE`), one of integers for each step that edits (`STEP.removed`, how many
characters shorter the text became), `dropped_by` (`STEP.RULE`, or null), `characters`, `words` (between
blanks) and `tokens` (null without a tokeniser). A value of NaN says that the rule does not apply to the page;
null, that an earlier rule had dropped it (`--audit first`).
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError

from dclm_bench.recipe import NamedStep


def removed_column(step: NamedStep) -> str:
    """The name of the column that holds how much a step has cut."""
    return f"{step.name}.removed"


@dataclass
class AuditRows:
    """The rows of one shard in one pass, as they come in.

    Attributes:
        steps: The steps of the pass.
    """

    steps: Sequence[NamedStep]
    values: list[list[float | None]] = field(default_factory=list)
    removed: list[list[int | None]] = field(default_factory=list)
    position: list[int] = field(default_factory=list)
    id: list[str] = field(default_factory=list)
    url: list[str | None] = field(default_factory=list)
    dropped_by: list[str | None] = field(default_factory=list)
    characters: list[int] = field(default_factory=list)
    words: list[int] = field(default_factory=list)
    tokens: list[int | None] = field(default_factory=list)

    def to_table(self) -> pa.Table:
        """The rows as an Arrow table with the columns that the module describes."""
        columns: dict[str, pa.Array] = {
            "position": pa.array(self.position, pa.int64()),
            "id": pa.array(self.id, pa.string()),
            "url": pa.array(self.url, pa.string()),
        }
        rules = [name for step in self.steps for name in step.rule_names()]
        for index, name in enumerate(rules):
            columns[name] = pa.array([row[index] for row in self.values], pa.float64())
        edits = [step for step in self.steps if step.step.edits]
        for index, step in enumerate(edits):
            columns[removed_column(step)] = pa.array([row[index] for row in self.removed], pa.int64())
        columns["dropped_by"] = pa.array(self.dropped_by, pa.string())
        for name in ("characters", "words", "tokens"):
            columns[name] = pa.array(getattr(self, name), pa.int64())
        return pa.table(columns)


def write_audit(path: Path, rows: AuditRows) -> None:
    """Write the rows of a shard; equal rows give equal bytes."""
    # an open file, for pyarrow takes a name such as a:b for an address
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        pq.write_table(rows.to_table(), file, compression="zstd", compression_level=3, version="2.6")


def audit_files(out: Path, number: int) -> list[Path]:
    """The audit files of a pass, in the order of the shards."""
    return sorted((out / "audit" / f"pass-{number}").glob("*.parquet"))


def read_audit(
    out: Path, number: int, columns: Sequence[str] | None = None
) -> Iterator[tuple[int, pa.Table]]:
    """The shards' numbers and tables of a pass, in order.

    Raises:
        InputError: a file is missing a column, or is no Parquet.
    """
    for path in audit_files(out, number):
        try:
            with pa.OSFile(str(path)) as file:
                table = pq.read_table(file, columns=None if columns is None else list(columns))
        except (OSError, pa.ArrowException, KeyError) as error:
            raise InputError(f"{path}: the audit cannot be read ({error}); run the recipe again") from None
        yield int(path.stem), table


def doubles(table: pa.Table, name: str) -> np.ndarray[Any, np.dtype[np.float64]]:
    """A rule's values; NaN both where the rule does not apply and where the page did not reach it."""
    column = table.column(name).to_numpy(zero_copy_only=False)
    return np.asarray(column, dtype=np.float64)


def show_value(value: float) -> str:
    """A value as it is printed: whole numbers without a point, others with four digits."""
    if math.isnan(value):
        return "-"
    if math.isinf(value):
        return "inf" if value > 0 else "-inf"
    return f"{value:,.0f}" if value == int(value) and abs(value) < 1e15 else f"{value:.4g}"
