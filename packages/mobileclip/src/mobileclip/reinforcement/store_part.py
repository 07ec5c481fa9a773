"""One part of a store, its files mapped into memory."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from toolkit_shared.errors import InputError

from mobileclip.reinforcement.precision import STORED_DTYPES, Precision, Stored
from mobileclip.reinforcement.store_format import SAMPLES, augmentation_record, part_path
from mobileclip.replay.augmentation import Augmentation


class StorePart:
    """The mapped files of one part.

    Attributes:
        image_rows: Embeddings of the augmented images of all samples [rows, width].
        text_rows: Of each sample's real captions, then of its synthetic ones [rows, width].
        image_starts: Where each sample's image rows begin; one more, the end.
        text_starts: Where each sample's text rows begin; one more, the end.
        num_captions: Real captions of each sample.
        table: Keys, captions and counts.
    """

    def __init__(
        self, folder: Path, number: int, precision: Precision, width: int, num_operations: int
    ) -> None:
        self.folder, self.number = folder, number
        dtype = STORED_DTYPES[precision]
        self.image_rows = self._map("image.bin", dtype).reshape(-1, width)
        self.text_rows = self._map("text.bin", dtype).reshape(-1, width)
        self.records = self._map("augmentations.bin", augmentation_record(num_operations))
        self.carried = self._map("members.bin", np.dtype(np.uint8))
        path = part_path(self.folder, number, "samples.arrow")
        try:
            self.table = pa.ipc.open_file(pa.memory_map(str(path))).read_all()
        except (OSError, pa.ArrowInvalid) as error:
            raise InputError(f"{path}: damaged ({error}); restore it or convert again") from None
        if self.table.schema != SAMPLES:
            raise InputError(f"{path}: has other columns than a part; restore it or convert again")
        # lists: an int out of an array costs several times as much
        self.num_captions: list[int] = self.table.column("num_captions").to_pylist()
        self.image_starts = _starts([self.table.column("num_augmentations").to_numpy()])
        self.text_starts = _starts(
            [self.table.column(name).to_numpy() for name in ("num_captions", "num_synthetic")]
        )
        text_starts = np.array(self.text_starts)
        self.starts = {
            "image": np.array(self.image_starts),
            "text": text_starts,
            "synthetic": text_starts[:-1] + self.num_captions if self.num_captions else text_starts[:-1],
        }
        if self.image_starts[-1] != len(self.image_rows) or self.text_starts[-1] != len(self.text_rows):
            raise InputError(f"{path}: its counts are not those of the embeddings; restore or convert again")

    def places(
        self, kind: int, rows: npt.NDArray[np.int64], numbers: npt.NDArray[np.int64]
    ) -> tuple[Stored, npt.NDArray[np.int64]]:
        """Where the rows of an augmentation (kind 0), a real (1) or a synthetic caption (2) are.

        Raises:
            IndexError: a sample has no such row.
        """
        if kind == 0:
            source, first, last = self.image_rows, self.starts["image"][:-1], self.starts["image"][1:]
        elif kind == 1:
            source, first, last = self.text_rows, self.starts["text"][:-1], self.starts["synthetic"]
        else:
            # the offset is the number of real captions, which need not be 1
            source, first, last = self.text_rows, self.starts["synthetic"], self.starts["text"][1:]
        places = first[rows] + numbers
        if (numbers < 0).any() or (places >= last[rows]).any():
            raise IndexError("a sample has no such augmentation or caption")
        return source, places

    def _map(self, name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any]:
        path = part_path(self.folder, self.number, name)
        if path.stat().st_size == 0:  # which cannot be mapped
            return np.zeros(0, dtype)
        # np.memmap's own slicing costs several times a plain array's
        return np.memmap(path, dtype=dtype, mode="r").view(np.ndarray)

    def text(self, column: str, row: int) -> str:
        """A string of a row."""
        value: str = self.table.column(column)[row].as_py()
        return value

    def strings(self, column: str, row: int) -> tuple[str, ...]:
        """A list of strings of a row."""
        return tuple(self.table.column(column)[row].as_py())

    def string(self, column: str, row: int, number: int) -> str:
        """One string of a list of a row."""
        value: str = self.table.column(column)[row].values[number].as_py()
        return value

    def image_size(self, row: int) -> tuple[int, int] | None:
        """Width and height of the image, or None."""
        width, height = (self.table.column(name)[row].as_py() for name in ("width", "height"))
        return (width, height) if width else None

    def embeddings(self, row: int) -> tuple[Stored, Stored, Stored]:
        """Views of the rows of the augmented images, the real and the synthetic captions."""
        start, end = self.text_starts[row], self.text_starts[row + 1]
        middle = start + self.num_captions[row]
        images = self.image_rows[self.image_starts[row] : self.image_starts[row + 1]]
        return images, self.text_rows[start:middle], self.text_rows[middle:end]

    def augmentations(self, row: int, only: int | None = None) -> Iterator[Augmentation]:
        """The augmentations of a row, or one of them."""
        start, end = self.image_starts[row], self.image_starts[row + 1]
        if only is not None:
            if not 0 <= only < end - start:
                raise IndexError(f"row {row} has no augmentation {only}")
            start, end = start + only, start + only + 1
        records = self.records[start:end]
        fields = [records[name].tolist() for name in ("crop", "steps", "operations", "magnitudes")]
        for crop, steps, operations, magnitudes in zip(*fields, strict=True):
            pairs = tuple(zip(operations[:steps], magnitudes[:steps], strict=True)) if steps >= 0 else None
            yield Augmentation(tuple(crop), pairs)

    def members(self, row: int) -> dict[str, bytes]:
        """The files that are carried along."""
        places = self.table.column("members")[row].as_py()
        return {
            place["extension"]: self.carried[place["offset"] : place["offset"] + place["size"]].tobytes()
            for place in places
        }


def _starts(counts: Sequence[npt.NDArray[Any]]) -> list[int]:
    total = np.sum(counts, axis=0, dtype=np.int64)
    return [0, *np.cumsum(total).tolist()]
