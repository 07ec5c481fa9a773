"""The training objective: cross-entropy of the next token, and a penalty on the partition function.

Everything is returned as sums with their count, so that the caller can weigh micro-batches, ranks and partly
filled batches exactly.
"""

from collections.abc import Callable
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor
from torch.utils.checkpoint import checkpoint

IGNORED = -100


class LossSums(NamedTuple):
    """Sums over the predicted tokens of a batch; float32 but for the number of them."""

    cross_entropy: Float[Tensor, ""]
    """Sum of -log p(target), in nats."""

    z: Float[Tensor, ""]
    """Sum of the squared log of the partition function, without its coefficient."""

    predicted: Int[Tensor, ""]
    """Number of predicted tokens."""


def next_token_loss(
    logits: Float[Tensor, "batch tokens vocabulary"], targets: Int[Tensor, "batch tokens"]
) -> LossSums:
    """Cross-entropy and z-loss sums over the positions whose target is not -100.

    Targets are already shifted: `targets[:, t]` is the token after position t. Computed in float32. Ignored
    positions count in neither sum, so padding does not change the objective.

    Source: the training objective of arXiv 2405.13226 and 2406.11794; `weighted_loss` applies the coefficient
    of the z-loss, 1e-4 there.
    """
    logits = logits.float()
    log_partition = torch.logsumexp(logits, dim=-1)
    predicted = targets != IGNORED
    cross_entropy = F.cross_entropy(
        logits.flatten(0, 1), targets.flatten().long(), ignore_index=IGNORED, reduction="sum"
    )
    z = torch.where(predicted, log_partition, 0.0).square().sum()
    return LossSums(cross_entropy, z, predicted.sum())


def chunked_next_token_loss(
    hidden: Float[Tensor, "batch tokens width"],
    project: Callable[[Tensor], Tensor],
    targets: Int[Tensor, "batch tokens"],
    *,
    chunk_tokens: int,
) -> LossSums:
    """The same sums and gradients as `next_token_loss(project(hidden), targets)`, in less memory.

    The logits of only `chunk_tokens` tokens exist at a time; the backward pass computes them again, one more
    product with the output matrix. For large vocabularies the logits are the largest tensor of a step.

    Raises:
        ValueError: `chunk_tokens` is not positive.
    """
    if chunk_tokens <= 0:
        raise ValueError(f"chunk_tokens: {chunk_tokens} is not positive")

    def loss_of(hidden_rows: Tensor, target_rows: Tensor) -> LossSums:
        return next_token_loss(project(hidden_rows[None]), target_rows[None])

    hidden_chunks = torch.split(hidden.flatten(0, 1), chunk_tokens)
    chunks = zip(hidden_chunks, torch.split(targets.flatten(), chunk_tokens), strict=True)
    parts = [checkpoint(loss_of, *chunk, use_reentrant=False, preserve_rng_state=False) for chunk in chunks]
    return LossSums(*(torch.stack(sums).sum() for sums in zip(*parts, strict=True)))


def weighted_loss(
    sums: LossSums, weight: Float[Tensor, ""] | float | int, *, z_loss_coefficient: float | int = 0.0
) -> Float[Tensor, ""]:
    """(cross-entropy + coefficient * z) * `weight`; with weight 1/predicted it is the mean over the batch.

    One of W ranks that average their gradients over A micro-batches passes W * A / (tokens that all of them
    predict), and the result is the mean over the global batch however its rows were shared out.
    """
    return (sums.cross_entropy + z_loss_coefficient * sums.z) * weight
