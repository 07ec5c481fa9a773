"""Bootstrap intervals of a share over images."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from toolkit_shared.randomness import stream


class Interval(NamedTuple):
    """Lower and upper end."""

    low: float
    high: float


def bootstrap_interval(
    right: npt.NDArray[np.floating] | npt.NDArray[np.bool_] | npt.NDArray[np.integer],
    asked: npt.NDArray[np.floating] | npt.NDArray[np.integer] | None = None,
    *,
    confidence: float = 0.95,
    draws: int = 2000,
    seed: int = 0,
) -> Interval:
    """Percentile interval of sum(right) / sum(asked) when images are drawn anew with replacement.

    An image that asks several questions (one a caption) is drawn with all of them. Images with the same
    `right` and `asked` are exchangeable, so how often each kind is drawn is one multinomial draw: the cost
    does not grow with the number of images.

    Args:
        right: Right answers of each image, (images,).
        asked: Questions of each image; None: one.
        confidence: Coverage, between 0 and 1.
        draws: Resamples.
        seed: Of the resamples.

    Raises:
        ValueError: no images, lengths that differ, or a `confidence` that is not between 0 and 1.

    Source: Efron 1979, the percentile bootstrap over clusters.
    """
    answers = np.asarray(right, np.float64)
    questions = np.ones_like(answers) if asked is None else np.asarray(asked, np.float64)
    if answers.ndim != 1 or answers.shape != questions.shape or not len(answers):
        raise ValueError(f"{answers.shape} right answers to {questions.shape} questions")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence is {confidence}; it lies between 0 and 1")
    kinds, counts = np.unique(np.stack([answers, questions], axis=1), axis=0, return_counts=True)
    total = len(answers)
    drawn = stream(seed, "zero-shot/bootstrap").multinomial(total, counts / total, size=draws)
    sums = drawn @ kinds
    shares = sums[:, 0] / np.maximum(sums[:, 1], 1)
    low, high = np.quantile(shares, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Interval(float(low), float(high))
