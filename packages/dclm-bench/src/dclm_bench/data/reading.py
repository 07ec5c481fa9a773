"""Pages out of JSON lines (plain, gzip or zstd) and Parquet, past what is corrupt.

WARC and WET files are read by `dclm_bench.extraction`; `dclm_bench.data.inputs` tells which file is what.
"""

import base64
import datetime
import decimal
import logging
import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord, parse_json, read_jsonl

from dclm_bench.data.inputs import format_of
from dclm_bench.data.page import Page

log = logging.getLogger(__name__)

TEXT_FIELD, OTHER_TEXT_FIELD = "text", "content"
# Where the text is another field, and the record has a `text` as well.
UNUSED_TEXT = "unused_text"
# Parquet has no type for "any JSON value": such columns hold JSON, and say so in the metadata of their field.
JSON_COLUMN = {b"dclm_bench": b"json"}
_ROWS_AT_ONCE = 256

OnBad = Callable[[BadRecord], None]


def require_text_field(text_field: str) -> None:
    """Check the name of the field that holds the text, before any work begins.

    Raises:
        InputError: it is empty.
    """
    if not text_field:
        raise InputError("--text-field: is empty; give the name of the field that holds the text")


def read_pages(
    path: str | Path, *, text_field: str = TEXT_FIELD, on_bad: OnBad | None = None
) -> Iterator[Page]:
    """The pages of a file in order.

    Where the records have no `text` but a `content`, that is taken, and logged once. The other keys of a
    record become `Page.record` as they are; a `text` that is not the field asked for is kept as
    `unused_text`. Null columns of Parquet are absent keys.

    Args:
        path: JSON lines or Parquet, told by the ending or else by the first bytes.
        text_field: The field that holds the text.
        on_bad: Told of every record that cannot be used; without it the first one raises.

    Raises:
        InputError: the file is missing, is of another format, or has no such column; or a bad record without
            `on_bad`.
    """
    require_text_field(text_field)
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; check the path")
    kind = format_of(path)
    if kind == "jsonl":
        return _jsonl_pages(path, text_field, on_bad or _refuse)
    if kind == "parquet":
        return _parquet_pages(path, text_field, on_bad or _refuse)
    raise InputError(f"{path}: a {kind.upper()} file has to be extracted first; run `dclm-bench extract`")


def _jsonl_pages(path: Path, text_field: str, on_bad: OnBad) -> Iterator[Page]:
    told = False
    for place, record in read_jsonl(path, on_bad=on_bad):
        field = text_field
        if field not in record and field == TEXT_FIELD and OTHER_TEXT_FIELD in record:
            field = OTHER_TEXT_FIELD
            if not told:
                log.info("%s: no field 'text', so the text is taken from 'content'", path)
                told = True
        if field not in record:
            on_bad(BadRecord(path, place, f"no field '{field}' ({_text_fields(record)})"))
        elif not isinstance(record[field], str):
            on_bad(BadRecord(path, place, f"field '{field}' holds {_kind(record[field])}, not text"))
        else:
            yield _page(record, field)


def _parquet_pages(path: Path, text_field: str, on_bad: OnBad) -> Iterator[Page]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # an open file, for pyarrow takes a name such as a:b for an address
        source = pa.OSFile(str(path))
        file = pq.ParquetFile(source)
    except (pa.ArrowException, OSError) as error:
        on_bad(BadRecord(path, "whole file", f"no Parquet file ({_one_line(error)})"))
        return
    with source, file:
        schema = file.schema_arrow
        field = _text_column(path, schema, text_field)
        as_json = {name for name in schema.names if schema.field(name).metadata == JSON_COLUMN}
        row = 0
        try:
            for batch in file.iter_batches(batch_size=_ROWS_AT_ONCE):
                for values in batch.to_pylist(maps_as_pydicts="lossy"):
                    row += 1
                    record = _row(path, row, values, as_json, on_bad)
                    if record is None:
                        continue
                    if field not in record:
                        on_bad(BadRecord(path, f"row {row}", f"column '{field}' is null"))
                    else:
                        yield _page(record, field)
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
            on_bad(BadRecord(path, f"row {row + 1} and after", f"cannot be read ({_one_line(error)})"))


def _text_column(path: Path, schema: Any, text_field: str) -> str:
    import pyarrow.types as types

    names = list(schema.names)
    field = text_field
    if field not in names and field == TEXT_FIELD and OTHER_TEXT_FIELD in names:
        field = OTHER_TEXT_FIELD
        log.info("%s: no column 'text', so the text is taken from 'content'", path)
    if field not in names:
        raise InputError(f"{path}: no column '{field}' among {', '.join(names)}; pass --text-field")
    kind = schema.field(field).type
    if not (types.is_string(kind) or types.is_large_string(kind) or types.is_string_view(kind)):
        raise InputError(f"{path}: column '{field}' holds {kind}, not text; pass --text-field")
    return field


def _row(
    path: Path, row: int, values: Mapping[str, Any], as_json: set[str], on_bad: OnBad
) -> dict[str, Any] | None:
    """The record of a row, of JSON values only; None where a column of JSON holds none."""
    record: dict[str, Any] = {}
    for name, value in values.items():
        if value is None:
            continue
        if name in as_json:
            try:
                record[name] = parse_json(value)
            except (ValueError, RecursionError, TypeError):
                on_bad(BadRecord(path, f"row {row}", f"column '{name}' should hold JSON, and does not"))
                return None
        else:
            record[name] = _json_value(value)
    return record


def _json_value(value: Any) -> Any:
    """What JSON can hold of a value of a column: times as ISO text, bytes as base64, decimals as numbers."""
    if isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _json_value(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_json_value(item) for item in value]
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, decimal.Decimal):
        return _json_value(float(value))
    return None if value is None else str(value)


def _page(record: dict[str, Any], field: str) -> Page:
    text = record.pop(field)
    if TEXT_FIELD in record:
        record[UNUSED_TEXT] = record.pop(TEXT_FIELD)
    return Page(text, record)


def _text_fields(record: Mapping[str, Any]) -> str:
    names = [name for name, value in record.items() if isinstance(value, str)][:6]
    return f"fields of text: {', '.join(names)}" if names else "it has no field of text"


def _kind(value: Any) -> str:
    kinds = {"list": "a list", "dict": "an object", "NoneType": "null", "bool": "true or false"}
    return kinds.get(type(value).__name__, "a number")


def _refuse(bad: BadRecord) -> None:
    raise InputError(f"{bad}; mend or remove it")


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:160]
