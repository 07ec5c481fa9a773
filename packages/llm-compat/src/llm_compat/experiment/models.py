"""The small causal models of the experiment: a base from a seed, and a LoRA adapter on all linear layers."""

from typing import Any

import torch
from peft import LoraConfig, get_peft_model
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from llm_compat.experiment.configuration import ExperimentSettings
from llm_compat.experiment.task import MAX_WORDS, PADDING, Task
from llm_compat.heads import Head
from llm_compat.model.hidden_states import causal_lm_of
from llm_compat.model.loading import quiet_libraries


def make_base(task: Task, width_ratio: float, settings: ExperimentSettings, seed: int) -> LlamaForCausalLM:
    """An untrained base of the settings' size; the seed alone chooses its weights, on the CPU."""
    width = round(settings.width * width_ratio)
    config = LlamaConfig(
        vocab_size=task.vocab_size,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=settings.num_layers,
        num_attention_heads=settings.num_heads,
        num_key_value_heads=settings.num_heads,
        max_position_embeddings=MAX_WORDS + 2,
        pad_token_id=PADDING,
        bos_token_id=None,
        eos_token_id=None,
        tie_word_embeddings=False,
        # logits of unit scale at the start, as the usual 0.02 gives them at width 4096: a narrow head that
        # starts smaller stays flat, and with it all that is distilled
        initializer_range=width**-0.5,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return LlamaForCausalLM(config)


def add_adapter(base: LlamaForCausalLM, settings: ExperimentSettings, seed: int) -> Any:
    """The base, frozen, under a new trainable adapter that changes nothing yet; a `peft.PeftModel`."""
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,
        lora_dropout=0.0,
        target_modules="all-linear",
        task_type="CAUSAL_LM",
    )
    with torch.random.fork_rng(devices=[]), quiet_libraries():
        torch.manual_seed(seed)
        return get_peft_model(base, config)


def trainable(model: nn.Module) -> list[nn.Parameter]:
    """The parameters that an optimizer may change."""
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def plain_head(model: nn.Module) -> Head:
    """The output head of a base, or of the base under an adapter; with its gradient, where it is trained."""
    return Head(causal_lm_of(model).get_output_embeddings().weight)
