"""Shares with their intervals, and the paper's averages, from its own task rows."""

import pytest
from seqdecomp.evaluation.accuracy import Accuracy
from seqdecomp.evaluation.summary import GROUPS, REGULAR_TASKS, average_of_groups, summarize_regular

# The rows of the 1B model, in the order piqa, copa, openbookqa, lambada, hellaswag, winograd, winogrande,
# squad, boolq, coqa, jeopardy, arc-easy, arc-challenge, wikiqa.
DECOMPOSITION = (76.7, 75, 42.6, 64.7, 64.7, 82.8, 65, 41.8, 66.4, 38.3, 32.6, 68.4, 39.8, 58.7)
BASELINE = (74.9, 74, 43.4, 63, 62.7, 80.2, 63.4, 41.8, 64.1, 35.3, 29.7, 65.7, 38.4, 56.7)


@pytest.mark.parametrize(("row", "average"), [(DECOMPOSITION, 58.4), (BASELINE, 56.7)])
def test_the_regular_average_is_the_plain_mean_of_the_papers_fourteen(row, average):
    summary = summarize_regular(dict(zip(REGULAR_TASKS, row, strict=True)))
    assert round(summary.average, 1) == average
    assert summary.partial_average is None
    assert summary.missing == ()


def test_the_average_of_the_papers_group_means_weighs_three_four_three_four():
    groups = {"CSR": 62.8, "LU": 65.2, "RC": 45.3, "WK": 44.2}  # table 5, dataset decomposition
    assert [len(GROUPS[name]) for name in groups] == [3, 4, 3, 4]
    assert round(average_of_groups(groups), 1) == 54.4


def test_group_means_of_a_row_average_to_the_same():
    summary = summarize_regular(dict(zip(REGULAR_TASKS, DECOMPOSITION, strict=True)))
    assert summary.groups["CSR"] == pytest.approx((76.7 + 75 + 42.6) / 3)
    assert average_of_groups(summary.groups) == pytest.approx(summary.average)


def test_one_missing_task_leaves_only_a_partial_average():
    scores = dict(zip(REGULAR_TASKS, DECOMPOSITION, strict=True))
    del scores["coqa"]
    summary = summarize_regular({**scores, "something-else": 1.0})
    assert summary.average is None
    assert summary.missing == ("coqa",)
    assert summary.partial_average == pytest.approx(sum(scores.values()) / 13)
    assert set(summary.groups) == {"CSR", "LU", "WK"}
    assert summary.partial_groups == {"RC": pytest.approx((41.8 + 66.4) / 2)}


def test_a_group_without_any_task_has_no_mean():
    summary = summarize_regular({"piqa": 0.5})
    assert summary.partial_groups == {"CSR": 0.5, "LU": None, "RC": None, "WK": None}
    assert len(summary.missing) == 13


def test_wilson_interval_is_that_of_the_tables():
    # 15 of 20: 0.5313 to 0.8881 (worked by hand from Wilson's formula, z = 1.96)
    low, high = Accuracy(15, 20).interval()
    assert (round(low, 4), round(high, 4)) == (0.5313, 0.8881)
    assert Accuracy(0, 10).interval()[0] == 0.0
    assert Accuracy(10, 10).interval()[1] == pytest.approx(1.0)
    assert Accuracy(0, 0).value is None
    assert Accuracy(0, 0).interval() is None
