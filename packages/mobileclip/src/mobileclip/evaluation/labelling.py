"""Labels for images by a prompted classifier."""

import csv
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import BadPair, PairSource
from toolkit_shared.zero_shot import classifier_weights

from mobileclip.evaluation.datasets import read_templates
from mobileclip.evaluation.embedding import read_texts
from mobileclip.evaluation.features import Encoders, StoredImage, encode_images, encode_texts
from mobileclip.evaluation.zero_shot import PHOTO


@dataclass(frozen=True)
class LabelledImage:
    """An image with its best labels.

    Attributes:
        key: of the image.
        path: where it comes from.
        labels: (label, probability), the best first.
    """

    key: str
    path: str
    labels: tuple[tuple[str, float], ...]


def classify_images(
    encoders: Encoders,
    source: PairSource,
    labels: Sequence[str],
    *,
    templates: Sequence[str] = PHOTO,
    top: int = 5,
    batch_size: int = 64,
    workers: int = 1,
    losses: Losses,
) -> list[LabelledImage]:
    """The `top` labels of each image that can be decoded.

    Probabilities are the softmax of the model's scaled cosines over all labels: they sum to 1 whether or not
    any label fits.

    Raises:
        InputError: a label is there twice, there are fewer than two, or none of the images can be used.

    Source: Radford et al. 2021, section 3.1.
    """
    _require_choice(labels)
    weights = classifier_weights(
        lambda texts: encode_texts(encoders, texts, batch_size=batch_size),
        labels,
        templates,
        batch_size=16 * batch_size,  # many at once: those of about one length are then encoded together
    )
    kept, features = encode_images(
        encoders, _images(source, losses), losses=losses, batch_size=batch_size, workers=workers
    )
    if not kept:
        first = f"; the first is {losses.examples[0]['place']}" if losses.examples else ""
        raise InputError(f"none of {len(source):,} images could be used: {losses.to_text()}{first}")
    scale = float(encoders.model.logit_scale.exp())
    scores = scale * features.astype(np.float64) @ weights.T.astype(np.float64)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    best = np.argsort(-probabilities, axis=1, kind="stable")[:, :top]
    return [
        LabelledImage(key, path, tuple((labels[label], float(row[label])) for label in order))
        for (key, path), row, order in zip(kept, probabilities, best, strict=True)
    ]


def read_labels(text: str | None, path: Path | None) -> list[str]:
    """The labels in `text`, separated by commas and perhaps in quotes, or the lines of a file.

    Raises:
        InputError: none or both are given, the file cannot be read, a label is there twice, or there are
            fewer than two.
    """
    if (text is None) == (path is None):
        raise InputError("give --labels as cat,dog or a --labels-file with one a line, and not both")
    if path is not None:
        values = read_texts(path)
    else:
        values = next(csv.reader([text or ""], skipinitialspace=True), [])
    labels = [value.strip() for value in values if value.strip()]
    _require_choice(labels)
    return labels


def named_templates(name: str) -> tuple[str, ...]:
    """Prompts by the name "photo" or "imagenet" (OpenAI's 80, from open_clip), or from a file.

    Raises:
        InputError: no such name and no such file, or a line of the file has no place for the label.
    """
    if name == "photo":
        return PHOTO
    if name == "imagenet":
        from open_clip import OPENAI_IMAGENET_TEMPLATES  # importing open_clip takes seconds

        return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    if not Path(name).exists():
        raise InputError(f"--templates {name}: is no file, nor photo or imagenet; give one of these")
    return read_templates(Path(name))


def _require_choice(labels: Sequence[str]) -> None:
    twice = next((label for label, count in Counter(labels).items() if count > 1), None)
    if twice is not None:
        raise InputError(f"--labels: '{twice}' is there twice; give each label once")
    if len(labels) < 2:
        raise InputError(f"--labels: {len(labels)} given; a choice needs two or more")


def _images(source: PairSource, losses: Losses) -> Iterator[StoredImage[tuple[str, str]]]:
    for number in range(len(source)):
        try:
            pair = source[number]
        except BadPair as error:
            losses.lose_error(error)
            continue
        yield StoredImage(pair.image, pair.where, (pair.key, pair.where))
