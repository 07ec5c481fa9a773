"""The pair of encoders with a common space, and the scale of their similarities."""

import math
from typing import Literal

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from mobileclip.architectures import Architecture
from mobileclip.models.image_encoder import build_image_encoder
from mobileclip.models.text_encoder import build_text_encoder
from mobileclip.models.truncation import Truncate, truncate_tokens

INITIAL_LOGIT_SCALE = math.log(1 / 0.07)
LARGEST_LOGIT_SCALE = math.log(100)


class ImageTextModel(nn.Module):
    """An image encoder and a text encoder with features in one space of `architecture.embed_dim` numbers.

    The names of the weights are those of the official first-generation checkpoints, which load as they are.

    Args:
        architecture: the sizes of both encoders.
        compat: "official" computes what the weights were trained for. "open_clip" computes what open_clip
            and timm do, which differs for the stem of MobileCLIP-B alone (its first convolution without
            padding, layer norms with epsilon 1e-6): about 1 % other image features.
        head_bias: whether the image projection adds a bias; None: as the published weights of this
            architecture do.
        drop_path_ratio: largest probability of skipping a block in training, in both encoders.

    Source: MobileCLIP section 3; `logit_scale` starts at log(1 / 0.07) as in CLIP.
    """

    def __init__(
        self,
        architecture: Architecture,
        *,
        compat: Literal["official", "open_clip"] = "official",
        head_bias: bool | None = None,
        drop_path_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.architecture, self.compat = architecture, compat
        self.image_encoder = build_image_encoder(
            architecture.image,
            architecture.embed_dim,
            compat=compat,
            head_bias=head_bias,
            drop_path_ratio=drop_path_ratio,
        )
        self.text_encoder = build_text_encoder(
            architecture.text, architecture.embed_dim, drop_path_ratio=drop_path_ratio
        )
        self.logit_scale = nn.Parameter(torch.full((), INITIAL_LOGIT_SCALE))

    def encode_image(
        self, images: Float[Tensor, "batch channels height width"], normalize: bool = False
    ) -> Float[Tensor, "batch embed_dim"]:
        """Features of preprocessed images; rows of unit length with `normalize`."""
        features = self.image_encoder(images)
        return F.normalize(features, dim=-1) if normalize else features

    def encode_text(
        self, tokens: Int[Tensor, "batch tokens"], normalize: bool = False, truncate: Truncate = "auto"
    ) -> Float[Tensor, "batch embed_dim"]:
        """Features of tokenized texts; rows of unit length with `normalize`.

        `truncate` leaves out the padding that no text of the batch reaches: "auto" where that is exact,
        that is in causal towers; `True` insists and `False` never does.

        Raises:
            InputError: `truncate` is `True` and the text encoder is not causal.
        """
        tokens = truncate_tokens(tokens, causal=self.text_encoder.causal, truncate=truncate)
        features = self.text_encoder(tokens)
        return F.normalize(features, dim=-1) if normalize else features

    def forward(
        self, images: Float[Tensor, "batch channels height width"], tokens: Int[Tensor, "texts tokens"]
    ) -> tuple[Float[Tensor, "batch embed_dim"], Float[Tensor, "texts embed_dim"], Float[Tensor, ""]]:
        """Normalised image features, normalised text features, and the scale exp(logit_scale)."""
        # Rows are left whole: in training their number of columns must not depend on the batch.
        return (
            self.encode_image(images, normalize=True),
            self.encode_text(tokens, normalize=True, truncate=False),
            self.logit_scale.exp(),
        )

    @torch.no_grad()
    def clamp_logit_scale_(self) -> None:
        """Hold the scale within 1 to 100, as CLIP does after each step of the optimizer."""
        self.logit_scale.clamp_(0, LARGEST_LOGIT_SCALE)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether training trades time for memory by computing blocks again in the backward pass."""
        self.image_encoder.set_grad_checkpointing(enable)
        self.text_encoder.set_grad_checkpointing(enable)
