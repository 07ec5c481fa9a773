"""The text encoders: a transformer over CLIP tokens, read out at the end-of-text token."""

from contextlib import nullcontext
from functools import partial

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from mobileclip.architectures import TextTower
from mobileclip.models.checkpointing import frozen_statistics
from mobileclip.models.repmixer import RepMixerBlock
from mobileclip.models.transformer import LayerNormFloat32, TransformerLayer

REP_KERNEL = (1, 11)  # convolution over the sequence, which lies along the width of a one-pixel-high image


class LearnedPositions(nn.Module):
    """One learned vector a position, stored as (1, 1, positions, width) like the published weights."""

    def __init__(self, num_positions: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.empty(1, 1, num_positions, width))

    def forward(self, num_tokens: int) -> Float[Tensor, "tokens width"]:
        """The vectors of the first `num_tokens` positions, sliced and never interpolated."""
        return self.pos_embed[0, 0, :num_tokens]


class TextEncoder(nn.Module):
    """Text features of CLIP tokens, (batch, embed_dim), not normalised.

    Pre-norm layers with exact GELU; the output is the projected state of the token with the highest number,
    which is the end of the text. A tower without a causal mask attends to the padding as well, for it was
    trained so: it takes rows of the full `context_length` only, and no padding mask exists. A causal tower
    also takes shorter rows, as long as they hold the end of each text, and gives the same features.

    The official code interpolates the positions bilinearly for shorter rows, which gives other features
    (4.9 % off on MobileCLIP-B); here they are sliced. Its `embed_scale` is never applied, and is absent here.

    Args:
        width: of the token states; heads have width / heads channels.
        layers: attention layers, without the rep blocks.
        heads: of each attention layer.
        embed_dim: width of the output.
        causal: whether a token sees only those before it.
        rep_blocks: a convolutional mixing block before and one after the attention layers.
        context_length: tokens in a row.
        vocabulary: number of different tokens.
        mlp_ratio: hidden width of the feed-forward networks over `width`.
        drop_path_ratio: largest probability of skipping a layer in training; grows linearly over the depth.

    Source: MobileCLIP section 3.2 (Text-RepMixer) and the released configurations; the initial weights are
    those of CLIP, for the official code of training does not set them otherwise.
    """

    def __init__(
        self,
        *,
        width: int,
        layers: int,
        heads: int,
        embed_dim: int,
        causal: bool,
        rep_blocks: bool = False,
        context_length: int = 77,
        vocabulary: int = 49408,
        mlp_ratio: int = 4,
        drop_path_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        if causal and rep_blocks:
            # their convolution reaches five tokens ahead, so that the mask would promise what does not hold
            raise ValueError("a text encoder with rep blocks cannot be causal")
        self.width, self.embed_dim = width, embed_dim
        self.context_length, self.vocabulary = context_length, vocabulary
        self.causal, self.rep_blocks = causal, rep_blocks
        self.gradient_checkpointing = False
        self.embedding_layer = nn.Embedding(vocabulary, width)
        self.positional_embedding = nn.ModuleDict({"pos_embed": LearnedPositions(context_length, width)})
        depth = layers + 2 * rep_blocks
        drops = [drop_path_ratio * index / max(1, depth - 1) for index in range(depth)]
        self.transformer = nn.ModuleList(
            _rep_block(width, mlp_ratio, drop)
            if rep_blocks and index in (0, depth - 1)
            else TransformerLayer(width, heads, mlp_ratio=mlp_ratio, drop_path_ratio=drop)
            for index, drop in enumerate(drops)
        )
        self.final_layer_norm = LayerNormFloat32(width)
        self.projection_layer = nn.Parameter(torch.empty(width, embed_dim))
        self.reset_parameters(layers)

    @torch.no_grad()
    def reset_parameters(self, layers: int) -> None:
        """Draw initial weights, from torch's global generator; rep blocks keep those that they made.

        Source: the initialisation of CLIP, as in open_clip's text tower.
        """
        nn.init.normal_(self.embedding_layer.weight, std=0.02)
        nn.init.normal_(self._positions.pos_embed, std=0.01)
        for block in self.transformer:
            if isinstance(block, TransformerLayer):
                deviations = {
                    "pre_norm_mha.1.qkv_proj": self.width**-0.5,
                    "pre_norm_mha.1.out_proj": (2 * layers * self.width) ** -0.5,
                    "pre_norm_ffn.1": (2 * self.width) ** -0.5,
                    "pre_norm_ffn.4": (2 * layers * self.width) ** -0.5,
                }
                for name, deviation in deviations.items():
                    nn.init.normal_(block.get_parameter(f"{name}.weight"), std=deviation)
                    nn.init.zeros_(block.get_parameter(f"{name}.bias"))
        nn.init.normal_(self.projection_layer, std=self.width**-0.5)

    @property
    def _positions(self) -> LearnedPositions:
        positions = self.positional_embedding["pos_embed"]
        assert isinstance(positions, LearnedPositions)
        return positions

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Whether training computes each layer again in the backward pass instead of keeping its states."""
        self.gradient_checkpointing = enable

    def forward(self, tokens: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch embed_dim"]:
        """Features at each row's end-of-text token, not normalised.

        Raises:
            ValueError: the rows are longer than `context_length`, or shorter and the tower is not causal.
        """
        num_tokens = tokens.shape[1]
        if num_tokens > self.context_length:
            raise ValueError(f"rows of {num_tokens} tokens; the text encoder takes {self.context_length}")
        if num_tokens < self.context_length and not self.causal:
            raise ValueError(
                f"rows of {num_tokens} tokens; this text encoder has no causal mask, so the padding counts: "
                f"pad with 0 to {self.context_length}"
            )
        states = self.embedding_layer(tokens)
        states = states + self._positions(num_tokens).to(states.dtype)
        last = len(self.transformer) - 1
        for index, block in enumerate(self.transformer):
            # by position, not by class: folding may put another class in the block's place
            is_rep = self.rep_blocks and index in (0, last)
            states = self._run(block, states, is_rep)
        ends = states[torch.arange(tokens.shape[0], device=tokens.device), tokens.argmax(dim=-1)]
        # the norm is per token, so it need only be taken of the tokens that are read out
        features: Tensor = self.final_layer_norm(ends) @ self.projection_layer
        return features

    def _run(
        self, block: nn.Module, states: Float[Tensor, "batch tokens width"], is_rep: bool
    ) -> Float[Tensor, "batch tokens width"]:
        apply = block if is_rep else partial(block, causal=self.causal)
        if is_rep:
            states = states.transpose(1, 2).unsqueeze(2)
        if self.gradient_checkpointing and torch.is_grad_enabled():
            states = checkpoint(
                apply,
                states,
                use_reentrant=False,
                # the second pass must not count the batch again in the running statistics
                context_fn=lambda: (nullcontext(), frozen_statistics(block)),
            )
        else:
            states = apply(states)
        return states.squeeze(2).transpose(1, 2) if is_rep else states


def build_text_encoder(tower: TextTower, embed_dim: int, *, drop_path_ratio: float = 0.0) -> TextEncoder:
    """A text encoder with initial weights, in training mode; `embed_dim` is the width of its output."""
    return TextEncoder(
        width=tower.width,
        layers=tower.layers,
        heads=tower.heads,
        embed_dim=embed_dim,
        causal=tower.causal,
        rep_blocks=tower.rep_blocks,
        context_length=tower.context_length,
        vocabulary=tower.vocabulary,
        mlp_ratio=tower.mlp_ratio,
        drop_path_ratio=drop_path_ratio,
    )


def _rep_block(width: int, mlp_ratio: int, drop_path_ratio: float) -> RepMixerBlock:
    return RepMixerBlock(
        width,
        mixer_kernel=REP_KERNEL,
        feed_forward_kernel=REP_KERNEL,
        mlp_ratio=mlp_ratio,
        drop_path_ratio=drop_path_ratio,
    )
