"""An image-text model of two small MLPs."""

import math

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn
from torch.nn import functional

from mobileclip.experiment.captions import SLOTS, VOCABULARY
from mobileclip.experiment.digit_pairs import HEIGHT, WIDTH

MAX_SCALE = 100.0


class SmallImageTextModel(nn.Module):
    """Two MLPs into a common space; a caption is its 12 words' embeddings side by side."""

    def __init__(self, width: int, embed_dim: int, word_dim: int) -> None:
        super().__init__()
        self.image_encoder = _mlp(HEIGHT * WIDTH, width, embed_dim)
        self.words = nn.Embedding(len(VOCABULARY) + 1, word_dim, padding_idx=0)
        self.text_encoder = _mlp(SLOTS * word_dim, width, embed_dim)
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))

    def encode_image(self, images: Float[Tensor, "batch height width"]) -> Float[Tensor, "batch dim"]:
        """Unit features of images."""
        return functional.normalize(self.image_encoder(images.flatten(1)), dim=-1)

    def encode_text(self, tokens: Int64[Tensor, "batch slots"]) -> Float[Tensor, "batch dim"]:
        """Unit features of captions."""
        return functional.normalize(self.text_encoder(self.words(tokens).flatten(1)), dim=-1)

    def scale(self) -> Float[Tensor, ""]:
        """The learned scale of the logits, at most 100."""
        return self.log_scale.exp().clamp(max=MAX_SCALE)


def build_model(width: int, embed_dim: int, word_dim: int, seed: int) -> SmallImageTextModel:
    """A model with weights drawn from the seed; torch's global generator is left as it was."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return SmallImageTextModel(width, embed_dim, word_dim)


def _mlp(inputs: int, width: int, outputs: int) -> nn.Sequential:
    return nn.Sequential(nn.Linear(inputs, width), nn.GELU(), nn.Linear(width, outputs))
