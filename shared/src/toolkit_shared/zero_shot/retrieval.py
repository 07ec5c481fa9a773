"""Recall of image-text retrieval, with any number of captions an image."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit_shared.zero_shot.classification import recalled_share
from toolkit_shared.zero_shot.scores import (
    BLOCK_COLUMNS,
    BLOCK_ROWS,
    as_features,
    blocks,
    paired_similarities,
    similarities,
)

Int64Array = npt.NDArray[np.int64]


class RetrievalRanks(NamedTuple):
    """Where the right answers stand in both directions; 0 is the first place.

    Attributes:
        image_of_text: for each text as a query, its own image among all images, (texts,).
        text_of_image: for each image as a query, the best of its own texts among all texts, (images,); -1 for
            an image without a text, which is searched through but is no query.
    """

    image_of_text: Int64Array
    text_of_image: Int64Array


def retrieval_ranks(
    image_features: npt.NDArray[np.floating],
    text_features: npt.NDArray[np.floating],
    image_of_text: npt.NDArray[np.integer],
    *,
    block_rows: int = BLOCK_ROWS,
    block_columns: int = BLOCK_COLUMNS,
) -> RetrievalRanks:
    """The rank of every query's right answer, exact, a block of the score matrix at a time.

    A wrong answer that ties with the right one stands before it. An image's texts compete with the texts of
    other images only: the rank of the best is what decides whether any of them is among the first k.

    Args:
        image_features: Unit rows (images, width).
        text_features: Unit rows (texts, width).
        image_of_text: Index of the image that each text describes, (texts,).
        block_rows: Images in memory at once; changes nothing in the answer.
        block_columns: Texts in memory at once; changes nothing in the answer.

    Raises:
        ValueError: shapes that do not fit, an index out of range, no text, or a value that is not finite.
    """
    images, texts = as_features(image_features, "image features"), as_features(text_features, "text features")
    owner = np.asarray(image_of_text, np.int64)
    if owner.shape != (len(texts),) or not len(texts):
        raise ValueError(f"{owner.shape} indices of images for {len(texts)} texts")
    if images.shape[1] != texts.shape[1]:
        raise ValueError(f"images of width {images.shape[1]} and texts of width {texts.shape[1]}")
    if owner.min() < 0 or owner.max() >= len(images):
        raise ValueError(f"an index of an image is not in 0..{len(images) - 1}")
    own = np.empty(len(texts), np.float32)
    for block in blocks(len(texts), block_columns):
        own[block] = paired_similarities(images[owner[block]], texts[block])
    best = np.full(len(images), -np.inf, np.float32)
    np.maximum.at(best, owner, own)
    of_text, of_image = np.zeros(len(texts), np.int64), np.zeros(len(images), np.int64)
    for rows in blocks(len(images), block_rows):
        for columns in blocks(len(texts), block_columns):
            scores = similarities(images[rows], texts[columns])
            mine = np.flatnonzero((owner[columns] >= rows.start) & (owner[columns] < rows.stop))
            scores[owner[columns][mine] - rows.start, mine] = -np.inf
            of_text[columns] += (scores >= own[columns]).sum(axis=0)
            of_image[rows] += (scores >= best[rows, None]).sum(axis=1)
    of_image[np.isneginf(best)] = -1
    return RetrievalRanks(of_text, of_image)


def recall_at_k(ranks: npt.NDArray[np.integer], k: int) -> float:
    """Share of the queries whose right answer is among the first `k`, 0..1; ranks of -1 are no queries.

    For a query with several right answers: any one of them counts.

    Raises:
        ValueError: no query, or a `k` below 1.
    """
    return recalled_share(np.asarray(ranks)[np.asarray(ranks) >= 0], k)


def retrieval_metrics(ranks: RetrievalRanks, ks: Sequence[int] = (1, 5, 10)) -> dict[str, float]:
    """Recalls under CLIP_benchmark's names, and `mean_recall@1` of the two directions.

    `image_retrieval_recall@k` finds images by text, `text_retrieval_recall@k` texts by image.

    Source: CLIP_benchmark, zeroshot_retrieval.py; DataComp, retr_eval.py.
    """
    found: dict[str, float] = {}
    for k in ks:
        found[f"image_retrieval_recall@{k}"] = recall_at_k(ranks.image_of_text, k)
        found[f"text_retrieval_recall@{k}"] = recall_at_k(ranks.text_of_image, k)
    if 1 in ks:
        both = (found["image_retrieval_recall@1"], found["text_retrieval_recall@1"])
        found["mean_recall@1"] = sum(both) / 2
    return found
