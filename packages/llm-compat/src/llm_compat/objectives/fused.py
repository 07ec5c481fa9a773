"""The compatibility loss from final hidden states: no full logits, and one teacher product a token.

The logits of `chunk_tokens` tokens exist at a time. In each chunk the student's logits give the mask, and a
token's hidden state goes through the head of the teacher that it is distilled from, and of no other. The
gradient of the student's hidden states is made beside the loss, so nothing is computed twice, and nothing of
the vocabulary's size outlives its chunk.
"""

from typing import Any, NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from llm_compat.arms import Arm
from llm_compat.heads import Head, Heads
from llm_compat.objectives.compatibility import CompatibilityLoss
from llm_compat.objectives.divergence import half_squared_logits, in_full_precision, token_kl
from llm_compat.objectives.masks import (
    likelihood_mask_sequences,
    likelihood_mask_tokens,
    old_correct_mask,
    token_log_likelihood,
    wrong_student_mask,
)

CHUNK_TOKENS = 256


class _Step(NamedTuple):
    """What all chunks of one call share, and the rows of the teachers and targets, one a trained token."""

    arm: Arm
    heads: Heads
    targets: Tensor
    old_hidden: Tensor | None
    new_hidden: Tensor | None
    sequence_mask: Tensor | None

    def rows(self, chunk: slice) -> "_Step":
        """The same for some of the tokens."""
        cut = [None if rows is None else rows[chunk] for rows in self[2:]]
        return _Step(self.arm, self.heads, *cut)  # type: ignore[arg-type]


def fused_compatibility_loss(
    student_hidden: Float[Tensor, "tokens width"],
    targets: Int[Tensor, " tokens"],
    arm: Arm,
    heads: Heads,
    *,
    old_hidden: Float[Tensor, "tokens old_width"] | None = None,
    new_hidden: Float[Tensor, "tokens new_width"] | None = None,
    sequences: Int[Tensor, " tokens"] | None = None,
    denominator: Float[Tensor, ""] | float | None = None,
    chunk_tokens: int = CHUNK_TOKENS,
) -> CompatibilityLoss:
    """The same loss and gradient as `compatibility_loss` of the heads' logits, in a fraction of the memory.

    Rows are trained tokens only: the hidden state at position i beside the token at i + 1.

    Args:
        student_hidden: Final hidden states of the model that is trained.
        targets: True next tokens; no -100 among them.
        arm: Mask, teachers and weights.
        heads: Frozen heads get no gradient. When parameters of the student's are trained, the logits of each
            chunk are computed again in the backward pass.
        old_hidden: Of the old task model, for its own head; where the arm reads it.
        new_hidden: Of the new task model.
        sequences: The sequence of each token, from 0; for arms whose mask is one a sequence.
        denominator: As in `compatibility_loss`.
        chunk_tokens: Tokens whose logits exist at a time.

    Raises:
        ValueError: hidden states, heads or sequences that the arm reads are missing, or chunk_tokens is not
            positive.
    """
    _check(arm, heads, old_hidden, new_hidden, sequences, chunk_tokens)
    step = _Step(arm, heads, targets.long(), _detached(old_hidden), _detached(new_hidden), None)
    if arm.mask == "likelihood_sequences":
        assert sequences is not None
        mask = _sequence_mask(student_hidden.detach(), step, sequences, chunk_tokens)
        step = step._replace(sequence_mask=mask)
    loss: Tensor
    if heads.student.is_frozen:
        loss, sums = _FusedLoss.apply(student_hidden, step, chunk_tokens)
    else:
        loss, sums = _recomputed(student_hidden, step, chunk_tokens)
    number = max(1, len(targets)) if denominator is None else denominator
    masked, from_old, from_new, cross_entropy = sums.unbind()
    return CompatibilityLoss(
        loss=loss / number,
        masked=masked,
        old_divergence=from_old,
        new_divergence=from_new,
        cross_entropy=cross_entropy if arm.cross_entropy else torch.full_like(cross_entropy, torch.nan),
        tokens=torch.tensor(len(targets), device=targets.device),
    )


