"""Pairs in Parquet files, read by row groups."""

import os
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import fingerprint, fingerprint_file
from toolkit_shared.errors import InputError, require
from toolkit_shared.pairs.pair import (
    CAPTION_FIELDS,
    BadPair,
    Pair,
    captions_of,
    choose_field,
    missing_field,
    usable_key,
)

IMAGE_FIELDS = ("image", "jpg", "img", "png", "image_bytes", "jpeg", "webp")
KEY_FIELDS = ("key", "__key__", "uid", "id", "image_id")
CACHED_BYTES = 256 << 20
# A row group is unpacked as a whole; the limit is that of what one image may hold, times a few.
MAX_ROW_GROUP_BYTES = 4 << 30


class ParquetPairs:
    """The rows of Parquet files, one file after the other.

    A row group is unpacked when one of its rows is asked for, and kept while there is room, so reading at
    random is cheap only within few groups at a time (`shuffled_order`).
    """

    def __init__(
        self,
        files: Sequence[Path],
        *,
        image_field: str | None,
        caption_field: str | None,
        require_captions: bool,
        cached_bytes: int = CACHED_BYTES,
    ) -> None:
        self.files, self.require_captions, self.cached_bytes = list(files), require_captions, cached_bytes
        self.columns: list[tuple[str, str | None, str | None]] = []
        self.groups: list[tuple[int, int, int]] = []  # file, row group, first row of it in the file
        self.starts = [0]
        for number, path in enumerate(self.files):
            file = _open(path)
            names = file.schema_arrow.names
            self.columns.append(
                _columns(str(path), names, file.schema_arrow, image_field, caption_field, require_captions)
            )
            row = 0
            for group in range(file.metadata.num_row_groups):
                self.groups.append((number, group, row))
                row += file.metadata.row_group(group).num_rows
                self.starts.append(self.starts[-1] + file.metadata.row_group(group).num_rows)
        self.fingerprint = fingerprint([[path.name, fingerprint_file(path)] for path in self.files])
        self._forget()

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all rows in order, from the key columns alone.

        Raises:
            InputError: a key column cannot be read.
        """
        found: list[str] = []
        for number, path in enumerate(self.files):
            key = self.columns[number][2]
            count = sum(
                len(block)
                for block, (file, _, _) in zip(self.blocks(), self.groups, strict=True)
                if file == number
            )
            names = [None] * count if key is None else _column(path, key)
            found += [_key(path, row, name) for row, name in enumerate(names)]
        return found

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self.starts, index) - 1
        file, _, first = self.groups[number]
        path, row = self.files[file], index - self.starts[number]
        where = f"{path}, row {first + row}"
        table = self._group(number, where)
        image, caption, key = self.columns[file]
        value = table.column(image)[row].as_py()
        data = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(data, bytes) or not data:
            detail = "only a path is stored" if isinstance(value, dict) and value.get("path") else ""
            raise BadPair("no image", where, detail)
        try:
            captions = captions_of(table.column(caption)[row].as_py(), where) if caption else ()
            name = table.column(key)[row].as_py() if key else None
        except UnicodeDecodeError as error:
            raise BadPair("caption is no text", where, f"not UTF-8 at byte {error.start}") from None
        if self.require_captions and not captions:
            raise BadPair("no caption", where)
        return Pair(_key(path, first + row, name), data, captions, where)

    def blocks(self) -> list[range]:
        """One run of numbers a row group."""
        return [range(start, stop) for start, stop in zip(self.starts, self.starts[1:], strict=False)]

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in vars(self).items() if not name.startswith("_")}

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        self._forget()

    def _forget(self) -> None:
        self._process = os.getpid()
        self._cached: OrderedDict[int, Any] = OrderedDict()

    def _group(self, number: int, where: str) -> Any:
        if self._process != os.getpid():  # a fork: what arrow holds is not to be shared
            self._forget()
        if number not in self._cached:
            self._cached[number] = self._read(number, where)
            while len(self._cached) > 1 and sum(t.nbytes for t in self._cached.values()) > self.cached_bytes:
                self._cached.popitem(last=False)
        self._cached.move_to_end(number)
        return self._cached[number]

    def _read(self, number: int, where: str) -> Any:
        import pyarrow as pa

        file, group, _ = self.groups[number]
        columns = list(dict.fromkeys(name for name in self.columns[file] if name is not None))
        try:
            reader = _open(self.files[file])
            num_bytes = reader.metadata.row_group(group).total_byte_size
            if num_bytes > MAX_ROW_GROUP_BYTES:
                raise BadPair(
                    "unreadable", where, f"row group {group} has {num_bytes:,} bytes, too many at once"
                )
            # one thread: the pool of arrow does not survive a fork
            return reader.read_row_group(group, columns=columns, use_threads=False)
        except (pa.ArrowException, OSError) as error:
            detail = " ".join(str(error).split())[:150]
            raise BadPair("unreadable", where, f"row group {group}: {detail}") from None


def _open(path: Path) -> Any:
    require("pyarrow", toolkit="toolkit-shared", extra="images")
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        return pq.ParquetFile(path)
    except (pa.ArrowException, OSError) as error:
        raise InputError(
            f"{path}: is no Parquet file that can be read: {' '.join(str(error).split())}"
        ) from None


def _column(path: Path, name: str) -> list[Any]:
    import pyarrow as pa

    try:
        values: list[Any] = _open(path).read(columns=[name], use_threads=False).column(0).to_pylist()
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        detail = " ".join(str(error).split())[:150]
        raise InputError(f"{path}: column '{name}' cannot be read: {detail}; replace the file") from None
    return values


def _key(path: Path, row: int, name: Any) -> str:
    return usable_key(f"{path.stem}-{row:08d}" if name is None else str(name))


def _columns(
    where: str,
    names: Sequence[str],
    schema: Any,
    image_field: str | None,
    caption_field: str | None,
    require_captions: bool,
) -> tuple[str, str | None, str | None]:
    """The columns of image, captions and key."""
    image = choose_field(image_field, names, IMAGE_FIELDS, where=where, what="image", option="--image-field")
    if image is None:
        raise missing_field(where, names, IMAGE_FIELDS, "image", "--image-field")
    kind = schema.field(image).type
    if not _holds_bytes(kind):
        raise InputError(
            f"{where}: field '{image}' holds {kind}, not the bytes of images; name another field"
        )
    caption = choose_field(
        caption_field, names, CAPTION_FIELDS, where=where, what="caption", option="--caption-field"
    )
    if caption is None and require_captions:
        raise missing_field(where, names, CAPTION_FIELDS, "caption", "--caption-field")
    return image, caption, next((name for name in KEY_FIELDS if name in names), None)


def _holds_bytes(kind: Any) -> bool:
    import pyarrow.types as types

    if types.is_struct(kind):  # what Hugging Face's `datasets` writes
        return any(field.name == "bytes" and _holds_bytes(field.type) for field in kind)
    return bool(types.is_binary(kind) or types.is_large_binary(kind) or types.is_fixed_size_binary(kind))
