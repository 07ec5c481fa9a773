"""The two kinds of matrix in a model file: dense float32 rows, and rows quantized by product codes."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dclm_bench.fasttext.lines import Bytes, Rows
from dclm_bench.text.compiled import compiled

Floats = npt.NDArray[np.float32]

NUM_CENTROIDS = 256


@dataclass(frozen=True)
class DenseMatrix:
    """Rows of float32, perhaps mapped from a file."""

    values: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.values.shape[0]), int(self.values.shape[1])

    def mean_of(self, rows: Rows) -> Floats:
        """The mean of these rows, summed in their order in float32 as fastText does."""
        return _mean_of_dense(self.values, rows)

    def dense(self) -> Floats:
        """All rows as an array in memory."""
        return np.array(self.values, np.float32)


@dataclass(frozen=True)
class QuantizedMatrix:
    """Rows as one byte a part, each byte the number of a centroid, and perhaps a norm apart.

    Attributes:
        num_columns: Length of a row.
        part_length: Columns a part; the last part may be shorter.
        codes: Centroid of each part, shape (rows, parts).
        centroids: Flat, as in the file: 256 centroids for each part, one part after the other.
        norms: The norm by which each row is multiplied; empty when the norms were not split off.
    """

    num_columns: int
    part_length: int
    codes: Bytes
    centroids: Floats
    norms: Floats

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns."""
        return int(self.codes.shape[0]), self.num_columns

    def mean_of(self, rows: Rows) -> Floats:
        """The mean of these rows."""
        return _mean_of_quantized(
            rows, self.num_columns, self.part_length, self.codes, self.centroids, self.norms
        )

    def dense(self) -> Floats:
        """All rows as an array in memory."""
        rows = np.arange(self.shape[0], dtype=np.int32)
        return np.stack([self.mean_of(rows[index : index + 1]) for index in rows])


Matrix = DenseMatrix | QuantizedMatrix


@compiled
def _mean_of_dense(values: Floats, rows: Rows) -> Floats:
    mean = np.zeros(values.shape[1], np.float32)
    for row in rows:
        for column in range(len(mean)):
            mean[column] += values[row, column]
    factor = np.float32(1.0 / len(rows))
    for column in range(len(mean)):
        mean[column] *= factor
    return mean


@compiled
def _mean_of_quantized(
    rows: Rows, num_columns: int, part_length: int, codes: Bytes, centroids: Floats, norms: Floats
) -> Floats:
    mean = np.zeros(num_columns, np.float32)
    num_parts = codes.shape[1]
    last_length = num_columns - (num_parts - 1) * part_length
    for row in rows:
        norm = norms[row] if len(norms) > 0 else np.float32(1.0)
        for part in range(num_parts):
            code = np.int64(codes[row, part])
            length = part_length if part < num_parts - 1 else last_length
            # the centroids of the last part lie as close as that part is long
            base = part * NUM_CENTROIDS * part_length + code * length
            for offset in range(length):
                mean[part * part_length + offset] += norm * centroids[base + offset]
    factor = np.float32(1.0 / len(rows))
    for column in range(num_columns):
        mean[column] *= factor
    return mean
