"""Intervals of a share against published values, against statsmodels, and by their coverage."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.intervals import clopper_pearson_interval, share_interval, upper_bound, wilson_interval
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

SHARES = st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(SHARES, st.sampled_from([0.8, 0.95, 0.99]))
def test_both_intervals_agree_with_statsmodels(share: tuple[int, int], confidence: float) -> None:
    for kind, name in (("wilson", "wilson"), ("clopper-pearson", "beta")):
        expected = proportion_confint(*share, alpha=1 - confidence, method=name)

        found = share_interval(*share, confidence, kind)  # type: ignore[arg-type]

        assert found == pytest.approx(expected, abs=1e-12)


def test_the_rule_of_three() -> None:
    # no event in n items allows a rate of up to 1 - 0.05 ** (1 / n), about 3 / n
    assert upper_bound(0, 100) == pytest.approx(1 - 0.05 ** (1 / 100), abs=1e-12)
    assert upper_bound(5, 5) == 1.0


@pytest.mark.parametrize(("items", "rate"), [(50, 0.1), (200, 0.03)])
def test_the_upper_bound_covers_with_at_least_its_confidence(items: int, rate: float) -> None:
    counts = np.arange(items + 1)
    covered = [upper_bound(int(count), items) >= rate for count in counts]

    assert stats.binom.pmf(counts, items, rate)[covered].sum() >= 0.95


@given(SHARES)
def test_the_exact_interval_holds_the_share_and_is_wider_than_wilsons(share: tuple[int, int]) -> None:
    count, items = share

    exact, wilson = clopper_pearson_interval(count, items), wilson_interval(count, items)

    assert exact is not None
    assert wilson is not None
    assert exact.low - 1e-12 <= count / items <= exact.high + 1e-12
    assert exact.high - exact.low >= wilson.high - wilson.low - 0.02


def test_no_items_have_no_interval() -> None:
    assert wilson_interval(0, 0) is None
    assert clopper_pearson_interval(0, 0) is None
