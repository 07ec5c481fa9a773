"""Continuous scores: means over the flips alone, ties in neither, classic metrics as a special case."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.flips import cell_codes, count_cells, flip_metrics
from llm_compat.smooth import score_differences, smooth_metrics

SCORES = st.lists(st.tuples(st.floats(0, 100), st.floats(0, 100)), min_size=1, max_size=40)


def test_magnitudes_are_means_over_the_items_that_changed() -> None:
    # given rises of 1 and 3, a fall of 6, and two ties
    old, new = np.array([0.0, 0.0, 9.0, 5.0, 5.0]), np.array([1.0, 3.0, 3.0, 5.0, 5.0])

    found = smooth_metrics(old, new)

    assert (found.pfr, found.nfr) == (0.4, 0.2)
    assert (found.gain_magnitude, found.regression_magnitude) == (2.0, 6.0)
    assert (found.mean_old, found.mean_new) == (3.8, 3.4)


def test_without_a_fall_the_regression_is_undefined() -> None:
    found = smooth_metrics(np.array([1.0, 2.0]), np.array([2.0, 2.0]))

    assert found.nfr == 0
    assert np.isnan(found.regression_magnitude)
    assert found.gain_magnitude == 1


@given(SCORES)
def test_the_mean_difference_is_gains_less_losses(rows: list[tuple[float, float]]) -> None:
    old, new = (np.array(column) for column in zip(*rows, strict=True))

    found = smooth_metrics(old, new)

    gains = found.pfr * np.nan_to_num(found.gain_magnitude)
    losses = found.nfr * np.nan_to_num(found.regression_magnitude)
    assert gains - losses == pytest.approx((new - old).mean(), abs=1e-9)
    assert found.pfr + found.nfr + (new == old).mean() == pytest.approx(1)


@given(SCORES)
def test_swapping_the_models_swaps_gains_and_losses(rows: list[tuple[float, float]]) -> None:
    old, new = (np.array(column) for column in zip(*rows, strict=True))

    found, swapped = smooth_metrics(old, new), smooth_metrics(new, old)

    assert (found.nfr, found.pfr) == (swapped.pfr, swapped.nfr)
    np.testing.assert_equal(found.gain_magnitude, swapped.regression_magnitude)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=40))
def test_scores_of_zero_and_one_are_the_classic_metrics(rows: list[tuple[bool, bool]]) -> None:
    old, new = (np.array(column) for column in zip(*rows, strict=True))

    found = smooth_metrics(old.astype(float), new.astype(float))
    classic = flip_metrics(count_cells(cell_codes(old, new)))

    assert (found.nfr, found.pfr) == (classic["nfr"], classic["pfr"])
    assert found.gain_magnitude in (1, pytest.approx(float("nan"), nan_ok=True))
    assert found.regression_magnitude in (1, pytest.approx(float("nan"), nan_ok=True))


def test_lower_is_better_turns_the_sign() -> None:
    old, new = np.array([10.0, 10.0]), np.array([8.0, 11.0])

    assert score_differences(old, new, higher_is_better=False).tolist() == [2.0, -1.0]


def test_changes_up_to_the_tolerance_are_ties() -> None:
    old, new = np.zeros(3), np.array([0.01, -0.01, 0.02])

    assert score_differences(old, new, tolerance=0.01).tolist() == [0.0, 0.0, 0.02]
    assert score_differences(old, new).tolist() == [0.01, -0.01, 0.02]
