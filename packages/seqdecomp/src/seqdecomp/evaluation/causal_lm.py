"""What an evaluation needs of a model: token ids in, next-token logits out."""

from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn


class CausalLM(Protocol):
    """Any callable that gives the logits of the token after each position, from the tokens up to there."""

    def __call__(self, input_ids: Int[Tensor, "batch tokens"], /) -> Float[Tensor, "batch tokens vocabulary"]:
        """Logits of the next token; a later token must not change an earlier position's logits."""
        ...


class TransformersLM(nn.Module):
    """A causal language model of the transformers library behind the interface of `CausalLM`.

    Every row starts at position 0 and is padded on its right, where a causal model's padding changes nothing;
    so no attention mask is passed. The wrapped model's key-value cache is left off.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @property
    def max_length(self) -> int | None:
        """Longest row that the model's positions allow, or None where its configuration does not say."""
        config = self.model.config
        for name in ("max_position_embeddings", "n_positions", "max_sequence_length"):
            value = getattr(config, name, None)
            if isinstance(value, int) and value > 0:
                return value
        return None

    @property
    def vocab_size(self) -> int:
        """Number of token ids that the model knows."""
        return int(self.model.config.vocab_size)

    @torch.no_grad()
    def forward(self, input_ids: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens vocabulary"]:
        """Logits of the token after each position."""
        logits: Tensor = self.model(input_ids=input_ids, use_cache=False).logits
        return logits
