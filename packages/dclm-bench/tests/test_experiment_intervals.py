"""The interval for samples of splits and of pages: closed forms, and how often it covers the truth."""

import math

import numpy as np
import pytest
from dclm_bench.experiment.intervals import two_way_interval
from scipy import stats


def test_differences_that_only_splits_have_give_the_t_interval_over_splits():
    of_splits = np.array([0.1, 0.3, 0.2, 0.6])
    found = two_way_interval(np.repeat(of_splits[:, None], 50, axis=1))
    error = of_splits.std(ddof=1) / math.sqrt(4)
    half = stats.t.ppf(0.975, 3) * error
    assert (found.mean, found.error) == pytest.approx((0.3, error))
    assert (found.low, found.high) == pytest.approx((0.3 - half, 0.3 + half))
    assert found.p == pytest.approx(stats.ttest_1samp(of_splits, 0).pvalue)
    assert (found.splits, found.pages) == (4, 50)


def test_differences_that_only_pages_have_give_the_error_over_pages():
    of_pages = np.array([0.1, -0.2, 0.4, 0.0, 0.3])
    found = two_way_interval(np.repeat(of_pages[None, :], 9, axis=0))
    assert found.error == pytest.approx(of_pages.std(ddof=1) / math.sqrt(5))


def test_pages_that_are_not_held_out_do_not_count():
    values = np.full((3, 4), np.nan)
    values[0, :2], values[1, 1:3], values[2, 0] = 1.0, 2.0, 4.0
    found = two_way_interval(values)
    assert found.mean == pytest.approx((1 + 1 + 2 + 2 + 4) / 5)
    assert (found.splits, found.pages) == (3, 3)  # the last page is held out nowhere


def test_equal_differences_are_a_point():
    found = two_way_interval(np.full((4, 4), -0.5))
    assert (found.low, found.high, found.p) == (-0.5, -0.5, 0.0)
    assert two_way_interval(np.zeros((4, 4))).p == 1.0


def test_a_single_split_or_page_has_no_interval():
    with pytest.raises(ValueError, match="at least 2 of each"):
        two_way_interval(np.zeros((1, 5)))


def test_it_covers_the_truth_where_an_interval_over_cells_does_not():
    rng = np.random.default_rng(0)
    covered = naive = 0
    for _ in range(200):
        values = rng.normal(size=(20, 1)) + rng.normal(size=(1, 60)) + rng.normal(size=(20, 60))
        values[rng.random((20, 60)) < 2 / 3] = np.nan  # a third of the pages is held out
        found = two_way_interval(values)
        covered += found.low <= 0 <= found.high
        known = values[~np.isnan(values)]
        naive += abs(known.mean()) <= 1.96 * known.std() / math.sqrt(len(known))
    assert 180 <= covered <= 200
    assert naive < 120
