"""Parquet files and Arrow files of Hugging Face data sets (save_to_disk), read by pyarrow alone."""

import difflib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.formats.units import Document, Input, OnBad, Unit


def plan_parquet(item: Input, unit_bytes: int) -> list[Unit]:
    """Units of neighbouring row groups of about `unit_bytes` uncompressed; `start` and `end` are row groups.

    Raises:
        InputError: the file is no Parquet file.
    """
    metadata = _open_parquet(item.path, item.name).metadata
    edges = [0]
    size = 0
    for group in range(metadata.num_row_groups):
        size += metadata.row_group(group).total_byte_size
        if size >= unit_bytes and group + 1 < metadata.num_row_groups:
            edges.append(group + 1)
            size = 0
    ends = [*edges[1:], metadata.num_row_groups]
    return [
        Unit(format="parquet", paths=(item.path,), names=(item.name,), source=item.source, start=a, end=b)
        for a, b in zip(edges, ends, strict=True)
    ]


def read_parquet(unit: Unit, text_field: str, ids_field: str, on_bad: OnBad) -> Iterator[Document]:
    """Documents of the unit's row groups; nulls go to `on_bad`.

    Raises:
        InputError: the file is damaged, or has neither column.
    """
    import pyarrow as pa

    name = unit.names[0]
    file = _open_parquet(unit.paths[0], name)
    column = choose_column(file.schema_arrow, name, text_field, ids_field)
    groups = list(range(unit.start, file.metadata.num_row_groups if unit.end is None else unit.end))
    row = sum(file.metadata.row_group(group).num_rows for group in range(unit.start))
    try:
        for batch in file.iter_batches(row_groups=groups, columns=[column], batch_size=1024):
            yield from _documents(batch.column(0), name, column, row, on_bad)
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        on_bad(f"{name}, row {row} and after", f"cannot be read ({_one_line(error)})")


def read_arrow(unit: Unit, text_field: str, ids_field: str, on_bad: OnBad) -> Iterator[Document]:
    """Documents of an Arrow stream file (or random-access file); nulls go to `on_bad`.

    Raises:
        InputError: it is neither, or has neither column.
    """
    import pyarrow as pa

    name = unit.names[0]
    source = pa.memory_map(unit.paths[0])
    try:
        is_file = source.size() >= 6 and source.read(6) == b"ARROW1"
        source.seek(0)
        reader: Any = pa.ipc.open_file(source) if is_file else pa.ipc.open_stream(source)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name}: not an Arrow file ({_one_line(error)}); check the file") from None
    column = choose_column(reader.schema, name, text_field, ids_field)
    row = 0
    try:
        batches = (reader.get_batch(i) for i in range(reader.num_record_batches)) if is_file else reader
        for batch in batches:
            yield from _documents(
                batch.column(batch.schema.get_field_index(column)), name, column, row, on_bad
            )
            row += batch.num_rows
    except (pa.ArrowException, OSError) as error:
        on_bad(f"{name}, row {row} and after", f"cannot be read ({_one_line(error)})")


def choose_column(schema: Any, name: str, text_field: str, ids_field: str) -> str:
    """The column to read: the text column if there is one, else that of token ids.

    Raises:
        InputError: there is neither, or it is of another type.
    """
    import pyarrow.types as types

    for field in (text_field, ids_field):
        if field not in schema.names:
            continue
        kind = schema.field(field).type
        is_text = types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)
        is_list = types.is_list(kind) or types.is_large_list(kind) or types.is_fixed_size_list(kind)
        if not is_text and not (is_list and types.is_integer(kind.value_type)):
            raise InputError(
                f"{name}: column '{field}' holds {kind}, neither text nor token ids; name another column"
            )
        return field
    near = difflib.get_close_matches(text_field, schema.names, n=1)
    hint = f"; nearest: '{near[0]}'" if near else ""
    raise InputError(
        f"{name}: no column '{text_field}' or '{ids_field}' among {', '.join(schema.names)}{hint}; "
        "pass --text-field"
    )


def _documents(array: Any, name: str, column: str, row: int, on_bad: OnBad) -> Iterator[Document]:
    for offset, value in enumerate(array):
        if not value.is_valid:
            on_bad(f"{name}, row {row + offset}", f"column '{column}' is null")
        elif hasattr(value, "values"):
            ids = value.values
            if ids.null_count:
                on_bad(f"{name}, row {row + offset}", f"column '{column}' has a null among its ids")
            else:
                yield np.asarray(ids.to_numpy(zero_copy_only=False)).astype(np.int64)
        else:
            yield value.as_py()


def _open_parquet(path: str, name: str) -> Any:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{name}: not a Parquet file ({_one_line(error)}); check the file") from None


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]


def write_parquet(
    path: Path, documents: Iterable[npt.NDArray[np.integer]], ids_field: str = "input_ids"
) -> int:
    """Write one row a document with the column `ids_field` (list of int64); the number of rows.

    Each document is an array [tokens]. Row groups hold about a million tokens each.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    schema = pa.schema([(ids_field, pa.list_(pa.int64()))])
    rows = 0
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:
        for group in _groups(documents, 1 << 20):
            offsets = np.concatenate([[0], np.cumsum([len(ids) for ids in group])]).astype(np.int32)
            values = pa.array(np.concatenate(group).astype(np.int64))
            column = pa.ListArray.from_arrays(pa.array(offsets), values)
            writer.write_table(pa.table([column], schema=schema))
            rows += len(group)
    return rows


def _groups(
    documents: Iterable[npt.NDArray[np.integer]], tokens: int
) -> Iterator[list[npt.NDArray[np.integer]]]:
    group: list[npt.NDArray[np.integer]] = []
    held = 0
    for ids in documents:
        group.append(ids)
        held += len(ids)
        if held >= tokens:
            yield group
            group, held = [], 0
    if group:
        yield group
