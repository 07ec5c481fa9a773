"""Accuracy of a zero-shot classifier, from the rank of each image's own class."""

import numpy as np
import numpy.typing as npt

from toolkit_shared.zero_shot.scores import BLOCK_ROWS, as_features, blocks, similarities

Int64Array = npt.NDArray[np.int64]


def true_class_ranks(
    image_features: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    labels: npt.NDArray[np.integer],
    *,
    block_rows: int = BLOCK_ROWS,
) -> Int64Array:
    """How many other classes score at least as high as the true one, int64 (images,); 0 is a right answer.

    A class that ties with the true one stands before it: a model that gives all classes one score has an
    accuracy of 0, not the share of the class that happens to come first.

    Args:
        image_features: Unit rows (images, width).
        weights: Unit rows of the classes (classes, width).
        labels: True class of each image, 0..classes-1.
        block_rows: Images in memory at once; changes nothing in the answer.

    Raises:
        ValueError: shapes that do not fit, a label out of range, or a value that is not finite.
    """
    images, classes = as_features(image_features, "image features"), as_features(weights, "class weights")
    truth = _checked(labels, len(images), len(classes))
    if images.shape[1] != classes.shape[1]:
        raise ValueError(f"images of width {images.shape[1]} and classes of width {classes.shape[1]}")
    ranks = np.empty(len(images), np.int64)
    for block in blocks(len(images), block_rows):
        scores = similarities(images[block], classes)
        own = np.take_along_axis(scores, truth[block, None], axis=1)
        ranks[block] = (scores >= own).sum(axis=1) - 1
    return ranks


def predicted_classes(
    image_features: npt.NDArray[np.floating],
    weights: npt.NDArray[np.floating],
    *,
    block_rows: int = BLOCK_ROWS,
) -> Int64Array:
    """The class of the highest score of each image, the first of equal ones, int64 (images,).

    Raises:
        ValueError: shapes that do not fit, or a value that is not finite.
    """
    images, classes = as_features(image_features, "image features"), as_features(weights, "class weights")
    if images.shape[1] != classes.shape[1] or not len(classes):
        raise ValueError(f"features of shape {images.shape} and class weights of shape {classes.shape}")
    found = np.empty(len(images), np.int64)
    for block in blocks(len(images), block_rows):
        found[block] = similarities(images[block], classes).argmax(axis=1)
    return found


def recalled_share(ranks: npt.NDArray[np.integer], k: int = 1) -> float:
    """Share of the ranks below `k`, 0..1: acc1 and acc5 of a classifier, recall@k of a retrieval.

    Raises:
        ValueError: no rank, or a `k` below 1.
    """
    if not len(ranks) or k < 1:
        raise ValueError(f"{len(ranks)} ranks have no share within the first {k}")
    return float((np.asarray(ranks) < k).mean())


def per_class_recall(
    ranks: npt.NDArray[np.integer], labels: npt.NDArray[np.integer], num_classes: int, k: int = 1
) -> npt.NDArray[np.float64]:
    """Share of each class's images whose rank is below `k`, float64 (classes,); NaN where there are none.

    Its mean over the classes with images (`np.nanmean`) is the mean per-class recall, also known as balanced
    accuracy.

    Raises:
        ValueError: lengths that differ, or a label out of range.
    """
    truth = _checked(labels, len(ranks), num_classes)
    counts = np.bincount(truth, minlength=num_classes)
    right = np.bincount(truth, weights=np.asarray(ranks) < k, minlength=num_classes)
    shares = np.full(num_classes, np.nan)
    seen = counts > 0
    shares[seen] = right[seen] / counts[seen]
    return shares


def _checked(labels: npt.NDArray[np.integer], number: int, num_classes: int) -> Int64Array:
    truth = np.asarray(labels, np.int64)
    if truth.shape != (number,):
        raise ValueError(f"labels of shape {truth.shape} for {number} images")
    if len(truth) and (truth.min() < 0 or truth.max() >= num_classes):
        raise ValueError(f"a label is not in 0..{num_classes - 1}")
    return truth
