"""The compatibility loss over full logits: the plain form, short enough to hold against the paper."""

from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_compat.arms import Arm
from llm_compat.objectives.divergence import half_squared_logits, in_full_precision, token_kl
from llm_compat.objectives.masks import (
    likelihood_mask_sequences,
    likelihood_mask_tokens,
    old_correct_mask,
    token_log_likelihood,
    wrong_student_mask,
)

IGNORED = -100


class CompatibilityLoss(NamedTuple):
    """A loss with its parts; all but the loss are sums over the trained tokens, without a gradient."""

    loss: Float[Tensor, ""]
    """What is minimised: the weighted sum over the trained tokens, divided by the denominator."""

    masked: Float[Tensor, ""]
    """Number of trained tokens whose mask is 1."""

    old_divergence: Float[Tensor, ""]
    """Sum of the divergences from the old model, over the tokens that are distilled from it; unweighted."""

    new_divergence: Float[Tensor, ""]
    """The same from the new model."""

    cross_entropy: Float[Tensor, ""]
    """Sum of -log p(true token), in nats; NaN for an arm whose loss does not have it."""

    tokens: Int[Tensor, ""]
    """Number of trained tokens, the paper's n."""

    @property
    def mask_rate(self) -> Float[Tensor, ""]:
        """Share of the trained tokens whose mask is 1; NaN where there are none."""
        return self.masked / self.tokens


def compatibility_loss(
    student_logits: Float[Tensor, "batch length vocabulary"],
    targets: Int[Tensor, "batch length"],
    arm: Arm,
    *,
    old_logits: Float[Tensor, "batch length vocabulary"] | None = None,
    new_logits: Float[Tensor, "batch length vocabulary"] | None = None,
    denominator: Float[Tensor, ""] | float | None = None,
) -> CompatibilityLoss:
    """The loss of an arm: for `muscle`, the mean over tokens of m * KL(old || C) + (1 - m) * KL(new || C).

    Targets are already shifted: `targets[:, i]` is the token after position i; positions whose target is -100
    (padding, and prompts when only answers are trained) leave n. Gradients go to the student alone.

    Args:
        student_logits: Of the model C that is trained.
        targets: True next tokens, or -100.
        arm: Mask, teachers and weights; its temperature and lambda are set by `Arm.adjusted`.
        old_logits: Of the old task model M_v1, where the arm reads them.
        new_logits: Of the new task model M_v2, where the arm reads them.
        denominator: What the sum is divided by; None: the number of trained tokens. With gradient
            accumulation or several devices: the tokens of the whole step, over the number of its parts.

    Raises:
        ValueError: logits that the arm reads are missing.

    Source: arXiv 2407.09435, equations 1 to 5, and the sources that `arm` names.
    """
    trained = targets != IGNORED
    sequences = trained.nonzero()[:, 0]
    for which, needed, given in (("old", arm.needs_old, old_logits), ("new", arm.needs_new, new_logits)):
        if needed and given is None:
            raise ValueError(f"arm '{arm.name}' reads the {which} model: give {which}_logits")
    student, truth = student_logits[trained], targets[trained].long()
    old = None if old_logits is None else old_logits[trained]
    new = None if new_logits is None else new_logits[trained]
    mask = _mask(student, truth, arm, old, sequences)

    weighted, nothing = torch.zeros_like(in_full_precision(student[:, 0])), student.new_zeros(())
    old_divergence = new_divergence = nothing
    divergence_weight = _choose(mask, arm.divergence_weights, weighted)
    if arm.teacher == "masked":
        m = mask.to(weighted.dtype)
        from_old = nothing if old is None else m * token_kl(student, old, arm.temperature)
        from_new = nothing if new is None else (1 - m) * token_kl(student, new, arm.temperature)
        weighted = weighted + divergence_weight * (from_old + from_new)
        old_divergence, new_divergence = from_old.sum(), from_new.sum()
    elif arm.teacher == "old":
        assert old is not None
        from_old = _divergence(student, old, arm)
        weighted = weighted + divergence_weight * from_old
        old_divergence = from_old.sum()
    cross_entropy = F.cross_entropy(in_full_precision(student), truth, reduction="none")
    if arm.cross_entropy:
        weighted = weighted + _choose(mask, arm.cross_entropy_weights, weighted) * cross_entropy
    return CompatibilityLoss(
        loss=weighted.sum() / (max(1, len(truth)) if denominator is None else denominator),
        masked=mask.sum().to(weighted.dtype),
        old_divergence=old_divergence.detach(),
        new_divergence=new_divergence.detach(),
        cross_entropy=cross_entropy.detach().sum() if arm.cross_entropy else nothing + torch.nan,
        tokens=trained.sum(),
    )


def _mask(
    student: Float[Tensor, "tokens vocabulary"],
    truth: Int[Tensor, " tokens"],
    arm: Arm,
    old: Float[Tensor, "tokens vocabulary"] | None,
    sequences: Int[Tensor, " tokens"],
) -> Bool[Tensor, " tokens"]:
    if arm.mask == "wrong_student":
        return wrong_student_mask(student, truth)
    if arm.mask in ("all", "none"):
        return torch.full_like(truth, arm.mask == "all", dtype=torch.bool)
    assert old is not None
    if arm.mask == "old_correct":
        return old_correct_mask(old, truth)
    of_student, of_old = token_log_likelihood(student.detach(), truth), token_log_likelihood(old, truth)
    if arm.mask == "likelihood_tokens":
        return likelihood_mask_tokens(of_student, of_old)
    return likelihood_mask_sequences(of_student, of_old, sequences)


def _divergence(student: Tensor, teacher: Tensor, arm: Arm) -> Tensor:
    if arm.divergence == "half_squared_logits":
        return half_squared_logits(student, teacher)
    factor = arm.temperature**2 if arm.times_temperature_squared else 1.0
    return factor * token_kl(student, teacher, arm.temperature)


def _choose(mask: Tensor, weights: tuple[float, float], like: Tensor) -> Tensor:
    """The second weight where the mask is 1, the first elsewhere."""
    off, on = (torch.tensor(weight, dtype=like.dtype, device=like.device) for weight in weights)
    return torch.where(mask, on, off)
