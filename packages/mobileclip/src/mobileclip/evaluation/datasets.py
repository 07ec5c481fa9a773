"""Labelled images in the forms that they come in: parquet, a folder a class, CLIP_benchmark's webdatasets."""

import io
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.artifacts import fingerprint, fingerprint_file
from toolkit_shared.errors import InputError
from toolkit_shared.images import SUFFIXES
from toolkit_shared.losses import Losses
from toolkit_shared.shards import expand_shards, read_samples

CLASSNAMES = "classnames.txt"
TEMPLATES = "zeroshot_classification_templates.txt"
IMAGE_FIELDS = ("image", "jpg", "img")
LABEL_FIELDS = ("label", "cls", "fine_label")
_ROWS_AT_ONCE = 256


@dataclass(frozen=True, slots=True)
class LabelledRecord:
    """One image as it is stored.

    Attributes:
        key: Its name in the dataset.
        image: The bytes of its file.
        label: Its class, 0..classes-1.
        group: The first number of its metadata (region, income), or None.
        where: File and place, for messages.
    """

    key: str
    image: bytes
    label: int
    group: int | None
    where: str


@dataclass(frozen=True)
class LabelledImages:
    """A dataset of classification.

    Attributes:
        path: What the user named.
        classnames: One name a class, in the order of the labels.
        templates: Prompts that came with it, or None.
        fingerprint: Of the images and labels.
        size: Number of images where it is known without reading them, else None.
        read: The records in order; it is given the counter of those that cannot be used.
    """

    path: Path
    classnames: tuple[str, ...]
    templates: tuple[str, ...] | None
    fingerprint: str
    size: int | None
    read: Callable[[Losses], Iterator[LabelledRecord]]


def open_labelled_images(
    path: str | Path, *, split: str = "test", classnames: str | Path | None = None
) -> LabelledImages:
    """The dataset at `path`.

    - A parquet file, or a folder of them, of which those of the split are taken (`test.parquet`,
      `test-00000-of-00003.parquet`): an image column (bytes, or a struct with `bytes`) and a column of whole
      numbers. Class names are in the schema's metadata: `classes`, by commas, or the features of `datasets`.
    - A folder of shards, in CLIP_benchmark's layout: `classnames.txt`, templates beside it, and
      `SPLIT/*.tar` of an image and a `.cls`, with metadata in `.npy` where images have groups.
    - A folder with a folder for each class, in `SPLIT/` where there is one; classes stand in the order of
      their folders' names. Class names are those of the folders with spaces for underlines, or the lines of
      a `classnames.txt`.

    Args:
        path: File or folder.
        split: Which part of a folder.
        classnames: File with one name a line, which goes before the dataset's own.

    Raises:
        InputError: the path holds none of these, or class names are missing or do not fit.
    """
    path = Path(path)
    given = None if classnames is None else _lines(Path(classnames))
    if path.is_file() and path.suffix == ".parquet":
        return _parquet(path, [path], given)
    if not path.is_dir():
        problem = "is no parquet file and no folder" if path.exists() else "no such file or folder"
        raise InputError(f"{path}: {problem}; give a parquet file, a folder a class, or a folder of shards")
    tables = sorted(path.glob("*.parquet"))
    if tables:
        chosen = [file for file in tables if file.stem == split or file.stem.startswith(f"{split}-")]
        if not chosen:
            names = ", ".join(file.name for file in tables[:5])
            raise InputError(f"{path}: has no parquet file of the split '{split}' but {names}; pass --split")
        return _parquet(path, chosen, given)
    part = path / split if (path / split).is_dir() else path
    if any(part.glob("*.tar")):
        return _shards(path, part, given)
    return _folders(path, part, given)


def read_templates(path: Path) -> tuple[str, ...]:
    """The templates in a file, one a line.

    Raises:
        InputError: the file cannot be read, is empty, or a line has no `{}` or `{c}`.
    """
    lines = _lines(path)
    for number, line in enumerate(lines, start=1):
        if "{}" not in line and "{c}" not in line:
            raise InputError(f"{path}, line {number}: has no {{}} or {{c}} for the name of the class; add it")
    return lines


def _parquet(path: Path, files: Sequence[Path], given: tuple[str, ...] | None) -> LabelledImages:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        tables = [pq.ParquetFile(file) for file in files]
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{path}: cannot be read as parquet: {error}; mend or replace it") from None
    schema = tables[0].schema_arrow
    image_field = _field(path, schema.names, IMAGE_FIELDS)
    label_field = _field(path, schema.names, LABEL_FIELDS)
    if not pa.types.is_integer(schema.field(label_field).type):
        kind = schema.field(label_field).type
        raise InputError(f"{path}: column '{label_field}' is {kind}; labels are whole numbers from 0")
    names = given or _names_in_schema(schema, label_field)
    if not names:
        raise InputError(f"{path}: has no names of its classes; pass --classnames FILE, one name a line")
    columns = [image_field, label_field, *({"key", "group"} & set(schema.names))]

    def read(losses: Losses) -> Iterator[LabelledRecord]:
        for file, table in zip(files, tables, strict=True):
            number = 0
            for batch in _row_batches(file, table, columns):
                for row in batch:
                    image = row.get(image_field)
                    image = image.get("bytes") if isinstance(image, dict) else image
                    key = str(row.get("key", f"{file.stem}/{number}"))
                    label, where = row.get(label_field), f"{file}, row {number}"
                    record = _record(key, image, label, row.get("group"), where, len(names), losses)
                    number += 1
                    if record is not None:
                        yield record

    size = sum(table.metadata.num_rows for table in tables)
    return LabelledImages(path, names, None, _fingerprint_files(files), size, read)


