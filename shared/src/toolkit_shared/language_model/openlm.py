"""OpenLM: a pre-norm decoder with QK-norm, rotary positions and SwiGLU, without biases."""

import math
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from toolkit_shared.checkpoints import load_pretrained, misfit, save_pretrained
from toolkit_shared.errors import InputError
from toolkit_shared.language_model.attention import (
    AttentionImplementation,
    DocumentLayout,
    attend,
    document_layout,
)

MODEL_TYPE = "openlm"
# What config.json holds beside the type.
_WHOLE = ("vocab_size", "width", "num_layers", "num_heads", "max_length")
_NUMBERS = (*_WHOLE, "rope_base", "norm_eps")


class OpenLM(nn.Module):
    """A causal language model: token numbers in, next-token logits out.

    Args:
        vocab_size: Rows of the embedding and of the output; open_lm pads that of GPT-NeoX to 50,432.
        width: Model width d.
        num_layers: Number of blocks.
        num_heads: Attention heads; must divide `width` into an even head width.
        max_length: Tokens of the longest sequence; the rotary table is built for it once.
        rope_base: Base of the rotary frequencies: 10,000 in open_lm and DataComp-LM, 100,000 in dataset
            decomposition.
        norm_eps: Added to the variance in every normalisation.
        attention: How attention stays within documents when `document_ids` are given.
        low_precision_norm: Under autocast, normalise in its precision, as open_lm does, in place of float32.

    Raises:
        ValueError: `num_heads` does not divide `width` into an even head width.

    Source: the models of arXiv 2405.13226 and 2406.11794, both trained with the open_lm project, whose
    parameter names are kept.
    """

    def __init__(
        self,
        *,
        vocab_size: int = 50_432,
        width: int,
        num_layers: int,
        num_heads: int,
        max_length: int = 8192,
        rope_base: float | int = 100_000.0,
        norm_eps: float = 1e-5,
        attention: AttentionImplementation = "auto",
        low_precision_norm: bool = False,
    ) -> None:
        super().__init__()
        if width % num_heads or (width // num_heads) % 2:
            raise ValueError(f"num_heads: {num_heads} does not divide width {width} into an even head width")
        self.config: dict[str, Any] = {
            "model_type": MODEL_TYPE,
            "vocab_size": vocab_size,
            "width": width,
            "num_layers": num_layers,
            "num_heads": num_heads,
            "max_length": max_length,
            "rope_base": float(rope_base),
            "norm_eps": norm_eps,
        }
        self.attention: AttentionImplementation = attention
        self.tok_embeddings = nn.Embedding(vocab_size, width)
        norm = partial(GainOnlyNorm, eps=norm_eps, low_precision=low_precision_norm)
        self.layers = nn.ModuleList(_Block(width, num_heads, layer, norm) for layer in range(num_layers))
        self.norm = norm(width)
        self.output = nn.Linear(width, vocab_size, bias=False)
        self.rotary = RotaryTable(width // num_heads, max_length, rope_base)
        for weight in (self.output.weight, self.tok_embeddings.weight):
            _truncated_normal(weight, 1 / math.sqrt(width))

    def forward(
        self,
        input_ids: Int[Tensor, "batch tokens"],
        document_ids: Int[Tensor, "batch tokens"] | None = None,
        *,
        reset_positions: bool = True,
        project: bool = True,
    ) -> Float[Tensor, "batch tokens out"]:
        """Logits of the token after each position, over the vocabulary.

        Args:
            input_ids: Token numbers, below `vocab_size`.
            document_ids: One number a token that changes where a new document begins; attention then stays
                within documents. Without it a row is one sequence.
            reset_positions: Count positions from the start of each document rather than of the row.
            project: False gives the normalised last hidden states, [batch, tokens, width], for a loss that
                projects with `output` piece by piece.

        Raises:
            ValueError: the row is longer than the rotary table.
        """
        tokens = input_ids.shape[1]
        if tokens > self.config["max_length"]:
            raise ValueError(
                f"a row of {tokens} tokens is longer than max_length {self.config['max_length']}"
            )
        layout = None if document_ids is None else document_layout(document_ids, self.attention)
        positions = layout.positions if layout is not None and reset_positions else None
        rotation = self.rotary(tokens, positions)
        x = self.tok_embeddings(input_ids)
        for layer in self.layers:
            x = layer(x, rotation, layout)
        out: Tensor = self.norm(x)
        return self.output(out) if project else out

    def num_parameters(self) -> int:
        """Number of trainable parameters."""
        return sum(parameter.numel() for parameter in self.parameters())

    def save_pretrained(self, folder: str | Path) -> None:
        """Write `model.safetensors` and `config.json` into `folder`, each atomically."""
        save_pretrained(folder, self.state_dict(), self.config)

    @classmethod
    def from_pretrained(cls, path: str | Path, *, attention: AttentionImplementation = "auto") -> "OpenLM":
        """A model from a folder of `save_pretrained`, or from the Hub when `path` is no folder.

        Raises:
            InputError: the folder holds another kind of model, or weights that do not fit its config.
        """
        state_dict, config = load_pretrained(path)
        if config.get("model_type") != MODEL_TYPE:
            raise InputError(
                f"{path}: config.json: model_type is {config.get('model_type')!r}, not {MODEL_TYPE!r}; "
                "give a folder with a model of that type or convert the checkpoint first"
            )
        arguments = {name: value for name, value in config.items() if name != "model_type"}
        for name in ("width", "num_layers", "num_heads", *arguments):
            value = arguments.get(name)
            if name not in _NUMBERS:
                raise InputError(f"{path}: config.json: field '{name}' is not known; remove it")
            kind = int if name in _WHOLE else (int, float)
            if isinstance(value, bool) or not isinstance(value, kind) or value <= 0:
                raise InputError(f"{path}: config.json: field '{name}' is {value!r}; it must be above 0")
        try:
            model = cls(**arguments, attention=attention)
        except ValueError as error:
            raise InputError(f"{path}: config.json: {error}") from None
        if reason := misfit(model.state_dict(), state_dict):
            raise InputError(f"{path}: config.json and weights do not fit: {reason}; correct config.json")
        model.load_state_dict(state_dict)
        return model


class GainOnlyNorm(nn.LayerNorm):
    """LayerNorm with a gain and no bias.

    Args:
        width: Channels.
        eps: Added to the variance.
        low_precision: Under autocast, work in its dtype and give that out; else in float32, as torch does.

    Source: `gain_only_lp_layer_norm` of open_lm, the norm of every scale of arXiv 2406.11794.
    """

    def __init__(self, width: int, *, eps: float, low_precision: bool = False) -> None:
        super().__init__(width, eps=eps, bias=False)
        self.low_precision = low_precision

    def forward(self, x: Tensor) -> Tensor:
        """`x` with mean 0 and variance 1 over its channels, times the gain."""
        kind = x.device.type
        if not (self.low_precision and torch.is_autocast_enabled(kind)):
            return super().forward(x)
        dtype = torch.get_autocast_dtype(kind)
        with torch.autocast(kind, enabled=False):
            return F.layer_norm(x.to(dtype), self.normalized_shape, self.weight.to(dtype), eps=self.eps)


class RotaryTable(nn.Module):
    """Cosines and sines of the rotary angles for every position, built once for the longest sequence.

    The table is float32 whatever the precision of the model: a bfloat16 angle is off by whole radians at
    long positions.
    """

    cos: Float[Tensor, "positions half_head"]
    sin: Float[Tensor, "positions half_head"]

    def __init__(self, head_width: int, max_length: int, base: float | int) -> None:
        super().__init__()
        self.head_width, self.max_length, self.base = head_width, max_length, float(base)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Build the table anew, on the default device; needed after `to_empty`."""
        angles = torch.outer(torch.arange(self.max_length, dtype=torch.float32), self.inverse_frequencies())
        self.register_buffer("cos", angles.cos(), persistent=False)
        self.register_buffer("sin", angles.sin(), persistent=False)

    def inverse_frequencies(self) -> Float[Tensor, " half_head"]:
        """base^(-2i/head_width) for i = 0, 1, ..."""
        exponents = torch.arange(0, self.head_width, 2, dtype=torch.float32) / self.head_width
        return 1.0 / (self.base**exponents)

    def forward(
        self, tokens: int, positions: Int[Tensor, "batch tokens"] | None = None
    ) -> tuple[Tensor, Tensor]:
        """Cosine and sine, each [1 or batch, tokens, 1, half_head], at `positions` or from 0 on."""
        if positions is None:
            return self.cos[None, :tokens, None], self.sin[None, :tokens, None]
        return self.cos[positions][:, :, None], self.sin[positions][:, :, None]

    def _apply(self, fn: Any, recurse: bool = True) -> "RotaryTable":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        if self.cos.dtype != torch.float32 and not self.cos.is_meta:
            device = self.cos.device
            self.reset_parameters()
            self.cos, self.sin = self.cos.to(device), self.sin.to(device)
        return self


def rotate(
    x: Float[Tensor, "batch tokens heads head_width"], rotation: tuple[Tensor, Tensor]
) -> Float[Tensor, "batch tokens heads head_width"]:
    """`x` with channel i of each head's first half turned against channel i of its second half.

    The result has the dtype of `x` or float32, whichever is wider.
    """
    cos, sin = rotation
    first, second = x.chunk(2, dim=-1)
    return torch.cat([first * cos - second * sin, second * cos + first * sin], dim=-1)


def swiglu_width(width: int) -> int:
    """Hidden width of the feed-forward layer: 8/3 of `width`, rounded up to a multiple of 256."""
    return 256 * math.ceil(int(8 * width / 3) / 256)


class _Attention(nn.Module):
    def __init__(self, width: int, num_heads: int, layer: int, norm: "Callable[[int], GainOnlyNorm]") -> None:
        super().__init__()
        self.num_heads = num_heads
        self.in_proj = nn.Linear(width, 3 * width, bias=False)
        self.out_proj = nn.Linear(width, width, bias=False)
        # One gain over all heads together: the normalisation comes before the split into heads.
        self.q_norm = norm(width)
        self.k_norm = norm(width)
        _truncated_normal(self.in_proj.weight, 1 / math.sqrt(width))
        _truncated_normal(self.out_proj.weight, 1 / math.sqrt(width) / math.sqrt(2 * (layer + 1)))

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], layout: DocumentLayout | None) -> Tensor:
        query, key, value = self.in_proj(x).chunk(3, dim=-1)
        query, key = self.q_norm(query), self.k_norm(key)
        query, key, value = (part.unflatten(-1, (self.num_heads, -1)) for part in (query, key, value))
        # Under autocast the norms and the rotation give float32; the kernels want one dtype.
        query, key = (rotate(part, rotation).to(value.dtype) for part in (query, key))
        out: Tensor = self.out_proj(attend(query, key, value, layout).flatten(-2))
        return out


class _FeedForward(nn.Module):
    def __init__(self, width: int, layer: int) -> None:
        super().__init__()
        hidden = swiglu_width(width)
        self.w12 = nn.Linear(width, 2 * hidden, bias=False)
        self.w3 = nn.Linear(hidden, width, bias=False)
        _truncated_normal(self.w12.weight, 1 / math.sqrt(width))
        _truncated_normal(self.w3.weight, 1 / math.sqrt(hidden) / math.sqrt(2 * (layer + 1)))

    def forward(self, x: Tensor) -> Tensor:
        gate, up = self.w12(x).chunk(2, dim=-1)
        out: Tensor = self.w3(F.silu(gate) * up)
        return out


class _Block(nn.Module):
    def __init__(self, width: int, num_heads: int, layer: int, norm: "Callable[[int], GainOnlyNorm]") -> None:
        super().__init__()
        self.attention = _Attention(width, num_heads, layer, norm)
        self.feed_forward = _FeedForward(width, layer)
        self.attention_norm = norm(width)
        self.ffn_norm = norm(width)

    def forward(self, x: Tensor, rotation: tuple[Tensor, Tensor], layout: DocumentLayout | None) -> Tensor:
        x = x + self.attention(self.attention_norm(x), rotation, layout)
        out: Tensor = x + self.feed_forward(self.ffn_norm(x))
        return out


def _truncated_normal(weight: Tensor, std: float) -> None:
    nn.init.trunc_normal_(weight, std=std, a=-3 * std, b=3 * std)
