"""Folding: a trained model as the plain convolutions and linear layers that compute the same.

What a batch norm does after training is a scale and a shift of each channel, so a convolution takes it in;
parallel convolutions of one input add up to one; and a layer scale belongs to the layer before it. The
arithmetic is done in float64 and rounded once.
"""

import copy
from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Literal, NamedTuple, TypeVar

import torch
from jaxtyping import Float
from toolkit_shared.errors import InputError
from torch import Tensor, nn

from mobileclip.models.difference import relative_differences
from mobileclip.models.mci import AttentionBlock, ConditionalPositions, LargeKernelDownsampling
from mobileclip.models.mobileone import Kernel, MobileOneBlock, NormedConvolution
from mobileclip.models.repmixer import ConvolutionalFeedForward, RepMixer, RepMixerBlock
from mobileclip.models.vit import StemConvolution

Form = Literal["official", "full"]
Model = TypeVar("Model", bound=nn.Module)
Table = dict[type[nn.Module], Callable[[Any], nn.Module]]


class Affine(NamedTuple):
    """A scale and a shift of each channel, in float64."""

    scale: Float[Tensor, " channels"]
    shift: Float[Tensor, " channels"]


class Kernels(NamedTuple):
    """The weights and the bias of a convolution, in float64."""

    weight: Float[Tensor, "channels inputs height width"]
    bias: Float[Tensor, " channels"]


