"""Rows: the tokens of sequences, by segment, as a loader takes them from a store."""

import numpy as np
import pytest
from seqdecomp.data.buckets import Bucket
from seqdecomp.data.store import Store
from seqdecomp.rows import Rows

# Documents 10..14, 20..21, 30..37.
STORE = Store.from_documents([range(10, 15), range(20, 22), range(30, 38)])


def test_a_bucket_of_whole_sequences_gives_its_tokens_and_no_segments() -> None:
    rows = Rows.from_bucket(Bucket(np.array([0, 7, 11])), 4)

    tokens, segments = rows.gather(STORE, np.array([2, 0]))

    assert tokens.tolist() == [[34, 35, 36, 37], [10, 11, 12, 13]]
    assert tokens.dtype == np.int64
    assert segments is None
    assert (len(rows), rows.tokens) == (3, 12)


def test_a_plus1_bucket_has_one_column_more_and_counts_its_inputs() -> None:
    rows = Rows.from_bucket(Bucket(np.array([7])), 4, "plus1")

    assert rows.gather(STORE, np.array([0]))[0].tolist() == [[30, 31, 32, 33, 34]]
    assert (rows.length, rows.span, rows.tokens) == (4, 5, 4)


def test_padded_sequences_are_filled_up_and_told_apart() -> None:
    rows = Rows.from_bucket(Bucket(np.array([0, 5]), np.array([4, 2], np.int32)), 4)

    tokens, segments = rows.gather(STORE, np.array([0, 1]), fill=99)

    assert tokens.tolist() == [[10, 11, 12, 13], [20, 21, 99, 99]]
    assert segments is not None
    assert segments.tolist() == [[0, 0, 0, 0], [0, 0, -1, -1]]


@pytest.fixture
def packed() -> Rows:
    """Row 0: 20 21 | 30 31 32; row 1: 10 .. 14 and padding; row 2 empty."""
    return Rows(
        6, 6, np.array([5, 7, 0]), np.array([2, 3, 5], np.int32), np.array([0, 2, 3, 3])
    )  # fmt: skip


def test_packed_rows_number_their_segments(packed: Rows) -> None:
    tokens, segments = packed.gather(STORE, np.array([1, 0, 2]))

    assert tokens.tolist() == [[10, 11, 12, 13, 14, 0], [20, 21, 30, 31, 32, 0], [0] * 6]
    assert segments is not None
    assert segments.tolist() == [[0, 0, 0, 0, 0, -1], [0, 0, 1, 1, 1, -1], [-1] * 6]


def test_a_subset_is_its_rows_in_the_order_asked_for(packed: Rows) -> None:
    subset = packed.subset(np.array([1, 0]))

    assert len(subset) == 2
    for mine, whole in ((0, 1), (1, 0)):
        assert np.array_equal(
            subset.gather(STORE, np.array([mine]))[0], packed.gather(STORE, np.array([whole]))[0]
        )
    single = Rows.from_bucket(Bucket(np.array([0, 7, 11])), 4).subset(np.array([2]))
    assert single.gather(STORE, np.array([0]))[0].tolist() == [[34, 35, 36, 37]]


def test_segments_of_all_rows_are_those_of_every_row(packed: Rows) -> None:
    whole = packed.segments()
    each = packed.segments(np.arange(3))

    assert all(np.array_equal(a, b) for a, b in zip(whole, each, strict=True))
