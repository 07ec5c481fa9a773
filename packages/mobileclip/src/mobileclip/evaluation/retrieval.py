"""Retrieval of images by captions and of captions by images: recalls with intervals."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import fingerprint
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import BadPair, PairSource
from toolkit_shared.zero_shot import (
    Interval,
    ResultRow,
    RetrievalRanks,
    bootstrap_interval,
    retrieval_metrics,
    retrieval_ranks,
)

from mobileclip.evaluation.features import Encoders, StoredImage, encode_images, encode_texts
from mobileclip.evaluation.reports import evaluation_row
from mobileclip.evaluation.task_metrics import Metrics

KS = (1, 5, 10)


@dataclass(frozen=True)
class RetrievalResult:
    """What was measured on a set of pairs.

    Attributes:
        metrics: Recalls at 1, 5 and 10 by CLIP_benchmark's names, their mean at 1, and main_metric; 0..1.
        intervals: 95 % bootstrap interval of each recall; an image is drawn with all its captions. The rest
            of the gallery stays as it is.
        num_images: Images that were searched.
        num_captions: Captions that were searched.
        losses: What was left out, and why.
    """

    metrics: Metrics
    intervals: dict[str, Interval]
    num_images: int
    num_captions: int
    losses: Losses


def evaluate_retrieval(
    encoders: Encoders,
    pairs: PairSource,
    *,
    losses: Losses,
    batch_size: int = 64,
    workers: int = 1,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> RetrievalResult:
    """Search the images by every caption, and the captions by every image.

    Args:
        encoders: The model.
        pairs: Images with one caption or several.
        losses: Counts what cannot be used.
        batch_size: Images, and captions, given to the model at once.
        workers: Threads that decode images; changes nothing in the answer.
        seed: Of the bootstrap.
        progress: Told the number of images done.

    Raises:
        InputError: no pair can be used.
    """
    kept, image_features = encode_images(
        encoders,
        _stored(pairs, losses),
        losses=losses,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    captions = [caption for texts in kept for caption in texts]
    if not captions:
        first = f"; the first is {losses.examples[0]['place']}" if losses.examples else ""
        raise InputError(f"pairs: none can be used: {losses.to_text()}{first}; check the data")
    owner = np.repeat(np.arange(len(kept)), [len(texts) for texts in kept])
    text_features = encode_texts(encoders, captions, batch_size=batch_size)
    ranks = retrieval_ranks(image_features, text_features, owner)
    metrics: Metrics = {**retrieval_metrics(ranks, KS)}
    metrics["main_metric"] = metrics["mean_recall@1"]
    return RetrievalResult(
        metrics, retrieval_intervals(ranks, owner, seed=seed), len(kept), len(captions), losses
    )


def retrieval_intervals(
    ranks: RetrievalRanks, image_of_text: npt.NDArray[np.integer], *, seed: int = 0
) -> dict[str, Interval]:
    """95 % bootstrap intervals of the recalls over images, each drawn with all its captions."""
    number = len(ranks.text_of_image)
    asked = np.bincount(image_of_text, minlength=number)
    found = {}
    for k in KS:
        right = np.bincount(image_of_text, weights=ranks.image_of_text < k, minlength=number)
        found[f"image_retrieval_recall@{k}"] = bootstrap_interval(right, asked, seed=seed)
        queries = ranks.text_of_image[asked > 0]
        found[f"text_retrieval_recall@{k}"] = bootstrap_interval(queries < k, seed=seed)
    return found


def retrieval_fingerprint(encoders: Encoders, pairs: PairSource, fields: Sequence[str | None]) -> str:
    """A mark of all that a result depends on: weights, pairs, and the fields that were read."""
    return fingerprint([encoders.fingerprint, pairs.fingerprint, list(fields)])


def retrieval_row(result: RetrievalResult, encoders: Encoders, key: str, mark: str) -> ResultRow:
    """The line of a result file, in CLIP_benchmark's form."""
    return evaluation_row(
        encoders,
        key,
        mark,
        task="zeroshot_retrieval",
        metrics=result.metrics,
        counts={"num_images": result.num_images, "num_captions": result.num_captions},
        losses=result.losses,
        intervals=result.intervals,
    )


def _stored(pairs: PairSource, losses: Losses) -> Iterator[StoredImage[tuple[str, ...]]]:
    for index in range(len(pairs)):
        try:
            pair = pairs[index]
        except BadPair as error:
            losses.lose_error(error)
            continue
        yield StoredImage(pair.image, pair.where, pair.captions)
