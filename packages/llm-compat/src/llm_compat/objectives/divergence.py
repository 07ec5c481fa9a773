"""How far a student's next-token distribution is from a teacher's, token by token."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor


def token_kl(
    student_logits: Float[Tensor, "*tokens vocabulary"],
    teacher_logits: Float[Tensor, "*tokens vocabulary"],
    temperature: float = 1.0,
) -> Float[Tensor, "*tokens"]:
    """KL(softmax(teacher / T) || softmax(student / T)) of each token, in nats, without a factor T squared.

    Teacher first: the forward direction. In float64 when that is given, else in float32. No gradient goes to
    the teacher.

    Source: arXiv 2407.09435, section 4.2, equation 1 (the terms under the sum).
    """
    student = F.log_softmax(in_full_precision(student_logits) / temperature, dim=-1)
    teacher = F.log_softmax(in_full_precision(teacher_logits.detach()) / temperature, dim=-1)
    return (teacher.exp() * (teacher - student)).sum(-1)


def half_squared_logits(
    student_logits: Float[Tensor, "*tokens vocabulary"], teacher_logits: Float[Tensor, "*tokens vocabulary"]
) -> Float[Tensor, "*tokens"]:
    """Half the squared Euclidean distance of the logits of each token; no gradient goes to the teacher.

    Source: arXiv 2011.09161, section 4, the logit-matching form of focal distillation.
    """
    difference = in_full_precision(student_logits) - in_full_precision(teacher_logits.detach())
    return 0.5 * difference.square().sum(-1)


def in_full_precision(values: Tensor) -> Tensor:
    """The values as they are in float64, else in float32."""
    return values if values.dtype == torch.float64 else values.float()
