import re

import pytest
import tiny_models
import torch
from llm_compat.model.head import head_of
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.model.loading import attach_adapter, load_causal_lm, load_tokenizer
from llm_compat.model.vocabulary import require_same_vocabulary, vocabulary_of
from toolkit_shared.errors import InputError

FAMILIES = ["llama", "phi", "gemma2", "granite", "cohere", "gpt2"]


def refusal(message):
    return pytest.raises(InputError, match=f"^{re.escape(message)}")


# heads ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", FAMILIES)
def test_the_head_of_the_final_hidden_states_gives_the_models_logits(kind):
    model = tiny_models.make_model(kind)
    ids = tiny_models.token_ids(2, 9)

    head = head_of(model)
    with torch.no_grad():
        ours = head.logits(final_hidden_states(model, ids))
        theirs = model(input_ids=ids).logits

    assert torch.allclose(ours, theirs, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(theirs[0], theirs[1])
    expected = {"phi": (True, 1.0, None), "gemma2": (False, 1.0, 2.0), "granite": (False, 0.25, None)}
    expected["cohere"] = (False, 0.25, None)
    found = (head.bias is not None, head.scale, head.softcap)
    assert found == expected.get(kind, (False, 1.0, None))
    assert head.is_frozen == (not head.weight.requires_grad)


def test_a_model_whose_logits_are_made_otherwise_is_refused_by_name():
    class LlamaWithSecrets(type(tiny_models.make_model())):
        def forward(self, *args, **kwargs):
            result = super().forward(*args, **kwargs)
            result.logits = result.logits + 1.0
            return result

    model = tiny_models.make_model()
    model.__class__ = LlamaWithSecrets
    model.train()
    with refusal(
        "model: architecture LlamaWithSecrets: its logits differ from those of its output layer by "
    ):
        head_of(model)
    assert model.training  # left as it was


def test_rows_padded_on_the_right_need_no_mask():
    model = tiny_models.make_model("phi")
    ids = tiny_models.token_ids(1, 6)
    padded = torch.cat([ids, torch.zeros(1, 4, dtype=torch.long)], 1)
    mask = (padded > 0).long()
    with torch.no_grad():
        alone = final_hidden_states(model, ids)
        without, masked = final_hidden_states(model, padded), final_hidden_states(model, padded, mask)
    assert torch.allclose(alone, without[:, :6], atol=1e-5)
    assert torch.allclose(alone, masked[:, :6], atol=1e-5)


# folders ----------------------------------------------------------------------------------------------------


def test_a_model_and_its_adapter_come_from_their_folders_frozen(tmp_path):
    base = tiny_models.save_model(tmp_path / "base")
    adapter = tiny_models.save_adapter_for(base, tmp_path / "adapter")

    plain = load_causal_lm(base)
    ids = tiny_models.token_ids(1, 5)
    with torch.no_grad():
        before = plain(input_ids=ids).logits
        after = attach_adapter(plain, adapter)(input_ids=ids).logits

    assert not torch.allclose(before, after)
    assert not any(parameter.requires_grad for parameter in plain.parameters())
    assert not plain.training


def test_what_is_no_model_or_adapter_is_refused_in_one_line(tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    base = tiny_models.save_model(tmp_path / "base")
    other = tiny_models.save_model(tmp_path / "other", width=32)
    adapter = tiny_models.save_adapter_for(other, tmp_path / "adapter")
    unsafe = tiny_models.save_adapter_for(base, tmp_path / "unsafe")
    (unsafe / "adapter_model.safetensors").rename(unsafe / "adapter_model.bin")
    biased = tiny_models.save_adapter_for(base, tmp_path / "biased", bias="all")

    model = load_causal_lm(base)
    with refusal(f"{empty}: is no model: it has no config.json; give the folder that holds one"):
        load_causal_lm(empty)
    with refusal(f"{tmp_path / 'gone'}: no such folder; give a model's folder or its name on the Hub"):
        load_causal_lm(tmp_path / "gone")
    with refusal(
        f"{base}: is no PEFT adapter: it has no adapter_config.json; give the folder that holds one"
    ):
        attach_adapter(model, base)
    with refusal(f"{unsafe}: no adapter_model.safetensors; save the adapter as safetensors"):
        attach_adapter(model, unsafe)
    with refusal(f"{biased}: trains biases of its base (bias 'all'), which two adapters would share"):
        attach_adapter(model, biased)
    with refusal(f"{adapter}: does not fit the model: Error(s) in loading state_dict"):
        attach_adapter(model, adapter)
    with refusal(f"{empty}: is no tokenizer: it has no tokenizer_config.json"):
        load_tokenizer(empty)


@pytest.mark.parametrize(
    ("layers", "message"),
    [(3, "base_model.model.model.layers.2.self_attn.q_proj.lora_A.weight is missing"),
     (1, "base_model.model.model.layers.1.self_attn.q_proj.lora_A.weight is none of its weights")],
)  # fmt: skip
def test_an_adapter_of_a_model_with_other_layers_is_refused(tmp_path, layers, message):
    two = tiny_models.save_model(tmp_path / "two", layers=2)
    other = tiny_models.save_model(tmp_path / "other", layers=layers)
    adapter = tiny_models.save_adapter_for(two, tmp_path / "adapter", targets=["q_proj"])
    with refusal(f"{adapter}: does not fit the model: {message}"):
        attach_adapter(load_causal_lm(other), adapter)


def test_pickled_weights_are_not_read(tmp_path):
    base = tiny_models.save_model(tmp_path / "base")
    (base / "model.safetensors").unlink()
    torch.save({}, base / "pytorch_model.bin")
    with refusal(f"{base}: not a causal language model that can be loaded: "):
        load_causal_lm(base)


# the vocabulary ---------------------------------------------------------------------------------------------


def test_equal_tokenizers_and_heads_are_one_vocabulary():
    one, other = (vocabulary_of(tiny_models.make_tokenizer(), 120) for _ in range(2))
    require_same_vocabulary(one, other)
    assert one.fingerprint == other.fingerprint


def test_any_difference_between_vocabularies_is_refused_and_named():
    same = vocabulary_of(tiny_models.make_tokenizer(), 120)
    more = vocabulary_of(tiny_models.make_tokenizer(["longer"]), 120)
    swapped = tiny_models.make_tokenizer()
    swapped.eos_token = "<s>"
    rest = "; no adapter can be trained between these models, though 'llm-compat diff' can compare them"

    with refusal(f"vocabulary: the old tokenizer has 99 tokens, the new one 100{rest}"):
        require_same_vocabulary(same, more)
    with refusal(f"vocabulary: eos_token is 2 in the old model and 1 in the new{rest}"):
        require_same_vocabulary(same, vocabulary_of(swapped, 120))
    with refusal(f"vocabulary: the old output head has 120 rows, the new one 128{rest}"):
        require_same_vocabulary(same, vocabulary_of(tiny_models.make_tokenizer(), 128))
    renamed = vocabulary_of(tiny_models.make_tokenizer(["left"]), 120)
    with refusal(f"vocabulary: token 'longer' is 99 in the old model and absent in the new{rest}"):
        require_same_vocabulary(more, renamed)


def test_merges_count(tmp_path):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    def with_merges(merges):
        vocabulary = {"a": 0, "b": 1, "c": 2, "ab": 3, "bc": 4}
        return PreTrainedTokenizerFast(tokenizer_object=Tokenizer(models.BPE(vocabulary, merges)))

    one, other = (
        vocabulary_of(with_merges(m), 5) for m in ([("a", "b"), ("b", "c")], [("b", "c"), ("a", "b")])
    )
    with refusal("vocabulary: the merges of the two tokenizers differ"):
        require_same_vocabulary(one, other)


# sizes ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "sizes", "parameters", "lora"),
    [
        ("llama", (4096, 11008, 32, 32, 32000), 6_738_415_616, 319_815_680),
        ("phi", (2048, 8192, 24, 32, 51200), 1_418_270_720, 113_246_208),
        ("phi", (2560, 10240, 32, 32, 51200), 2_779_683_840, 188_743_680),
    ],
)
def test_the_papers_models_and_adapters_have_the_published_number_of_parameters(
    kind, sizes, parameters, lora
):
    from llm_compat.model.adapters import student_from_base
    from transformers import AutoModelForCausalLM, LlamaConfig, PhiConfig

    width, inner, layers, heads, vocabulary = sizes
    config = {"llama": LlamaConfig, "phi": PhiConfig}[kind](
        hidden_size=width, intermediate_size=inner, num_hidden_layers=layers, num_attention_heads=heads,
        vocab_size=vocabulary,
    )  # fmt: skip
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
        assert sum(parameter.numel() for parameter in model.parameters()) == parameters
        student = student_from_base(model)
    assert sum(parameter.numel() for parameter in student.parameters) == lora
