"""The rows nearest to a query, exactly, without loading the rows."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from jaxtyping import Float, Float32, Int64
from numpy import ndarray
from toolkit_shared.errors import InputError

BLOCK_ROWS = 1 << 15  # 64 MB at 512 numbers of 32 bits


def top_matches(
    rows: npt.NDArray[np.floating],
    queries: Float[ndarray, "queries width"],
    *,
    top: int,
    block_rows: int = BLOCK_ROWS,
    progress: Callable[[int], None] | None = None,
) -> tuple[Int64[ndarray, "queries found"], Float32[ndarray, "queries found"]]:
    """Numbers and cosines of the `top` rows nearest to each query, best first; equal ones by number.

    Every row is compared. Rows and queries need not have unit length; a row of zeros has the cosine 0.

    Args:
        rows: (rows, width), in memory or mapped; read once, a block at a time.
        queries: one a row.
        top: how many to find; all rows when there are fewer.
        block_rows: rows compared at once.
        progress: told the number of rows done.

    Raises:
        InputError: a row or a query is not finite, or their widths differ.
        ValueError: `top` is below 1.
    """
    if top < 1:
        raise ValueError(f"top is {top}; it is 1 or more")
    if queries.ndim != 2 or queries.shape[1] != rows.shape[1]:
        raise InputError(
            f"queries have {queries.shape[-1]} numbers and the rows {rows.shape[1]}; "
            "use the model that the rows were made with"
        )
    wanted = np.asarray(queries, np.float32)
    wanted = wanted / _lengths(wanted, "query", 0)[:, None]
    count = len(wanted)
    numbers = np.empty((count, 0), np.int64)
    cosines = np.empty((count, 0), np.float32)
    for start in range(0, len(rows), block_rows):
        block = np.asarray(rows[start : start + block_rows], np.float32)
        scores = wanted @ block.T / _lengths(block, "row", start)
        found = [_best(scores[query], top) for query in range(count)]
        kept = [
            _merged(numbers[query], cosines[query], found[query] + start, scores[query, found[query]], top)
            for query in range(count)
        ]
        numbers = np.stack([part[0] for part in kept]) if kept else numbers
        cosines = np.stack([part[1] for part in kept]) if kept else cosines
        if progress is not None:
            progress(len(block))
    return numbers, cosines


def _best(scores: npt.NDArray[np.float32], top: int) -> npt.NDArray[np.int64]:
    """Numbers of at least the `top` best scores, with everything equal to the last of them."""
    if len(scores) <= top:
        return np.arange(len(scores))
    least = np.partition(scores, len(scores) - top)[len(scores) - top]
    return np.flatnonzero(scores >= least)


def _merged(
    numbers: npt.NDArray[np.int64],
    scores: npt.NDArray[np.float32],
    more_numbers: npt.NDArray[np.int64],
    more_scores: npt.NDArray[np.float32],
    top: int,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32]]:
    numbers = np.concatenate([numbers, more_numbers])
    scores = np.concatenate([scores, more_scores])
    order = np.lexsort((numbers, -scores))[:top]
    return numbers[order], scores[order]


def _lengths(rows: npt.NDArray[np.float32], what: str, start: int) -> npt.NDArray[np.float32]:
    """Lengths that can be divided by: rows of zeros get the smallest number."""
    lengths: npt.NDArray[np.float32] = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    if not np.isfinite(lengths).all():
        number = start + int(np.flatnonzero(~np.isfinite(lengths))[0])
        raise InputError(f"{what} {number} is not finite; make it again")
    return np.maximum(lengths, np.finfo(np.float32).tiny)
