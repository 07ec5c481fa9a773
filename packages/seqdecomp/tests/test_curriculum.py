"""Length curricula: the paper's odds, Algorithm 1 by its shape, and the peer's growth rule."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.curriculum import (
    algorithm_1,
    bucket_order,
    curriculum_odds,
    exhaust,
    split_over_cycles,
    subcycle_batches,
)
from toolkit_shared.errors import InputError

LENGTHS = np.array([256, 512, 1024, 2048, 4096, 8192])


def naive_exhaust(batches: list[int], odds: list[float], uniforms: np.ndarray) -> list[int]:
    """Algorithm 1's inner loop, one step at a time."""
    left, order = list(batches), []
    for u in uniforms.tolist():
        active = [i for i, n in enumerate(left) if n]
        bounds = np.cumsum([odds[i] for i in active])
        drawn = min(int(np.searchsorted(bounds, u * bounds[-1], side="right")), len(active) - 1)
        order.append(active[drawn])
        left[active[drawn]] -= 1
    return order


@pytest.mark.parametrize(
    ("name", "odds"),
    [
        ("uniform", [1, 1, 1, 1, 1, 1]),
        ("grow-linear", [6, 5, 4, 3, 2, 1]),
        ("grow-p2", [32, 16, 8, 4, 2, 1]),
        ("grow-p100", [100.0**5, 100.0**4, 100.0**3, 100.0**2, 100, 1]),
        ("shrink-p100", [1, 100, 100.0**2, 100.0**3, 100.0**4, 100.0**5]),
        ("3:1:4:1:5:9.5", [3, 1, 4, 1, 5, 9.5]),
    ],
)
def test_presets_have_the_papers_odds(name: str, odds: list[float]) -> None:
    assert curriculum_odds(name, 6).tolist() == odds


@pytest.mark.parametrize(
    ("name", "line"),
    [
        ("grow-p3", "curriculum: 'grow-p3' is not known; give one of uniform, grow-linear,"),
        ("1:2", "curriculum: '1:2' gives 2 odds for 6 buckets; give 6"),
        ("1:2:0:1:1:1", "curriculum: '1:2:0:1:1:1' holds odds that are not positive"),
    ],
)
def test_odds_that_do_not_fit_are_refused_in_one_line(name: str, line: str) -> None:
    with pytest.raises(InputError, match=re.escape(line)):
        curriculum_odds(name, 6)


@pytest.mark.parametrize(
    ("name", "cycles", "first", "last"),
    [
        ("uniform", 1, 2681, 2769),
        ("grow-linear", 1, 1468, 7739),
        ("grow-p2", 1, 788, 7729),
        ("grow-p100", 1, 259, 8192),
        ("grow-linear", 8, 1794, 3001),
        ("grow-p2", 8, 1711, 3164),
        ("grow-p100", 8, 1492, 3285),
    ],
)
def test_mean_length_of_the_first_and_last_tenth_is_that_of_algorithm_1(
    name: str, cycles: int, first: int, last: int
) -> None:
    # From another simulation of Algorithm 1: six buckets of 2,400 batches, mean over 20 seeds, tolerance
    # 5 %. A curriculum by probability without exhaustion would give first = last.
    batches = np.full(6, 2400)
    means = []
    for seed in range(20):
        order = algorithm_1(batches, curriculum_odds(name, 6), cycles=cycles, seed=seed)
        assert np.bincount(order).tolist() == [2400] * 6
        lengths = LENGTHS[order]
        means.append((lengths[:1440].mean(), lengths[-1440:].mean()))

    np.testing.assert_allclose(np.mean(means, axis=0), [first, last], rtol=0.05)


def test_shrink_ends_on_the_shortest_length() -> None:
    order = algorithm_1(np.full(6, 2400), curriculum_odds("shrink-p100", 6))

    assert LENGTHS[order][:1440].mean() > 8000
    assert LENGTHS[order][-1440:].mean() < 300


