"""The byte n-gram model: a naive version, a hand calculation, and what any distribution has to fulfil."""

import math
from collections import Counter, defaultdict

import numpy as np
import pytest
from dclm_bench.experiment.byte_ngrams import bits_per_byte, train_byte_ngrams
from hypothesis import given
from hypothesis import strategies as st


class NaiveModel:
    """The same model in dictionaries, term by term as in the equation."""

    def __init__(self, text: bytes) -> None:
        self.counts = defaultdict(Counter)
        data = b"\n\n" + text
        for place in range(2, len(data)):
            for length in range(min(place, 4) + 1):
                self.counts[data[place - length : place]][data[place]] += 1

    def probability(self, before: bytes, byte: int) -> float:
        value = 1 / 256
        for length in range(min(len(before), 4) + 1):
            followers = self.counts.get(before[len(before) - length :])
            if followers:
                kinds = len(followers)
                value = (followers[byte] + kinds * value) / (sum(followers.values()) + kinds)
        return value

    def bits(self, text: bytes) -> float:
        data = b"\n\n" + text
        return -sum(
            math.log2(self.probability(data[:place], data[place])) for place in range(2, len(data))
        ) / len(text)


def test_one_byte_by_hand():
    # "a" was seen once, after each of "", "\n" and "\n\n": (1 + p) / 2 three times from 1/256
    expected = -math.log2((1 + (1 + (1 + 1 / 256) / 2) / 2) / 2)
    assert bits_per_byte(train_byte_ngrams(b"a"), [b"a"])[0] == pytest.approx(expected, rel=1e-12)


def test_an_untrained_model_needs_eight_bits():
    assert bits_per_byte(train_byte_ngrams(b""), [b"any text"])[0] == 8.0


def test_an_empty_text_has_no_value():
    assert np.isnan(bits_per_byte(train_byte_ngrams(b"abc"), [b""])[0])


@given(st.binary(max_size=300), st.binary(min_size=1, max_size=60))
def test_any_bytes_agree_with_the_naive_model(train, held_out):
    assert bits_per_byte(train_byte_ngrams(train), [held_out])[0] == pytest.approx(
        NaiveModel(train).bits(held_out), rel=1e-9
    )


@given(st.text("ab \n", max_size=400), st.text("abc \n", min_size=1, max_size=60))
def test_texts_of_few_letters_agree_with_the_naive_model(train, held_out):
    assert bits_per_byte(train_byte_ngrams(train.encode()), [held_out.encode()])[0] == pytest.approx(
        NaiveModel(train.encode()).bits(held_out.encode()), rel=1e-9
    )


def test_the_probabilities_of_all_bytes_sum_to_one():
    model = train_byte_ngrams(b"the cat sat on the mat and the rat sat on the cat " * 4)
    before = b"the "
    head = bits_per_byte(model, [before])[0] * len(before)
    bits = [
        bits_per_byte(model, [before + bytes([byte])])[0] * (len(before) + 1) - head for byte in range(256)
    ]
    assert sum(2.0**-value for value in bits) == pytest.approx(1.0, abs=1e-9)


def test_a_table_that_grew_counts_as_one_that_did_not():
    # 15,000 random bytes hold more strings than the first table has room for
    text = np.random.default_rng(0).bytes(15_000)
    model = train_byte_ngrams(text)
    assert len(model.keys) > 1 << 16
    naive = NaiveModel(text).counts
    strings = {before for before in naive} | {
        before + bytes([byte]) for before, followers in naive.items() for byte in followers
    }
    assert np.count_nonzero(model.keys) == len(strings)
    assert bits_per_byte(model, [text[:500]])[0] == pytest.approx(NaiveModel(text).bits(text[:500]), rel=1e-9)


def test_more_of_the_same_language_predicts_better():
    words = ["apple", "boat", "cat", "door", "egg"]
    rng = np.random.default_rng(1)
    text = " ".join(words[i] for i in rng.integers(5, size=4000)).encode()
    held_out = " ".join(words[i] for i in rng.integers(5, size=200)).encode()
    few, many = (bits_per_byte(train_byte_ngrams(text[:size]), [held_out])[0] for size in (200, 20_000))
    # five equally likely words of 3.8 letters and a space: log2(5) / 4.8 = 0.484 bits a byte
    assert 0.484 < many < 0.5 < few
