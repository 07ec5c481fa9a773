"""Sizes of a model: its parameters, and the multiply-adds of one forward pass."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode


@dataclass(frozen=True)
class MultiplyAdds:
    """Multiply-adds of a forward pass; biases, activations, gates and means are not counted.

    Attributes:
        convolutions: Of all convolutions.
        linear: Of linear layers and other products with weights.
        attention: Of the two products inside each attention, which many counters do not see.
        norms: Operations of norms as fvcore counts them: two for each value of a batch norm, five for each
            of a layer norm. The published figures of MobileCLIP's encoders hold them.
    """

    convolutions: int
    linear: int
    attention: int
    norms: int

    @property
    def total(self) -> int:
        """Those of convolutions, linear layers and attention."""
        return self.convolutions + self.linear + self.attention

    @property
    def with_norms(self) -> int:
        """All of them, which is how the first generation is quoted."""
        return self.total + self.norms

    @property
    def with_norms_without_attention(self) -> int:
        """What is left where a counter does not look into fused attention, as S3, S4 and L/14 are quoted."""
        return self.convolutions + self.linear + self.norms


def count_parameters(model: nn.Module) -> int:
    """The number of learned values; batch statistics are none, and a shared tensor counts once."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_multiply_adds(model: Callable[..., Any], *inputs: Tensor) -> MultiplyAdds:
    """The multiply-adds of `model(*inputs)`, on any device; on "meta" nothing is computed.

    Padding counts like pixels, as is usual.

    Raises:
        NotImplementedError: the model calls a product that is not counted here.
    """
    counter = _Counter()
    with torch.no_grad(), counter:
        model(*inputs)
    return MultiplyAdds(counter.convolutions, counter.linear, counter.attention, counter.norms)


class _Counter(TorchFunctionMode):
    """Sees every call of a torch function, so fused kernels hide nothing, and counts those that multiply."""

    def __init__(self) -> None:
        super().__init__()
        self.convolutions = self.linear = self.attention = self.norms = 0

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: object,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        given = dict(kwargs or {})
        if func in _REFUSED:
            raise NotImplementedError(f"the multiply-adds of {func} are not counted")
        result = func(*args, **given)
        if func in _CONVOLUTIONS:
            weight = given["weight"] if "weight" in given else args[1]
            self.convolutions += result.numel() * math.prod(weight.shape[1:])
        elif func in _PRODUCTS:
            first = args[0]
            self.linear += result.numel() * first.shape[-1]
        elif func in _NORMS:
            self.norms += result.numel() * _NORMS[func]
        elif func is functional.scaled_dot_product_attention:
            query, key, value = args[:3]
            pairs = math.prod(query.shape[:-1]) * key.shape[-2]
            self.attention += pairs * (query.shape[-1] + value.shape[-1])
        return result


_CONVOLUTIONS = {torch.conv1d, torch.conv2d, functional.conv1d, functional.conv2d}
_PRODUCTS = {
    functional.linear,
    torch.matmul,
    torch.mm,
    torch.bmm,
    Tensor.matmul,
    Tensor.__matmul__,
    Tensor.mm,
    Tensor.bmm,
}
_NORMS: dict[object, int] = {functional.batch_norm: 2, functional.layer_norm: 5}
_REFUSED = {torch.einsum, torch.conv3d, torch.baddbmm, functional.multi_head_attention_forward}
