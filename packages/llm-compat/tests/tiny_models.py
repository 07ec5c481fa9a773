"""Tiny random models, tokenizers and adapters on disk, built from configurations."""

import string

import torch
from llm_compat.model.loading import quiet_libraries
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import (
    AutoModelForCausalLM,
    CohereConfig,
    Gemma2Config,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    PhiConfig,
    PreTrainedTokenizerFast,
)

CHARACTERS = string.ascii_letters + string.digits + string.punctuation + " \n"
SPECIAL = ["<pad>", "<s>", "</s>"]
VOCABULARY = len(CHARACTERS) + len(SPECIAL)
CHAT = (
    "{% for m in messages %}{{ '<' + m['role'][0] + '>' + m['content'] + '\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<a>' }}{% endif %}"
)


def make_tokenizer(extra=(), chat=True):
    """One token a character, three special tokens in front."""
    tokens = [*SPECIAL, *CHARACTERS, *extra]
    inner = Tokenizer(
        models.WordLevel({token: number for number, token in enumerate(tokens)}, unk_token="<pad>")
    )
    inner.pre_tokenizer = pre_tokenizers.Split("", "isolated")
    inner.decoder = decoders.Fuse()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=inner, pad_token="<pad>", bos_token="<s>", eos_token="</s>"
    )
    if chat:
        tokenizer.chat_template = CHAT
    return tokenizer


def make_model(kind="llama", *, seed=0, width=16, layers=2, vocabulary=VOCABULARY, **more):
    """A random model of a family, in eval mode."""
    sizes = {
        "vocab_size": vocabulary,
        "hidden_size": width,
        "intermediate_size": 2 * width,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "max_position_embeddings": 128,
        "pad_token_id": 0,
        "bos_token_id": 1,
        "eos_token_id": 2,
    }
    grouped = {"num_key_value_heads": 1}
    config = {
        "llama": lambda: LlamaConfig(**sizes, **grouped, **more),
        "phi": lambda: PhiConfig(**sizes, **more),
        "gemma2": lambda: Gemma2Config(**sizes, **grouped, head_dim=8, final_logit_softcapping=2.0, **more),
        "granite": lambda: GraniteConfig(**sizes, **grouped, logits_scaling=4.0, **more),
        "cohere": lambda: CohereConfig(**sizes, **grouped, logit_scale=0.25, **more),
        "gpt2": lambda: GPT2Config(
            vocab_size=vocabulary, n_embd=width, n_layer=layers, n_head=2, n_positions=128, **more
        ),
    }[kind]()
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():  # larger than the library's 0.02, so that the models disagree
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.normal_(0, 0.3)
            elif parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def save_model(folder, kind="llama", *, tokenizer=None, **options):
    """A model and its tokenizer in a folder; the folder."""
    with quiet_libraries():
        make_model(kind, **options).save_pretrained(folder)
    (tokenizer or make_tokenizer()).save_pretrained(folder)
    return folder


def save_adapter_for(model_folder, folder, *, seed=1, rank=4, targets="all-linear", **more):
    """A random LoRA that changes something, in a folder as PEFT writes it; the folder."""
    from peft import LoraConfig, get_peft_model

    with quiet_libraries():
        base = AutoModelForCausalLM.from_pretrained(model_folder)
    settings = {"r": rank, "lora_alpha": 2 * rank, "task_type": "CAUSAL_LM", **more}
    torch.manual_seed(seed)
    with quiet_libraries():
        model = get_peft_model(base, LoraConfig(target_modules=targets, **settings))
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(0, 0.2)
            elif "modules_to_save" in name:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder


def token_ids(*shape, seed=0):
    """Random token numbers."""
    return torch.randint(len(SPECIAL), VOCABULARY, shape, generator=torch.Generator().manual_seed(seed))
