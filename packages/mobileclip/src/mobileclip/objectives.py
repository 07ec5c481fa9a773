"""The losses of multi-modal reinforced training, as pure functions of gathered features.

All features are rows of unit length, those of each teacher by itself. `offset` and `num_rows` name the rows
of this process among them (see `toolkit_shared.contrastive`).
"""

from collections.abc import Sequence
from typing import Literal, NamedTuple

import torch
from jaxtyping import Float
from toolkit_shared.contrastive import clip_loss, similarity_logits
from torch import Tensor
from torch.nn import functional as F

__all__ = [
    "ReinforcedLoss",
    "clip_loss",
    "distillation_loss",
    "reinforced_loss",
    "sigmoid_losses",
    "split_teachers",
    "teacher_entropy",
    "teacher_targets",
]

Scale = float | Float[Tensor, ""]
Distillation = Literal["softmax", "sigmoid"]


class ReinforcedLoss(NamedTuple):
    """The loss of a batch and its parts, each summed over the two caption streams.

    Attributes:
        loss: (1 - lambda) contrastive + lambda distillation; the only part with a gradient.
        contrastive: CLIP's loss against the pairs.
        distillation: Cross-entropy of the student under the teachers; 0 without teachers.
        divergence: The same less the teachers' entropy, which is the KL divergence of the paper; 0 when the
            student is the mean of its teachers. Not defined for the sigmoid loss, where it is NaN.
    """

    loss: Float[Tensor, ""]
    contrastive: Float[Tensor, ""]
    distillation: Float[Tensor, ""]
    divergence: Float[Tensor, ""]


def split_teachers(
    embeddings: Float[Tensor, "batch total"], widths: Sequence[int]
) -> tuple[Float[Tensor, "batch width"], ...]:
    """The embeddings of each teacher from their concatenation, in order.

    Raises:
        ValueError: the widths do not sum to that of `embeddings`.
    """
    if sum(widths) != embeddings.shape[-1]:
        raise ValueError(f"widths {tuple(widths)} do not sum to {embeddings.shape[-1]}")
    return torch.split(embeddings, list(widths), dim=-1)


def teacher_targets(
    teacher_images: Sequence[Float[Tensor, "batch _"]],
    teacher_texts: Sequence[Float[Tensor, "batch _"]],
    teacher_scales: Sequence[Scale],
    *,
    offset: int = 0,
    num_rows: int | None = None,
) -> tuple[Float[Tensor, "rows batch"], Float[Tensor, "rows batch"]]:
    """What the teachers hold of each own image among all texts, and of each own text among all images.

    Each teacher's softmax is taken with its own scale, and the probabilities are averaged, not the logits;
    the second matrix has a softmax of its own and is not the transpose of the first. Without gradient.

    Args:
        teacher_images: Of each teacher, rows of unit length.
        teacher_texts: Likewise, of the same captions as the student's.
        teacher_scales: Inverse temperature of each teacher.
        offset: Where the own rows begin.
        num_rows: How many they are; unset: all from `offset` on.

    Raises:
        ValueError: there is no teacher, or not as many of each argument.

    Source: arXiv 2311.17049, section 3.2; `get_logits_ensemble` of the official patch of open_clip.
    """
    if not teacher_images or not len(teacher_images) == len(teacher_texts) == len(teacher_scales):
        counts = len(teacher_images), len(teacher_texts), len(teacher_scales)
        raise ValueError(f"teachers: {counts} images, texts and scales; give as many of each, at least one")
    with torch.no_grad():
        parts = [
            similarity_logits(images, texts, scale, offset=offset, num_rows=num_rows)
            for images, texts, scale in zip(teacher_images, teacher_texts, teacher_scales, strict=True)
        ]
        per_image = torch.stack([image.softmax(dim=1) for image, _ in parts]).mean(dim=0)
        per_text = torch.stack([text.softmax(dim=1) for _, text in parts]).mean(dim=0)
    return per_image, per_text


