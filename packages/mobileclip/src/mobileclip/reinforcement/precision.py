"""Embeddings in the precision in which they are stored; bfloat16 as the upper half of float32."""

from typing import Any, Literal

import numpy as np
import numpy.typing as npt

Precision = Literal["float32", "float16", "bfloat16"]
Stored = npt.NDArray[Any]  # float32, float16, or uint16 that holds bfloat16

ROWS_AT_ONCE = 32
STORED_DTYPES: dict[Precision, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}


def to_float32(stored: Stored, precision: Precision) -> npt.NDArray[np.float32]:
    """The values as float32, exactly, in memory of their own."""
    if precision == "bfloat16":
        # widened first: shifting and widening in one call goes through a small buffer
        wide = stored.astype(np.uint32)
        wide <<= 16
        return wide.view(np.float32)
    return stored.astype(np.float32)


def take_float32(
    rows: Stored,
    places: npt.NDArray[np.int64],
    precision: Precision,
    out: npt.NDArray[np.float32] | None = None,
) -> npt.NDArray[np.float32]:
    """The rows at `places` as float32, exactly, [places, width]; in `out`, where it is given."""
    if out is None:
        out = np.empty((len(places), rows.shape[1]), dtype=np.float32)
    if precision == "float32":
        # "clip" saves a copy; the places were checked
        return np.take(rows, places, axis=0, out=out, mode="clip")
    bits = out.view(np.uint32)
    # a few rows at a time stay in the cache between the steps, which makes it two to three times as fast
    for start in range(0, len(places), ROWS_AT_ONCE):
        end = start + ROWS_AT_ONCE
        taken = np.take(rows, places[start:end], axis=0)
        if precision == "bfloat16":
            bits[start:end] = taken
            bits[start:end] <<= 16
        else:
            out[start:end] = taken
    return out


def from_float32(values: npt.NDArray[np.float32], precision: Precision) -> Stored:
    """The values in a stored precision, rounded to the nearest (ties to even); NaN stays NaN."""
    if precision != "bfloat16":
        return values.astype(STORED_DTYPES[precision])
    bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
    rounded = (bits + 0x7FFF + ((bits >> 16) & 1)) >> 16
    # adding could carry a NaN over into an infinity
    return np.where(np.isnan(values), (bits >> 16) | 0x40, rounded).astype(np.uint16)
