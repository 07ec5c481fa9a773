"""Pages into JSON lines (plain, gzip or zstd) and Parquet: whole or absent, equal bytes for equal pages."""

import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, get_args

from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError
from toolkit_shared.records import write_jsonl

from dclm_bench.data.page import Page
from dclm_bench.data.reading import JSON_COLUMN

OutputFormat = Literal["jsonl.gz", "jsonl.zst", "jsonl", "parquet"]

SUFFIXES = tuple(f".{name}" for name in get_args(OutputFormat))
_ROW_GROUP_BYTES = 64 << 20
_ROW_GROUP_PAGES = 10_000
_ZSTD_LEVEL = 3


def write_pages(path: str | Path, pages: Iterable[Page]) -> int:
    """Write pages, in the format of the name's ending; the number of pages.

    JSON lines have the text first and then the record's keys in their order. Parquet has a column a key:
    text, booleans and numbers as such, everything else as JSON in a column of text that `read_pages` turns
    back; its pages are held in memory until all are there, since only then the columns are known.

    Raises:
        InputError: the ending is none of .jsonl, .jsonl.gz, .jsonl.zst and .parquet.
        ValueError: a record holds a NaN or an infinity.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith(".parquet"):
        return _write_parquet(path, list(pages))
    if not name.endswith(SUFFIXES):
        raise InputError(f"{path}: the ending is not known; end it in {', '.join(SUFFIXES)}")
    return write_jsonl(path, (page.to_json() for page in pages))


def _write_parquet(path: Path, pages: Sequence[Page]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    names: dict[str, None] = {"text": None}
    for page in pages:
        names.update(dict.fromkeys(page.record))
    schema = pa.schema([_field(name, pages) for name in names])
    with (
        atomic_path(path) as temporary,
        open(temporary, "wb") as file,  # pyarrow takes a name such as a:b for an address
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=_ZSTD_LEVEL) as writer,
    ):
        for group in _row_groups(pages):
            rows = [page.to_json() for page in group]
            columns = [
                pa.array(
                    [_cell(row.get(name), schema.field(name).metadata is not None) for row in rows],
                    schema.field(name).type,
                )
                for name in names
            ]
            writer.write_table(pa.table(columns, schema=schema))
    return len(pages)


def _field(name: str, pages: Sequence[Page]) -> Any:
    """The column of a key: the narrowest type that holds all its values."""
    import pyarrow as pa

    if name == "text":
        return pa.field(name, pa.string())
    kinds = {_kind(page.record[name]) for page in pages if page.record.get(name) is not None}
    if kinds == {"int", "float"} and all(_fits_float(page.record.get(name)) for page in pages):
        kinds = {"float"}
    known = {"str": pa.string(), "bool": pa.bool_(), "int": pa.int64(), "float": pa.float64()}
    kind = kinds.pop() if len(kinds) == 1 else "str" if not kinds else "json"
    return pa.field(name, known[kind]) if kind in known else pa.field(name, pa.string(), metadata=JSON_COLUMN)


def _kind(value: Any) -> str:
    name = type(value).__name__
    if name == "float" and not math.isfinite(value):
        raise ValueError(f"{value} in a record; JSON and Parquet files of pages hold finite numbers only")
    if name == "int" and not -(2**63) <= value < 2**63:
        return "json"
    return name if name in ("str", "bool", "int", "float") else "json"


def _fits_float(value: Any) -> bool:
    """Whether a value is no whole number that a float would round."""
    return not isinstance(value, int) or abs(value) <= 1 << 53


def _cell(value: Any, as_json: bool) -> Any:
    if value is None or not as_json:
        return value
    return json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def _row_groups(pages: Sequence[Page]) -> Iterator[list[Page]]:
    group: list[Page] = []
    held = 0
    for page in pages:
        group.append(page)
        held += len(page.text)
        if held >= _ROW_GROUP_BYTES or len(group) >= _ROW_GROUP_PAGES:
            yield group
            group, held = [], 0
    if group:
        yield group