def distillation_loss(
    student_image: Float[Tensor, "batch width"],
    student_text: Float[Tensor, "batch width"],
    student_scale: Scale,
    teacher_images: Sequence[Float[Tensor, "batch _"]],
    teacher_texts: Sequence[Float[Tensor, "batch _"]],
    teacher_scales: Sequence[Scale],
    *,
    offset: int = 0,
    num_rows: int | None = None,
) -> Float[Tensor, ""]:
    """Mean cross-entropy of the student's two softmaxes under the mean of the teachers', in nats.

    It is no divergence: with a student that equals its teachers it is `teacher_entropy`, not 0. The gradient
    is that of the mean of the teachers' KL divergences.

    Source: arXiv 2311.17049, equation 3.
    """
    log_per_image, log_per_text = _log_softmaxes(student_image, student_text, student_scale, offset, num_rows)
    targets = teacher_targets(teacher_images, teacher_texts, teacher_scales, offset=offset, num_rows=num_rows)
    return (_cross_entropy(targets[0], log_per_image) + _cross_entropy(targets[1], log_per_text)) / 2


def teacher_entropy(
    per_image: Float[Tensor, "rows batch"], per_text: Float[Tensor, "rows batch"]
) -> Float[Tensor, ""]:
    """Mean entropy of the targets of `teacher_targets`, in nats: what no student can go below."""
    entropies: list[Tensor] = [torch.special.entr(targets).sum(1).mean() for targets in (per_image, per_text)]
    return (entropies[0] + entropies[1]) / 2


