"""Pairs whose images are files: a folder of them, or a table of their paths."""

import csv
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import fingerprint, fingerprint_file
from toolkit_shared.errors import InputError
from toolkit_shared.losses import CORRUPT, Losses
from toolkit_shared.pairs.pair import (
    CAPTION_FIELDS,
    MAX_IMAGE_BYTES,
    BadPair,
    Pair,
    captions_of,
    choose_field,
    missing_field,
    unique_keys,
    usable_key,
)
from toolkit_shared.records import read_jsonl

PATH_FIELDS = ("filepath", "image", "path", "file_name", "filename", "file", "image_path")
_FILES_A_BLOCK = 1024


@dataclass(frozen=True, slots=True)
class Row:
    """A pair before it is read: name, file, captions (None: the `.txt` beside the image), and the place."""

    name: str
    path: Path
    captions: Any
    where: str


class FilePairs:
    """Images that are files of their own."""

    def __init__(self, rows: Sequence[Row], *, require_captions: bool) -> None:
        self.rows, self.require_captions = list(rows), require_captions
        self.keys: Sequence[str] = unique_keys(usable_key(row.name) for row in self.rows)

    @cached_property
    def fingerprint(self) -> str:
        """Of names, captions and parts of all files; computed when it is asked for, for it takes time."""
        return fingerprint(
            [
                [row.name, _mark(row.path), row.captions or _mark(row.path.with_suffix(".txt"))]
                for row in self.rows
            ]
        )

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self.rows):
            raise IndexError(index)
        row = self.rows[index]
        if _size(row.path) > MAX_IMAGE_BYTES:
            raise BadPair("unreadable", row.where, f"the file has more than {MAX_IMAGE_BYTES:,} bytes")
        try:
            image = row.path.read_bytes()
        except OSError as error:
            reason = (error.strerror or str(error)).lower()
            raise BadPair("missing file", row.where, f"{row.path}: {reason}") from None
        captions = captions_of(row.captions, row.where) if row.captions is not None else _beside(row)
        if self.require_captions and not captions:
            raise BadPair("no caption", row.where)
        return Pair(self.keys[index], image, captions, row.where)

    def blocks(self) -> list[range]:
        """Runs of some files, for it does not matter which are read together."""
        starts = range(0, len(self.rows), _FILES_A_BLOCK)
        return [range(start, min(start + _FILES_A_BLOCK, len(self.rows))) for start in starts]


def rows_of_files(files: Sequence[Path], root: Path | None) -> list[Row]:
    """A row a file, named relative to `root`."""
    names = [file.name if root is None else file.relative_to(root).as_posix() for file in files]
    return [Row(name, file, None, str(file)) for name, file in zip(names, files, strict=True)]


def rows_of_table(
    path: Path, *, image_field: str | None, caption_field: str | None, losses: Losses | None
) -> list[Row]:
    """The rows of a CSV or TSV file with a header, or of JSON lines.

    A header with a tab is tab-separated, whatever the file's suffix, as open_clip writes its `.csv`. Paths
    are relative to the table's folder. Rows of one image with several captions stay rows of their own.

    Raises:
        InputError: a field is missing, or a row is damaged and `losses` does not count it.
    """
    read = _jsonl if path.name.lower().endswith((".jsonl", ".jsonl.gz", ".jsonl.zst")) else _csv
    rows: list[Row] = []
    names: list[str] = []
    image = caption = None
    for place, record in read(path, losses):
        if not names:
            names = list(record)
            image = choose_field(
                image_field, names, PATH_FIELDS, where=str(path), what="path", option="--image-field"
            )
            if image is None:
                raise missing_field(str(path), names, PATH_FIELDS, "path", "--image-field")
            caption = choose_field(
                caption_field,
                names,
                CAPTION_FIELDS,
                where=str(path),
                what="caption",
                option="--caption-field",
            )
        where = f"{path}, {place}"
        name = record.get(image or "")
        if not isinstance(name, str) or not name or "\0" in name:
            _lose(losses, "no image", where, f"field '{image}' holds no path")
            continue
        rows.append(Row(name, path.parent / name, record.get(caption or "") or (), where))
    return rows


def _jsonl(path: Path, losses: Losses | None) -> Iterator[tuple[str, dict[str, Any]]]:
    return read_jsonl(path, on_bad=losses.on_bad if losses else None)


def _csv(path: Path, losses: Losses | None) -> Iterator[tuple[str, dict[str, Any]]]:
    try:
        file = open(path, encoding="utf-8-sig", errors="strict", newline="")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    with file:
        try:
            header = file.readline(1 << 20)
            names = next(csv.reader([header], delimiter="\t" if "\t" in header else ","), [])
            reader = csv.reader(file, delimiter="\t" if "\t" in header else ",")
            for values in reader:
                if not values:
                    continue
                place = f"line {reader.line_num + 1}"
                if len(values) != len(names):
                    detail = f"{len(values)} values, the header has {len(names)}"
                    _lose(losses, CORRUPT, f"{path}, {place}", detail)
                    continue
                yield place, dict(zip(names, values, strict=True))
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: is not UTF-8 (byte {error.start}); convert it first") from None
        except csv.Error as error:
            raise InputError(f"{path}: is no table of separated values: {error}; mend it") from None


def _lose(losses: Losses | None, reason: str, where: str, detail: str) -> None:
    if losses is None:
        raise InputError(f"{where}: {reason} ({detail}); mend or remove it")
    losses.lose(reason, where, detail)


def _beside(row: Row) -> tuple[str, ...]:
    """The lines of the text file beside an image, each of which is a caption."""
    try:
        text = row.path.with_suffix(".txt").read_bytes().decode("utf-8")
    except FileNotFoundError:
        return ()
    except (OSError, UnicodeDecodeError) as error:
        raise BadPair(
            "caption is no text", row.where, f"{row.path.with_suffix('.txt').name}: {error}"
        ) from None
    return captions_of(text.splitlines(), row.where)


def _mark(path: Path) -> str:
    try:
        return fingerprint_file(path)
    except (OSError, ValueError):
        return "absent"


def _size(path: Path) -> int:
    try:
        return os.stat(path).st_size
    except (OSError, ValueError):
        return -1
