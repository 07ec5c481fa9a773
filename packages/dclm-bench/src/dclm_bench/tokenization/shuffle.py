"""The order in which contexts go into shards: cell after cell, each shuffled in itself.

The cells are not files. Each input file keeps its contexts sorted by cell, so a cell is the same slice of
every file, and a shard is written by looking its contexts up. Hence no shard depends on another, and neither
workers nor a restart change a byte.
"""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream


class Rows(NamedTuple):
    """Contexts by place: the number of the input file, and the row in its file of contexts."""

    file: npt.NDArray[np.int64]
    row: npt.NDArray[np.int64]


class ShuffledOrder:
    """All contexts in their shuffled order.

    Args:
        cells: How many contexts of each file are in each cell, [files, cells].
        seed: Of the shuffle.

    Source: the two-stage shuffle of section 2.5 of the specification. The official code puts what is left of
    a cell after whole shards into a smaller set of cells; here the next shard begins with it.
    """

    def __init__(self, cells: npt.NDArray[np.int64], *, seed: int) -> None:
        self.seed = seed
        self.cells = np.asarray(cells, np.int64)
        self.num_contexts = int(self.cells.sum())
        self._row_starts = np.cumsum(self.cells, axis=1) - self.cells
        self._cell_starts = np.concatenate([[0], np.cumsum(self.cells.sum(axis=0))])
        self._last: tuple[int, Rows] | None = None  # shards come in order, and a cell fills several

    def rows(self, start: int, end: int) -> Rows:
        """The contexts number `start` to `end` (that one not included)."""
        start, end = max(0, start), min(end, self.num_contexts)
        first = int(np.searchsorted(self._cell_starts, start, side="right")) - 1
        parts: list[Rows] = []
        position = start
        while position < end:
            begins, ends = int(self._cell_starts[first]), int(self._cell_starts[first + 1])
            if ends > position:
                rows = self._shuffled_cell(first)
                parts.append(Rows(*(part[position - begins : min(end, ends) - begins] for part in rows)))
                position = min(end, ends)
            first += 1
        if not parts:
            return Rows(np.empty(0, np.int64), np.empty(0, np.int64))
        return Rows(*(np.concatenate(pieces) for pieces in zip(*parts, strict=True)))

    def _shuffled_cell(self, cell: int) -> Rows:
        if self._last is None or self._last[0] != cell:
            counts = self.cells[:, cell]
            file = np.repeat(np.arange(len(counts)), counts)
            within = np.arange(len(file)) - np.repeat(np.cumsum(counts) - counts, counts)
            row = self._row_starts[file, cell] + within
            order = stream(self.seed, "tokenization: within cells", cell).permutation(len(file))
            self._last = cell, Rows(file[order], row[order])
        return self._last[1]
