"""Output heads: the map from a model's final hidden states to its logits, as plain tensors."""

from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Head:
    """logits = cap(scale * (hidden W^T + bias)), with cap(x) = softcap * tanh(x / softcap).

    Attributes:
        weight: [vocabulary, width].
        bias: [vocabulary], or None.
        scale: Factor on the logits; Granite divides by a number, Cohere multiplies by one.
        softcap: Bound of the logits, as in Gemma 2; None: there is none.
        module: The layer itself, when parameters of it are trained (a LoRA on the head); `weight` and `bias`
            are then its frozen part, and only their shapes and dtype are read.
    """

    weight: Tensor
    bias: Tensor | None = None
    scale: float = 1.0
    softcap: float | None = None
    module: nn.Module | None = None

    @property
    def is_frozen(self) -> bool:
        """Whether no parameter of it is trained, so that gradients go to the hidden states only."""
        if self.module is not None:
            return not any(parameter.requires_grad for parameter in self.module.parameters())
        return not (self.weight.requires_grad or (self.bias is not None and self.bias.requires_grad))

    @property
    def width(self) -> int:
        """Size of a hidden state."""
        return self.weight.shape[1]

    @property
    def vocabulary(self) -> int:
        """Number of logits."""
        return self.weight.shape[0]

    def logits(self, hidden: Tensor) -> Tensor:
        """Logits [..., vocabulary] of hidden states [..., width], in the weight's dtype (or autocast's)."""
        hidden = hidden.to(self.weight.dtype)
        logits: Tensor
        logits = F.linear(hidden, self.weight, self.bias) if self.module is None else self.module(hidden)
        if self.scale != 1.0:
            logits = logits * self.scale
        if self.softcap is not None:
            logits = torch.tanh(logits / self.softcap) * self.softcap
        return logits

    def hidden_gradient(self, logits_gradient: Tensor, logits: Tensor) -> Tensor:
        """The gradient of the hidden states, from that of the logits; for a frozen head only.

        Args:
            logits_gradient: [tokens, vocabulary]; overwritten.
            logits: What `logits` gave, [tokens, vocabulary]; read where there is a softcap.
        """
        if self.softcap is not None:
            logits_gradient.mul_(1 - (logits / self.softcap).square())
        if self.scale != 1.0:
            logits_gradient.mul_(self.scale)
        return logits_gradient.to(self.weight.dtype) @ self.weight

    def to(self, device: torch.device | str, dtype: torch.dtype | None = None) -> "Head":
        """The head on a device, and in a dtype where one is given; a head with a module stays with it."""
        if self.module is not None:
            return self
        bias = None if self.bias is None else self.bias.to(device, dtype)
        return replace(self, weight=self.weight.to(device, dtype), bias=bias)


class Heads(NamedTuple):
    """The heads of a training step; None for a teacher that the arm does not read."""

    student: Head
    old: Head | None = None
    new: Head | None = None
