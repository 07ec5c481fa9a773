"""Rows of tokens out of flat token arrays, as fast as memory allows."""

import numpy as np
import numpy.typing as npt


def gather_rows(
    tokens: npt.NDArray[np.integer], starts: npt.NDArray[np.int64], out: npt.NDArray[np.integer]
) -> None:
    """Fill row r of `out` [rows, span] with `tokens[starts[r] : starts[r] + span]`, converted to out's dtype.

    Nothing is checked: every row must lie inside `tokens` and every id must fit `out`.
    """
    span = out.shape[1]
    for row, start in zip(out, starts.tolist(), strict=True):
        row[:] = tokens[start : start + span]
