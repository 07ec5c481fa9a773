"""The Bloom filter: its size, its errors, its file, and the guard against one that is too small."""

import re
from pathlib import Path

import numpy as np
import pytest
from dclm_bench.dedup.bff import BffOptions, collect_units, decide_units
from dclm_bench.dedup.bloom_filter import (
    BloomFilter,
    contained,
    false_positive_rate,
    filter_bytes,
    high_product,
    insert_all,
    optimal_num_hashes,
    textbook_bytes,
)
from dclm_bench.dedup.capacity import (
    false_removals,
    predict_ngrams,
    report_filter,
    require_capacity,
)
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from toolkit_shared.errors import InputError


def keys_of(number: int, seed: int = 0) -> np.ndarray:
    """Random keys, all different."""
    return np.unique(np.random.default_rng(seed).integers(0, 1 << 64, number, dtype=np.uint64))


def test_a_million_ngrams_at_one_percent_take_the_published_number_of_bytes_and_hashes() -> None:
    # the closed form; the official search for a whole k ends at 1,199,119 to 1,199,121
    assert textbook_bytes(10**6, 0.01) == 1_198_132
    size = filter_bytes(10**6, 0.01)
    assert size == 1_199_120
    assert optimal_num_hashes(size, 10**6) == 7
    assert optimal_num_hashes(textbook_bytes(10**6, 0.01), 10**6) == 7


def test_no_smaller_filter_has_the_rate_that_was_asked_for() -> None:
    for number, rate in [(10, 0.1), (1000, 0.5), (12345, 1e-6), (10**9, 0.01)]:
        size = filter_bytes(number, rate)
        k = optimal_num_hashes(size, number)
        assert false_positive_rate(size, number, k) <= rate
        assert false_positive_rate(size - 1, number, optimal_num_hashes(size - 1, number)) > rate


def test_the_rate_is_right_for_a_filter_of_terabytes_where_one_minus_one_over_m_is_lost() -> None:
    size = filter_bytes(10**12, 0.01)
    assert size == pytest.approx(10**6 * filter_bytes(10**6, 0.01), rel=1e-4)


def test_what_was_inserted_is_always_found_and_the_errors_have_the_rate_asked_for() -> None:
    # given
    keys = keys_of(420_000)
    rng = np.random.default_rng(1)
    rng.shuffle(keys)
    for rate in (0.01, 0.001):
        bloom = BloomFilter.for_ngrams(20_000, rate, seed=3)
        # when
        insert_all(bloom, keys[:20_000])
        found = contained(bloom, keys)
        # then: no false negative ever, false positives within 99.9 % of the binomial distribution
        assert found[:20_000].all()
        errors, asked = int(found[20_000:].sum()), len(keys) - 20_000
        low, high = binom.ppf([0.0005, 0.9995], asked, bloom.fp_rate)
        assert low <= errors <= high
        assert bloom.fp_rate == pytest.approx(rate, rel=0.05)
        assert bloom.fill_ratio == pytest.approx(0.5, abs=0.03)


def test_two_seeds_err_on_different_keys() -> None:
    keys = keys_of(200_000)
    np.random.default_rng(1).shuffle(keys)
    wrong = []
    for seed in (1, 2):
        bloom = BloomFilter.for_ngrams(2000, 0.01, seed=seed)
        insert_all(bloom, keys[:2000])
        wrong.append(set(np.flatnonzero(contained(bloom, keys)[2000:]).tolist()))
    # independent errors of 1 % each have about 20 in common
    assert len(wrong[0] & wrong[1]) < 60 < 1500 < len(wrong[0])


@given(st.integers(0, 2**64 - 1), st.integers(0, 2**64 - 1))
def test_the_high_word_of_a_product_is_exact(a: int, b: int) -> None:
    assert int(high_product(np.uint64(a), np.uint64(b))) == a * b >> 64


