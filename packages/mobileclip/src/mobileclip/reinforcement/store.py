"""The memory-mapped store: a draw reads three rows, and nothing else of the sample."""

import json
from bisect import bisect_right
from collections import OrderedDict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import fingerprint, read_json, sha256_file
from toolkit_shared.errors import InputError

from mobileclip.reinforcement.precision import STORED_DTYPES, Precision, take_float32, to_float32
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.reinforcement.store_format import (
    KEY_RECORD,
    KEYS,
    PART_FILES,
    STORE_KIND,
    STORE_VERSION,
    key_hash,
    part_path,
)
from mobileclip.reinforcement.store_part import StorePart
from mobileclip.replay.augmentation import MAX_OPERATIONS, Augmentation

# A part has five open files, and many systems allow a process 1,024.
MAX_OPEN_PARTS = 128


class WrongWidth(InputError):
    """The rows of a store are not as wide as its teachers together."""


class Drawn(NamedTuple):
    """The three rows of one draw, float32 [width of all teachers] each."""

    image: npt.NDArray[np.float32]
    text: npt.NDArray[np.float32]
    synthetic: npt.NDArray[np.float32] | None


class DrawnBatch(NamedTuple):
    """The rows of many draws, float32 [draws, width of all teachers] each."""

    image: npt.NDArray[np.float32]
    text: npt.NDArray[np.float32]
    synthetic: npt.NDArray[np.float32] | None


class Counts(NamedTuple):
    """How much is stored of a sample."""

    augmentations: int
    captions: int
    synthetic: int


