"""The hidden states before a causal language model's output head."""

from typing import Any, cast

from torch import Tensor, nn


def final_hidden_states(model: nn.Module, input_ids: Tensor, attention_mask: Tensor | None = None) -> Tensor:
    """Hidden states [batch, length, width] that the output head turns into logits.

    With the adapters that are active in a PEFT model, and a gradient where their parameters have one. Rows
    that are padded on the right need no mask: a causal model does not look there.

    Args:
        model: A causal language model of transformers, or a PEFT model around one.
        input_ids: int64 [batch, length].
        attention_mask: [batch, length], 1 where there is a token; for rows padded on the left.
    """
    backbone = causal_lm_of(model).base_model
    states = backbone(input_ids=input_ids, attention_mask=attention_mask, use_cache=False).last_hidden_state
    return cast(Tensor, states)


def causal_lm_of(model: nn.Module) -> Any:
    """The causal language model of transformers inside a PEFT model, or the model itself.

    Raises:
        TypeError: the model has no backbone apart from its head.
    """
    inner: Any = model
    if hasattr(inner, "peft_config") and hasattr(inner, "get_base_model"):
        inner = inner.get_base_model()
    if not hasattr(inner, "base_model") or inner.base_model is inner:
        raise TypeError(f"{type(inner).__name__} has no backbone apart from its head")
    return inner
