"""The contrastive loss of CLIP as a pure function of gathered features, and the gathering with its gradient.

A process computes the loss of its own rows against the columns of all processes (the "local loss" of
open_clip): memory grows with rows x batch, not with batch x batch, and the mean over processes is the loss
of the whole batch. Whoever gathers must gather everything that belongs to a row, features of teachers among
them, with `gather_features`, for the columns must stand in one order.
"""

import math
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

MAX_LOGIT_SCALE = 100.0


class _Gather(torch.autograd.Function):
    """Concatenation over processes, in the order of their ranks; the gradient is summed over processes."""

    @staticmethod
    def forward(context: Any, features: Tensor) -> Tensor:
        """All rows."""
        context.num_rows = len(features)
        parts = [torch.empty_like(features) for _ in range(torch.distributed.get_world_size())]
        torch.distributed.all_gather(parts, features.contiguous())
        return torch.cat(parts)

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> Tensor:
        """What all processes have to say of the own rows."""
        # Not reduce_scatter, which Gloo, hence every CPU test, lacks in torch 2.11.
        gradient = gradient.contiguous().clone()
        torch.distributed.all_reduce(gradient)
        first = torch.distributed.get_rank() * context.num_rows
        return gradient[first : first + context.num_rows]


def gather_features(features: Float[Tensor, "rows width"]) -> Float[Tensor, "batch width"]:
    """The rows of all processes, in the order of their ranks, with the gradient; as they are without a group.

    Every process must give as many rows. The gradient of the result is summed over the processes;
    data-parallel training then divides the gradient of the parameters by the number of processes, which
    makes it that of the mean of their losses.

    Source: `gather_features` of open_clip with `gather_with_grad`.
    """
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return features
    if torch.distributed.get_world_size() == 1:
        return features
    gathered: Tensor = _Gather.apply(features)
    return gathered


def own_rows(num_rows: int) -> int:
    """Where this process's `num_rows` rows begin among those that `gather_features` gives."""
    if not (torch.distributed.is_available() and torch.distributed.is_initialized()):
        return 0
    return torch.distributed.get_rank() * num_rows


def similarity_logits(
    image_features: Float[Tensor, "batch width"],
    text_features: Float[Tensor, "batch width"],
    logit_scale: float | Float[Tensor, ""],
    *,
    offset: int = 0,
    num_rows: int | None = None,
) -> tuple[Float[Tensor, "rows batch"], Float[Tensor, "rows batch"]]:
    """Scaled similarities of own images to all texts, and of own texts to all images.

    Computed in float32 at least: under bfloat16 autocast a logit of 100 would be rounded to a multiple of
    0.5, which changes the softmax by tens of per cent.

    Args:
        image_features: Of all processes, rows of unit length.
        text_features: Likewise; row i belongs to image i.
        logit_scale: Inverse temperature.
        offset: Where the own rows begin.
        num_rows: How many they are; unset: all from `offset` on.
    """
    end = len(image_features) if num_rows is None else offset + num_rows
    with torch.autocast(image_features.device.type, enabled=False):
        images, texts = (_at_least_float32(features) for features in (image_features, text_features))
        per_image = logit_scale * images[offset:end] @ texts.T
        per_text = logit_scale * texts[offset:end] @ images.T
    return per_image, per_text


def clip_loss(
    image_features: Float[Tensor, "batch width"],
    text_features: Float[Tensor, "batch width"],
    logit_scale: float | Float[Tensor, ""],
    *,
    offset: int = 0,
    num_rows: int | None = None,
) -> Float[Tensor, ""]:
    """Mean over the own rows of the cross-entropies image to text and text to image, halved, in nats.

    Args:
        image_features: Of all processes, rows of unit length.
        text_features: Likewise; row i belongs to image i.
        logit_scale: Inverse temperature.
        offset: Where the own rows begin.
        num_rows: How many they are; unset: all from `offset` on.

    Source: arXiv 2103.00020, figure 3; `ClipLoss` of open_clip with `local_loss`.
    """
    per_image, per_text = similarity_logits(
        image_features, text_features, logit_scale, offset=offset, num_rows=num_rows
    )
    targets = torch.arange(offset, offset + len(per_image), device=per_image.device)
    return (F.cross_entropy(per_image, targets) + F.cross_entropy(per_text, targets)) / 2


def clamp_logit_scale(logit_scale: Float[Tensor, ""], maximum: float = MAX_LOGIT_SCALE) -> None:
    """Hold a parameter that is the logarithm of the scale between 0 and log `maximum`, in place.

    Source: arXiv 2103.00020, section 2.5; open_clip clamps after every step too.
    """
    with torch.no_grad():
        logit_scale.clamp_(0.0, math.log(maximum))


def _at_least_float32(features: Tensor) -> Tensor:
    return features if features.dtype == torch.float64 else features.float()
