"""Hashes of tokens and n-grams: the same everywhere, different for what differs."""

import numpy as np
import pytest
from dclm_bench.text.code_points import code_points
from dclm_bench.text.hashes import mix, ngram_hashes, token_hashes
from dclm_bench.text.word_breaks import word_bounds
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.randomness import stream

MASK = (1 << 64) - 1


def hashes_of(text: str) -> list[int]:
    codes = code_points(text)
    return [int(value) for value in token_hashes(codes, word_bounds(codes))]


def test_a_token_has_the_hash_that_it_always_had() -> None:
    assert [hex(value) for value in hashes_of("one 中é")] == [
        "0xb576af892441b298",
        "0x83b614daa5e3e18c",
        "0x51a765014b123635",
        "0x25e893a5be5e1f25",
    ]


def test_equal_tokens_have_equal_hashes_and_others_do_not() -> None:
    first, blank, second, _, again = hashes_of("one two one")

    assert first == again
    assert len({first, blank, second}) == 3


def test_an_empty_text_has_no_hashes() -> None:
    assert hashes_of("") == []


@pytest.mark.parametrize("text", ["a", "word", "中文"])
def test_each_bit_of_a_character_changes_each_bit_of_the_hash_half_of_the_time(text: str) -> None:
    codes = np.repeat(code_points(text)[None], 2000, axis=0)
    codes[:, -1] = stream(1, "avalanche").integers(0, 1 << 16, 2000)
    bounds = np.arange(0, codes.size + 1, len(text))
    hashes = token_hashes(codes.ravel(), bounds)

    for bit in range(16):
        changed = codes.copy()
        changed[:, -1] ^= np.uint32(1 << bit)
        flips = hashes ^ token_hashes(changed.ravel(), bounds)
        shares = np.unpackbits(flips.view(np.uint8).reshape(-1, 8), axis=1).mean(axis=0)
        assert 0.44 < shares.min() <= shares.max() < 0.56  # five standard errors


def test_no_two_of_many_similar_tokens_collide() -> None:
    tokens = [f"{left}{right}" for left in ("x", "xx", "word", "w0rd") for right in range(50_000)]
    codes = code_points("".join(tokens))
    bounds = np.cumsum([0, *map(len, tokens)])

    found = token_hashes(codes, bounds)

    assert len(np.unique(found)) == len(set(tokens))


def by_definition(hashes: list[int], n: int) -> list[int]:
    """The polynomial of each n tokens, computed anew for each."""
    found = []
    for place in range(len(hashes) - n + 1):
        value = 0
        for token in hashes[place : place + n]:
            value = (value * 0xD1342543DE82EF95 + token) & MASK
        found.append(int(mix(np.uint64((value + n) & MASK))))
    return found


@given(st.lists(st.integers(0, MASK), max_size=12), st.integers(1, 14))
def test_the_rolling_hash_is_that_of_each_ngram_by_itself(hashes: list[int], n: int) -> None:
    assert ngram_hashes(np.array(hashes, np.uint64), n).tolist() == by_definition(hashes, n)


def test_ngrams_of_other_tokens_another_order_or_another_number_differ() -> None:
    tokens = hashes_of("a b c d a b d c a a a a a")
    array = np.array(tokens, np.uint64)
    sizes = range(1, 9)

    found = {value for n in sizes for value in ngram_hashes(array, n).tolist()}

    assert len(found) == len({tuple(tokens[i : i + n]) for n in sizes for i in range(len(tokens) - n + 1)})