def norm_as_affine(norm: nn.BatchNorm2d) -> Affine:
    """What a batch norm does in evaluation: `g / sqrt(v + eps)` and `beta - mu * g / sqrt(v + eps)`."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
    return Affine(scale, norm.bias.double() - norm.running_mean.double() * scale)


def fold_norm(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> Kernels:
    """The convolution that computes `norm(conv(x))`."""
    scale, shift = norm_as_affine(norm)
    bias = shift if conv.bias is None else shift + scale * conv.bias.double()
    return Kernels(conv.weight.double() * scale[:, None, None, None], bias)


def identity_kernel(
    channels: int, groups: int, kernel: Kernel
) -> Float[Tensor, "channels inputs height width"]:
    """The kernel whose convolution gives back its input."""
    inputs = channels // groups
    weight = torch.zeros(channels, inputs, *kernel, dtype=torch.float64)
    index = torch.arange(channels)
    weight[index, index % inputs, kernel[0] // 2, kernel[1] // 2] = 1
    return weight


def pad_kernel(
    weight: Float[Tensor, "channels inputs height width"], kernel: Kernel
) -> Float[Tensor, "channels inputs padded_height padded_width"]:
    """A kernel of odd size with zeros around it, so that it has size `kernel` and computes the same."""
    rows, columns = (kernel[0] - weight.shape[2]) // 2, (kernel[1] - weight.shape[3]) // 2
    return nn.functional.pad(weight, (columns, columns, rows, rows))


def convolution_branches(block: MobileOneBlock) -> list[NormedConvolution]:
    """The full-size branches of a block, which only the norm of a RepMixer lacks."""
    return [branch for branch in block.rbr_conv or [] if isinstance(branch, NormedConvolution)]


def fold_branches(block: MobileOneBlock) -> Kernels:
    """The convolution that computes the sum of a block's branches, before gate and activation.

    Source: MobileOne, section 3.2; RepVGG, section 3.3.
    """
    parts: list[Kernels] = []
    for branch in convolution_branches(block):
        parts.append(fold_norm(branch.conv, branch.bn))
    if block.rbr_scale is not None:
        point = fold_norm(block.rbr_scale.conv, block.rbr_scale.bn)
        parts.append(Kernels(pad_kernel(point.weight, block.kernel), point.bias))
    if block.rbr_skip is not None:
        scale, shift = norm_as_affine(block.rbr_skip)
        identity = identity_kernel(block.channels, block.groups, block.kernel).to(scale.device)
        parts.append(Kernels(identity * scale[:, None, None, None], shift))
    weights, biases = zip(*parts, strict=True)
    return Kernels(sum(weights[1:], start=weights[0]), sum(biases[1:], start=biases[0]))


class Folded(nn.Module):
    """A module that has been folded, and so can no longer be trained."""

    def train(self, mode: bool = True) -> "Folded":
        """Evaluation mode stays.

        Raises:
            InputError: training mode is asked for; the batch statistics are gone.
        """
        if mode:
            raise InputError(
                "training: the model is folded, so its branches and batch statistics are gone; "
                "load the checkpoint that it was folded from"
            )
        return super().train(False)


class FoldedConvolution(Folded):
    """One convolution in place of branches, then what came after their sum; `name` is its key name."""

    def __init__(self, name: str, conv: nn.Conv2d, gate: nn.Module, activation: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.add_module(name, conv)
        self.se = gate
        self.activation = activation

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch out_channels out_height out_width"]:
        """What the branches gave."""
        activated: Tensor = self.activation(self.se(self._modules[self.name](images)))  # type: ignore[misc]
        return activated


class FoldedBlock(Folded):
    """Token mixing and a feed-forward network, with their layer scales in their weights.

    Args:
        token_mixer: The mixing.
        convffn: The feed-forward network.
        norm: What stands before attention; None: a RepMixer, whose kernel holds the residual, too.
    """

    def __init__(self, token_mixer: nn.Module, convffn: nn.Module, norm: nn.Module | None) -> None:
        super().__init__()
        self.norm = norm
        self.token_mixer = token_mixer
        self.convffn = convffn

    def forward(
        self, images: Float[Tensor, "batch channels height width"]
    ) -> Float[Tensor, "batch channels height width"]:
        """What the block gave."""
        if self.norm is None:
            mixed: Tensor = self.token_mixer(images)
        else:
            mixed = images + self.token_mixer(self.norm(images))
        mixed = mixed + self.convffn(mixed)
        return mixed


def fold(model: Model, *, form: Form = "full", check: bool = False, tolerance: float = 1e-5) -> Model:
    """A copy of `model` in evaluation mode, without gradients, whose branches are single convolutions.

    Works on the whole model and on either tower, in any mode; what is folded already stays. `model` is not
    changed.

    Args:
        model: A model or a part of one.
        form: "full" folds all that can be folded without changing the function. "official" stops where the
            published code does, with its key names: batch norms of feed-forward networks, attention and stem
            stay, and so do the layer scales outside a RepMixer.
        check: Compare both on random inputs.
        tolerance: Relative difference that the check allows.

    Raises:
        InputError: the check found a larger difference.

    Source: MobileCLIP's `reparameterize_model` for "official"; the rest is the same arithmetic.
    """
    folded = copy.deepcopy(model).eval()
    with torch.no_grad():
        folded = _replaced(folded, _OFFICIAL)
        if form == "full":
            folded = _replaced(folded, _FULL)
    folded.requires_grad_(False)
    if check:
        for what, difference in relative_differences(model, folded).items():
            if not difference <= tolerance:
                raise InputError(
                    f"fold: {what} features differ by {difference:.2e} where {tolerance:.0e} is allowed; "
                    "look for infinite or extreme batch statistics in the checkpoint"
                )
    return folded


def folded_form(model: nn.Module) -> Form | None:
    """How far a model is folded; None: not, or there is nothing in it to fold."""
    modules = list(model.modules())
    if not any(isinstance(module, Folded) for module in modules):
        return None
    return "official" if any(isinstance(module, tuple(_FULL)) for module in modules) else "full"


def is_folded(model: nn.Module) -> bool:
    """Whether a model is folded fully."""
    return folded_form(model) == "full"


def _replaced(module: Any, table: Table) -> Any:
    if type(module) in table:
        return table[type(module)](module)
    for name, child in list(module.named_children()):
        setattr(module, name, _replaced(child, table))
    return module


def _convolution(like: nn.Conv2d, kernels: Kernels) -> nn.Conv2d:
    """A convolution with the stride, padding, groups, type and device of another, and these weights."""
    conv = copy.deepcopy(like)
    conv.weight = nn.Parameter(kernels.weight.to(like.weight))
    conv.bias = nn.Parameter(kernels.bias.to(like.weight))
    return conv


def _fold_mobileone(block: MobileOneBlock) -> FoldedConvolution:
    conv = _convolution(convolution_branches(block)[0].conv, fold_branches(block))
    return FoldedConvolution("reparam_conv", conv, block.se, block.activation)


def _fold_repmixer(mixer: RepMixer) -> FoldedConvolution:
    mixed, norm = fold_branches(mixer.mixer), fold_branches(mixer.norm)
    scale = mixer.layer_scale.double().flatten()
    identity = identity_kernel(len(scale), len(scale), mixer.kernel).to(scale.device)
    weight = identity + scale[:, None, None, None] * (mixed.weight - norm.weight)
    kernels = Kernels(weight, scale * (mixed.bias - norm.bias))
    conv = _convolution(convolution_branches(mixer.mixer)[0].conv, kernels)
    return FoldedConvolution("reparam_conv", conv, nn.Identity(), nn.Identity())


def _fold_positions(positions: ConditionalPositions) -> FoldedConvolution:
    conv = positions.pe
    assert conv.bias is not None
    kernel = (conv.kernel_size[0], conv.kernel_size[1])
    identity = identity_kernel(conv.out_channels, conv.groups, kernel).to(conv.weight.device)
    kernels = Kernels(identity + conv.weight.double(), conv.bias.double())
    return FoldedConvolution("reparam_conv", _convolution(conv, kernels), nn.Identity(), nn.Identity())


def _fold_downsampling(downsampling: LargeKernelDownsampling) -> FoldedConvolution:
    large, small = downsampling.lkb_origin, downsampling.small_conv
    kernels, added = fold_norm(large.conv, large.bn), fold_norm(small.conv, small.bn)
    weight = kernels.weight + pad_kernel(added.weight, (7, 7))
    conv = _convolution(large.conv, Kernels(weight, kernels.bias + added.bias))
    return FoldedConvolution("lkb_reparam", conv, downsampling.se, downsampling.activation)


def _fold_feed_forward(network: ConvolutionalFeedForward, scale: Tensor) -> nn.Sequential:
    """The network with its norm in the first convolution and the layer scale after it in the last."""
    scale = scale.double().flatten()
    assert network.fc2.bias is not None
    last = Kernels(
        network.fc2.weight.double() * scale[:, None, None, None], network.fc2.bias.double() * scale
    )
    parts: OrderedDict[str, nn.Module] = OrderedDict(
        conv=_convolution(network.conv.conv, fold_norm(network.conv.conv, network.conv.bn)),
        fc1=network.fc1,
        act=network.act,
        fc2=_convolution(network.fc2, last),
    )
    return nn.Sequential(parts)


def _fold_repmixer_block(block: RepMixerBlock) -> FoldedBlock:
    return FoldedBlock(block.token_mixer, _fold_feed_forward(block.convffn, block.layer_scale), None)


def _fold_attention_block(block: AttentionBlock) -> FoldedBlock:
    attention, norm = block.token_mixer, block.norm
    scale = block.layer_scale_1.double().flatten()
    _set_linear(attention.proj, attention.proj.weight.double() * scale[:, None], attention.proj.bias * scale)
    if isinstance(norm, nn.BatchNorm2d):
        affine, weight = norm_as_affine(norm), attention.qkv.weight.double()
        _set_linear(attention.qkv, weight * affine.scale, weight @ affine.shift)
        norm = nn.Identity()
    return FoldedBlock(attention, _fold_feed_forward(block.convffn, block.layer_scale_2), norm)


def _set_linear(linear: nn.Linear, weight: Tensor, bias: Tensor) -> None:
    bias = bias.to(linear.weight)
    linear.weight = nn.Parameter(weight.to(linear.weight))
    linear.bias = nn.Parameter(bias)


def _fold_stem(stem: StemConvolution) -> nn.Module:
    block: Any = stem.block
    if "norm" not in block._modules:
        return FoldedConvolution("conv", block.conv, nn.Identity(), nn.Identity())
    conv = _convolution(block.conv, fold_norm(block.conv, block.norm))
    return FoldedConvolution("conv", conv, nn.Identity(), block.act)


_OFFICIAL: Table = {
    MobileOneBlock: _fold_mobileone,
    RepMixer: _fold_repmixer,
    ConditionalPositions: _fold_positions,
    LargeKernelDownsampling: _fold_downsampling,
}
_FULL: Table = {
    RepMixerBlock: _fold_repmixer_block,
    AttentionBlock: _fold_attention_block,
    StemConvolution: _fold_stem,
}
