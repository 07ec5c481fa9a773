"""The names that open_clip and timm give to the weights, in both directions.

One table a model: which of our names stands for which of theirs, and how the tensor is turned. Reading and
writing use the same table, so what is written and read again is the same to the bit.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Literal

import torch
from toolkit_shared.errors import InputError
from torch import Tensor

from mobileclip.architectures import Architecture, ConvolutionalTower, VisionTransformer
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import is_folded

Turn = Literal["same", "transposed", "flat positions", "positions"]

# Older checkpoints of open_clip hold the causal mask, which is computed here.
IGNORED = ("text.attn_mask", "attn_mask")

_TEXT = (
    (r"text_encoder\.embedding_layer\.", "text.token_embedding."),
    (r"text_encoder\.transformer\.(\d+)\.", r"text.transformer.resblocks.\1."),
    (r"\.pre_norm_mha\.0\.", ".ln_1."),
    (r"\.pre_norm_mha\.1\.qkv_proj\.(weight|bias)", r".attn.in_proj_\1"),
    (r"\.pre_norm_mha\.1\.out_proj\.", ".attn.out_proj."),
    (r"\.pre_norm_ffn\.0\.", ".ln_2."),
    (r"\.pre_norm_ffn\.1\.", ".mlp.c_fc."),
    (r"\.pre_norm_ffn\.4\.", ".mlp.c_proj."),
    (r"text_encoder\.final_layer_norm\.", "text.ln_final."),
    (r"text_encoder\.projection_layer$", "text.text_projection"),
    (r"text_encoder\.positional_embedding\.pos_embed\.pos_embed$", "text.positional_embedding"),
)
_CONVOLUTIONAL = (
    (r"^patch_embed\.", "stem."),
    (r"^conv_exp\.", "final_conv."),
    (r"\brbr_conv\b", "conv_kxk"),
    (r"\brbr_scale\b", "conv_scale"),
    (r"\brbr_skip\b", "identity"),
    (r"\blkb_origin\b", "large_conv"),
    (r"\blkb_reparam\b", "reparam_conv"),
    (r"\bconvffn\b", "mlp"),
    (r"\bse\.reduce\b", "se.fc1"),
    (r"\bse\.expand\b", "se.fc2"),
    (r"\blayer_scale(_[12])?$", r"layer_scale\1.gamma"),
    (r"^head\.proj$", "head.fc.weight"),
    (r"^head\.bias$", "head.fc.bias"),
)
_VIT = (
    (r"\.pre_norm_mha\.0\.", ".norm1."),
    (r"\.pre_norm_mha\.1\.qkv_proj\.", ".attn.qkv."),
    (r"\.pre_norm_mha\.1\.out_proj\.", ".attn.proj."),
    (r"\.pre_norm_ffn\.0\.", ".norm2."),
    (r"\.pre_norm_ffn\.1\.", ".mlp.fc1."),
    (r"\.pre_norm_ffn\.4\.", ".mlp.fc2."),
    (r"^transformer\.", "blocks."),
    (r"^pre_transformer_norm\.", "norm_pre."),
    (r"^post_transformer_norm\.", "norm."),
    (r"^pos_embed\.pos_embed\.pos_embed$", "pos_embed"),
    (r"^classifier\.proj$", "head.weight"),
    (r"^classifier\.bias$", "head.bias"),
)
_VIT_STEMS = {
    "conv": (
        (r"^patch_emb\.(\d)\.block\.conv\.", r"patch_embed.backbone.\1.conv."),
        (r"^patch_emb\.(\d)\.block\.norm\.", r"patch_embed.backbone.\1.bn."),
    ),
    "patch": ((r"^patch_emb\.0\.block\.conv\.", "patch_embed.proj."),),
}
_IMAGE = "image_encoder.model."
_TRUNK = "visual.trunk."


def open_clip_names(architecture: Architecture, names: Iterable[str]) -> dict[str, tuple[str, Turn]]:
    """For each of our names open_clip's, and what is done to the tensor on the way there."""
    stages = _stage_names(architecture.image) if isinstance(architecture.image, ConvolutionalTower) else {}
    return {name: (_open_clip_name(name, architecture, stages), _turn(name)) for name in names}


def head_bias_name(architecture: Architecture) -> str:
    """open_clip's name of the bias of the image projection, which our models may do without."""
    inner = "head.fc.bias" if isinstance(architecture.image, ConvolutionalTower) else "head.bias"
    return _TRUNK + inner


