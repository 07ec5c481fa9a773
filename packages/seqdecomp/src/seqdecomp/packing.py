"""The baselines' rows: documents concatenated and chunked, packed by best fit, chopped or glued."""

from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream

from seqdecomp.rows import Rows

Int64s = npt.NDArray[np.int64]


def concatenate_and_chunk(
    document_starts: Int64s,
    document_lengths: Int64s,
    *,
    length: int,
    target: Literal["exact", "plus1"] = "exact",
    seed: int = 0,
    order: Int64s | None = None,
) -> Rows:
    """Documents in random order laid end to end, and the stream cut into rows.

    A last part that does not fill a row is left out. The rows come in the stream's order; a plan shuffles
    them, so that documents and chunks are both shuffled.

    Args:
        document_starts: int64 [documents], global token positions.
        document_lengths: int64 [documents], the end-of-text token included.
        length: Input positions of a row.
        target: A row holds `length` tokens, or one more.
        seed: Seed of the order of documents.
        order: int64 [documents], an order of documents to take instead of a random one.

    Source: section 2 of arXiv 2405.13226 (Baseline-8k; with another order, in-context pretraining).
    """
    span = length + (target == "plus1")
    if order is None:
        order = stream(seed, "documents").permutation(len(document_starts))
    starts, lengths = document_starts[order], document_lengths[order]
    ends = np.cumsum(lengths)
    rows = int(ends[-1]) // span if len(ends) else 0
    # Segments begin where a document or a row begins.
    begins = np.union1d((ends - lengths)[lengths > 0], np.arange(rows) * span)
    begins = begins[begins < rows * span]
    spans = np.diff(begins, append=rows * span)
    document = np.searchsorted(ends, begins, side="right")
    places = starts[document] + begins - (ends - lengths)[document]
    offsets = np.searchsorted(begins, np.arange(rows + 1) * span)
    return Rows(length, span, places, spans.astype(np.int32), offsets.astype(np.int64))