def test_a_saved_filter_comes_back_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    # given
    bloom = BloomFilter.for_ngrams(1000, 0.01, ngram_size=13, seed=5)
    insert_all(bloom, keys_of(500))
    path = tmp_path / "filter.bloom"
    bloom.save(path)
    # when
    back = BloomFilter.load(path)
    # then
    assert vars(back).keys() == vars(bloom).keys()
    assert (back.bits == bloom.bits).all()
    assert (back.num_bits, back.num_hashes, back.ngram_size, back.seed, back.num_inserted) == (
        bloom.num_bits,
        bloom.num_hashes,
        13,
        5,
        len(keys_of(500)),
    )
    whole = path.read_bytes()
    for bad, reason in [
        (b"", "is no Bloom filter of dclm-bench"),
        (whole[:-8], "has another length than its head says"),
        (whole[:-1] + bytes([whole[-1] ^ 1]), "does not have the checksum of its head"),
        (b"\x80\x04pickle" + whole, "is no Bloom filter of dclm-bench"),
    ]:
        path.write_bytes(bad)
        with pytest.raises(InputError, match=re.escape(f"{path}: {reason}")):
            BloomFilter.load(path)
    with pytest.raises(InputError, match="no such file"):
        BloomFilter.load(tmp_path / "none")


def test_the_guard_names_the_size_that_is_needed() -> None:
    bloom = BloomFilter.for_ngrams(1000, 0.01)
    insert_all(bloom, keys_of(1000))
    require_capacity(bloom, 0.01, "here", 1000)
    insert_all(bloom, keys_of(2000, seed=9))
    with pytest.raises(InputError, match=r"^here: .* too small: .* expected_ngram_count to 3000 "):
        require_capacity(bloom, 0.01, "here", 3000)


def test_the_number_of_ngrams_is_predicted_from_a_sample_within_its_interval() -> None:
    # given pages with long-tailed lengths
    lengths = np.random.default_rng(0).lognormal(6, 1, 20_000).astype(np.int64)
    inside = 0
    for start in range(0, 20_000, 500):
        # when
        found = predict_ngrams(lengths[start : start + 500], len(lengths))
        inside += found.low <= lengths.sum() <= found.high
    # then: 95 % of 40 intervals, give or take
    assert 33 <= inside <= 40
    assert predict_ngrams([4, 6], 2).expected == 10 == predict_ngrams([4, 6], 2).high
    with pytest.raises(InputError, match="at least 2"):
        predict_ngrams([4], 10)


def test_false_removals_are_the_binomial_tail_of_the_verdict() -> None:
    # by hand: one n-gram goes with probability p; of ten it takes nine (8 of 10 is not above 0.8)
    p = 0.01
    nine = 10 * p**9 * (1 - p) + p**10
    assert false_removals(np.array([0, 1, 1, 10]), p, 0.8) == pytest.approx(2 * p + nine, rel=1e-9)
    # and the count at which a unit goes is that of the verdict, whatever the product is rounded to
    for threshold in (0.29, 0.7, float(np.nextafter(0.9, 0)), float(np.nextafter(0.8, 1)), 0.0, 1.0):
        for size in (7, 10, 100):
            gone = sum(found / size > threshold for found in range(size + 1))
            expected = binom.sf(size - gone, size, 0.6)
            assert false_removals(np.array([size]), 0.6, threshold) == pytest.approx(expected)


def test_at_one_percent_the_extra_removals_are_as_many_as_the_report_says() -> None:
    # given 4,000 different paragraphs, most of them just long enough for one or two 13-grams
    rng = np.random.default_rng(4)
    texts = [
        "\n".join(
            " ".join(f"w{value}" for value in rng.integers(0, 10**9, rng.choice([13, 14, 40])))
            for _ in range(4)
        )
        for _ in range(1000)
    ]
    options = BffOptions()
    collected = collect_units(texts, options)
    number = len(collected["shingles"])
    # when the filter is filled beforehand to the state that it ends in, so that its rate does not change
    bloom = BloomFilter.for_ngrams(number, 0.01)
    insert_all(bloom, keys_of(number, seed=8))
    asked = BffOptions(update=False)
    decided = decide_units(collected, bloom, asked)
    report = report_filter(bloom, 0.01, 0.8, [collected["unit_shingles"]], [decided["total"]])
    removed = int(decided["page_spans"].sum())
    # then nothing has been seen before, so all removals are errors; within 99.9 % of a Poisson law
    assert abs(removed - report.false_units) < 3.3 * np.sqrt(report.false_units)
    assert report.false_units == pytest.approx(4000 / 3 * report.fp_rate, rel=0.2)
    assert "fill ratio 0.5" in str(report)
    # and with a filter that errs once in a billion there are none
    exact = BloomFilter.for_ngrams(number, 1e-9)
    assert decide_units(collected, exact, options)["page_spans"].sum() == 0
