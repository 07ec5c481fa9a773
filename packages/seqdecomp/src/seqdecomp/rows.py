"""The rows of an arm: which tokens of a store each training sequence is made of."""

from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import numpy.typing as npt

from seqdecomp.data.buckets import Bucket
from seqdecomp.data.store import Store

Int64s = npt.NDArray[np.int64]
Int32s = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Rows:
    """Training sequences of one length, each made of one or more segments of a store.

    A segment is a run of tokens of one document. Sequences of dataset decomposition have one segment each;
    those of concatenating or packing baselines have several, laid end to end, and padding after the last.

    Attributes:
        length: Input positions of a row.
        span: Token places of a row: `length`, or `length` + 1 under the plus1 target.
        segment_starts: int64 [segments], global token position of each segment.
        segment_spans: int32 [segments], tokens in each segment; None: every segment fills its row.
        offsets: int64 [rows + 1], row r holds segments offsets[r] : offsets[r + 1]; None: one each.
    """

    length: int
    span: int
    segment_starts: Int64s
    segment_spans: Int32s | None = None
    offsets: Int64s | None = None

    @classmethod
    def from_bucket(cls, bucket: Bucket, length: int, target: Literal["exact", "plus1"] = "exact") -> Self:
        """One row for each sequence of `bucket`."""
        return cls(length, length + (target == "plus1"), bucket.starts, bucket.spans)

    def __len__(self) -> int:
        return len(self.segment_starts) if self.offsets is None else len(self.offsets) - 1

    @property
    def tokens(self) -> int:
        """Input positions of all rows, the unit in which batches and mixtures are counted."""
        return len(self) * self.length

    @property
    def is_whole(self) -> bool:
        """Whether every row is one segment that fills it."""
        return self.offsets is None and self.segment_spans is None

    def segments(self, indices: npt.NDArray[np.integer] | None = None) -> tuple[Int64s, Int64s, Int64s]:
        """The segments of the rows `indices` (all rows when None) as offsets, starts and spans.

        Returns:
            int64 [rows + 1] offsets into the other two, int64 [segments] starts, int64 [segments] spans.
        """
        if self.offsets is None:
            starts = self.segment_starts if indices is None else self.segment_starts[indices]
            offsets = np.arange(len(starts) + 1, dtype=np.int64)
            if self.segment_spans is None:
                return offsets, starts, np.full(len(starts), self.span, np.int64)
            spans = self.segment_spans if indices is None else self.segment_spans[indices]
            return offsets, starts, spans.astype(np.int64)
        assert self.segment_spans is not None
        if indices is None:
            return self.offsets, self.segment_starts, self.segment_spans.astype(np.int64)
        first = self.offsets[indices]
        number = self.offsets[np.asarray(indices) + 1] - first
        offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(number)])
        places = np.arange(offsets[-1]) + np.repeat(first - offsets[:-1], number)
        return offsets, self.segment_starts[places], self.segment_spans[places].astype(np.int64)

    def subset(self, indices: npt.NDArray[np.integer]) -> "Rows":
        """The rows `indices`, an integer array [rows], in that order."""
        if self.offsets is None:
            spans = None if self.segment_spans is None else self.segment_spans[indices]
            return Rows(self.length, self.span, self.segment_starts[indices], spans)
        offsets, starts, row_spans = self.segments(indices)
        return Rows(self.length, self.span, starts, row_spans.astype(np.int32), offsets)

    def gather(
        self, store: Store, indices: npt.NDArray[np.integer], *, fill: int = 0
    ) -> tuple[Int64s, Int32s | None]:
        """The tokens of the rows `indices`, and which segment each token belongs to.

        Returns:
            int64 [rows, span] tokens, padding filled with `fill`; and int32 [rows, span] segment numbers,
            from 0 in each row, -1 at padding, or None when every row is one whole segment.
        """
        if self.is_whole:
            return np.asarray(store.gather(self.segment_starts[indices], self.span), np.int64), None
        offsets, starts, spans = self.segments(indices)
        tokens = store.gather_segments(starts, spans, offsets, self.span, fill=fill)
        return np.asarray(tokens, np.int64), _segment_numbers(offsets, spans, self.span)


@dataclass(frozen=True, eq=False)
class Group:
    """Rows of one length from one source of text, the unit that a curriculum draws from.

    Attributes:
        name: How reports call it.
        source: The source of text, or "" when sources are not told apart.
        length: Input positions of a row.
        rows: The rows.
        masked: Whether attention stays inside each segment and positions start anew with it.
    """

    name: str
    source: str
    length: int
    rows: Rows
    masked: bool = False


def _segment_numbers(offsets: Int64s, spans: Int64s, width: int) -> Int32s:
    rows = len(offsets) - 1
    row_of = np.repeat(np.arange(rows), np.diff(offsets))
    ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(spans)])
    column = ends[:-1] - ends[offsets[row_of]]
    begins = np.zeros((rows, width), np.int32)
    np.add.at(begins, (row_of[spans > 0], column[spans > 0]), 1)
    numbers = np.cumsum(begins, axis=1, dtype=np.int32) - np.int32(1)
    filled = ends[offsets[1:]] - ends[offsets[:-1]]
    numbers[np.arange(width) >= filled[:, None]] = -1
    return numbers
