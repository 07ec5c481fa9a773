"""Statistics against closed forms: Student's t with 1 and 2 degrees of freedom has elementary quantiles."""

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.statistics import paired_difference, ratio_of_pairs

numbers = st.floats(-1e3, 1e3).map(lambda value: round(value, 3))


def test_two_pairs_by_hand() -> None:
    # differences 1 and 3: mean 2, standard error 1; t with 1 degree is Cauchy, quantile tan(pi (q - 1/2)),
    # and two-sided p = 1 - 2 atan(t) / pi
    found = paired_difference([2.0, 5.0], [1.0, 2.0])

    assert found.n == 2
    assert found.mean == 2.0
    half = math.tan(math.pi * 0.475)
    assert found.low == pytest.approx(2 - half)
    assert found.high == pytest.approx(2 + half)
    assert found.p == pytest.approx(1 - 2 * math.atan(2) / math.pi)


def test_three_pairs_by_hand_at_ninety_percent() -> None:
    # differences 1, 2, 3: mean 2, standard error 1 / sqrt(3); with 2 degrees the quantile is
    # (2 q - 1) sqrt(2 / (4 q (1 - q))) and two-sided p = 1 - t / sqrt(2 + t^2)
    found = paired_difference([1.0, 2.0, 3.0], [0.0, 0.0, 0.0], confidence=0.9)

    q, t = 0.95, 2 * math.sqrt(3)
    half = (2 * q - 1) * math.sqrt(2 / (4 * q * (1 - q))) / math.sqrt(3)
    assert (found.mean, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half))
    assert found.p == pytest.approx(1 - t / math.sqrt(2 + t * t))


def test_five_pairs_with_the_quantile_of_the_printed_tables() -> None:
    # t(0.975; 4) = 2.776445 in the tables; differences -2..2 times 0.1 plus 1: standard error sqrt(0.025 / 5)
    found = paired_difference([0.8, 0.9, 1.0, 1.1, 1.2], [0.0] * 5)

    assert found.high - found.mean == pytest.approx(2.776445 * math.sqrt(0.005), rel=1e-6)


@given(st.lists(st.tuples(numbers, numbers), min_size=2, max_size=8))
def test_exchanging_the_arms_turns_the_sign(pairs: list[tuple[float, float]]) -> None:
    a, b = zip(*pairs, strict=True)
    one, other = paired_difference(a, b), paired_difference(b, a)

    assert one.mean == pytest.approx(-other.mean, abs=1e-9)
    assert one.low == pytest.approx(-other.high, abs=1e-9)
    assert one.p == pytest.approx(other.p, abs=1e-9)
    assert one.low <= one.mean <= one.high
    assert 0 <= one.p <= 1


@pytest.mark.parametrize(("difference", "p"), [(0.5, 0.0), (0.0, 1.0)])
def test_equal_differences_have_an_interval_of_one_point(difference: float, p: float) -> None:
    assert paired_difference([1 + difference, 2 + difference], [1.0, 2.0]) == (
        difference,
        difference,
        difference,
        p,
        2,
    )


@pytest.mark.parametrize(
    ("a", "b", "confidence", "problem"),
    [
        ([1.0], [2.0], 0.95, "1 pair has no interval"),
        ([], [], 0.95, "0 pair has no interval"),
        ([1.0, 2.0], [1.0], 0.95, "are no pairs"),
        ([1.0, math.nan], [1.0, 1.0], 0.95, "a value is not finite"),
        ([1.0, 2.0], [1.0, math.inf], 0.95, "a value is not finite"),
        ([1.0, 2.0], [1.0, 1.0], 95, "confidence is 95; it lies between 0 and 1"),
    ],
)
def test_what_has_no_interval_is_refused(
    a: Sequence[float], b: Sequence[float], confidence: float, problem: str
) -> None:
    with pytest.raises(ValueError, match=problem):
        paired_difference(a, b, confidence)


def test_ratios_are_of_pairs_and_not_of_medians() -> None:
    # 6/2, 8/8, 10/1: sorted 1, 3, 10; the ratio of the medians would be 4
    assert ratio_of_pairs([6, 8, 10], [2, 8, 1]) == (3.0, 1.0, 10.0)


def test_the_median_of_an_even_number_is_the_mean_of_the_middle_two() -> None:
    assert ratio_of_pairs([1, 2, 4, 9], [1, 1, 1, 1]).median == 3.0


@pytest.mark.parametrize(
    ("a", "b", "problem"),
    [
        ([], [], "no pairs have no ratio"),
        ([1.0], [0.0], "denominators above 0"),
        ([1.0], [1.0, 2.0], "are no pairs"),
    ],
)
def test_what_has_no_ratio_is_refused(a: Sequence[float], b: Sequence[float], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        ratio_of_pairs(a, b)
