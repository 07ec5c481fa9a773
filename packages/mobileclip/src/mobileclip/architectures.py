"""The published architectures by their open_clip names, as plain numbers; the standard library only.

Sizes are those of the released configurations; what each number does stands with the modules in `models`.
"""

from dataclasses import dataclass, field
from typing import Literal

OPENAI_MEAN = (0.48145466, 0.4578275, 0.40821073)
OPENAI_STD = (0.26862954, 0.26130258, 0.27577711)


@dataclass(frozen=True, kw_only=True)
class ConvolutionalTower:
    """An MCi image encoder: a stem, then stages of re-parameterised mixing blocks or attention blocks."""

    depths: tuple[int, ...]
    widths: tuple[int, ...]
    mlp_ratio: int
    mixers: tuple[Literal["rep", "attention"], ...]
    # of the downsampling that enters each stage; the first is unused
    downsample_squeeze_excite: tuple[bool, ...]
    attention_norm: Literal["batch", "layer"] = "batch"
    stem_scale_branches: bool = True
    image_size: int = 256


@dataclass(frozen=True, kw_only=True)
class VisionTransformer:
    """A ViT image encoder: `conv` is the three-convolution stem of MobileCLIP-B, `patch` the usual one."""

    width: int
    layers: int
    heads: int
    patch_size: int
    stem: Literal["conv", "patch"]
    image_size: int = 224


@dataclass(frozen=True, kw_only=True)
class TextTower:
    """A text encoder; `rep_blocks` stand before and after the attention layers (the `mct` tower of S0)."""

    width: int
    layers: int
    heads: int
    causal: bool
    rep_blocks: bool = False
    context_length: int = 77
    vocabulary: int = 49408
    mlp_ratio: int = 4


@dataclass(frozen=True, kw_only=True)
class Preprocessing:
    """What turns a photograph into the tensor that an image encoder was trained on."""

    mean: tuple[float, float, float] = (0.0, 0.0, 0.0)
    std: tuple[float, float, float] = (1.0, 1.0, 1.0)
    interpolation: Literal["bilinear", "bicubic"] = "bilinear"


@dataclass(frozen=True, kw_only=True)
class Architecture:
    """An image encoder, a text encoder, the width of their common space, and the preprocessing."""

    embed_dim: int
    image: ConvolutionalTower | VisionTransformer
    text: TextTower
    preprocessing: Preprocessing = field(default_factory=Preprocessing)


_OPENAI = Preprocessing(mean=OPENAI_MEAN, std=OPENAI_STD)
_REP_THEN_ATTENTION: tuple[Literal["rep", "attention"], ...] = ("rep", "rep", "rep", "attention")


def _mci(depths: tuple[int, ...], width: int) -> ConvolutionalTower:
    return ConvolutionalTower(
        depths=depths,
        widths=tuple(width * 2**stage for stage in range(4)),
        mlp_ratio=3,
        mixers=_REP_THEN_ATTENTION,
        downsample_squeeze_excite=(False, False, True, True),
    )


def _mci_five_stages(depths: tuple[int, ...], width: int) -> ConvolutionalTower:
    return ConvolutionalTower(
        depths=depths,
        widths=tuple(width * 2**stage for stage in range(5)),
        mlp_ratio=4,
        mixers=("rep", "rep", "rep", "attention", "attention"),
        downsample_squeeze_excite=(False,) * 5,
        attention_norm="layer",
        stem_scale_branches=False,
    )


MCI0 = _mci((2, 6, 10, 2), 64)
MCI1 = _mci((4, 12, 20, 4), 64)
MCI2 = _mci((4, 12, 24, 4), 80)
MCI3 = _mci_five_stages((2, 12, 24, 4, 2), 96)
MCI4 = _mci_five_stages((2, 12, 24, 4, 4), 128)
VIT_B = VisionTransformer(width=768, layers=12, heads=12, patch_size=16, stem="conv")
VIT_L = VisionTransformer(width=1024, layers=24, heads=16, patch_size=14, stem="patch")

MCT = TextTower(width=512, layers=4, heads=8, causal=False, rep_blocks=True)
TEXT_512 = TextTower(width=512, layers=12, heads=8, causal=False)
TEXT_512_CAUSAL = TextTower(width=512, layers=12, heads=8, causal=True)
TEXT_768 = TextTower(width=768, layers=12, heads=12, causal=False)

ARCHITECTURES = {
    "MobileCLIP-S0": Architecture(embed_dim=512, image=MCI0, text=MCT),
    "MobileCLIP-S1": Architecture(embed_dim=512, image=MCI1, text=TEXT_512),
    "MobileCLIP-S2": Architecture(embed_dim=512, image=MCI2, text=TEXT_512),
    "MobileCLIP-B": Architecture(embed_dim=512, image=VIT_B, text=TEXT_512_CAUSAL),
    "MobileCLIP2-S0": Architecture(embed_dim=512, image=MCI0, text=TEXT_512),
    "MobileCLIP2-S2": Architecture(embed_dim=512, image=MCI2, text=TEXT_512),
    "MobileCLIP2-B": Architecture(embed_dim=512, image=VIT_B, text=TEXT_512_CAUSAL),
    "MobileCLIP2-S3": Architecture(embed_dim=768, image=MCI3, text=TEXT_768, preprocessing=_OPENAI),
    "MobileCLIP2-S4": Architecture(embed_dim=768, image=MCI4, text=TEXT_768, preprocessing=_OPENAI),
    "MobileCLIP2-L-14": Architecture(
        embed_dim=768,
        image=VIT_L,
        text=TEXT_768,
        preprocessing=Preprocessing(mean=OPENAI_MEAN, std=OPENAI_STD, interpolation="bicubic"),
    ),
    # not published: every kind of block, small enough for tests, demonstrations and training on a CPU
    "MobileCLIP-Tiny": Architecture(
        embed_dim=64,
        image=ConvolutionalTower(
            depths=(1, 1, 1, 1),
            widths=(16, 32, 64, 128),
            mlp_ratio=3,
            mixers=_REP_THEN_ATTENTION,
            downsample_squeeze_excite=(False, False, True, True),
            image_size=64,
        ),
        text=TextTower(width=64, layers=2, heads=1, causal=False, rep_blocks=True),
    ),
}
