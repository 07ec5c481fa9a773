"""The output head of any causal language model of transformers, and a check that it is the whole of it."""

from typing import Any

import torch
from toolkit_shared.errors import InputError
from torch import Tensor, nn

from llm_compat.heads import Head
from llm_compat.model.hidden_states import causal_lm_of, final_hidden_states

PROBE_TOKENS = 16
_SOFTCAPS = ("final_logit_softcapping", "logits_soft_cap", "output_logit_soft_cap")
# relative to the largest logit; a head of another architecture is off by far more
_TOLERANCES = {torch.float64: 1e-9, torch.float32: 1e-4}
_COARSE_TOLERANCE = 3e-2


def head_of(model: nn.Module, *, trainable: bool = False) -> Head:
    """The head under the adapter that is active, checked on a probe: head(hidden) must be the model's logits.

    Args:
        model: A causal language model of transformers, or a PEFT model around one; in the mode as given, and
            left in it.
        trainable: Keep the layer itself where an adapter has trained parameters in it; else such a layer is
            taken as one matrix, with the adapter's change in it.

    Raises:
        InputError: the model makes its logits in another way, which the message names by its architecture.
    """
    lm = causal_lm_of(model)
    layer = lm.get_output_embeddings()
    if layer is None:
        raise _refusal(lm, "it has no output layer")
    if trainable and any(parameter.requires_grad for parameter in layer.parameters()):
        weight, bias = _frozen_parts(layer)
        head = Head(weight, bias, _scale(lm), _softcap(lm), module=layer)
    else:
        weight, bias = _merged_parts(layer)
        head = Head(weight, bias, _scale(lm), _softcap(lm))
    _check(model, lm, head)
    return head


def _scale(lm: Any) -> float:
    config = lm.config.get_text_config()
    divided = float(getattr(config, "logits_scaling", None) or 1.0)  # Granite
    multiplied = float(getattr(config, "logit_scale", None) or 1.0)  # Cohere
    multiplied *= float(getattr(config, "lm_head_multiplier", None) or 1.0)  # Falcon-H1
    return multiplied / divided


def _softcap(lm: Any) -> float | None:
    config = lm.config.get_text_config()
    found = [float(value) for name in _SOFTCAPS if (value := getattr(config, name, None))]
    return found[0] if found else None


def _frozen_parts(layer: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias below an adapter; they carry no gradient here."""
    inner = layer
    while hasattr(inner, "base_layer") or hasattr(inner, "original_module"):
        inner = inner.base_layer if hasattr(inner, "base_layer") else inner.original_module
    bias = getattr(inner, "bias", None)
    return inner.weight.detach(), None if bias is None else bias.detach()


def _merged_parts(layer: Any) -> tuple[Tensor, Tensor | None]:
    """Weight and bias as the active adapter makes them."""
    active = getattr(layer, "active_adapters", [])
    if hasattr(layer, "modules_to_save"):
        saved = [name for name in active if name in layer.modules_to_save]
        return _frozen_parts(layer.modules_to_save[saved[0]] if saved else layer.original_module)
    weight, bias = _frozen_parts(layer)
    if hasattr(layer, "get_delta_weight"):
        for name in active:
            if name in layer.lora_A:
                weight = weight + layer.get_delta_weight(name).detach().to(weight.dtype)
    return weight, bias


def _check(model: nn.Module, lm: Any, head: Head) -> None:
    random = torch.Generator().manual_seed(0)
    rows = min(head.vocabulary, lm.get_input_embeddings().weight.shape[0])
    probe = torch.randint(rows, (1, PROBE_TOKENS), generator=random).to(head.weight.device)
    training = {module: module.training for module in model.modules()}
    model.eval()
    try:
        with torch.no_grad():
            hidden = final_hidden_states(model, probe)
            theirs = model(input_ids=probe, use_cache=False).logits.double()
            fits = hidden.shape[-1] == head.width and theirs.shape[-1] == head.vocabulary
            if not fits:
                raise _refusal(lm, "its output layer does not fit its final hidden states")
            off = (head.logits(hidden).double() - theirs).abs().max() / theirs.abs().max().clamp_min(1e-6)
    finally:
        for module, mode in training.items():
            module.training = mode
    if not off <= _TOLERANCES.get(head.weight.dtype, _COARSE_TOLERANCE):
        raise _refusal(
            lm, f"its logits differ from those of its output layer by {off.item():.2g} of the largest"
        )


def _refusal(lm: Any, reason: str) -> InputError:
    name = type(lm).__name__
    return InputError(
        f"model: architecture {name}: {reason}; compatibility adapters cannot be trained for it"
    )
