"""The rows of CSV, JSONL and parquet files, one mapping each, with their lines."""

import csv
import io
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.records import open_records, read_jsonl

_PACKINGS = ("", ".gz", ".zst", ".zstd")
SUFFIXES = (*(f".{kind}{packing}" for kind in ("csv", "tsv", "jsonl") for packing in _PACKINGS), ".parquet")
MAX_FIELD_BYTES = 1 << 28
_ROWS_AT_ONCE = 1024

Row = tuple[int, Mapping[str, Any]]


def kind_of(path: Path) -> str:
    """`csv`, `tsv`, `jsonl`, `parquet`, or the empty text for another file."""
    name = path.name.lower()
    for packing in (".gz", ".zstd", ".zst"):
        name = name.removesuffix(packing)
    ending = name.rsplit(".", 1)[-1]
    return ending if ending in ("csv", "tsv", "jsonl", "parquet") else ""


def table_name(path: Path) -> str:
    """The file's name without the suffixes of a table."""
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if path.name.lower().endswith(suffix):
            return path.name[: -len(suffix)]
    return path.stem


def table_rows(path: Path) -> Iterator[Row]:
    """The rows of a file, each with its line from 1 (of a parquet file: its row from 1).

    Values of CSV are text; others are as they are. Rows of JSONL may have different columns.

    Raises:
        InputError: The file cannot be read, or a line of it is no row.
    """
    kind = kind_of(path)
    if kind == "jsonl":
        return _jsonl_rows(path)
    if kind == "parquet":
        return _parquet_rows(path)
    if kind in ("csv", "tsv"):
        return _csv_rows(path, "\t" if kind == "tsv" else ",")
    raise InputError(f"{path}: is no table; give a file that ends in .csv, .tsv, .jsonl or .parquet")


def _jsonl_rows(path: Path) -> Iterator[Row]:
    for place, record in read_jsonl(path):
        yield int(place.removeprefix("line ")), record


def _csv_rows(path: Path, delimiter: str) -> Iterator[Row]:
    csv.field_size_limit(MAX_FIELD_BYTES)
    line = 1
    with open_records(path) as binary, io.TextIOWrapper(binary, "utf-8-sig", newline="") as stream:
        reader = csv.reader(stream, delimiter=delimiter, strict=True)
        try:
            header: Sequence[str] | None = None
            for row in reader:
                if not row:
                    line = reader.line_num + 1
                    continue
                if header is None:
                    header = _header(path, row)
                else:
                    if len(row) != len(header):
                        reason = f"{len(row)} fields where the header has {len(header)}"
                        raise InputError(f"{path}, line {line}: {reason}; mend or remove the line")
                    yield line, dict(zip(header, row, strict=True))
                line = reader.line_num + 1
        except (csv.Error, UnicodeDecodeError) as error:
            raise InputError(f"{path}, line {line}: no CSV: {error}; mend or remove the line") from None
        except (EOFError, OSError, zlib.error) as error:
            reason = "the compressed data ends early" if isinstance(error, EOFError) else str(error)
            raise InputError(f"{path}: cannot be read: {reason}; copy the file again") from None


def _header(path: Path, names: Sequence[str]) -> Sequence[str]:
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise InputError(f"{path}, line 1: column '{twice[0]}' is there twice; rename one of them")
    return names


def _parquet_rows(path: Path) -> Iterator[Row]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for row in batch.to_pylist():
                    number += 1
                    yield number, row
    except (pa.ArrowException, OSError) as error:
        reason = str(error).splitlines()[0]
        raise InputError(f"{path}: no readable parquet file: {reason}; copy or write it again") from None
