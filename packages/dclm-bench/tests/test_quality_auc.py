"""Areas under the curve against their definition, and the length that must stand beside them."""

import itertools
import math

import numpy as np
import pytest
from dclm_bench.quality.auc import area_under_curve, quality_auc, stratified_area
from hypothesis import given, settings
from hypothesis import strategies as st

SCORED = st.lists(st.tuples(st.integers(0, 5), st.booleans(), st.integers(1, 4)), min_size=2, max_size=20)


def area_by_pairs(rows: list[tuple[int, bool, int]], *, within: bool = False) -> float:
    pairs = [
        (a[0] > b[0]) + 0.5 * (a[0] == b[0])
        for a, b in itertools.product(rows, rows)
        if a[1] and not b[1] and (not within or a[2] == b[2])
    ]
    return float(np.mean(pairs)) if pairs else math.nan


@settings(max_examples=60, deadline=None)
@given(SCORED.filter(lambda rows: len({label for _, label, _ in rows}) == 2))
def test_the_area_is_the_share_of_pairs_in_order_and_ties_count_half(
    rows: list[tuple[int, bool, int]],
) -> None:
    scores, labels, strata = (np.array(column) for column in zip(*rows, strict=True))

    assert area_under_curve(scores.astype(float), labels) == pytest.approx(area_by_pairs(rows))
    assert stratified_area(scores.astype(float), labels, strata) == pytest.approx(
        area_by_pairs(rows, within=True), nan_ok=True
    )


def test_the_interval_is_that_of_delong() -> None:
    # worked by hand: placements of the good 1, 1, 0.5; of the bad 1, 2/3
    found = quality_auc([3.0, 4.0, 1.5, 1.0, 2.0], [1, 1, 1, 0, 0], [1, 2, 3, 4, 5]).score

    variance = np.var([1, 1, 0.5], ddof=1) / 3 + np.var([1, 2 / 3], ddof=1) / 2
    assert found.area == pytest.approx(5 / 6)
    assert found.low == pytest.approx(5 / 6 - 1.959964 * math.sqrt(variance), abs=1e-6)
    assert found.high == 1.0  # held at what an area can be


def test_a_score_that_is_the_length_gains_nothing_over_it() -> None:
    draw = np.random.default_rng(0)
    labels = draw.random(300) < 0.5
    lengths = draw.integers(100, 1000, 300) + 500 * labels

    found = quality_auc(lengths.astype(float), labels, lengths)

    assert found.score == found.length
    assert found.score.area > 0.8
    assert (found.gain.area, found.gain.low, found.gain.high) == (0, 0, 0)
    assert found.within_length == found.length_within_length
    assert found.within_length < found.score.area


def test_a_score_apart_from_length_keeps_its_area_among_pages_of_one_length() -> None:
    draw = np.random.default_rng(1)
    labels = draw.random(2000) < 0.5
    scores = draw.normal(size=2000) + labels
    lengths = draw.integers(100, 1000, 2000)

    found = quality_auc(scores, labels, lengths)

    assert found.length.low < 0.5 < found.length.high
    assert found.within_length == pytest.approx(found.score.area, abs=0.02)
    assert found.gain.low > 0.15
    assert "length alone" in found.to_text()


def test_what_too_few_pages_leave_open_is_none_in_json() -> None:
    found = quality_auc([1.0, 2.0, 3.0], [0, 1, 1], [1, 2, 3]).as_dict()

    assert found["score"] == {"area": 1.0, "low": None, "high": None}
    assert found["within_length"] is None


@pytest.mark.parametrize(
    ("scores", "labels", "reason"),
    [
        ([1.0, 2.0], [1, 1], "one label"),
        ([1.0, math.nan], [0, 1], "not finite"),
        ([1.0], [0, 1], "no pages"),
    ],
)
def test_what_has_no_area_is_refused(scores: list[float], labels: list[int], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        quality_auc(scores, labels, [1, 2])
