"""Paired tests against published p values and against statsmodels and scipy, to the last digits."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from llm_compat import significance
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.multitest import multipletests

DISCORDANT = st.tuples(st.integers(0, 300), st.integers(0, 300))


def test_oracle_of_the_gsm8k_outcomes() -> None:
    assert significance.mcnemar_exact(88, 260) == pytest.approx(7.466e-21, rel=1e-4)
    assert round(significance.mcnemar_chi_squared(88, 260)[0], 4) == 84.0259


def test_oracle_of_the_piqa_update_no_change_before_and_a_real_one_after() -> None:
    assert round(significance.mcnemar_exact(213, 211), 3) == 0.961
    assert significance.mcnemar_exact(140, 221) == pytest.approx(2.4e-5, rel=0.03)


@given(DISCORDANT)
def test_the_exact_test_agrees_with_statsmodels_and_scipy(counts: tuple[int, int]) -> None:
    found = significance.mcnemar_exact(*counts)

    assert found == pytest.approx(mcnemar([[0, counts[0]], [counts[1], 0]], exact=True).pvalue, abs=1e-12)
    if sum(counts):
        assert found == pytest.approx(stats.binomtest(counts[0], sum(counts), 0.5).pvalue, abs=1e-12)


@given(DISCORDANT)
def test_the_chi_squared_test_agrees_with_statsmodels(counts: tuple[int, int]) -> None:
    if sum(counts) == 0:
        assert significance.mcnemar_chi_squared(*counts) == (0.0, 1.0)
        return
    # statsmodels subtracts the correction also where the counts are equal, and squares the -1
    if counts[0] != counts[1]:
        expected = mcnemar([[0, counts[0]], [counts[1], 0]], exact=False, correction=True)
        found = significance.mcnemar_chi_squared(*counts)
        assert found == pytest.approx((expected.statistic, expected.pvalue), abs=1e-12)


@given(DISCORDANT)
def test_the_mid_p_is_the_exact_one_less_the_probability_seen(counts: tuple[int, int]) -> None:
    exact, mid = significance.mcnemar_exact(*counts), significance.mcnemar_mid_p(*counts)

    assert 0 < mid <= exact <= 1
    assert significance.mcnemar_mid_p(counts[1], counts[0]) == pytest.approx(mid, abs=1e-12)


def test_the_mid_p_of_a_small_table_by_hand() -> None:
    # 1 against 5: 2 (1 + 6) / 64 exact, less 6 / 64
    assert significance.mcnemar_exact(1, 5) == pytest.approx(14 / 64)
    assert significance.mcnemar_mid_p(1, 5) == pytest.approx(8 / 64)
    # 2 against 2: both tails meet, 1 less 6 / 16
    assert significance.mcnemar_mid_p(2, 2) == pytest.approx(10 / 16)


def test_clusters_of_one_item_give_the_uncorrected_chi_squared() -> None:
    first = np.array([1] * 30 + [0] * 12)

    found = significance.mcnemar_clustered(first, 1 - first)

    assert found == pytest.approx(significance.mcnemar_chi_squared(30, 12, corrected=False)[1], abs=1e-12)


def test_items_that_flip_together_count_as_fewer() -> None:
    # given 20 flips against none, once as 20 clusters and once as 4 of five each
    apart = significance.mcnemar_clustered(np.ones(20), np.zeros(20))
    together = significance.mcnemar_clustered(np.full(4, 5), np.zeros(4))

    assert apart < 1e-4
    assert together == pytest.approx(float(stats.chi2.sf(4, 1)))


@settings(max_examples=10)  # statsmodels takes 50 ms a call
@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_agrees_with_statsmodels(p_values: list[float]) -> None:
    expected = multipletests(p_values, method="holm")[1]

    assert significance.holm(p_values) == pytest.approx(expected.tolist(), abs=1e-12)


def test_holm_leaves_out_what_has_no_p() -> None:
    assert significance.holm([0.01, None, 0.04]) == [0.02, None, 0.04]


def test_the_t_test_agrees_with_scipy() -> None:
    values = np.random.default_rng(0).normal(0.2, 1, 50)

    assert significance.paired_t_test(values) == pytest.approx(
        float(stats.ttest_1samp(values, 0).pvalue), abs=1e-12
    )
    assert significance.paired_t_test(values[:1]) is None
    assert significance.paired_t_test(np.zeros(4)) == 1.0
    assert significance.paired_t_test(np.full(4, 0.5)) == 0.0
