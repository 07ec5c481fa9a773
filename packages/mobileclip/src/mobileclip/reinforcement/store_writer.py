"""A store written part by part: each part is whole or absent, so a run that was killed goes on."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from toolkit_shared.artifacts import atomic_path, finish_folder, read_json, write_json
from toolkit_shared.errors import InputError

from mobileclip.reinforcement.precision import STORED_DTYPES, Precision, Stored
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.reinforcement.store_format import (
    KEY_RECORD,
    KEYS,
    SAMPLES,
    STORE_VERSION,
    augmentation_record,
    key_hash,
    part_path,
)

SHOWN_KEYS = 20


@dataclass(frozen=True, kw_only=True)
class StoreWriter:
    """Writes the parts of a store into a folder that its caller has claimed as `STORE_KIND`, and finishes it.

    Parts may be written in any order and by several processes. What a part holds depends on its samples only.

    Attributes:
        folder: The claimed folder.
        teachers: In the order of the stored vectors.
        precision: Of all embeddings.
        num_operations: Room for the operations of an augmentation.
    """

    folder: Path
    teachers: tuple[TeacherInfo, ...]
    precision: Precision
    num_operations: int = 2

    @property
    def width(self) -> int:
        """Numbers in a row."""
        return sum(teacher.width for teacher in self.teachers)

    def has_part(self, part: int) -> bool:
        """Whether the part is there and whole."""
        return part_path(self.folder, part, "json").exists()

    def part_report(self, part: int) -> dict[str, Any]:
        """Counts, hashes and the `report` of a part that is there."""
        report = read_json(part_path(self.folder, part, "json"))
        assert isinstance(report, dict)
        return report

    def write_part(
        self, part: int, samples: Iterable[Reinforcement], report: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        """Write the samples, which were checked, as one part; returns what `part_report` will.

        Args:
            part: Its number, from 0.
            samples: In their order; read one at a time.
            report: Kept with the part as it is when the samples have been read, so that what is dropped on
                the way can be counted in it.

        Raises:
            InputError: a sample has another precision or width, more operations than there is room for, or a
                key that is there already.
        """
        with _PartFiles(self, part) as files:
            for sample in samples:
                files.add(sample)
        found = {**files.summary, "report": dict(report or {})}
        write_json(part_path(self.folder, part, "json"), found)
        return found

    def finish(
        self,
        num_parts: int,
        manifest: Mapping[str, Any] | None = None,
        *,
        refuse_duplicates: bool = False,
    ) -> dict[str, Any]:
        """Write the index of keys and the manifest; returns the manifest's part on the store.

        Where a key is in two parts, the first is found by it; such keys are counted.

        Args:
            num_parts: How many parts there are, 0 to `num_parts - 1`.
            manifest: Further fields of the manifest.
            refuse_duplicates: Whether a key in two parts is an error.

        Raises:
            InputError: a key is in two parts and `refuse_duplicates`.
            ValueError: a part is missing.
        """
        missing = [part for part in range(num_parts) if not self.has_part(part)]
        if missing:
            raise ValueError(f"{len(missing)} parts are missing, the first is {missing[0]}")
        reports = [self.part_report(part) for part in range(num_parts)]
        num_samples, duplicates = _write_keys(self.folder, num_parts)
        if duplicates and refuse_duplicates:
            raise InputError(
                f"{self.folder}: {len(duplicates):,} keys are in more than one part, the first is "
                f"{duplicates[0]}; give each key once"
            )
        store = {
            "version": STORE_VERSION,
            "teachers": [asdict(teacher) for teacher in self.teachers],
            "precision": self.precision,
            "width": self.width,
            "num_operations": self.num_operations,
            "num_samples": num_samples,
            "num_duplicate_keys": len(duplicates),
            "duplicate_keys": duplicates[:SHOWN_KEYS],
            "num_image_rows": sum(report["num_image_rows"] for report in reports),
            "num_text_rows": sum(report["num_text_rows"] for report in reports),
            "parts": [{"num_samples": report["num_samples"], "files": report["files"]} for report in reports],
        }
        finish_folder(self.folder, {**(manifest or {}), "store": store})
        return store


class _PartFiles:
    """The open files of a part that is being written."""

    def __init__(self, writer: StoreWriter, part: int) -> None:
        self.writer, self.part = writer, part
        self.summary: dict[str, Any] = {}
        self._stack = ExitStack()
        self._columns: dict[str, list[Any]] = {name: [] for name in SAMPLES.names}
        self._seen: set[str] = set()
        self._rows = {"image.bin": 0, "text.bin": 0}
        self._record = augmentation_record(writer.num_operations)

    def __enter__(self) -> "_PartFiles":
        with ExitStack() as stack:
            self._paths = {
                name: stack.enter_context(atomic_path(part_path(self.writer.folder, self.part, name)))
                for name in ("image.bin", "text.bin", "augmentations.bin", "members.bin", "samples.arrow")
            }
            self._files = {
                name: stack.enter_context(_HashedFile(path))
                for name, path in self._paths.items()
                if name != "samples.arrow"
            }
            self._stack = stack.pop_all()
        return self

    def add(self, sample: Reinforcement) -> None:
        """Append a sample."""
        where = f"{self.writer.folder}: sample {sample.key}"
        if sample.key in self._seen:
            raise InputError(f"{where}: is there already; give each key once")
        if sample.precision != self.writer.precision:
            raise InputError(
                f"{where}: is {sample.precision}, the store is {self.writer.precision}; "
                "convert sets of different precision apart"
            )
        self._seen.add(sample.key)
        self._add_rows("image.bin", sample.image_embeddings, where)
        self._add_rows("text.bin", sample.text_embeddings, where)
        if sample.synthetic_captions:
            self._add_rows("text.bin", sample.synthetic_embeddings, where)
        self._files["augmentations.bin"].write(self._augmentations(sample, where).tobytes())
        places = []
        for extension, data in sample.members.items():
            places.append(
                {"extension": extension, "offset": self._files["members.bin"].size, "size": len(data)}
            )
            self._files["members.bin"].write(data)
        width, height = sample.image_size or (0, 0)
        row = {
            "key": sample.key,
            "key_hash": key_hash(sample.key),
            "num_augmentations": len(sample.augmentations),
            "num_captions": len(sample.captions),
            "num_synthetic": len(sample.synthetic_captions),
            "width": width,
            "height": height,
            "captions": list(sample.captions),
            "synthetic_captions": list(sample.synthetic_captions),
            "synthetic_groups": _json(sample.synthetic_groups),
            "other_fields": _json(sample.other_fields),
            "joined": sample.joined,
            "members": places,
        }
        for name, value in row.items():
            self._columns[name].append(value)

    def __exit__(self, kind: Any, error: Any, traceback: Any) -> None:
        with self._stack.pop_all() as stack:
            if error is not None:
                stack.push(lambda *_: False)
                raise error
            table = pa.Table.from_pydict(self._columns, schema=SAMPLES)
            with _HashedFile(self._paths["samples.arrow"]) as file:
                sink = pa.BufferOutputStream()
                with pa.ipc.new_file(sink, SAMPLES) as out:
                    # one batch, which the reader needs for access in place
                    out.write_batch(table.combine_chunks().to_batches()[0] if len(table) else _empty_batch())
                file.write(sink.getvalue())
            files = {**self._files, "samples.arrow": file}
            self.summary = {
                "num_samples": len(table),
                "num_image_rows": self._rows["image.bin"],
                "num_text_rows": self._rows["text.bin"],
                "files": {
                    name: {"bytes": one.size, "sha256": one.digest.hexdigest()} for name, one in files.items()
                },
            }

    def _add_rows(self, name: str, rows: Stored, where: str) -> None:
        if rows.shape[1] != self.writer.width or rows.dtype != STORED_DTYPES[self.writer.precision]:
            raise InputError(
                f"{where}: rows of {rows.shape[1]} {rows.dtype}, the store holds {self.writer.width} "
                f"{STORED_DTYPES[self.writer.precision]}; build or convert it apart"
            )
        self._files[name].write(np.ascontiguousarray(rows).data.cast("B"))
        self._rows[name] += len(rows)

    def _augmentations(self, sample: Reinforcement, where: str) -> np.ndarray:
        records = np.zeros(len(sample.augmentations), dtype=self._record)
        for record, augmentation in zip(records, sample.augmentations, strict=True):
            operations = augmentation.operations
            if operations is not None and len(operations) > self.writer.num_operations:
                raise InputError(
                    f"{where}: an augmentation has {len(operations)} operations, the store has room for "
                    f"{self.writer.num_operations}; pass --operations {len(operations)}"
                )
            record["crop"] = augmentation.crop
            record["steps"] = -1 if operations is None else len(operations)
            for number, (operation, magnitude) in enumerate(operations or ()):
                record["operations"][number], record["magnitudes"][number] = operation, magnitude
        return records


class _HashedFile:
    """A new file, with the hash and size of what is written to it."""

    def __init__(self, path: Path) -> None:
        self.path, self.size, self.digest = path, 0, hashlib.sha256()

    def __enter__(self) -> "_HashedFile":
        self._file = open(self.path, "wb", buffering=1 << 20)
        return self

    def write(self, data: Any) -> None:
        """Append bytes."""
        self._file.write(data)
        self.digest.update(data)
        self.size += memoryview(data).nbytes

    def __exit__(self, *_: Any) -> None:
        self._file.close()


def _write_keys(folder: Path, num_parts: int) -> tuple[int, list[str]]:
    """Write the sorted index of keys; the number of samples, and the keys that come again."""
    hashes = [
        _columns(folder, part, ["key_hash"]).column(0).combine_chunks().to_numpy(zero_copy_only=False)
        for part in range(num_parts)
    ]
    sizes = [len(part) for part in hashes]
    every = np.concatenate(hashes) if hashes else np.zeros(0, np.uint64)
    order = np.argsort(every, kind="stable")  # stable: of equal keys the first comes first
    records = np.empty(len(every), dtype=KEY_RECORD)
    records["hash"], records["index"] = every[order], order
    with atomic_path(folder / KEYS) as temporary:
        records.tofile(temporary)
    again = np.flatnonzero(records["hash"][1:] == records["hash"][:-1]) + 1
    suspects = sorted({int(records["index"][place + step]) for place in again for step in (-1, 0)})
    seen: set[str] = set()
    duplicates = []
    for key in _keys_at(folder, suspects, sizes):
        if key in seen:
            duplicates.append(key)
        seen.add(key)
    return len(every), duplicates


def _keys_at(folder: Path, indices: Sequence[int], sizes: Sequence[int]) -> Iterable[str]:
    """The keys of ascending global indices."""
    start, part, keys = 0, 0, None
    for index in indices:
        while index >= start + sizes[part]:
            start, part, keys = start + sizes[part], part + 1, None
        if keys is None:
            keys = _columns(folder, part, ["key"]).column(0)
        yield keys[index - start].as_py()


def _columns(folder: Path, part: int, names: list[str]) -> pa.Table:
    with pa.memory_map(str(part_path(folder, part, "samples.arrow"))) as source:
        return pa.ipc.open_file(source).read_all().select(names)


def _empty_batch() -> pa.RecordBatch:
    return pa.RecordBatch.from_pydict({name: [] for name in SAMPLES.names}, schema=SAMPLES)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False) if value else ""
