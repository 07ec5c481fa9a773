"""MCi image encoders: a stem, four or five stages of RepMixer or attention blocks, and a projection.

Attribute names are the key names of the released checkpoints. Nothing here needs a particular image size; the
encoders were trained on 256 x 256.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth

from mobileclip.architectures import ConvolutionalTower
from mobileclip.models.checkpointing import run_block
from mobileclip.models.mobileone import MobileOneBlock, NormedConvolution, excite
from mobileclip.models.repmixer import ConvolutionalFeedForward, RepMixerBlock, layer_scale

HEAD_WIDTH = 32
POSITION_KERNEL = (7, 7)


class ConditionalPositions(nn.Module):
    """The feature maps plus a 7x7 depthwise convolution of them, which tells a place by its surroundings.

    Source: Conditional Positional Encodings for Vision Transformers; `RepCPE` of the official code.
    """

    def __init__(self, channels: int) -> None:
        super().__init__()
        height, width = POSITION_KERNEL
        self.pe = nn.Conv2d(
            channels, channels, POSITION_KERNEL, padding=(height // 2, width // 2), groups=channels
        )

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The feature maps of the stage, of the input's shape."""
        encoded: Tensor = self.pe(images)
        return encoded + images


class DownsamplingExcite(nn.Module):
    """Squeeze-and-excitation of a downsampling: a quarter of the channels, made a multiple of eight."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        quarter = channels // 4
        hidden = max(8, (quarter + 4) // 8 * 8)
        self.fc1 = nn.Conv2d(channels, hidden + 8 * (hidden < 0.9 * quarter), 1)
        self.fc2 = nn.Conv2d(self.fc1.out_channels, channels, 1)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The feature maps, scaled."""
        return excite(images, self.fc1, self.fc2)


class LargeKernelDownsampling(nn.Module):
    """Half-size feature maps: the sum of a 7x7 and a 3x3 depthwise branch with batch norms, gated, activated.

    Source: FastViT, section 3.2.2, with GELU at the end, which MobileCLIP added; `ReparamLargeKernelConv`.
    """

    def __init__(self, channels: int, out_channels: int, *, squeeze_excite: bool) -> None:
        super().__init__()
        self.lkb_origin = NormedConvolution(channels, out_channels, (7, 7), stride=2, groups=channels)
        self.small_conv = NormedConvolution(channels, out_channels, (3, 3), stride=2, groups=channels)
        self.se = DownsamplingExcite(out_channels) if squeeze_excite else nn.Identity()
        self.activation = nn.GELU()

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """The smaller feature maps."""
        total: Tensor = self.lkb_origin(images) + self.small_conv(images)
        activated: Tensor = self.activation(self.se(total))
        return activated


class Downsampling(nn.Module):
    """The passage between two stages: half the size, other channels, and a 1x1 MobileOne block."""

    def __init__(self, channels: int, out_channels: int, *, squeeze_excite: bool) -> None:
        super().__init__()
        self.proj = nn.Sequential(
            LargeKernelDownsampling(channels, out_channels, squeeze_excite=squeeze_excite),
            MobileOneBlock(out_channels, out_channels, (1, 1), scale_branch=False),
        )

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """The feature maps of the next stage."""
        smaller: Tensor = self.proj(images)
        return smaller


class ChannelLayerNorm(nn.LayerNorm):
    """Layer norm over the channels at each place of a feature map."""

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The normalised feature maps."""
        return super().forward(images.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class SpatialAttention(nn.Module):
    """Self-attention among all places, with heads of 32 channels; only the output has a bias."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.qkv = nn.Linear(channels, 3 * channels, bias=False)
        self.proj = nn.Linear(channels, channels)
        for module in (self.qkv, self.proj):
            nn.init.trunc_normal_(module.weight, std=0.02)
        nn.init.zeros_(self.proj.bias)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """What each place gathers from all places."""
        tokens = images.flatten(2).transpose(1, 2)
        query, key, value = self.qkv(tokens).unflatten(2, (3, -1, HEAD_WIDTH)).transpose(1, 3).unbind(2)
        mixed = functional.scaled_dot_product_attention(query, key, value)
        gathered: Tensor = self.proj(mixed.transpose(1, 2).flatten(2))
        return gathered.transpose(1, 2).reshape(images.shape)


