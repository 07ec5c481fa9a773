"""Similarities of features in blocks, so that the whole matrix is never in memory."""

import numpy as np
import numpy.typing as npt

BLOCK_ROWS = 1024
BLOCK_COLUMNS = 4096


def as_features(features: npt.NDArray[np.floating], what: str) -> npt.NDArray[np.floating]:
    """The features as they are, after a check.

    Raises:
        ValueError: they are no matrix, or one is not finite.
    """
    matrix = np.asarray(features)
    if matrix.ndim != 2:
        raise ValueError(f"{what} of shape {matrix.shape} are no matrix of rows")
    if not all(np.isfinite(matrix[block]).all() for block in blocks(len(matrix), BLOCK_COLUMNS)):
        raise ValueError(f"{what} hold a value that is not finite")
    return matrix


def similarities(
    rows: npt.NDArray[np.floating], columns: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Dot products (rows, columns), summed in float64 and rounded to float32.

    A matrix product may add in another order at another place of the matrix, so that equal vectors get
    scores that differ in the last bit and a tie is broken by chance. Rounding away half of the digits makes
    equal vectors tie, whatever the block they stand in.
    """
    product: npt.NDArray[np.float64] = rows.astype(np.float64) @ columns.astype(np.float64).T
    return product.astype(np.float32)


def paired_similarities(
    rows: npt.NDArray[np.floating], columns: npt.NDArray[np.floating]
) -> npt.NDArray[np.float32]:
    """Dot product of row i with column i, rounded as in `similarities`."""
    products: npt.NDArray[np.float64] = np.einsum(
        "ij,ij->i", rows.astype(np.float64), columns.astype(np.float64)
    )
    return products.astype(np.float32)


def blocks(size: int, step: int) -> list[slice]:
    """Slices of `step` that cover 0..size in order; the last may be shorter."""
    return [slice(start, min(start + step, size)) for start in range(0, size, step)]
