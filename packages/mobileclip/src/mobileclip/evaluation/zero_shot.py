"""Zero-shot classification of a dataset: metrics with intervals, and the row of a result file."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float64, Int64
from numpy import ndarray
from toolkit_shared.artifacts import fingerprint
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.zero_shot import (
    Interval,
    ResultRow,
    bootstrap_interval,
    classifier_weights,
    per_class_recall,
    predicted_classes,
    true_class_ranks,
)

from mobileclip.evaluation.datacomp_tasks import Task
from mobileclip.evaluation.datasets import LabelledImages, read_templates
from mobileclip.evaluation.features import Encoders, StoredImage, encode_images, encode_texts
from mobileclip.evaluation.reports import evaluation_row
from mobileclip.evaluation.task_metrics import (
    Metrics,
    classification_metrics,
    macro_f1,
    with_main_metric,
    worst_group_metrics,
)

PHOTO = ("a photo of a {}.",)
PROMPTS_AT_ONCE = 8192
"""Prompts that are sorted by length together, where the text encoder is causal."""


@dataclass(frozen=True)
class ZeroShotResult:
    """What was measured on one dataset.

    Attributes:
        metrics: acc1, acc5, mean_per_class_recall, what the task adds, and main_metric; 0..1.
        intervals: 95 % bootstrap interval over the images, of acc1 and acc5.
        class_recalls: Share right of each class, NaN for a class without images.
        class_counts: Images of each class.
        num_images: Images that were classified.
        losses: What was left out, and why.
    """

    metrics: Metrics
    intervals: dict[str, Interval]
    class_recalls: Float64[ndarray, " classes"]
    class_counts: Int64[ndarray, " classes"]
    num_images: int
    losses: Losses


def choose_templates(name: str, dataset: LabelledImages) -> tuple[str, ...]:
    """The prompts to use.

    Args:
        name: "auto" (the dataset's own, else one photo), "photo" ("a photo of a {}."), "imagenet" (OpenAI's
            80, from open_clip), or a file with one a line.
        dataset: What is to be classified.

    Raises:
        InputError: no such file, or it holds no templates.
    """
    if name == "auto":
        return dataset.templates or PHOTO
    if name == "photo":
        return PHOTO
    if name == "imagenet":
        from open_clip import OPENAI_IMAGENET_TEMPLATES  # importing open_clip takes seconds

        return tuple(template("{}") for template in OPENAI_IMAGENET_TEMPLATES)
    if not Path(name).exists():
        raise InputError(f"--templates {name}: is no file, nor auto, photo or imagenet; give one of these")
    return read_templates(Path(name))


def evaluate_zero_shot(
    encoders: Encoders,
    dataset: LabelledImages,
    templates: Sequence[str],
    *,
    task: Task | None = None,
    batch_size: int = 64,
    workers: int = 1,
    strict: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> ZeroShotResult:
    """Classify every image by the prompts of the classes.

    Args:
        encoders: The model.
        dataset: Images with labels.
        templates: Prompts with a `{}` or `{c}` for the name of the class.
        task: The DataComp task that the dataset is; it decides main_metric, and adds groups or F1.
        batch_size: Images, and prompts, given to the model at once.
        workers: Threads that decode images; changes nothing in the answer.
        strict: Raise at the first record that cannot be used, instead of counting it.
        seed: Of the bootstrap.
        progress: Told the number of images done.

    Raises:
        InputError: no image can be used, or the task needs groups that the dataset does not have.
    """
    losses = Losses(strict=strict)
    weights = classifier_weights(
        lambda prompts: encode_texts(encoders, prompts, batch_size=batch_size),
        dataset.classnames,
        templates,
        batch_size=PROMPTS_AT_ONCE,
    )
    kept, features = encode_images(
        encoders,
        _stored(dataset, losses),
        losses=losses,
        batch_size=batch_size,
        workers=workers,
        progress=progress,
    )
    if not kept:
        raise InputError(f"{dataset.path}: no image can be used: {losses.to_text()}; check the data")
    labels = np.array([label for label, _ in kept], np.int64)
    num_classes = len(dataset.classnames)
    ranks = true_class_ranks(features, weights, labels)
    metrics = classification_metrics(ranks, labels, num_classes)
    if task is not None and task.main_metric == "F1-macro_all":
        metrics[task.main_metric] = macro_f1(predicted_classes(features, weights), labels)
    if task is not None and task.worst_group is not None:
        groups = _groups(dataset, task, [group for _, group in kept])
        metrics |= worst_group_metrics(ranks, groups, task.worst_group, task.main_metric)
    intervals = {"acc1": bootstrap_interval(ranks < 1, seed=seed)}
    if num_classes >= 5:
        intervals["acc5"] = bootstrap_interval(ranks < 5, seed=seed)
    return ZeroShotResult(
        with_main_metric(metrics, task, "acc1"),
        intervals,
        per_class_recall(ranks, labels, num_classes),
        np.bincount(labels, minlength=num_classes),
        len(kept),
        losses,
    )


def _groups(dataset: LabelledImages, task: Task, groups: Sequence[int | None]) -> Int64[ndarray, " images"]:
    assert task.worst_group is not None
    known = [group for group in groups if group is not None]
    name, size = task.worst_group.name, task.worst_group.num_groups
    if len(known) < len(groups):
        raise InputError(
            f"{dataset.path}: {task.key} needs the {name} of every image, from the .npy of its shards or a "
            "column 'group'; add it, or give another --key"
        )
    if min(known) < 0 or max(known) >= size:
        raise InputError(
            f"{dataset.path}: holds a {name} that is not in 0..{size - 1}; mend it, or give another --key"
        )
    return np.array(known, np.int64)


def zero_shot_fingerprint(encoders: Encoders, dataset: LabelledImages, templates: Sequence[str]) -> str:
    """A mark of all that a result depends on: weights, images, class names and prompts."""
    return fingerprint([encoders.fingerprint, dataset.fingerprint, list(dataset.classnames), list(templates)])


def zero_shot_row(
    result: ZeroShotResult, encoders: Encoders, key: str, mark: str, templates: Sequence[str]
) -> ResultRow:
    """The line of a result file, in CLIP_benchmark's form."""
    return evaluation_row(
        encoders,
        key,
        mark,
        task="zeroshot_classification",
        metrics=result.metrics,
        counts={"num_images": result.num_images, "num_templates": len(templates)},
        losses=result.losses,
        intervals=result.intervals,
    )


def class_rows(result: ZeroShotResult, classnames: Sequence[str]) -> list[dict[str, Any]]:
    """Name, images and share right of each class, the worst first; None for a class without images."""
    order = sorted(
        range(len(classnames)),
        key=lambda c: (math.isnan(result.class_recalls[c]), result.class_recalls[c], c),
    )
    return [
        {
            "class": classnames[c],
            "num_images": int(result.class_counts[c]),
            "recall": None if math.isnan(result.class_recalls[c]) else float(result.class_recalls[c]),
        }
        for c in order
    ]


def _stored(dataset: LabelledImages, losses: Losses) -> Iterator[StoredImage[tuple[int, int | None]]]:
    for record in dataset.read(losses):
        yield StoredImage(record.image, record.where, (record.label, record.group))