class AttentionBlock(nn.Module):
    """Attention and a convolutional feed-forward network, each with a residual and a layer scale.

    Args:
        channels: Of input and output; a multiple of 32.
        mlp_ratio: Hidden channels of the feed-forward network a channel.
        norm: "batch" or "layer": what stands before the attention.
        drop_path_ratio: Probability that a sample skips a half of the block in training.
    """

    def __init__(self, channels: int, *, mlp_ratio: int, norm: str, drop_path_ratio: float = 0.0) -> None:
        super().__init__()
        if channels % HEAD_WIDTH:
            raise ValueError(f"{channels} channels are no multiple of the head width {HEAD_WIDTH}")
        self.norm: nn.Module = (
            nn.BatchNorm2d(channels) if norm == "batch" else ChannelLayerNorm(channels, eps=1e-5)
        )
        self.token_mixer = SpatialAttention(channels)
        self.convffn = ConvolutionalFeedForward(channels, channels * mlp_ratio, (7, 7))
        self.layer_scale_1 = layer_scale(channels)
        self.layer_scale_2 = layer_scale(channels)
        self.drop_path = StochasticDepth(drop_path_ratio, "row")

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The feature maps of the next block, of the input's shape."""
        images = images + self.drop_path(self.layer_scale_1 * self.token_mixer(self.norm(images)))
        images = images + self.drop_path(self.layer_scale_2 * self.convffn(images))
        return images


class MeanProjection(nn.Module):
    """The mean over all places, projected into the space that images and texts share.

    Args:
        channels: Of the feature maps.
        embed_dim: Of that space.
        bias: Whether a bias is added; the towers that were trained through timm's classifier have one.
    """

    def __init__(self, channels: int, embed_dim: int, *, bias: bool) -> None:
        super().__init__()
        self.proj = nn.Parameter(torch.randn(channels, embed_dim) * channels**-0.5)
        self.bias = nn.Parameter(torch.zeros(embed_dim)) if bias else None

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch embed_dim"]:
        """The image features, not normalised."""
        return functional.linear(images.mean((2, 3)), self.proj.T, self.bias)


class Mci(nn.Module):
    """An MCi image encoder.

    Args:
        tower: Its sizes.
        embed_dim: Width of the space that images and texts share.
        head_bias: Whether the projection adds a bias.
        drop_path_ratio: Of the last block; it rises linearly from 0 at the first.

    Source: MobileCLIP, section 4.1, MobileCLIP2, section 4 (five stages); `FastViT` of the official code.
    """

    def __init__(
        self, tower: ConvolutionalTower, embed_dim: int, *, head_bias: bool, drop_path_ratio: float = 0.0
    ) -> None:
        super().__init__()
        self.checkpointing = False
        self.patch_embed = _stem(tower.widths[0], scale_branches=tower.stem_scale_branches)
        self.network = nn.ModuleList(_stages(tower, drop_path_ratio))
        channels = tower.widths[-1]
        self.conv_exp = MobileOneBlock(channels, 2 * channels, (3, 3), groups=channels, squeeze_excite=True)
        self.head = MeanProjection(2 * channels, embed_dim, bias=head_bias)

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Float[Tensor, "batch embed_dim"]:
        """The image features, not normalised; sizes are best multiples of 32, or of 64 in five stages."""
        maps = self.patch_embed(images)
        for part in self.network:
            blocks: Sequence[nn.Module] = list(part) if isinstance(part, nn.Sequential) else [part]
            for block in blocks:
                maps = run_block(block, maps, checkpointing=self.checkpointing)
        features: Tensor = self.head(self.conv_exp(maps))
        return features


def _stem(width: int, *, scale_branches: bool) -> nn.Sequential:
    return nn.Sequential(
        MobileOneBlock(3, width, (3, 3), stride=2, scale_branch=scale_branches),
        MobileOneBlock(width, width, (3, 3), stride=2, groups=width, scale_branch=scale_branches),
        MobileOneBlock(width, width, (1, 1), scale_branch=False),
    )


def _stages(tower: ConvolutionalTower, drop_path_ratio: float) -> list[nn.Module]:
    num_blocks = sum(tower.depths)
    ratios = (drop_path_ratio * index / max(1, num_blocks - 1) for index in range(num_blocks))
    parts: list[nn.Module] = []
    for stage, (depth, width, mixer) in enumerate(zip(tower.depths, tower.widths, tower.mixers, strict=True)):
        if stage:
            squeeze_excite = tower.downsample_squeeze_excite[stage]
            parts.append(Downsampling(tower.widths[stage - 1], width, squeeze_excite=squeeze_excite))
        blocks: list[nn.Module] = []
        if mixer == "rep":
            blocks += [
                RepMixerBlock(width, mlp_ratio=tower.mlp_ratio, drop_path_ratio=next(ratios))
                for _ in range(depth)
            ]
        else:
            parts.append(ConditionalPositions(width))
            blocks += [
                AttentionBlock(
                    width,
                    mlp_ratio=tower.mlp_ratio,
                    norm=tower.attention_norm,
                    drop_path_ratio=next(ratios),
                )
                for _ in range(depth)
            ]
        parts.append(nn.Sequential(*blocks))
    return parts
