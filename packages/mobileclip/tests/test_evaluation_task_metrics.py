import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileclip.evaluation.datacomp_tasks import TASKS, WorstGroup, find_task
from mobileclip.evaluation.task_metrics import (
    association_jaccard,
    association_metrics,
    classification_metrics,
    macro_f1,
    with_main_metric,
    worst_group_metrics,
)


def test_accuracy_and_mean_per_class_recall_differ_where_classes_have_different_sizes() -> None:
    # given 3 of 4 right in class 0, 0 of 1 in class 1, and no image of the four other classes
    ranks, labels = np.array([0, 0, 0, 4, 5]), np.array([0, 0, 0, 0, 1])

    assert classification_metrics(ranks, labels, 6) == {
        "acc1": 0.6,
        "acc5": 0.8,
        "mean_per_class_recall": 0.375,
    }


def test_there_is_no_top_five_of_four_classes() -> None:
    found = classification_metrics(np.array([0, 3]), np.array([0, 1]), 4)

    assert found["acc5"] is None


def test_macro_f1_is_over_the_classes_that_occur() -> None:
    # given class 0 with 2 right of 3 predicted and 3 true, class 1 with none right, class 2 only predicted
    predictions, labels = np.array([0, 0, 0, 2]), np.array([0, 0, 1, 0])

    assert macro_f1(predictions, labels) == pytest.approx((4 / 6 + 0) / 2)


@settings(max_examples=25)
@given(st.integers(1, 60), st.integers(1, 5), st.integers(0, 1000))
def test_macro_f1_is_that_of_precision_and_recall(number: int, classes: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    predictions, labels = generator.integers(0, classes, (2, number))

    expected = []
    for label in sorted(set(labels.tolist())):
        right = sum(p == t == label for p, t in zip(predictions, labels, strict=True))
        precision = right / max(sum(predictions == label), 1)
        recall = right / sum(labels == label)
        expected.append(2 * precision * recall / (precision + recall) if right else 0.0)
    assert macro_f1(predictions, labels) == pytest.approx(sum(expected) / len(expected))


def test_the_worst_group_is_over_groups_with_images() -> None:
    rule = WorstGroup("region", "acc", 1, 4)
    ranks, groups = np.array([0, 0, 1, 0, 7]), np.array([0, 0, 0, 2, 2])

    assert worst_group_metrics(ranks, groups, rule, "acc_wg") == {
        "acc_avg": 0.6,
        "acc_region:0": pytest.approx(2 / 3),
        "count_region:0": 3.0,
        "acc_region:1": None,
        "count_region:1": 0.0,
        "acc_region:2": 0.5,
        "count_region:2": 2.0,
        "acc_region:3": None,
        "count_region:3": 0.0,
        "acc_wg": 0.5,
    }


@pytest.mark.parametrize(
    ("key", "worst", "names"),
    [
        ("wilds/fmow", "acc_worst_region", "acc_region:5"),
        ("fairness/dollar_street", "acc_top5_wg", "acc_top5_income_ds:3"),
        ("fairness/geode", "acc_wg", "acc_region:5"),
    ],
)
def test_groups_have_the_names_of_the_official_files(key: str, worst: str, names: str) -> None:
    # given the second image right among the first five only
    task = find_task(key)
    assert task is not None
    assert task.worst_group is not None
    found = worst_group_metrics(np.array([0, 4]), np.array([0, 1]), task.worst_group, task.main_metric)

    assert names in found
    assert found[worst] == (1.0 if key == "fairness/dollar_street" else 0.0)
    assert with_main_metric(found, task, "acc1")["main_metric"] == found[worst]


def test_a_group_out_of_range_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a region is not in 0\.\.3"):
        worst_group_metrics(np.array([0]), np.array([4]), WorstGroup("region", "acc", 1, 4), "acc_wg")


def test_the_jaccard_index_of_associations() -> None:
    truth = np.array([True, True, False, False, False])

    assert association_jaccard(np.array([0.9, 0.8, 0.1, 0.1, 0.1]), truth) == 1.0
    # one of two: 1 in both, 3 in either
    assert association_jaccard(np.array([0.9, 0.1, 0.8, 0.1, 0.1]), truth) == pytest.approx(1 / 3)
    assert association_jaccard(np.array([0.1, 0.1, 0.8, 0.9, 0.1]), truth) == 0.0
    assert association_jaccard(np.full(5, 0.5), truth) == 0.0  # a tie counts against


@settings(max_examples=25)
@given(st.integers(2, 12), st.integers(0, 1000))
def test_the_jaccard_index_is_that_of_sets(number: int, seed: int) -> None:
    generator = np.random.default_rng(seed)
    scores, truth = (
        generator.normal(size=number),
        generator.permutation(number) < generator.integers(1, number),
    )

    chosen = set(np.argsort(scores)[-truth.sum() :].tolist())
    wanted = set(np.flatnonzero(truth).tolist())
    assert association_jaccard(scores, truth) == pytest.approx(len(chosen & wanted) / len(chosen | wanted))


def test_the_score_of_associations_is_over_many_candidates() -> None:
    found = association_metrics([1.0, 0.0, 0.5, 0.25], [5, 6, 10, 12])

    assert found["avg_jaccard_score"] == 0.4375
    assert found["jaccard_score_5-6"] == 0.5
    assert found["jaccard_score_10-12"] == 0.375
    assert with_main_metric(found, find_task("misc/winogavil"), "acc1")["main_metric"] == 0.375
    assert association_metrics([1.0], [5])["jaccard_score_10-12"] is None


def test_the_metric_of_each_task_is_that_of_the_spec() -> None:
    special = {task.dataset: task.main_metric for task in TASKS if task.main_metric != "acc1"}

    assert special == {
        "Caltech-101": "mean_per_class_recall",
        "FGVC Aircraft": "mean_per_class_recall",
        "Oxford Flowers-102": "mean_per_class_recall",
        "Oxford-IIIT Pet": "mean_per_class_recall",
        "Flickr": "mean_recall@1",
        "MSCOCO": "mean_recall@1",
        "WinoGAViL": "jaccard_score_10-12",
        "iWildCam": "F1-macro_all",
        "FMoW": "acc_worst_region",
        "Dollar Street": "acc_top5_wg",
        "GeoDE": "acc_wg",
    }
