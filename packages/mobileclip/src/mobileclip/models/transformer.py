"""Pre-norm transformer layers of both towers; attributes have the key names of the released checkpoints."""

from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional
from torchvision.ops import StochasticDepth


class LayerNormFloat32(nn.LayerNorm):
    """Layer norm that is computed in float32 whatever the type of its input, and gives that type back."""

    def forward(self, tokens: Float[Tensor, "*shape width"]) -> Float[Tensor, "*shape width"]:
        """The normalised tokens."""
        weight = None if self.weight is None else self.weight.float()
        bias = None if self.bias is None else self.bias.float()
        normed = functional.layer_norm(tokens.float(), self.normalized_shape, weight, bias, self.eps)
        return normed.to(tokens.dtype)


class MultiHeadAttention(nn.Module):
    """Self-attention; queries, keys and values come from one projection, in this order.

    Raises:
        ValueError: the width is no multiple of the number of heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} is no multiple of {heads} heads")
        self.heads = heads
        self.qkv_proj = nn.Linear(width, 3 * width)
        self.out_proj = nn.Linear(width, width)

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"], *, causal: bool = False
    ) -> Float[Tensor, "batch tokens width"]:
        """What each token gathers from all tokens, or if `causal` from those up to itself."""
        query, key, value = self.qkv_proj(tokens).unflatten(2, (3, self.heads, -1)).transpose(1, 3).unbind(2)
        mixed = functional.scaled_dot_product_attention(query, key, value, is_causal=causal)
        gathered: Tensor = self.out_proj(mixed.transpose(1, 2).flatten(2))
        return gathered


class TransformerLayer(nn.Module):
    """Attention, then a feed-forward network with exact GELU, a norm before and a residual around each.

    Args:
        width: Of the tokens.
        heads: Of the attention.
        mlp_ratio: Hidden units of the feed-forward network a channel.
        eps: Of both norms.
        drop_path_ratio: Probability that a sample skips a half of the layer in training.
    """

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        mlp_ratio: int = 4,
        eps: float = 1e-5,
        drop_path_ratio: float = 0.0,
    ) -> None:
        super().__init__()
        self.pre_norm_mha = nn.Sequential(LayerNormFloat32(width, eps=eps), MultiHeadAttention(width, heads))
        self.pre_norm_ffn = nn.Sequential(
            LayerNormFloat32(width, eps=eps),
            nn.Linear(width, width * mlp_ratio),
            nn.GELU(),
            nn.Identity(),  # a dropout in the released code, whose place in the numbering the keys keep
            nn.Linear(width * mlp_ratio, width),
        )
        self.drop_path = StochasticDepth(drop_path_ratio, "row")

    def forward(
        self, tokens: Float[Tensor, "batch tokens width"], *, causal: bool = False
    ) -> Float[Tensor, "batch tokens width"]:
        """The tokens of the next layer."""
        norm, attention = self.pre_norm_mha
        tokens = tokens + self.drop_path(attention(norm(tokens), causal=causal))
        tokens = tokens + self.drop_path(self.pre_norm_ffn(tokens))
        return tokens