@given(
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([1.0, 2.0, 7.0, 1e6])), min_size=1, max_size=6),
    st.integers(0, 2**32),
)
def test_phases_give_what_the_loop_over_steps_gives(pairs: list[tuple[int, float]], seed: int) -> None:
    batches, odds = [n for n, _ in pairs], [o for _, o in pairs]
    uniforms = np.random.default_rng(seed).random(sum(batches))

    order = exhaust(np.array(batches), np.array(odds), uniforms)

    assert order.tolist() == naive_exhaust(batches, odds, uniforms)


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=6), st.integers(1, 9))
def test_parts_of_cycles_sum_to_the_total_and_differ_by_one_at_most(totals: list[int], cycles: int) -> None:
    # A peer floors each cycle and drops the rest.
    parts = split_over_cycles(np.array(totals), cycles)

    assert parts.sum(axis=0).tolist() == totals
    assert np.all(parts.max(axis=0) - parts.min(axis=0) <= 1)


def test_each_cycle_has_its_own_stream() -> None:
    # The released code draws every cycle with the same seed, so that all have nearly the same order.
    order = algorithm_1(np.full(6, 800), curriculum_odds("grow-p2", 6), cycles=2).reshape(2, -1)

    assert not np.array_equal(order[0], order[1])
    assert np.array_equal(np.bincount(order[0]), np.bincount(order[1]))


def test_odds_scaled_by_tokens_differ_only_where_buckets_differ() -> None:
    odds = curriculum_odds("grow-p2", 3)
    equal, unequal = np.array([500, 500, 500]), np.array([100, 500, 2500])

    same = [algorithm_1(equal, odds, odds_scale=scale).tolist() for scale in ("none", "by_tokens")]
    assert same[0] == same[1]

    first = algorithm_1(unequal, odds, odds_scale="by_tokens")[:100]
    # 4 * 100 : 2 * 500 : 1 * 2500: the first hundred steps take the longest bucket in about 64 %.
    assert np.mean(first == 2) == pytest.approx(2500 / 3900, abs=0.15)
    plain = algorithm_1(unequal, odds)[:100]
    assert np.mean(plain == 2) == pytest.approx(1 / 7, abs=0.1)


def test_the_peers_p2_weights_move_their_peak() -> None:
    # OLMo-core 3.0.0, six buckets: weights over sub-cycles, here for 63 batches.
    assert subcycle_batches(63, 0, 6, "p2") == [32, 16, 8, 4, 2, 1]
    assert subcycle_batches(63, 2, 6, "p2") == [8, 16, 32, 4, 2, 1]
    assert subcycle_batches(63, 5, 6, "p2") == [1, 2, 4, 8, 16, 32]
    assert subcycle_batches(21, 1, 6, "linear") == [5, 6, 4, 3, 2, 1]


@given(st.integers(0, 200), st.integers(2, 8), st.sampled_from(["p2", "linear"]))
def test_sub_cycles_never_hold_more_batches_than_there_are(batches: int, buckets: int, shape: str) -> None:
    for bucket in range(buckets):
        counts = subcycle_batches(batches, bucket, buckets, shape)
        assert sum(counts) == batches
        assert min(counts) >= 0


def test_the_case_on_which_the_peer_fails_keeps_every_batch() -> None:
    # OLMo-core returns [6, 4, 2] for 11 batches of 3 buckets, and then fails on its own assertion.
    assert subcycle_batches(11, 0, 3, "linear") in ([5, 4, 2], [6, 4, 1], [6, 3, 2])


@pytest.mark.parametrize("name", ["olmo-natural", "olmo-grow-p2", "olmo-grow-linear", "grow-p2", "4:2:1"])
def test_every_curriculum_takes_every_batch_and_repeats_itself_with_the_seed(name: str) -> None:
    batches = split_over_cycles(np.array([100, 37, 11]), 4)

    order = bucket_order(name, batches, seed=3)

    assert np.bincount(order, minlength=3).tolist() == [100, 37, 11]
    assert np.array_equal(order, bucket_order(name, batches, seed=3))
    assert not np.array_equal(order, bucket_order(name, batches, seed=4))


def test_the_natural_curriculum_does_without_a_batch_of_the_longest_bucket() -> None:
    # The peer raises "low >= high" here.
    assert bucket_order("olmo-natural", np.array([[5, 0]])).tolist() == [0] * 5
