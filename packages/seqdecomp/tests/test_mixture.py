"""Mixtures: the paper's table, any vector, and what is refused."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.mixture import MIXTURES, REFINEDWEB_PARTS, Stock, mixture_parts, select_sequences
from toolkit_shared.errors import InputError

TABLE_1 = {
    # Tokens in units of 2^30 for D_6 .. D_13, 96 in all (Table 1 of the paper).
    "natural": [3, 6, 10, 17, 21, 17, 13, 9],
    "equal": [12] * 8,
    "1k-only": [0, 0, 0, 0, 96, 0, 0, 0],
    "at-most-2k": [16] * 6 + [0, 0],
    "mid": [0, 0, 24, 24, 24, 24, 0, 0],
    "at-least-1k": [0, 0, 0, 0, 24, 24, 24, 24],
    "at-least-256": [0, 0] + [16] * 6,
}


def refinedweb() -> list[Stock]:
    return [Stock(source="", length=n, sequences=p * 2**30 // n) for n, p in REFINEDWEB_PARTS.items()]


@pytest.mark.parametrize("name", MIXTURES)
def test_presets_on_refinedwebs_lengths_give_table_1(name: str) -> None:
    tokens = 96 * 2**30

    chosen = select_sequences(name, refinedweb(), tokens=tokens, repeat="repeat")

    assert (chosen * np.array(list(REFINEDWEB_PARTS)) / 2**30).tolist() == TABLE_1[name]


def test_without_a_number_of_tokens_natural_takes_all_and_equal_what_the_smallest_allows() -> None:
    stocks = [Stock(source="", length=256, sequences=8), Stock(source="", length=512, sequences=3)]

    assert select_sequences("natural", stocks).tolist() == [8, 3]
    assert select_sequences("equal", stocks).tolist() == [6, 3]
    assert select_sequences("256:1,512:3", stocks).tolist() == [2, 3]


def test_a_part_by_length_is_shared_by_what_each_source_has() -> None:
    stocks = [
        Stock(source="web", length=256, sequences=300),
        Stock(source="web", length=512, sequences=100),
        Stock(source="code", length=256, sequences=100),
    ]

    assert select_sequences("256:1", stocks, tokens=100 * 256).tolist() == [75, 0, 25]
    assert select_sequences("web/512:1,code/256:1", stocks, tokens=50 * 512).tolist() == [0, 25, 50]


@pytest.mark.parametrize(
    ("mixture", "tokens", "line"),
    [
        ("256:1,512:1", 20_000, "bucket 512: 9,728 tokens wanted, 1,536 available; lower --tokens,"),
        ("512:1", 4 * 512, "bucket 512: 2,048 tokens wanted, 1,536 available; lower --tokens,"),
        ("1k-only", 1000, "mixture: '1k-only' takes none of the lengths 256, 512; choose another mixture"),
        ("natrual", 1000, "mixture: 'natrual' is not LENGTH:PARTS or SOURCE/LENGTH:PARTS; give such a list"),
        ("1024:1", 1000, "mixture: there is no bucket '1024'; the store has 256, 512"),
        ("256:-1,512:2", 1000, "mixture: '256:-1' has a negative part; give 0 or more"),
    ],
)
def test_what_cannot_be_given_is_refused_in_one_line(mixture: str, tokens: int, line: str) -> None:
    stocks = [Stock(source="", length=256, sequences=100), Stock(source="", length=512, sequences=3)]

    with pytest.raises(InputError, match=re.escape(line)):
        select_sequences(mixture, stocks, tokens=tokens)


def test_repeating_is_only_done_when_asked_for_and_never_from_nothing() -> None:
    stocks = [Stock(source="", length=256, sequences=4), Stock(source="", length=512, sequences=0)]

    assert select_sequences("256:1", stocks, tokens=2560, repeat="repeat").tolist() == [10, 0]
    with pytest.raises(InputError, match=r"bucket 512: 1,024 tokens wanted, 0 available; change --mixture"):
        select_sequences("512:1", stocks, tokens=1024, repeat="repeat")


@given(
    st.lists(st.integers(0, 50), min_size=3, max_size=3), st.sampled_from(["natural", "256:1,512:2,1024:3"])
)
def test_parts_sum_to_one_and_a_choice_without_tokens_never_takes_more_than_there_is(
    numbers: list[int], mixture: str
) -> None:
    stocks = [Stock(source="", length=256 << i, sequences=n) for i, n in enumerate(numbers)]
    if not any(numbers):
        return
    assert sum(mixture_parts(mixture, stocks)) == 1
    chosen = select_sequences(mixture, stocks)
    assert np.all(chosen <= np.array(numbers))