def sigmoid_losses(
    student_image: Float[Tensor, "batch width"],
    student_text: Float[Tensor, "batch width"],
    student_scale: Scale,
    student_bias: Scale,
    teacher_images: Sequence[Float[Tensor, "batch _"]] = (),
    teacher_texts: Sequence[Float[Tensor, "batch _"]] = (),
    teacher_scales: Sequence[Scale] = (),
    teacher_biases: Sequence[Scale] = (),
    *,
    offset: int = 0,
    num_rows: int | None = None,
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """The pairwise sigmoid loss against the pairs, and against the teachers (0 without any).

    The label of an image and a text is 1 or -1 for the first, and 2 mean(sigmoid) - 1 over the teachers for
    the second, as the official code has it: such a label shrinks the logit and does not mix two targets.

    Source: arXiv 2303.15343; `DistillSigLipLoss` of the official second patch of open_clip.
    """
    logits, _ = similarity_logits(
        student_image, student_text, student_scale, offset=offset, num_rows=num_rows
    )
    logits = logits + student_bias
    labels = torch.full_like(logits, -1.0)
    labels.diagonal(offset).fill_(1.0)
    contrastive = -F.logsigmoid(labels * logits).sum(1).mean()
    if not teacher_images:
        return contrastive, torch.zeros_like(contrastive)
    with torch.no_grad():
        held = [
            torch.sigmoid(similarity_logits(images, texts, scale, offset=offset, num_rows=num_rows)[0] + bias)
            for images, texts, scale, bias in zip(
                teacher_images, teacher_texts, teacher_scales, teacher_biases, strict=True
            )
        ]
        soft_labels = 2 * torch.stack(held).mean(dim=0) - 1
    return contrastive, -F.logsigmoid(soft_labels * logits).sum(1).mean()


def reinforced_loss(
    image_features: Float[Tensor, "batch width"],
    text_features: Sequence[Float[Tensor, "batch width"]],
    logit_scale: Scale,
    teacher_images: Sequence[Float[Tensor, "batch _"]] = (),
    teacher_texts: Sequence[Sequence[Float[Tensor, "batch _"]]] = (),
    teacher_scales: Sequence[Scale] = (),
    *,
    distillation_weight: float = 1.0,
    distillation: Distillation = "softmax",
    logit_bias: Scale = 0.0,
    teacher_biases: Sequence[Scale] | None = None,
    offset: int = 0,
    num_rows: int | None = None,
) -> ReinforcedLoss:
    """The loss of a reinforced batch: the sum, not the mean, over its streams of captions.

    Args:
        image_features: Student's, of all processes.
        text_features: Student's, of each stream: the real captions, and the synthetic ones where there are.
        logit_scale: Student's inverse temperature.
        teacher_images: Of each teacher.
        teacher_texts: Of each stream, of each teacher.
        teacher_scales: Of each teacher.
        distillation_weight: Lambda, from 0 (CLIP alone) to 1 (teachers alone).
        distillation: Softmax over the batch as in the papers, or sigmoids over the pairs.
        logit_bias: Student's, of the sigmoid loss.
        teacher_biases: Of each teacher, of the sigmoid loss; unset: 0.
        offset: Where the own rows begin.
        num_rows: How many they are; unset: all from `offset` on.

    Raises:
        ValueError: lambda is not from 0 to 1, or above 0 without teachers; or the streams of student and
            teachers differ in number.

    Source: arXiv 2311.17049, equation 4; `DRClipLoss` of the official patch of open_clip.
    """
    if not 0 <= distillation_weight <= 1:
        raise ValueError(f"distillation_weight: {distillation_weight} is not from 0 to 1")
    if distillation_weight > 0 and not teacher_images:
        raise ValueError(f"distillation_weight: {distillation_weight} without a teacher; give 0")
    if teacher_images and len(teacher_texts) != len(text_features):
        raise ValueError(f"{len(text_features)} caption streams, and teachers of {len(teacher_texts)}")
    biases = [0.0] * len(teacher_images) if teacher_biases is None else teacher_biases
    streams: list[tuple[Tensor, Tensor, Tensor]] = []
    for stream, texts in enumerate(text_features):
        taught = teacher_texts[stream] if teacher_images else ()
        if distillation == "softmax":
            losses = _softmax_losses(
                *(image_features, texts, logit_scale, teacher_images, taught, teacher_scales),
                offset=offset,
                num_rows=num_rows,
            )
        else:
            pairwise = sigmoid_losses(
                *(image_features, texts, logit_scale, logit_bias),
                *(teacher_images, taught, teacher_scales, biases),
                offset=offset,
                num_rows=num_rows,
            )
            losses = (*pairwise, torch.full_like(pairwise[0], torch.nan))
        streams.append(losses)
    contrastive, distilled, divergence = (torch.stack(part).sum() for part in zip(*streams, strict=True))
    # a term of weight 0 stays out of the graph: it costs nothing backwards, and 0 times infinity is not 0
    terms = [(1 - distillation_weight, contrastive), (distillation_weight, distilled)]
    loss = torch.stack([weight * term for weight, term in terms if weight > 0]).sum()
    return ReinforcedLoss(loss, contrastive.detach(), distilled.detach(), divergence.detach())


def _softmax_losses(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Scale,
    teacher_images: Sequence[Tensor],
    teacher_texts: Sequence[Tensor],
    teacher_scales: Sequence[Scale],
    *,
    offset: int,
    num_rows: int | None,
) -> tuple[Tensor, Tensor, Tensor]:
    """Contrastive loss, distillation loss and divergence of one stream, from one pair of log-softmaxes."""
    log_per_image, log_per_text = _log_softmaxes(image_features, text_features, logit_scale, offset, num_rows)
    contrastive = -(log_per_image.diagonal(offset).mean() + log_per_text.diagonal(offset).mean()) / 2
    if not teacher_images:
        nothing = torch.zeros_like(contrastive)
        return contrastive, nothing, nothing
    targets = teacher_targets(teacher_images, teacher_texts, teacher_scales, offset=offset, num_rows=num_rows)
    distilled = (_cross_entropy(targets[0], log_per_image) + _cross_entropy(targets[1], log_per_text)) / 2
    return contrastive, distilled, distilled.detach() - teacher_entropy(*targets)


def _log_softmaxes(
    image_features: Tensor, text_features: Tensor, logit_scale: Scale, offset: int, num_rows: int | None
) -> tuple[Tensor, Tensor]:
    per_image, per_text = similarity_logits(
        image_features, text_features, logit_scale, offset=offset, num_rows=num_rows
    )
    return per_image.log_softmax(dim=1), per_text.log_softmax(dim=1)


def _cross_entropy(targets: Tensor, log_probabilities: Tensor) -> Tensor:
    return -(targets * log_probabilities).sum(dim=1).mean()
