"""The two encoders as modules with one input and one output, and inputs to try them on."""

import numpy as np
import torch
from jaxtyping import Float, Int64
from toolkit_shared.randomness import stream
from torch import Tensor, nn

from mobileclip.architectures import TextTower


class UnitTower(nn.Module):
    """An encoder whose features have length one, as they are compared and stored.

    Args:
        encoder: Gives (batch, width) features.
    """

    def __init__(self, encoder: nn.Module) -> None:
        super().__init__()
        self.encoder = encoder

    def forward(self, inputs: Tensor) -> Tensor:
        """The features of a batch, (batch, width), each row of length one."""
        return nn.functional.normalize(self.encoder(inputs), dim=-1)


def sample_images(count: int, image_size: int, *, seed: int) -> Float[Tensor, "batch 3 height width"]:
    """Images of values 0..1 to compare two runtimes on: a few grey levels in blocks, with noise upon them."""
    random = stream(seed, "images to compare runtimes on", 0)
    blocks = random.uniform(size=(count, 3, 8, 8)).astype(np.float32)
    coarse = nn.functional.interpolate(torch.from_numpy(blocks), (image_size, image_size), mode="bilinear")
    noise = torch.from_numpy(random.normal(0.0, 0.05, (count, 3, image_size, image_size)).astype(np.float32))
    return (coarse + noise).clamp(0.0, 1.0)


def sample_tokens(count: int, tower: TextTower, *, seed: int) -> Int64[Tensor, "batch context"]:
    """Token rows of every length, as the tokenizer makes them: start, words, end (the largest id), zeros."""
    random = stream(seed, "tokens to compare runtimes on", 0)
    start, end = tower.vocabulary - 2, tower.vocabulary - 1
    tokens = np.zeros((count, tower.context_length), np.int64)
    longest = tower.context_length - 2
    for row, num_words in enumerate(np.linspace(1, longest, count).round().astype(int)):
        tokens[row, : num_words + 2] = [start, *random.integers(0, start, num_words), end]
    return torch.from_numpy(tokens)
