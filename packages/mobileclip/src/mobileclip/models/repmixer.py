"""RepMixer blocks: token mixing by a depthwise convolution, then a convolutional feed-forward network.

Images use square kernels, the text tower of S0 uses 1 x 11 over its tokens. Attribute names are the key names
of the released checkpoints.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from mobileclip.models.mobileone import Kernel, MobileOneBlock, NormedConvolution

LAYER_SCALE = 1e-5


def layer_scale(channels: int) -> nn.Parameter:
    """A learned factor for each channel of a feature map, 1e-5 at first, of shape (channels, 1, 1)."""
    return nn.Parameter(torch.full((channels, 1, 1), LAYER_SCALE))


class RepMixer(nn.Module):
    """`x + scale * (mixer(x) - norm(x))`: one depthwise convolution once its branches are folded.

    The mixer's 1x1 branch exists when the kernel is higher than 1, so not over text.

    Source: FastViT, section 3.1; `RepMixer` of the official code.
    """

    def __init__(self, channels: int, kernel: Kernel) -> None:
        super().__init__()
        self.kernel = kernel
        self.norm = MobileOneBlock(
            channels,
            channels,
            kernel,
            groups=channels,
            convolution_branch=False,
            scale_branch=False,
            activate=False,
        )
        self.mixer = MobileOneBlock(
            channels, channels, kernel, groups=channels, scale_branch=kernel[0] > 1, activate=False
        )
        self.layer_scale = layer_scale(channels)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The mixed feature maps, of the input's shape."""
        mixed: Tensor = images + self.layer_scale * (self.mixer(images) - self.norm(images))
        return mixed


class ConvolutionalFeedForward(nn.Module):
    """A depthwise convolution with batch norm, then a 1x1 expansion, GELU and a 1x1 projection.

    Source: FastViT, section 3.2.1; `ConvFFN` of the official code.
    """

    def __init__(self, channels: int, hidden_channels: int, kernel: Kernel) -> None:
        super().__init__()
        self.conv = NormedConvolution(channels, channels, kernel, groups=channels)
        self.fc1 = nn.Conv2d(channels, hidden_channels, 1)
        self.act = nn.GELU()
        self.fc2 = nn.Conv2d(hidden_channels, channels, 1)
        for module in (self.conv.conv, self.fc1, self.fc2):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The residual that is added to the input, before its layer scale."""
        residual: Tensor = self.fc2(self.act(self.fc1(self.conv(images))))
        return residual


class RepMixerBlock(nn.Module):
    """A RepMixer and a convolutional feed-forward network, each with a residual connection and a layer scale.

    Args:
        channels: Of input and output.
        mixer_kernel: Height and width of the token mixing.
        feed_forward_kernel: Height and width of the feed-forward network's convolution.
        mlp_ratio: Hidden channels of the feed-forward network a channel.
        drop_path_ratio: Probability that a sample skips the feed-forward network in training.
    """

    def __init__(
        self,
        channels: int,
        *,
        mlp_ratio: int,
        mixer_kernel: Kernel = (3, 3),
        feed_forward_kernel: Kernel = (7, 7),
        drop_path_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.token_mixer = RepMixer(channels, mixer_kernel)
        self.convffn = ConvolutionalFeedForward(channels, channels * mlp_ratio, feed_forward_kernel)
        self.layer_scale = layer_scale(channels)
        self.drop_path = StochasticDepth(drop_path_ratio, "row")

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The feature maps of the next block, of the input's shape."""
        mixed: Tensor = self.token_mixer(images)
        mixed = mixed + self.drop_path(self.layer_scale * self.convffn(mixed))
        return mixed
