"""The losses: in the plain form of the paper, and fused with the output heads."""

from llm_compat.objectives.compatibility import CompatibilityLoss, compatibility_loss
from llm_compat.objectives.divergence import half_squared_logits, token_kl
from llm_compat.objectives.fused import fused_compatibility_loss
from llm_compat.objectives.masks import (
    likelihood_mask_sequences,
    likelihood_mask_tokens,
    old_correct_mask,
    token_log_likelihood,
    wrong_student_mask,
)

__all__ = [
    "CompatibilityLoss",
    "compatibility_loss",
    "fused_compatibility_loss",
    "half_squared_logits",
    "likelihood_mask_sequences",
    "likelihood_mask_tokens",
    "old_correct_mask",
    "token_kl",
    "token_log_likelihood",
    "wrong_student_mask",
]