def to_open_clip_state_dict(model: ImageTextModel) -> dict[str, Tensor]:
    """The weights under open_clip's names, which its `create_model(...).load_state_dict` takes.

    A projection without bias gets one of zeros, as in open_clip's own conversions.

    Raises:
        InputError: the model is fully folded, or has the text encoder of MobileCLIP-S0, which open_clip has
            not got.
    """
    architecture = model.architecture
    _refuse_rep_blocks(architecture)
    if is_folded(model):
        raise InputError(
            "to_open_clip_state_dict: a fully folded model has other layers than open_clip's; convert the "
            "model before folding it"
        )
    own = model.state_dict()
    state = {}
    for name, (foreign, turn) in open_clip_names(architecture, own).items():
        state[foreign] = _there(own[name].detach(), turn)
    state.setdefault(head_bias_name(architecture), torch.zeros(architecture.embed_dim))
    return state


def from_open_clip_state_dict(
    state: Mapping[str, Tensor], architecture: Architecture, names: Iterable[str]
) -> dict[str, Tensor]:
    """The weights of an open_clip state dict under our names.

    `names` are those of the model that is to take them. What has no such name keeps its own, so that loading
    says it is unknown. A bias of zeros in the image projection is left out when the model has none.
    """
    table = open_clip_names(architecture, names)
    ours = {foreign: (name, turn) for name, (foreign, turn) in table.items()}
    bias, result = head_bias_name(architecture), {}
    for foreign, tensor in state.items():
        if foreign in IGNORED or (foreign == bias and foreign not in ours and not tensor.any()):
            continue
        name, turn = ours.get(foreign, (foreign, "same"))
        result[name] = _back(tensor, turn)
    return result


def _refuse_rep_blocks(architecture: Architecture) -> None:
    if architecture.text.rep_blocks:
        raise InputError(
            "to_open_clip_state_dict: open_clip has no text encoder with rep blocks (MobileCLIP-S0's); use "
            "to_official_state_dict or save_pretrained"
        )


def _open_clip_name(name: str, architecture: Architecture, stages: Mapping[str, str]) -> str:
    if not name.startswith(_IMAGE):
        return _replace(name, _TEXT)
    inner = name.removeprefix(_IMAGE)
    if isinstance(architecture.image, VisionTransformer):
        inner = _replace(inner, _VIT_STEMS[architecture.image.stem] + _VIT)
    else:
        inner = _replace(inner, _CONVOLUTIONAL)
        part = re.match(r"network\.\d+\.", inner)
        if part:
            stage, rest = stages[part[0]], inner.removeprefix(part[0])
            if stage.endswith(".pos_emb."):
                rest = re.sub(r"^pe\.", "pos_enc.", rest)
            inner = stage + rest
    return _TRUNK + inner


def _stage_names(tower: ConvolutionalTower) -> dict[str, str]:
    """What each part of our flat `network` is in timm's stages, such as network.1. : stages.1.downsample."""
    parts = []
    for stage, mixer in enumerate(tower.mixers):
        if stage:
            parts.append(f"stages.{stage}.downsample.")
        if mixer == "attention":
            parts.append(f"stages.{stage}.pos_emb.")
        parts.append(f"stages.{stage}.blocks.")
    return {f"network.{index}.": part for index, part in enumerate(parts)}


def _replace(name: str, rules: Iterable[tuple[str, str]]) -> str:
    for pattern, replacement in rules:
        name = re.sub(pattern, replacement, name)
    return name


def _turn(name: str) -> Turn:
    if name == "text_encoder.positional_embedding.pos_embed.pos_embed":
        return "flat positions"
    if name == _IMAGE + "pos_embed.pos_embed.pos_embed":
        return "positions"
    if name in (_IMAGE + "head.proj", _IMAGE + "classifier.proj"):
        return "transposed"
    return "same"


def _there(tensor: Tensor, turn: Turn) -> Tensor:
    if turn == "transposed":
        return tensor.t().contiguous()
    if turn == "flat positions":
        return tensor.flatten(0, 2)
    return tensor.squeeze(0) if turn == "positions" else tensor


def _back(tensor: Tensor, turn: Turn) -> Tensor:
    # A tensor of another rank goes on as it is: loading then names it with both shapes.
    if turn == "transposed" and tensor.ndim == 2:
        return tensor.t().contiguous()
    if turn == "flat positions" and tensor.ndim == 2:
        return tensor[None, None]
    return tensor[None] if turn == "positions" and tensor.ndim == 3 else tensor
