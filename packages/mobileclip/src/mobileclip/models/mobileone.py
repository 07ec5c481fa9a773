"""MobileOne blocks: parallel convolution and batch-norm branches whose sum is one convolution after training.

Attribute names are the key names of the released checkpoints.
"""

import torch
from jaxtyping import Float
from torch import Tensor, nn

Kernel = tuple[int, int]


class NormedConvolution(nn.Module):
    """A convolution without bias and its batch norm; padded so that stride 1 keeps the size."""

    def __init__(
        self, channels: int, out_channels: int, kernel: Kernel, *, stride: int = 1, groups: int = 1
    ) -> None:
        super().__init__()
        padding = (kernel[0] // 2, kernel[1] // 2)
        self.conv = nn.Conv2d(channels, out_channels, kernel, stride, padding, groups=groups, bias=False)
        self.bn = nn.BatchNorm2d(out_channels)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """The normalised feature maps."""
        normed: Tensor = self.bn(self.conv(images))
        return normed


def excite(
    images: Float[Tensor, "batch channels height width"], reduce: nn.Conv2d, expand: nn.Conv2d
) -> Float[Tensor, "batch channels height width"]:
    """The feature maps, each scaled by a gate in (0, 1) that two 1x1 layers compute from all their means.

    Source: Squeeze-and-Excitation Networks, section 3.
    """
    gates = expand(torch.relu(reduce(images.mean((2, 3), keepdim=True))))
    return images * torch.sigmoid(gates)


class SqueezeExcite(nn.Module):
    """Squeeze-and-excitation with `channels * ratio` hidden channels."""

    def __init__(self, channels: int, ratio: float) -> None:
        super().__init__()
        hidden = max(1, int(channels * ratio))
        self.reduce = nn.Conv2d(channels, hidden, 1)
        self.expand = nn.Conv2d(hidden, channels, 1)

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """The feature maps, scaled."""
        return excite(images, self.reduce, self.expand)


class MobileOneBlock(nn.Module):
    """The activated sum of a convolution branch, a 1x1 branch and an identity branch, a batch norm in each.

    The identity branch is there when the block keeps the number of channels and the stride is 1.

    Args:
        channels: Of the input.
        out_channels: Of the output.
        kernel: Height and width of the convolution.
        stride: Of all branches.
        groups: Of both convolutions; equal to `channels` for a depthwise block.
        convolution_branch: Whether the full-size branch exists.
        scale_branch: Whether the 1x1 branch exists; one beside a 1x1 convolution would add nothing.
        squeeze_excite: Whether the sum is gated before the activation.
        activate: Whether GELU follows.

    Source: MobileOne, section 3.2; `MobileOneBlock` of the official code.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        kernel: Kernel,
        *,
        stride: int = 1,
        groups: int = 1,
        convolution_branch: bool = True,
        scale_branch: bool = True,
        squeeze_excite: bool = False,
        activate: bool = True,
    ) -> None:
        super().__init__()
        self.channels, self.out_channels, self.kernel = channels, out_channels, kernel
        self.stride, self.groups = stride, groups
        identity = channels == out_channels and stride == 1
        if not (identity or convolution_branch or scale_branch):
            raise ValueError("a block without any branch computes nothing")
        self.rbr_skip = nn.BatchNorm2d(channels) if identity else None
        self.rbr_conv = None
        if convolution_branch:
            branch = NormedConvolution(channels, out_channels, kernel, stride=stride, groups=groups)
            self.rbr_conv = nn.ModuleList([branch])
        self.rbr_scale = None
        if scale_branch:
            self.rbr_scale = NormedConvolution(channels, out_channels, (1, 1), stride=stride, groups=groups)
        self.se = SqueezeExcite(out_channels, 1 / 16) if squeeze_excite else nn.Identity()
        self.activation = nn.GELU() if activate else nn.Identity()

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """The feature maps of the next layer."""
        branches: list[nn.Module] = list(self.rbr_conv or [])
        branches += [branch for branch in (self.rbr_scale, self.rbr_skip) if branch is not None]
        total: Tensor = branches[0](images)
        for branch in branches[1:]:
            total = total + branch(images)
        activated: Tensor = self.activation(self.se(total))
        return activated