def pack_best_fit(
    document_starts: Int64s,
    document_lengths: Int64s,
    *,
    length: int,
    target: Literal["exact", "plus1"] = "exact",
) -> Rows:
    """Rows packed by best-fit decreasing: no piece is split, and rows are padded at their end.

    Documents longer than a row are first cut into pieces that fill a row, and one remainder.

    Source: the Pack-8k baseline of arXiv 2405.13226, after arXiv 2404.10830.
    """
    span = length + (target == "plus1")
    number = -(-document_lengths // span)
    owner = np.repeat(np.arange(len(number)), number)
    nth = np.arange(len(owner)) - np.repeat(np.cumsum(number) - number, number)
    starts = document_starts[owner] + nth * span
    spans = np.minimum(document_lengths[owner] - nth * span, span)
    bins = best_fit_decreasing(spans, span)
    order = np.argsort(bins, kind="stable")
    counts = np.bincount(bins) if len(bins) else np.zeros(0, np.int64)
    offsets = np.concatenate([np.zeros(1, np.int64), np.cumsum(counts)])
    return Rows(length, span, starts[order], spans[order].astype(np.int32), offsets)


def best_fit_decreasing(lengths: npt.ArrayLike, capacity: int) -> Int64s:
    """The bin of each piece under best-fit decreasing, int64 [pieces], bins numbered from 0.

    Longest pieces first, each goes into the fullest bin that still holds it, or else into a new bin. Bins
    with equal room are interchangeable, so all pieces of one length are placed together: the fullest bins
    that hold one take as many as they can. The number of bins is that of the one-by-one procedure.

    Args:
        lengths: [pieces], 1 to `capacity`.
        capacity: Room of a bin.

    Raises:
        ValueError: a piece is empty or longer than a bin.
    """
    sizes = np.asarray(lengths, np.int64)
    if len(sizes) == 0:
        return np.zeros(0, np.int64)
    if sizes.min() < 1 or sizes.max() > capacity:
        raise ValueError(f"pieces of {sizes.min()} to {sizes.max()} tokens do not fit bins of {capacity}")
    counts = np.bincount(sizes)
    distinct = np.flatnonzero(counts)[::-1]
    first_bins, run_bins, pieces_per_bin = _place(distinct.tolist(), counts[distinct].tolist(), capacity)
    run_of_bin = np.repeat(np.arange(len(run_bins)), run_bins)
    nth = np.arange(len(run_of_bin)) - np.repeat(np.cumsum(run_bins) - run_bins, run_bins)
    bins = np.repeat(first_bins[run_of_bin] + nth, pieces_per_bin[run_of_bin])
    placed = np.empty(len(sizes), np.int64)
    placed[np.argsort(-sizes if capacity >= 2**15 else (-sizes).astype(np.int16), kind="stable")] = bins
    return placed


def chop(rows: Rows, length: int) -> Rows:
    """Rows of `length` cut from longer one-segment rows (the paper's D13->10 control).

    Raises:
        ValueError: the rows have several segments, are padded, or are not longer.
    """
    _check_whole(rows)
    if rows.length <= length:
        raise ValueError(f"rows of {rows.length} cannot be chopped to {length}")
    span = length + rows.span - rows.length
    number = rows.span // span
    starts = (rows.segment_starts[:, None] + np.arange(number) * span).reshape(-1)
    return Rows(length, span, starts)


def glue(rows: Rows, length: int, *, seed: int = 0) -> Rows:
    """Rows of `length` glued from shorter one-segment rows in random order (the paper's D7->10 control).

    Under the plus1 target the parts hold a few tokens more than a row has places; the last part is cut.
    Rows that do not fill a whole row are left out.

    Raises:
        ValueError: the rows have several segments, are padded, or are not shorter.
    """
    _check_whole(rows)
    if rows.length >= length:
        raise ValueError(f"rows of {rows.length} cannot be glued to {length}")
    parts = length // rows.length
    number = len(rows) // parts
    order = stream(seed, f"glue-{rows.length}-{length}").permutation(len(rows))[: number * parts]
    spans = np.full((number, parts), rows.span, np.int32)
    span = length + rows.span - rows.length
    spans[:, -1] = span - rows.span * (parts - 1)
    offsets = np.arange(number + 1, dtype=np.int64) * parts
    return Rows(length, span, rows.segment_starts[order], spans.reshape(-1), offsets)


def _check_whole(rows: Rows) -> None:
    if not rows.is_whole:
        raise ValueError("only rows of one whole segment each can be chopped or glued")


def _place(sizes: list[int], counts: list[int], capacity: int) -> tuple[Int64s, Int64s, Int64s]:
    """Best fit of `counts` pieces of each of `sizes` (descending), as runs of bins filled alike.

    Returns:
        int64 [runs] first bin, bins, and pieces that each of these bins takes, in the order of pieces.
    """
    # open_bins[r]: runs (first bin, number of bins) that have room r; the bits of `rooms` say which r have
    # any, so that the smallest room that is enough is one shift and one lowest bit away.
    open_bins: dict[int, list[tuple[int, int]]] = {}
    rooms = 0
    runs: list[tuple[int, int, int]] = []
    new_bin = 0
    for size, left in zip(sizes, counts, strict=True):
        while left:
            enough = rooms >> size
            if enough:
                room = size + (enough & -enough).bit_length() - 1
                stack = open_bins[room]
                first, number = stack.pop()
            else:
                room, stack = capacity, []
                first, number = new_bin, -(-left // (capacity // size))
                new_bin += number
            most = room // size
            full = min(number, left // most)
            rest = left - full * most if full < number else 0
            for bins, pieces in ((full, most), (1 if rest else 0, rest)):
                if bins:
                    runs.append((first, bins, pieces))
                    remains = room - pieces * size
                    if remains:
                        open_bins.setdefault(remains, []).append((first, bins))
                        rooms |= 1 << remains
                    first += bins
                    number -= bins
            left -= full * most + rest
            if number:
                stack.append((first, number))
            elif enough and not stack:
                rooms &= ~(1 << room)
    table = np.array(runs, np.int64)
    return table[:, 0], table[:, 1], table[:, 2]