def _row_batches(file: Path, table: Any, columns: Sequence[str]) -> Iterator[list[dict[str, Any]]]:
    import pyarrow as pa

    try:
        for batch in table.iter_batches(_ROWS_AT_ONCE, columns=list(columns)):
            yield batch.to_pylist()
    except (pa.ArrowException, OSError) as error:
        raise InputError(f"{file}: is damaged: {error}; mend or replace it") from None


def _shards(path: Path, part: Path, given: tuple[str, ...] | None) -> LabelledImages:
    files = expand_shards(part)
    names = given or _lines(path / CLASSNAMES)
    templates = read_templates(path / TEMPLATES) if (path / TEMPLATES).exists() else None

    def read(losses: Losses) -> Iterator[LabelledRecord]:
        for file in files:
            for sample in read_samples(file, on_bad=losses.on_bad):
                members = sample.members
                image = next((members[ext[1:]] for ext in SUFFIXES if ext[1:] in members), None)
                label = _whole_number(members.get("cls"))
                group = None
                if "npy" in members:
                    group = _first_number(members["npy"])
                    if group is None:
                        losses.lose("no metadata", sample.where, "its .npy holds no numbers")
                        continue
                record = _record(sample.key, image, label, group, sample.where, len(names), losses)
                if record is not None:
                    yield record

    return LabelledImages(path, names, templates, _fingerprint_files(files), None, read)


def _folders(path: Path, part: Path, given: tuple[str, ...] | None) -> LabelledImages:
    folders = sorted(entry for entry in part.iterdir() if entry.is_dir() and not entry.name.startswith("."))
    images = [
        (label, file)
        for label, folder in enumerate(folders)
        for file in sorted(folder.rglob("*"))
        if file.suffix.lower() in SUFFIXES and file.is_file()
    ]
    if not images:
        raise InputError(f"{part}: has no images in folders; give a folder with a folder for each class")
    listed = next((_lines(root / CLASSNAMES) for root in (path, part) if (root / CLASSNAMES).exists()), None)
    names = given or listed or tuple(folder.name.replace("_", " ") for folder in folders)
    if len(names) != len(folders):
        raise InputError(f"{part}: {len(names)} class names for {len(folders)} folders; give one a folder")

    def read(losses: Losses) -> Iterator[LabelledRecord]:
        for label, file in images:
            key = file.relative_to(part).as_posix()
            try:
                data = file.read_bytes()
            except OSError as error:
                losses.lose("missing file", str(file), error.strerror or "cannot be read")
                continue
            yield LabelledRecord(key, data, label, None, str(file))

    sizes = [(file.relative_to(part).as_posix(), file.stat().st_size, label) for label, file in images]
    return LabelledImages(path, names, None, fingerprint(sizes), len(images), read)


def _record(
    key: str, image: Any, label: Any, group: Any, where: str, num_classes: int, losses: Losses
) -> LabelledRecord | None:
    if not isinstance(image, bytes):
        losses.lose("no image", where)
    elif not isinstance(label, int) or not 0 <= label < num_classes:
        losses.lose("no label", where, f"{label!r} is not in 0..{num_classes - 1}")
    else:
        return LabelledRecord(key, image, label, None if group is None else int(group), where)
    return None


def _field(path: Path, names: Sequence[str], wanted: Sequence[str]) -> str:
    for name in wanted:
        if name in names:
            return name
    raise InputError(
        f"{path}: has none of the columns {', '.join(wanted)} but {', '.join(names)}; rename one of them"
    )


def _names_in_schema(schema: Any, label_field: str) -> tuple[str, ...]:
    """Class names in the metadata: `classes`, or what the library `datasets` writes of its label feature."""
    metadata = schema.metadata or {}
    if b"classes" in metadata:
        return tuple(name.strip() for name in metadata[b"classes"].decode().split(","))
    try:
        names = json.loads(metadata[b"huggingface"])["info"]["features"][label_field]["names"]
    except (KeyError, ValueError, TypeError):
        return ()
    return tuple(map(str, names)) if isinstance(names, list) else ()


def _lines(path: Path) -> tuple[str, ...]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; it holds one line for each class or template") from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as text: {error}; mend or replace it") from None
    lines = tuple(line.strip() for line in text.splitlines() if line.strip())
    if not lines:
        raise InputError(f"{path}: is empty; it holds one line for each class or template")
    return lines


def _whole_number(data: bytes | None) -> int | None:
    text = (data or b"").strip()
    return int(text) if text.isdigit() and len(text) < 10 else None


def _first_number(data: bytes) -> int | None:
    """The first number of an array, which is the group in the official metadata; None where there is none."""
    try:
        values = np.load(io.BytesIO(data), allow_pickle=False)
        return int(np.ravel(values)[0])
    except (ValueError, EOFError, IndexError, TypeError, OverflowError):
        return None


def _fingerprint_files(files: Sequence[Path]) -> str:
    return fingerprint([(file.name, fingerprint_file(file)) for file in files])
