"""The baselines' rows: no token lost that need not be, no piece split, the exact bin count."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.data.buckets import Bucket
from seqdecomp.documents import Documents
from seqdecomp.packing import best_fit_decreasing, chop, concatenate_and_chunk, glue, pack_best_fit
from seqdecomp.rows import Rows

SIZES = st.lists(st.integers(0, 100), max_size=40)


def tokens_of(rows: Rows) -> list[list[int]]:
    """The global positions that each row holds, in order."""
    offsets, starts, spans = rows.segments()
    return [
        [p for k in range(offsets[r], offsets[r + 1]) for p in range(starts[k], starts[k] + spans[k])]
        for r in range(len(rows))
    ]


def naive_best_fit(sizes: list[int], capacity: int) -> int:
    """Best-fit decreasing, one piece at a time; returns the number of bins."""
    room: list[int] = []
    for size in sorted(sizes, reverse=True):
        fitting = [i for i, r in enumerate(room) if r >= size]
        if fitting:
            room[min(fitting, key=lambda i: room[i])] -= size
        else:
            room.append(capacity - size)
    return len(room)


@given(st.integers(1, 60), st.data())
def test_best_fit_has_the_bins_of_the_one_by_one_procedure_and_fills_none_over(
    capacity: int, data: st.DataObject
) -> None:
    sizes = data.draw(st.lists(st.integers(1, capacity), max_size=120))

    bins = best_fit_decreasing(sizes, capacity)

    assert len(bins) == len(sizes)
    used = int(bins.max()) + 1 if sizes else 0
    assert used == naive_best_fit(sizes, capacity)
    if sizes:
        fill = np.bincount(bins, weights=sizes)
        assert fill.max() <= capacity
        assert fill.min() > 0


def test_best_fit_of_a_lognormal_corpus_has_the_bins_of_the_one_by_one_procedure() -> None:
    sizes = np.clip(np.random.default_rng(0).lognormal(5, 1.3, 3000).astype(int), 1, 8192)

    bins = best_fit_decreasing(sizes, 8192)

    assert bins.max() + 1 == naive_best_fit(sizes.tolist(), 8192)


@pytest.mark.parametrize("sizes", [[0, 3], [5, 9]])
def test_pieces_that_do_not_fit_a_bin_are_refused(sizes: list[int]) -> None:
    with pytest.raises(ValueError, match="do not fit bins of 8"):
        best_fit_decreasing(sizes, 8)


@given(SIZES, st.sampled_from([1, 4, 16, 64]), st.sampled_from(["exact", "plus1"]))
def test_chunks_hold_the_stream_of_shuffled_documents_without_its_last_part(
    sizes: list[int], length: int, target: str
) -> None:
    documents = Documents.of_lengths(np.array(sizes, np.int64))
    span = length + (target == "plus1")

    rows = concatenate_and_chunk(documents.starts, documents.lengths, length=length, target=target, seed=4)

    found = tokens_of(rows)
    assert all(len(row) == span for row in found)
    assert len(found) == sum(sizes) // span
    flat = [p for row in found for p in row]
    assert len(set(flat)) == len(flat)
    # Documents stay whole and in order in the stream: a document's tokens appear ascending, without gap.
    places = {p: i for i, p in enumerate(flat)}
    for start, size in zip(documents.starts.tolist(), sizes, strict=True):
        mine = [places[p] for p in range(start, start + size) if p in places]
        assert mine == list(range(mine[0], mine[0] + len(mine))) if mine else True


def test_documents_are_shuffled_by_the_seed_and_follow_a_given_order() -> None:
    documents = Documents.of_lengths(np.array([4, 4, 4, 4, 4, 4, 4, 4]))
    first, second = (
        concatenate_and_chunk(documents.starts, documents.lengths, length=8, seed=seed) for seed in (0, 1)
    )
    assert tokens_of(first) != tokens_of(second)

    given_order = concatenate_and_chunk(
        documents.starts, documents.lengths, length=8, order=np.array([7, 0, 1, 2, 3, 4, 5, 6])
    )
    assert tokens_of(given_order)[0] == [28, 29, 30, 31, 0, 1, 2, 3]


@given(SIZES, st.sampled_from([4, 16, 64]), st.sampled_from(["exact", "plus1"]))
def test_packed_rows_hold_every_token_once_and_split_only_documents_longer_than_a_row(
    sizes: list[int], length: int, target: str
) -> None:
    documents = Documents.of_lengths(np.array(sizes, np.int64))
    span = length + (target == "plus1")

    rows = pack_best_fit(documents.starts, documents.lengths, length=length, target=target)

    found = tokens_of(rows)
    assert sorted(p for row in found for p in row) == list(range(sum(sizes)))
    assert all(len(row) <= span for row in found)
    row_of = {p: i for i, row in enumerate(found) for p in row}
    for start, size in zip(documents.starts.tolist(), sizes, strict=True):
        for piece in range(start, start + size, span):
            assert len({row_of[p] for p in range(piece, min(piece + span, start + size))}) == 1


@pytest.mark.parametrize(("target", "pieces"), [("exact", 8), ("plus1", 7)])
def test_chopped_rows_lie_inside_the_long_ones(target: str, pieces: int) -> None:
    # The paper's D13->10 control; in plus1 8,193 tokens hold seven pieces of 1,025.
    long = Rows.from_bucket(Bucket(np.array([0, 10_000], np.int64)), 8192, target)

    rows = chop(long, 1024)

    assert (rows.length, rows.span, len(rows)) == (1024, 1024 + (target == "plus1"), 2 * pieces)
    assert tokens_of(rows)[pieces][0] == 10_000
    assert max(tokens_of(rows)[pieces - 1]) < long.span


@pytest.mark.parametrize("target", ["exact", "plus1"])
def test_glued_rows_hold_whole_short_ones(target: str) -> None:
    # The paper's D7->10 control.
    short = Rows.from_bucket(Bucket(np.arange(19, dtype=np.int64) * 200), 128, target)

    rows = glue(short, 1024, seed=1)

    assert (rows.length, len(rows)) == (1024, 2)
    assert all(len(row) == rows.span for row in tokens_of(rows))
    starts = rows.segment_starts.tolist()
    assert len(set(starts)) == 16
    assert starts != sorted(starts)


def test_packed_rows_can_be_neither_chopped_nor_glued() -> None:
    documents = Documents.of_lengths(np.array([100, 20]))
    packed = pack_best_fit(documents.starts, documents.lengths, length=64)
    with pytest.raises(ValueError, match="one whole segment each"):
        chop(packed, 16)
    with pytest.raises(ValueError, match="cannot be glued to 64"):
        glue(Rows.from_bucket(Bucket(np.zeros(1, np.int64)), 64), 64)


@given(SIZES.filter(any), st.data())
def test_documents_without_some_runs_are_the_rest_and_never_join(
    sizes: list[int], data: st.DataObject
) -> None:
    documents = Documents.of_lengths(np.array(sizes, np.int64))
    taken: set[int] = set()
    runs = []
    for start, size in zip(documents.starts.tolist(), sizes, strict=True):
        if size and data.draw(st.booleans()):
            first = data.draw(st.integers(0, size - 1))
            span = data.draw(st.integers(1, size - first))
            runs.append((start + first, span))
            taken |= set(range(start + first, start + first + span))
    table = np.array(runs, np.int64).reshape(-1, 2)

    rest = documents.without(table[:, 0], table[:, 1])

    ends = documents.starts + documents.lengths
    found = [
        p for s, n in zip(rest.starts.tolist(), rest.lengths.tolist(), strict=True) for p in range(s, s + n)
    ]
    assert found == sorted(set(range(sum(sizes))) - taken)
    for s, n in zip(rest.starts.tolist(), rest.lengths.tolist(), strict=True):
        owner = np.searchsorted(ends, s, side="right")
        assert s + n <= ends[owner]
