"""Dataset decomposition: exact counts, what each policy keeps, and agreement with a naive version."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.data.buckets import Bucket
from seqdecomp.decomposition import decompose, document_boundaries

EXPONENTS = st.tuples(st.integers(0, 7), st.integers(0, 5)).map(lambda t: (t[0], t[0] + t[1]))
LENGTHS = st.lists(st.integers(0, 700), max_size=40)
TARGETS = st.sampled_from(["exact", "plus1"])
TAILS = st.sampled_from(["drop", "anchor-end", "keep-small", "pad"])
OVERFLOWS = st.sampled_from(["greedy", "random"])


def corpus(lengths: list[int]) -> tuple[np.ndarray, np.ndarray]:
    sizes = np.array(lengths, np.int64)
    return np.cumsum(sizes) - sizes, sizes


def pieces(buckets: dict[int, Bucket], extra: int) -> list[tuple[int, int, int]]:
    """(start, end, length) of every sequence, by place."""
    found = []
    for length, bucket in buckets.items():
        spans = np.full(bucket.sequences, length + extra) if bucket.spans is None else bucket.spans
        found += [(s, s + n, length) for s, n in zip(bucket.starts.tolist(), spans.tolist(), strict=True)]
    return sorted(found)


def naive_greedy(lengths: list[int], low: int, high: int, extra: int) -> list[tuple[int, int, int]]:
    """The definition, one document at a time: the largest power of two that fits, again and again."""
    found, start = [], 0
    for size in lengths:
        place, rest = start, size
        while rest - extra >= low:
            length = min(high, 1 << ((rest - extra).bit_length() - 1))
            found.append((place, place + length + extra, length))
            place, rest = place + length + extra, rest - length - extra
        start += size
    return found


@pytest.mark.parametrize("tail", ["drop", "anchor-end"])
def test_one_document_of_each_length_to_65536_gives_the_exact_counts_of_both_targets(tail: str) -> None:
    # Arithmetic on all lengths 1..65,536 with buckets 256..8192.
    starts, lengths = corpus(list(range(1, 65_537)))
    assert lengths.sum() == 2_147_516_416

    exact = decompose(starts, lengths, min_length=256, max_length=8192, tail=tail)
    assert {n: b.sequences for n, b in exact.items()} == {
        256: 32_768, 512: 32_768, 1024: 32_768, 2048: 32_768, 4096: 32_768, 8192: 229_384
    }  # fmt: skip
    kept = sum(n * b.sequences for n, b in exact.items())
    assert (kept, int(lengths.sum()) - kept) == (2_139_160_576, 8_355_840)

    plus1 = decompose(starts, lengths, min_length=256, max_length=8192, target="plus1", tail=tail)
    assert {n: b.sequences for n, b in plus1.items()} == {
        256: 32_641, 512: 32_705, 1024: 32_737, 2048: 32_753, 4096: 32_761, 8192: 229_355
    }  # fmt: skip
    assert sum(n * b.sequences for n, b in plus1.items()) == 2_138_767_104
    assert int(lengths.sum()) - sum((n + 1) * b.sequences for n, b in plus1.items()) == 8_356_360


def test_the_peers_unit_example_gives_its_buckets_and_loses_its_two_end_tokens() -> None:
    # OLMo-core's unit test: documents [1..8, 0], [1..5, 0], [1..10, 0] with end-of-text 0, lengths 2..8.
    tokens = np.array([*range(1, 9), 0, *range(1, 6), 0, *range(1, 11), 0], np.uint16)
    starts, lengths = document_boundaries(tokens, 0)
    assert lengths.tolist() == [9, 6, 11]

    buckets = decompose(starts, lengths, min_length=2, max_length=8)

    found = pieces(buckets, 0)
    assert [length for _, _, length in found] == [8, 4, 2, 8, 2]
    positions = {n: [i for i, piece in enumerate(found) if piece[2] == n] for n in (2, 4, 8)}
    assert positions == {2: [2, 4], 4: [1], 8: [0, 3]}
    assert [tokens[s:e].tolist() for s, e, n in found if n == 2] == [[5, 0], [9, 10]]


@given(LENGTHS, EXPONENTS, TARGETS)
def test_greedy_pieces_are_those_of_the_definition(
    lengths: list[int], exponents: tuple[int, int], target: str
) -> None:
    low, high = 1 << exponents[0], 1 << exponents[1]
    extra = int(target == "plus1")

    buckets = decompose(*corpus(lengths), min_length=low, max_length=high, target=target)

    assert list(buckets) == [1 << e for e in range(exponents[0], exponents[1] + 1)]
    assert pieces(buckets, extra) == naive_greedy(lengths, low, high, extra)


@given(LENGTHS, EXPONENTS, TARGETS, OVERFLOWS, TAILS)
def test_every_kept_token_is_kept_once_and_no_piece_leaves_its_document(
    lengths: list[int], exponents: tuple[int, int], target: str, overflow: str, tail: str
) -> None:
    low, high = 1 << exponents[0], 1 << exponents[1]
    extra = int(target == "plus1")
    starts, sizes = corpus(lengths)

    options = {"target": target, "overflow": overflow, "min_length": low, "max_length": high, "seed": 3}
    buckets = decompose(starts, sizes, tail=tail, **options)

    found = pieces(buckets, extra)
    assert all(length & (length - 1) == 0 and length <= high for _, _, length in found)
    assert all(after[0] >= before[1] for before, after in pairwise(found)), "two pieces share a token"
    ends = starts + sizes
    for start, end, _ in found:
        document = np.searchsorted(starts, start, side="right") - 1
        assert end <= ends[document]
    for bucket in buckets.values():
        assert bucket.starts.dtype == np.int64
        assert np.all(np.diff(bucket.starts) > 0)
    kept = sum(end - start for start, end, _ in found)
    plain = pieces(decompose(starts, sizes, **options), extra)
    loss = int(sizes.sum()) - kept
    if tail == "anchor-end":
        assert kept == sum(end - start for start, end, _ in plain)
        with_sequence = {int(np.searchsorted(starts, s, side="right")) - 1 for s, _, _ in plain}
        assert {int(ends[d]) for d in with_sequence} <= {end for _, end, _ in found}
    elif tail in ("keep-small", "pad"):
        assert all(end - start > extra for start, end, _ in found)
        assert set(plain) <= set(found)
        # Under plus1 a rest of one token predicts nothing and is left out; nothing else is.
        assert loss <= (np.count_nonzero(sizes) if extra else 0)


def test_anchor_end_with_a_single_piece_gives_up_the_documents_beginning() -> None:
    buckets = decompose(*corpus([300, 1000, 100]), min_length=256, max_length=512, tail="anchor-end")

    assert pieces(buckets, 0) == [(44, 300, 256), (300, 812, 512), (1044, 1300, 256)]


def test_anchor_end_moves_the_last_piece_only() -> None:
    buckets = decompose(*corpus([900]), min_length=256, max_length=1024, tail="anchor-end")

    assert pieces(buckets, 0) == [(0, 512, 512), (644, 900, 256)]


def test_a_padded_tail_is_a_sequence_of_the_shortest_length_with_a_shorter_span() -> None:
    buckets = decompose(
        *corpus([300, 100, 256, 257]), min_length=256, max_length=512, target="plus1", tail="pad"
    )

    bucket = buckets[256]
    assert bucket.starts.tolist() == [0, 257, 300, 400, 656]
    assert bucket.spans is not None
    assert bucket.spans.tolist() == [257, 43, 100, 256, 257]
    assert bucket.spans.dtype == np.int32


@pytest.mark.parametrize("max_length", [256, 65_536])
def test_the_longest_bucket_is_there_at_the_limits_of_8_and_16_bits(max_length: int) -> None:
    # A peer's length type wraps to 0 at both values and the bucket vanishes.
    buckets = decompose(*corpus([3 * max_length + 5]), min_length=64, max_length=max_length)

    assert buckets[max_length].starts.tolist() == [0, max_length, 2 * max_length]


def test_documents_beyond_the_32_bit_token_count_keep_their_places() -> None:
    first = 2**32 + 7
    buckets = decompose(np.array([first]), np.array([2**33 + 1]), min_length=256, max_length=1 << 30)

    assert buckets[1 << 30].starts.tolist() == [first + i * 2**30 for i in range(8)]


@pytest.mark.parametrize("target", ["exact", "plus1"])
def test_random_overflow_gives_equal_tokens_to_each_length_and_a_mean_of_780(target: str) -> None:
    # The released code draws 2^i with odds 2^-i: expected length 6 * 8192 / 63 = 780 for 256..8192.
    starts, lengths = corpus([2**24] * 20)

    buckets = decompose(starts, lengths, overflow="random", target=target, seed=1)

    counts = np.array([b.sequences for b in buckets.values()])
    share = counts / counts.sum()
    # 430,000 draws: the standard error of the rarest share, 1/63, is 1.2 % of it.
    np.testing.assert_allclose(share, np.array([32, 16, 8, 4, 2, 1]) / 63, rtol=0.05)
    assert (np.array(list(buckets)) * share).sum() == pytest.approx(780.19, rel=0.01)


def test_random_overflow_of_a_document_depends_on_its_id_and_not_on_its_neighbours() -> None:
    # Draws of a shared generator would depend on order and workers.
    lengths = np.random.default_rng(0).integers(1, 60_000, 500)
    starts = np.cumsum(lengths) - lengths
    options = {"min_length": 64, "max_length": 1024, "overflow": "random", "target": "plus1", "seed": 5}
    whole = pieces(decompose(starts, lengths, **options), 1)

    for workers in (2, 4):
        parts: list[tuple[int, int, int]] = []
        for ids in np.array_split(np.arange(500), workers):
            parts += pieces(decompose(starts[ids], lengths[ids], document_ids=ids, **options), 1)
        assert parts == whole
    order = np.random.default_rng(1).permutation(500)
    assert pieces(decompose(starts[order], lengths[order], document_ids=order, **options), 1) == whole
    assert pieces(decompose(starts, lengths, **{**options, "seed": 6}), 1) != whole


def test_random_overflow_ends_where_the_largest_power_that_fits_is_the_longest_length() -> None:
    # 2 * 1024 - 1 tokens: no draw, so the greedy pieces; from 2 * 1024 tokens on the first piece is drawn.
    starts, lengths = corpus([2047] * 50)
    options = {"min_length": 64, "max_length": 1024, "seed": 2}
    greedy = decompose(starts, lengths, **options)
    random = decompose(starts, lengths, overflow="random", **options)
    assert pieces(random, 0) == pieces(greedy, 0)

    starts, lengths = corpus([2048] * 50)
    assert decompose(starts, lengths, overflow="random", **options)[1024].sequences < 100


def test_a_corpus_without_documents_has_empty_buckets() -> None:
    buckets = decompose(np.zeros(0, np.int64), np.zeros(0, np.int64), tail="pad")

    assert {n: b.sequences for n, b in buckets.items()} == dict.fromkeys(
        [256, 512, 1024, 2048, 4096, 8192], 0
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_length": 300}, "min_length 300 is not a power of two"),
        ({"max_length": 0}, "max_length 0 is not a power of two"),
        ({"min_length": 512, "max_length": 256}, "min_length 512 is above max_length 256"),
    ],
)
def test_an_impossible_range_is_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decompose(*corpus([100]), **options)


@given(st.lists(st.integers(0, 3), max_size=60), st.sampled_from([np.uint16, np.uint32]))
def test_boundaries_end_each_document_with_its_end_token(values: list[int], dtype: type) -> None:
    starts, lengths = document_boundaries(np.array(values, dtype), 0)

    documents: list[list[int]] = [[]]
    for value in values:
        documents[-1].append(value)
        if value == 0:
            documents.append([])
    expected = [len(d) for d in documents if d]
    assert lengths.tolist() == expected
    assert starts.tolist() == (np.cumsum(expected) - expected).tolist() if expected else len(starts) == 0


def test_boundaries_are_found_across_the_blocks_of_a_long_array() -> None:
    ends = np.array([0, 262_143, 262_144, 524_288, 700_000])
    tokens = np.ones(700_003, np.uint16)
    tokens[ends] = 0
    seen: list[int] = []

    starts, lengths = document_boundaries(tokens, 0, progress=seen.append)

    assert (starts + lengths).tolist() == [*(ends + 1).tolist(), 700_003]
    assert sum(seen) == 700_003
