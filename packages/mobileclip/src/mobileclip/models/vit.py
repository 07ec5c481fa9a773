"""ViT image encoders: MobileCLIP-B with its stem of three convolutions, and L/14 with the usual patches.

Attribute names are the key names of the released checkpoints; L/14, which has none, is named like B.
"""

from collections import OrderedDict
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

from mobileclip.architectures import VisionTransformer as VisionTransformerTower
from mobileclip.models.checkpointing import run_block
from mobileclip.models.transformer import LayerNormFloat32, TransformerLayer

Compatibility = Literal["official", "open_clip"]


class StemConvolution(nn.Module):
    """A convolution without overlap, with batch norm and GELU unless it is the last one of the stem."""

    def __init__(
        self, channels: int, out_channels: int, size: int, *, padding: int = 0, last: bool, bias: bool
    ) -> None:
        super().__init__()
        parts: OrderedDict[str, nn.Module] = OrderedDict(
            conv=nn.Conv2d(channels, out_channels, size, size, padding, bias=bias)
        )
        if not last:
            parts["norm"] = nn.BatchNorm2d(out_channels)
            parts["act"] = nn.GELU()
        self.block = nn.Sequential(parts)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """The feature maps, one place a patch."""
        maps: Tensor = self.block(images)
        return maps


class LearnedPositions(nn.Module):
    """A learned vector for each place, of shape (1, 1, places, width)."""

    def __init__(self, places: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, 1, places, width))
        nn.init.trunc_normal_(self.pos_embed, std=width**-0.5)

    def forward(self) -> Float[Tensor, "1 places width"]:
        """The vectors."""
        return self.pos_embed.squeeze(0)


class TokenProjection(nn.Module):
    """A token, projected into the space that images and texts share; `proj` is (width, embed_dim)."""

    def __init__(self, width: int, embed_dim: int, *, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Parameter(torch.randn(width, embed_dim) * width**-0.5)
        self.bias = nn.Parameter(torch.zeros(embed_dim)) if bias else None

    def forward(self, tokens: Float[Tensor, "batch width"]) -> Float[Tensor, "batch embed_dim"]:
        """The image features, not normalised."""
        return functional.linear(tokens, self.proj.T, self.bias)


class VisionTransformer(nn.Module):
    """A ViT whose class token gives the image features.

    With the convolutional stem the class token has no position, and the first convolution is padded by one
    pixel: its 56 x 56 places sit one pixel off those of an unpadded one. timm's and open_clip's form of
    MobileCLIP-B has neither this padding nor the norms' eps of 1e-5, and its features are 1.1 % off.

    Args:
        tower: Its sizes.
        embed_dim: Width of the space that images and texts share.
        head_bias: Whether the projection adds a bias.
        compat: "open_clip" gives the stem and the eps of open_clip's B; no difference for the other stem.
        drop_path_ratio: Of the last layer; it rises linearly from 0 at the first.

    Source: `VisionTransformer` of the official code; timm's `vit_large_patch14_clip_224`.
    """

    def __init__(
        self,
        tower: VisionTransformerTower,
        embed_dim: int,
        *,
        head_bias: bool,
        compat: Compatibility = "official",
        drop_path_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.checkpointing = False
        self.image_size = tower.image_size
        width, places = tower.width, (tower.image_size // tower.patch_size) ** 2
        eps, self.class_has_position = 1e-5, tower.stem == "patch"
        if tower.stem == "conv":
            inner, padding = max(32, width // 4), int(compat == "official")
            eps = 1e-5 if compat == "official" else 1e-6
            self.patch_emb = nn.Sequential(
                StemConvolution(3, inner, 4, padding=padding, last=False, bias=False),
                StemConvolution(inner, inner, 2, last=False, bias=False),
                StemConvolution(inner, width, tower.patch_size // 8, last=True, bias=True),
            )
        else:
            self.patch_emb = nn.Sequential(StemConvolution(3, width, tower.patch_size, last=True, bias=False))
            self.pre_transformer_norm = LayerNormFloat32(width, eps=eps)
        self.cls_token = nn.Parameter(torch.empty(1, 1, width))
        nn.init.trunc_normal_(self.cls_token, std=0.02)
        positions = LearnedPositions(places + self.class_has_position, width)
        self.pos_embed = nn.ModuleDict({"pos_embed": positions})
        ratios = [drop_path_ratio * index / max(1, tower.layers - 1) for index in range(tower.layers)]
        self.transformer = nn.Sequential(
            *(TransformerLayer(width, tower.heads, eps=eps, drop_path_ratio=ratio) for ratio in ratios)
        )
        self.post_transformer_norm = LayerNormFloat32(width, eps=eps)
        self.classifier = TokenProjection(width, embed_dim, bias=head_bias)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed_dim"]:
        """The image features, not normalised.

        Raises:
            ValueError: the images have another size than the learned positions; the official code would
                interpolate these along the rows of patches joined into one line, which means nothing.
        """
        if images.shape[2:] != (self.image_size, self.image_size):
            found = "x".join(str(size) for size in images.shape[2:])
            raise ValueError(f"images are {found}, and the positions are for {self.image_size} pixels square")
        patches = self.patch_emb(images).flatten(2).transpose(1, 2)
        positions = self.pos_embed["pos_embed"]()
        class_tokens = self.cls_token.expand(len(patches), -1, -1)
        if self.class_has_position:
            tokens = torch.cat((class_tokens, patches), dim=1) + positions
            tokens = self.pre_transformer_norm(tokens)
        else:
            tokens = torch.cat((class_tokens, patches + positions), dim=1)
        for layer in self.transformer:
            tokens = run_block(layer, tokens, checkpointing=self.checkpointing)
        features: Tensor = self.classifier(self.post_transformer_norm(tokens[:, 0]))
        return features
