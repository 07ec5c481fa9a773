"""The gate certifies exactly what the bound allows, and names the numbers of items that would do."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.certify import certify_rate, items_for_power, items_needed, most_flips
from llm_compat.intervals import upper_bound
from scipy import stats


def test_without_a_flip_about_three_over_the_limit_items_are_needed() -> None:
    # (1 - 0.01) ** 299 is the first power below 0.05
    assert 0.99**299 < 0.05 < 0.99**298
    assert items_needed(0.0, 0.01) == 299
    assert items_for_power(0.0, 0.01) == 299


def test_a_gate_passes_when_the_bound_is_at_most_the_limit() -> None:
    bound = upper_bound(88, 1319)

    assert certify_rate(88, 1319, bound + 1e-9).certified
    assert not certify_rate(88, 1319, bound - 1e-9).certified
    assert certify_rate(88, 1319, 0.08).bound == pytest.approx(0.0791334, abs=1e-7)


@given(st.floats(0, 0.2), st.floats(0.001, 0.3))
def test_the_number_of_items_needed_is_the_first_that_is_certified(rate: float, margin: float) -> None:
    limit = rate + margin

    found = items_needed(rate, limit)

    assert found is not None

    def flips(items: int) -> int:
        return math.ceil(rate * items - 1e-9)

    assert upper_bound(flips(found), found) <= limit
    for items in range(max(1, found - 300), found):
        assert upper_bound(flips(items), items) > limit


@given(st.integers(1, 400), st.floats(0.005, 0.3))
def test_the_most_flips_allowed_are_certified_and_one_more_is_not(items: int, limit: float) -> None:
    allowed = most_flips(items, limit)

    assert allowed == -1 or upper_bound(allowed, items) <= limit
    assert upper_bound(allowed + 1, items) > limit


def test_a_new_set_of_that_size_passes_in_four_of_five_cases() -> None:
    items = items_for_power(0.01, 0.02)

    assert items is not None
    draws = np.random.default_rng(0).binomial(items, 0.01, 4000)
    passed = np.mean([draw <= most_flips(items, 0.02) for draw in draws])
    assert 0.78 < passed < 0.87
    assert stats.binom.cdf(most_flips(items, 0.02), items, 0.01) >= 0.8


def test_a_rate_at_the_limit_cannot_be_certified_by_any_number() -> None:
    found = certify_rate(5, 100, 0.05)

    assert (found.certified, found.items_needed, found.items_for_power) == (False, None, None)


@pytest.mark.parametrize(("flips", "items"), [(1, 0), (-1, 5), (6, 5)])
def test_what_is_no_rate_is_refused(flips: int, items: int) -> None:
    with pytest.raises(ValueError, match=f"{flips} flips of {items} items are no rate"):
        certify_rate(flips, items, 0.1)
