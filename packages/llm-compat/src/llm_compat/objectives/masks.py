"""The masks: which tokens are distilled from the old model. None of them has a gradient."""

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from llm_compat.objectives.divergence import in_full_precision


def wrong_student_mask(
    student_logits: Float[Tensor, "*tokens vocabulary"], targets: Int[Tensor, "*tokens"]
) -> Bool[Tensor, "*tokens"]:
    """True where the student's likeliest token is not the true next one.

    The student is the model that is being trained, so the mask is another one at every step.

    Source: arXiv 2407.09435, section 4.2, the indicator m_i of equation 1.
    """
    return student_logits.argmax(-1) != targets


def old_correct_mask(
    old_logits: Float[Tensor, "*tokens vocabulary"], targets: Int[Tensor, "*tokens"]
) -> Bool[Tensor, "*tokens"]:
    """True where the old model's likeliest token is the true next one.

    Source: arXiv 2407.09435, table 7.
    """
    return old_logits.argmax(-1) == targets


def token_log_likelihood(
    logits: Float[Tensor, "*tokens vocabulary"], targets: Int[Tensor, "*tokens"]
) -> Float[Tensor, "*tokens"]:
    """Logarithm of p(true next token) of each token, in nats; targets must be rows of the vocabulary."""
    logits = in_full_precision(logits)
    chosen = logits.gather(-1, targets.long().unsqueeze(-1)).squeeze(-1)
    return chosen - torch.logsumexp(logits, dim=-1)


def likelihood_mask_tokens(
    student: Float[Tensor, "*tokens"], old: Float[Tensor, "*tokens"]
) -> Bool[Tensor, "*tokens"]:
    """True where the student gives the true token less likelihood than the old model does.

    Args:
        student: Log-likelihoods of the true tokens under the student.
        old: Under the old model.

    Source: arXiv 2407.09435, equation 2.
    """
    return (student < old).detach()


def likelihood_mask_sequences(
    student: Float[Tensor, " tokens"], old: Float[Tensor, " tokens"], sequences: Int[Tensor, " tokens"]
) -> Bool[Tensor, " tokens"]:
    """True for every token of a sequence to which the student gives less likelihood than the old model does.

    Args:
        student: Log-likelihoods of the true tokens under the student; trained tokens only.
        old: Under the old model.
        sequences: The sequence of each token, numbered from 0.

    Source: arXiv 2407.09435, equation 3, which as printed sums an indicator inside an indicator; read as the
        comparison of whole sequences, by the sum of log p over their trained tokens.
    """
    if not len(sequences):
        return torch.zeros_like(sequences, dtype=torch.bool)
    sums = torch.zeros(int(sequences.max()) + 1, dtype=student.dtype, device=student.device)
    worse = sums.index_add(0, sequences, student.detach()) < sums.index_add(0, sequences, old.detach())
    return worse[sequences]
