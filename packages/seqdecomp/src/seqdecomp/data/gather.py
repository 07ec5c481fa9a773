"""Rows of tokens out of flat token arrays, as fast as memory allows.

Measured for batches of 2^19 tokens at random places of a mapped uint16 file in the page cache, one core, into
int64, in millions of tokens a second at spans 256 / 1024 / 8192 (ratios matter more than the figures):

    row by row, one slice assignment each        330 /  910 / 2740
    sliding windows, fancy index                1140 / 1610 / 2750
    numpy.take with an index for every token     320 /  440 /  720
    memoryview slices into a staging array       500 / 1110 / 2700
    preadv into a staging array                  190 /  630 / 1830
    opaque rows (kept)                          1770 / 1920 / 3170

An opaque row is one array item of span * itemsize bytes that may begin at any token: fancy indexing then
copies each row with a single memcpy, and one conversion of the whole block follows. Over several files it
stays ahead of slice assignments while a file gives 8 rows or more; below that its cost per file dominates.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

# Rows are staged before conversion in blocks of about a megabyte: larger ones leave the cache.
STAGED_TOKENS = 1 << 19
ROWS_PER_FILE = 8

Tokens = npt.NDArray[np.integer]


def gather_rows(tokens: Tokens, starts: npt.NDArray[np.int64], out: Tokens) -> None:
    """Fill row r of `out` [rows, span] with `tokens[starts[r] : starts[r] + span]`, converted to out's dtype.

    `starts` must be 0 or more, and every id must fit `out`.

    Raises:
        IndexError: a row ends after the last token.
    """
    rows, span = out.shape
    items = opaque_rows(tokens, span)
    step = max(1, STAGED_TOKENS // span)
    for first in range(0, rows, step):
        block = items[starts[first : first + step]]
        out[first : first + step] = block.view(tokens.dtype).reshape(-1, span)


def gather_rows_of_files(
    tokens_of_file: Callable[[int], Tokens],
    files: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    out: Tokens,
) -> None:
    """Fill row r of `out` [rows, span] from position `starts[r]` of file `files[r]`, as out's dtype."""
    rows, span = out.shape
    order = np.argsort(files, kind="stable")
    cuts = np.flatnonzero(np.diff(files[order])) + 1
    edges = [0, *cuts.tolist(), rows]
    used = [int(files[order[edge]]) for edge in edges[:-1]]
    dtypes = (
        {tokens_of_file(file).dtype for file in used[:ROWS_PER_FILE]}
        if len(used) * ROWS_PER_FILE < rows
        else set()
    )
    if len(dtypes) != 1:
        _row_by_row(tokens_of_file, files, starts, out)
        return
    dtype = dtypes.pop()
    staged: npt.NDArray[Any] = np.empty(rows, dtype=(np.void, span * dtype.itemsize))
    for file, first, end in zip(used, edges[:-1], edges[1:], strict=True):
        tokens = tokens_of_file(file)
        if tokens.dtype != dtype:  # files of several vocabularies: rare, and right is enough
            _row_by_row(tokens_of_file, files, starts, out)
            return
        staged[order[first:end]] = opaque_rows(tokens, span)[starts[order[first:end]]]
    out[:] = staged.view(dtype).reshape(rows, span)


def opaque_rows(tokens: Tokens, span: int) -> npt.NDArray[Any]:
    """A view of `tokens` in which item s is the row `tokens[s : s + span]` as bytes; nothing is copied."""
    count = max(0, len(tokens) - span + 1)
    return np.ndarray(
        (count,), dtype=(np.void, span * tokens.itemsize), buffer=tokens, strides=(tokens.itemsize,)
    )


def _row_by_row(
    tokens_of_file: Callable[[int], Tokens],
    files: npt.NDArray[np.int64],
    starts: npt.NDArray[np.int64],
    out: Tokens,
) -> None:
    span = out.shape[1]
    for row, file, start in zip(out, files.tolist(), starts.tolist(), strict=True):
        row[:] = tokens_of_file(file)[start : start + span]