class ReinforcedStore:
    """Reinforcements by number or key, read in place.

    Attributes:
        path: The folder.
        manifest: Of the folder.
        teachers: In the order of the stored vectors.
        precision: Of the embeddings.
        width: Numbers in a row.
        fingerprint: Of the contents, 16 hexadecimal digits.
    """

    def __init__(self, path: Path, manifest: dict[str, Any]) -> None:
        self.path, self.manifest = path, manifest
        store = manifest["store"]
        self.teachers = tuple(TeacherInfo(**teacher) for teacher in store["teachers"])
        self.precision: Precision = store["precision"]
        self.width: int = store["width"]
        self.num_operations: int = store["num_operations"]
        self.fingerprint = fingerprint(
            [store["teachers"], store["precision"], [part["files"] for part in store["parts"]]]
        )
        self._parts: list[dict[str, Any]] = store["parts"]
        self._starts = [0]
        for part in self._parts:
            self._starts.append(self._starts[-1] + part["num_samples"])
        self._open: OrderedDict[int, StorePart] = OrderedDict()
        self._keys: npt.NDArray[Any] | None = None

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The store in the folder `path`.

        Raises:
            InputError: the folder holds no finished store of this version, or a file of it has another size
                than the manifest says.
        """
        folder = Path(path)
        if not (folder / "manifest.json").exists():
            state = "holds an unfinished one; finish the command that writes it" if folder.is_dir() else ""
            raise InputError(f"{folder}: is no reinforced store ({state or 'no such folder'})")
        manifest = read_json(folder / "manifest.json")
        if not isinstance(manifest, dict) or manifest.get("kind") != STORE_KIND or "store" not in manifest:
            raise InputError(f"{folder}: is no reinforced store; name a folder of dr build or dr convert")
        if manifest["store"].get("version") != STORE_VERSION:
            raise InputError(
                f"{folder}: has version {manifest['store'].get('version')}, {STORE_VERSION} can be read; "
                "convert it again"
            )
        try:
            store = cls(folder, manifest)
            expected_sizes = list(store._expected_sizes())
            widths = [int(teacher.width) for teacher in store.teachers]
            sound = store.precision in STORED_DTYPES and 0 < store.num_operations <= MAX_OPERATIONS
        except (KeyError, TypeError, ValueError, AttributeError):
            sound = False
        where = folder / "manifest.json"
        if not sound:
            raise InputError(f"{where}: does not describe a store; restore it or build again")
        if store.width < 1 or store.width != sum(widths):
            raise WrongWidth(
                f"{where}: rows have {store.width} numbers, the teachers {' + '.join(map(str, widths))}; "
                "restore it or build again"
            )
        for name, expected in expected_sizes:
            _check_size(folder / name, expected)
        return store

    def __len__(self) -> int:
        """Number of samples."""
        return self._starts[-1]

    def __getitem__(self, index: int) -> Reinforcement:
        """The whole sample; its embeddings are views of the files.

        Raises:
            IndexError: there is no such sample.
        """
        part, row = self._locate(index)
        groups, other = part.text("synthetic_groups", row), part.text("other_fields", row)
        image, real, synthetic = part.embeddings(row)
        return Reinforcement(
            key=part.text("key", row),
            captions=part.strings("captions", row),
            synthetic_captions=part.strings("synthetic_captions", row),
            augmentations=tuple(part.augmentations(row)),
            image_embeddings=image,
            text_embeddings=real,
            synthetic_embeddings=synthetic,
            precision=self.precision,
            teachers=self.teachers,
            image_size=part.image_size(row),
            synthetic_groups=tuple((name, count) for name, count in json.loads(groups)) if groups else (),
            other_fields=json.loads(other) if other else {},
            joined=part.table.column("joined")[row].as_py(),
            members=part.members(row),
        )

    def __iter__(self) -> Iterator[Reinforcement]:
        """All samples in order."""
        return (self[index] for index in range(len(self)))

    def draw(self, index: int, augmentation: int, real: int = 0, synthetic: int | None = None) -> Drawn:
        """The rows of one augmentation, one real and one synthetic caption; no other row is touched.

        Args:
            index: Number of the sample.
            augmentation: Number of the augmentation whose image is replayed.
            real: Number of the real caption.
            synthetic: Number of the synthetic caption; None: no row.

        Raises:
            IndexError: there is no such sample, augmentation or caption.
        """
        part, row = self._locate(index)
        image, text, captions = part.image_starts[row], part.text_starts[row], part.num_captions[row]
        if not 0 <= augmentation < part.image_starts[row + 1] - image or not 0 <= real < captions:
            raise IndexError(f"sample {index} has no augmentation {augmentation} or no caption {real}")
        chosen = None
        if synthetic is not None:
            if not 0 <= synthetic < part.text_starts[row + 1] - text - captions:
                raise IndexError(f"sample {index} has no synthetic caption {synthetic}")
            # the offset is the number of real captions, which need not be 1
            chosen = to_float32(part.text_rows[text + captions + synthetic], self.precision)
        return Drawn(
            to_float32(part.image_rows[image + augmentation], self.precision),
            to_float32(part.text_rows[text + real], self.precision),
            chosen,
        )

    def draw_batch(
        self,
        indices: npt.ArrayLike,
        augmentations: npt.ArrayLike,
        real: npt.ArrayLike,
        synthetic: npt.ArrayLike | None = None,
        *,
        out: DrawnBatch | None = None,
    ) -> DrawnBatch:
        """The rows of many draws at once, several times as fast a row; row i is that of draw i.

        Args:
            indices: Numbers of the samples, in any order.
            augmentations: Number of the augmentation of each.
            real: Number of the real caption of each.
            synthetic: Number of the synthetic caption of each; None: no rows.
            out: An earlier batch of as many draws, to be overwritten and returned; new memory costs as much
                as the rows.

        Raises:
            IndexError: there is no such sample, augmentation or caption.
        """
        numbers = np.asarray(indices, dtype=np.int64)
        chosen = [
            None if value is None else np.asarray(value, dtype=np.int64)
            for value in (augmentations, real, synthetic)
        ]
        if len(numbers) and not 0 <= numbers.min() <= numbers.max() < len(self):
            raise IndexError(f"a sample of {numbers.min()} to {numbers.max()} is not among the {len(self)}")
        parts = np.searchsorted(self._starts, numbers, side="right") - 1
        shape = (len(numbers), self.width)
        found = [
            None if value is None else np.empty(shape, np.float32) if there is None else there
            for value, there in zip(chosen, out or (None, None, None), strict=True)
        ]
        if any(rows is not None and rows.shape != shape for rows in found):
            raise ValueError(f"out: its arrays are not of shape {shape}")
        for number in np.unique(parts).tolist():
            of_part = np.flatnonzero(parts == number)
            part, rows = self._part(number), numbers[of_part] - self._starts[number]
            for kind, (value, target) in enumerate(zip(chosen, found, strict=True)):
                if value is None or target is None:
                    continue
                source, places = part.places(kind, rows, value[of_part])
                if len(of_part) == len(numbers):  # one part is the usual case, and needs no second copy
                    take_float32(source, places, self.precision, target)
                else:
                    target[of_part] = take_float32(source, places, self.precision)
        image, text, synthetic_rows = found
        assert image is not None
        assert text is not None
        return DrawnBatch(image, text, synthetic_rows)

    def key(self, index: int) -> str:
        """The key of a sample."""
        part, row = self._locate(index)
        return part.text("key", row)

    def keys(self) -> Iterator[str]:
        """All keys in order."""
        for number in range(len(self._parts)):
            yield from self._part(number).table.column("key").to_pylist()

    def counts(self, index: int) -> Counts:
        """How many augmentations, real and synthetic captions a sample has."""
        part, row = self._locate(index)
        captions = part.num_captions[row]
        return Counts(
            part.image_starts[row + 1] - part.image_starts[row],
            captions,
            part.text_starts[row + 1] - part.text_starts[row] - captions,
        )

    def augmentation(self, index: int, augmentation: int) -> Augmentation:
        """One augmentation of a sample."""
        part, row = self._locate(index)
        return next(part.augmentations(row, augmentation))

    def caption(self, index: int, real: int) -> str:
        """One real caption of a sample."""
        part, row = self._locate(index)
        return part.string("captions", row, real)

    def synthetic_caption(self, index: int, synthetic: int) -> str:
        """One synthetic caption of a sample."""
        part, row = self._locate(index)
        return part.string("synthetic_captions", row, synthetic)

    def image_size(self, index: int) -> tuple[int, int] | None:
        """Width and height of the image for which crops are stored; None: not known."""
        part, row = self._locate(index)
        return part.image_size(row)

    @property
    def num_parts(self) -> int:
        """Number of parts."""
        return len(self._parts)

    def part_indices(self, part: int) -> range:
        """The numbers of the samples of a part."""
        return range(self._starts[part], self._starts[part + 1])

    def index_of(self, key: str) -> int | None:
        """The number of the sample with this key, or None; of two, the first."""
        if self._keys is None:
            self._keys = np.fromfile(self.path / KEYS, dtype=KEY_RECORD)
            # a field of a record is strided, and searching one is slow
            self._hashes = np.ascontiguousarray(self._keys["hash"])
        wanted = key_hash(key)
        place = int(np.searchsorted(self._hashes, np.uint64(wanted)))
        while place < len(self._keys) and int(self._hashes[place]) == wanted:
            index = int(self._keys["index"][place])
            if self.key(index) == key:
                return index
            place += 1
        return None

    def damaged_files(self) -> list[str]:
        """The files whose contents are not those that were written, by reading all of them."""
        return [
            f"parts/{number:05d}.{name}"
            for number, part in enumerate(self._parts)
            for name in PART_FILES
            if sha256_file(part_path(self.path, number, name)) != part["files"][name]["sha256"]
        ]

    def _expected_sizes(self) -> Iterator[tuple[str, int]]:
        yield KEYS, len(self) * KEY_RECORD.itemsize
        for number, part in enumerate(self._parts):
            for name in PART_FILES:
                yield f"parts/{number:05d}.{name}", part["files"][name]["bytes"]

    def _locate(self, index: int) -> tuple[StorePart, int]:
        if not 0 <= index < self._starts[-1]:
            raise IndexError(f"sample {index} of {len(self)}")
        number = bisect_right(self._starts, index) - 1
        return self._part(number), index - self._starts[number]

    def _part(self, number: int) -> StorePart:
        part = self._open.get(number)
        if part is None:
            part = StorePart(self.path, number, self.precision, self.width, self.num_operations)
            if len(self._open) >= MAX_OPEN_PARTS:
                self._open.popitem(last=False)
            self._open[number] = part
        elif len(self._parts) > MAX_OPEN_PARTS:
            self._open.move_to_end(number)
        return part

    def __getstate__(self) -> dict[str, Any]:
        """A store in another process opens its files itself."""
        return {"path": self.path, "manifest": self.manifest}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _check_size(path: Path, expected: int) -> None:
    try:
        found = path.stat().st_size
    except FileNotFoundError:
        raise InputError(f"{path}: this file of the store is missing; put it back or build again") from None
    if found != expected:
        raise InputError(
            f"{path}: has {found:,} bytes where {expected:,} were written; restore it or build again"
        )