class _FusedLoss(torch.autograd.Function):
    """Sum of the weighted loss, whose gradient is made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, step: _Step, chunk_tokens: int) -> tuple[Tensor, Tensor]:
        wanted = ctx.needs_input_grad[0]
        gradient = torch.empty_like(hidden) if wanted else None
        kind = torch.float64 if hidden.dtype == torch.float64 else torch.float32
        total, sums = hidden.new_zeros((), dtype=kind), hidden.new_zeros(4, dtype=kind)
        for start in range(0, len(hidden), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            loss, parts, part_gradient = _chunk(hidden[chunk], step.rows(chunk), with_gradient=wanted)
            total += loss
            sums += parts
            if gradient is not None and part_gradient is not None:
                gradient[chunk] = part_gradient
        ctx.save_for_backward(gradient)
        ctx.mark_non_differentiable(sums)
        return total, sums

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, total_gradient: Tensor, _: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return gradient * total_gradient.to(gradient.dtype), None, None


def _chunk(hidden: Tensor, step: _Step, *, with_gradient: bool) -> tuple[Tensor, Tensor, Tensor | None]:
    """Weighted sum, its parts (masked, old, new, cross-entropy), and the gradient of the hidden states."""
    arm, head = step.arm, step.heads.student
    logits = in_full_precision(head.logits(hidden))
    mask, old_logits = _mask(logits, step)
    total, parts = logits.new_zeros(()), logits.new_zeros(4)
    parts[0] = mask.sum()
    slope = torch.zeros_like(logits) if with_gradient and not _has_divergence(arm) else None
    if arm.cross_entropy:
        weights = _choose(mask, arm.cross_entropy_weights, logits)
        log_partition = torch.logsumexp(logits, dim=-1)
        each = log_partition - logits.gather(-1, step.targets[:, None])[:, 0]
        total, parts[3] = total + (weights * each).sum(), each.sum()
        if with_gradient:
            slope = (logits - log_partition[:, None]).exp_()
            slope.scatter_add_(-1, step.targets[:, None], -torch.ones_like(each)[:, None])
            slope.mul_(weights[:, None])
    if _has_divergence(arm):
        teacher = _teacher_logits(mask, old_logits, step)
        weights = _choose(mask, arm.divergence_weights, logits)
        each, divergence_slope = _divergence(logits, teacher, weights, arm, with_gradient=with_gradient)
        total = total + (weights * each).sum()
        from_old = mask if arm.teacher == "masked" else torch.ones_like(mask)
        parts[1], parts[2] = each[from_old].sum(), each[~from_old].sum()
        if divergence_slope is not None:
            slope = divergence_slope if slope is None else slope.add_(divergence_slope)
    return total, parts, None if slope is None else head.hidden_gradient(slope, logits)


def _divergence(
    logits: Tensor, teacher: Tensor, weights: Tensor, arm: Arm, *, with_gradient: bool
) -> tuple[Tensor, Tensor | None]:
    """Divergence of each token, and the weighted gradient of the logits; `teacher` is overwritten."""
    if arm.divergence == "half_squared_logits":
        difference = teacher.sub_(logits).neg_()
        each = 0.5 * torch.linalg.vecdot(difference, difference)
        return each, difference.mul_(weights[:, None]) if with_gradient else None
    temperature = arm.temperature
    factor = temperature**2 if arm.times_temperature_squared else 1.0
    student = logits / temperature
    teacher.div_(temperature)
    p, q = torch.softmax(student, -1), torch.softmax(teacher, -1)
    log_partitions = _log_partition(student, p) - _log_partition(teacher, q)
    # KL = sum q (log q - log p) = sum q (z_t - z_c) / T + lse_c - lse_t: exactly 0 for equal logits
    each = factor * (torch.linalg.vecdot(q, teacher.sub_(student)) + log_partitions)
    if not with_gradient:
        return each, None
    return each, p.sub_(q).mul_((factor / temperature * weights)[:, None])


def _log_partition(scaled_logits: Tensor, probabilities: Tensor) -> Tensor:
    """Logarithm of the sum of exponentials as x_k - log p_k of the likeliest token k, which costs no pass."""
    top, index = scaled_logits.max(-1)
    return top - probabilities.gather(-1, index[:, None])[:, 0].log()


def _mask(logits: Tensor, step: _Step) -> tuple[Tensor, Tensor | None]:
    """The mask of a chunk, and the old model's logits when the mask needed them."""
    arm, targets = step.arm, step.targets
    if step.sequence_mask is not None:
        return step.sequence_mask, None
    if arm.mask == "wrong_student":
        return wrong_student_mask(logits, targets), None
    if arm.mask in ("all", "none"):
        return torch.full_like(targets, arm.mask == "all", dtype=torch.bool), None
    old_logits = _logits(step.heads.old, step.old_hidden)
    if arm.mask == "old_correct":
        return old_correct_mask(old_logits, targets), old_logits
    student, old = token_log_likelihood(logits, targets), token_log_likelihood(old_logits, targets)
    return likelihood_mask_tokens(student, old), old_logits


