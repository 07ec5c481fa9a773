"""Equal bytes for every arm, and the share of pages that a score keeps."""

import numpy as np
import pytest
from dclm_bench.experiment.training_text import equal_bytes, keep_highest
from hypothesis import given
from hypothesis import strategies as st

PAGES = st.lists(st.text(max_size=20), min_size=1, max_size=8)


def test_pages_stand_apart_by_an_empty_line_and_are_cut_at_the_budget():
    found = equal_bytes({"a": ["one", "two", "three"], "b": ["a longer page"]}, 9)
    assert found.texts == {"a": b"one\n\ntwo\n", "b": b"a longer "}
    assert found.num_bytes == 9
    assert found.num_pages == {"a": 2, "b": 1}


def test_the_smallest_arm_sets_the_budget_where_it_has_less():
    found = equal_bytes({"a": ["1234567890"], "b": ["12", "34"]}, 100)
    assert found.num_bytes == len(b"12\n\n34") == 6
    assert set(map(len, found.texts.values())) == {6}


@given(st.dictionaries(st.sampled_from("abc"), PAGES, min_size=1), st.integers(1, 50))
def test_all_arms_have_the_same_number_of_bytes(arms, budget):
    found = equal_bytes(arms, budget)
    assert {len(text) for text in found.texts.values()} == {found.num_bytes}
    assert found.num_bytes <= budget


@pytest.mark.parametrize(("percent", "kept"), [(10, [4]), (50, [0, 2, 3, 4, 7]), (100, list(range(10)))])
def test_the_highest_scores_are_kept_in_the_order_of_the_pages(percent, kept):
    scores = np.array([5.0, 1, 6, 7, 9, 0, 2, 8, 3, 4])
    assert keep_highest(scores, percent).tolist() == kept


def test_of_equal_scores_the_earlier_page_is_kept_and_never_none():
    assert keep_highest(np.zeros(10), 20).tolist() == [0, 1]
    assert keep_highest(np.zeros(3), 1).tolist() == [0]
