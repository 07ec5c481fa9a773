"""The metrics of DataComp's 38 tasks as pure functions of ranks, predictions and scores."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from toolkit_shared.zero_shot import per_class_recall, recalled_share

from mobileclip.evaluation.datacomp_tasks import Task, WorstGroup

Metrics = dict[str, float | None]
Ints = npt.NDArray[np.int64]

SHORT_CANDIDATES, LONG_CANDIDATES = 6, 10
"""WinoGAViL: instances of 5 or 6 candidates, and those of 10 or 12; the latter are the score."""


def classification_metrics(ranks: Ints, labels: Ints, num_classes: int) -> Metrics:
    """`acc1`, `acc5` (None below five classes) and `mean_per_class_recall` over the classes with images.

    Source: DataComp, wds_eval.py; the recall is scikit-learn's balanced_accuracy_score.
    """
    recalls = per_class_recall(ranks, labels, num_classes)
    return {
        "acc1": recalled_share(ranks),
        "acc5": recalled_share(ranks, 5) if num_classes >= 5 else None,
        "mean_per_class_recall": float(np.nanmean(recalls)),
    }


def macro_f1(predictions: Ints, labels: Ints) -> float:
    """Mean over the classes that occur among `labels` of their F1, 0..1.

    A class that is only predicted has no F1 of its own, but takes precision from none and recall from the
    classes whose images it was given to.

    Source: WILDS, F1(average="macro"), over the unique true labels.
    """
    shares = []
    for label in np.unique(labels):
        right = int(((predictions == label) & (labels == label)).sum())
        shares.append(2 * right / int((predictions == label).sum() + (labels == label).sum()))
    return float(np.mean(shares))


def worst_group_metrics(ranks: Ints, groups: Ints, rule: WorstGroup, worst_name: str) -> Metrics:
    """Share right and number of images of every group, and the worst share under `worst_name`.

    A group without images has the share None and does not compete.

    Raises:
        ValueError: a group out of range, or no image.

    Source: DataComp, wilds_eval.py and fairness_eval.py.
    """
    if len(groups) and not (0 <= groups.min() and groups.max() < rule.num_groups):
        raise ValueError(f"a {rule.name} is not in 0..{rule.num_groups - 1}")
    right = np.asarray(ranks) < rule.k
    found: Metrics = {f"{rule.metric}_avg": float(right.mean()) if len(right) else None}
    shares = []
    for group in range(rule.num_groups):
        members = right[groups == group]
        share = float(members.mean()) if len(members) else None
        found[f"{rule.metric}_{rule.name}:{group}"] = share
        found[f"count_{rule.name}:{group}"] = float(len(members))
        if share is not None:
            shares.append(share)
    if not shares:
        raise ValueError(f"no image, so there is no worst {rule.name}")
    found[worst_name] = min(shares)
    return found


def association_jaccard(scores: npt.NDArray[np.floating], associated: npt.NDArray[np.bool_]) -> float:
    """Jaccard index of the associated candidates and as many of the highest scores, 0..1.

    An associated candidate that ties with another stands behind it.

    Raises:
        ValueError: lengths that differ, or no associated candidate.

    Source: WinoGAViL (Bitton et al. 2022); DataComp, wino_eval.py.
    """
    values, truth = np.asarray(scores), np.asarray(associated, bool)
    number = int(truth.sum())
    if values.shape != truth.shape or values.ndim != 1 or not number:
        raise ValueError(f"{values.shape} scores, and {number} associated of {truth.shape} candidates")
    chosen = np.lexsort((truth, -values))[:number]
    hits = int(truth[chosen].sum())
    return hits / (2 * number - hits)


def association_metrics(jaccards: Sequence[float], num_candidates: Sequence[int]) -> Metrics:
    """Mean Jaccard index over all instances, by number of candidates, and over few (5-6) and many (10-12).

    None for a number of candidates that no instance has.

    Source: DataComp, wino_eval.py.
    """
    values, sizes = np.asarray(jaccards, np.float64), np.asarray(num_candidates)

    def mean(chosen: npt.NDArray[np.bool_]) -> float | None:
        return float(values[chosen].mean()) if chosen.any() else None

    found: Metrics = {"avg_jaccard_score": mean(sizes > 0)}
    for size in (5, 6, 10, 12):
        found[f"jaccard_score_{size}"] = mean(sizes == size)
    found["jaccard_score_5-6"] = mean(sizes <= SHORT_CANDIDATES)
    found["jaccard_score_10-12"] = mean(sizes >= LONG_CANDIDATES)
    return found


def with_main_metric(metrics: Metrics, task: Task | None, default: str) -> Metrics:
    """The metrics with `main_metric`, that of the task, or else the default one.

    Raises:
        KeyError: the metric is not among them.
    """
    return {**metrics, "main_metric": metrics[task.main_metric if task is not None else default]}