def _sequence_mask(hidden: Tensor, step: _Step, sequences: Tensor, chunk_tokens: int) -> Tensor:
    """The mask of whole sequences; a pass of its own, as the last chunk may hold a sequence's end."""
    student, old = [], []
    with torch.no_grad():
        for start in range(0, len(hidden), chunk_tokens):
            chunk = slice(start, start + chunk_tokens)
            part = step.rows(chunk)
            logits = _logits(step.heads.student, hidden[chunk])
            student.append(token_log_likelihood(logits, part.targets))
            old.append(token_log_likelihood(_logits(part.heads.old, part.old_hidden), part.targets))
    if not student:
        return torch.zeros_like(sequences, dtype=torch.bool)
    return likelihood_mask_sequences(torch.cat(student), torch.cat(old), sequences.long())


def _teacher_logits(mask: Tensor, old_logits: Tensor | None, step: _Step) -> Tensor:
    """Each token's logits under the teacher it is distilled from, [tokens, vocabulary]; a new tensor."""
    if step.arm.teacher == "old":
        return _logits(step.heads.old, step.old_hidden) if old_logits is None else old_logits
    on, off = mask.nonzero()[:, 0], (~mask).nonzero()[:, 0]
    if not len(on):
        return _logits(step.heads.new, step.new_hidden)
    if not len(off):
        return _logits(step.heads.old, step.old_hidden) if old_logits is None else old_logits
    assert step.new_hidden is not None
    new_rows = _logits(step.heads.new, step.new_hidden[off])
    if old_logits is None:
        assert step.old_hidden is not None
        old_logits = new_rows.new_empty(len(mask), new_rows.shape[1])
        old_logits[on] = _logits(step.heads.old, step.old_hidden[on])
    old_logits[off] = new_rows
    return old_logits


def _recomputed(hidden: Tensor, step: _Step, chunk_tokens: int) -> tuple[Tensor, Tensor]:
    """The sums for a head with trained parameters: by autograd, each chunk's logits made twice."""
    kind = torch.float64 if hidden.dtype == torch.float64 else torch.float32
    total, sums = hidden.new_zeros((), dtype=kind), hidden.new_zeros(4, dtype=kind)
    for start in range(0, len(hidden), chunk_tokens):
        chunk = slice(start, start + chunk_tokens)
        loss, parts = checkpoint(_differentiable_chunk, hidden[chunk], step.rows(chunk), use_reentrant=False)
        total, sums = total + loss, sums + parts
    return total + 0.0 * hidden.sum(), sums


def _differentiable_chunk(hidden: Tensor, step: _Step) -> tuple[Tensor, Tensor]:
    arm = step.arm
    logits = in_full_precision(step.heads.student.logits(hidden))
    with torch.no_grad():
        mask, old_logits = _mask(logits.detach(), step)
        teacher = _teacher_logits(mask, old_logits, step) if _has_divergence(arm) else None
    total, parts = logits.new_zeros(()), logits.new_zeros(4)
    parts[0] = mask.sum()
    if arm.cross_entropy:
        each = -token_log_likelihood(logits, step.targets)
        total, parts[3] = total + (_choose(mask, arm.cross_entropy_weights, logits) * each).sum(), each.sum()
    if teacher is not None:
        if arm.divergence == "half_squared_logits":
            each = half_squared_logits(logits, teacher)
        else:
            factor = arm.temperature**2 if arm.times_temperature_squared else 1.0
            each = factor * token_kl(logits, teacher, arm.temperature)
        total = total + (_choose(mask, arm.divergence_weights, logits) * each).sum()
        from_old = mask if arm.teacher == "masked" else torch.ones_like(mask)
        parts[1], parts[2] = each[from_old].sum(), each[~from_old].sum()
    return total, parts.detach()


def _logits(head: Head | None, hidden: Tensor | None) -> Tensor:
    assert head is not None
    assert hidden is not None
    with torch.no_grad():
        return in_full_precision(head.logits(hidden))


def _choose(mask: Tensor, weights: tuple[float, float], like: Tensor) -> Tensor:
    off, on = weights
    return torch.full_like(mask, off, dtype=like.dtype).masked_fill_(mask, on)


def _has_divergence(arm: Arm) -> bool:
    return arm.teacher != "nobody"


def _detached(hidden: Tensor | None) -> Tensor | None:
    return None if hidden is None else hidden.detach()


def _check(
    arm: Arm,
    heads: Heads,
    old_hidden: Tensor | None,
    new_hidden: Tensor | None,
    sequences: Tensor | None,
    chunk_tokens: int,
) -> None:
    if chunk_tokens <= 0:
        raise ValueError(f"chunk_tokens: {chunk_tokens} is not positive")
    for which, needed, head, hidden in (
        ("old", arm.needs_old, heads.old, old_hidden),
        ("new", arm.needs_new, heads.new, new_hidden),
    ):
        if needed and (head is None or hidden is None):
            raise ValueError(f"arm '{arm.name}' reads the {which} model: give its head and hidden states")
    if arm.mask == "likelihood_sequences" and sequences is None:
        raise ValueError(f"arm '{arm.name}' has a mask a sequence: give sequences")
