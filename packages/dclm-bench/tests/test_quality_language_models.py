"""Scores of causal models: formulas on tensors, and tiny random models in the real format."""

import itertools
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from dclm_bench.data.page import Page
from dclm_bench.quality.ask_llm import (
    PROMPT,
    answer_probability,
    answer_tokens,
    ask_llm_enricher,
    prompt_tokens,
)
from dclm_bench.quality.language_model import (
    CausalModel,
    load_causal_model,
    perplexity_enricher,
    token_losses,
    top_k_logit_enricher,
    top_k_means,
    windows_of,
)
from dclm_bench.quality.semantic_dedup import semantic_dedup
from toolkit_shared.errors import InputError

WORDS = "[UNK] <s> yes no Yes the of market price river answer Answer : ? ###".split()


def encode(text: str) -> list[int]:
    return [1 + ord(letter) % 30 for letter in text]


@pytest.fixture
def table() -> torch.Tensor:
    """Logits that depend on the last token alone."""
    return torch.randn(31, 31, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def model(table: torch.Tensor) -> CausalModel:
    return CausalModel(lambda ids: table[ids], encode, "cpu", 0)


# --- formulas ---


def test_uniform_logits_give_the_loss_of_the_vocabulary() -> None:
    losses = token_losses(torch.zeros(2, 5, 7), torch.zeros(2, 5, dtype=torch.long))

    assert losses.shape == (2, 4)
    assert torch.allclose(losses, torch.full((2, 4), math.log(7)))


def test_a_token_is_judged_by_the_logits_before_it() -> None:
    logits = torch.full((1, 3, 4), -100.0)
    logits[0, 0, 2] = logits[0, 1, 1] = 100.0

    assert token_losses(logits, torch.tensor([[3, 2, 1]])).abs().max() == 0
    assert token_losses(logits, torch.tensor([[3, 1, 1]]))[0, 0] == 200


def test_the_mean_is_over_the_highest_logits() -> None:
    logits = torch.tensor([[[1.0, 5.0, 3.0, -2.0]]])

    assert top_k_means(logits, 2).item() == 4.0
    assert top_k_means(logits, 1).item() == 5.0
    assert top_k_means(logits, 10).item() == pytest.approx(1.75)  # no more than there are


@pytest.mark.parametrize(("length", "window"), [(2, 2), (5, 2), (10, 4), (11, 4), (3, 100)])
def test_windows_predict_every_token_but_the_first_once(length: int, window: int) -> None:
    tokens = list(range(length))

    parts = windows_of(tokens, window)

    assert [token for part in parts for token in part[1:]] == tokens[1:]
    assert all(2 <= len(part) <= window for part in parts)
    assert windows_of([5], window) == []


def test_perplexity_is_that_of_the_bigrams_and_windows_do_not_matter_to_them(
    model: CausalModel, table: torch.Tensor
) -> None:
    text = "the price of the river"
    tokens = model.tokens_of(text)
    assert tokens[0] == 0
    logs = table.double().log_softmax(-1)
    loss = -sum(float(logs[a, b]) for a, b in itertools.pairwise(tokens)) / len(text)

    for window in (2, 7, 1024):
        assert model.perplexity(text, window) == pytest.approx(math.exp(loss), rel=1e-5)
        assert model.top_k_logit(text, 3, window) == pytest.approx(
            float(table[tokens[:-1]].topk(3).values.mean()), rel=1e-5
        )
    assert model.perplexity(text, max_tokens=4) == model.perplexity(text[:3])
    assert replace(model, longest=3).perplexity(text) == model.perplexity(text, window=3)
    assert model.perplexity("") is None
    assert model.top_k_logit("") is None


def test_the_probability_of_a_yes_is_the_sum_over_its_spellings() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))

    assert answer_probability(logits, [1, 3]).item() == pytest.approx(0.6)


def test_a_long_page_is_cut_so_that_the_question_stays(model: CausalModel) -> None:
    head, tail = PROMPT.split("{text}")
    window = len(head) + len(tail) + 1 + 5

    tokens = prompt_tokens(model, "abcdefghij", PROMPT, window)

    assert tokens == model.tokens_of(head + "abcde" + tail)
    assert len(tokens) == window
    with pytest.raises(InputError, match="the prompt alone fills"):
        prompt_tokens(model, "a", PROMPT, 20)


def test_answers_are_told_by_their_first_token_each_once(model: CausalModel) -> None:
    assert answer_tokens(model, ["yes", "yep", "Yes", ""]) == sorted({1 + ord("y") % 30, 1 + ord("Y") % 30})


# --- what is refused before a model is loaded ---


@pytest.mark.parametrize("factory", [perplexity_enricher, top_k_logit_enricher, ask_llm_enricher])
def test_a_missing_folder_is_named(factory: Any) -> None:
    with pytest.raises(InputError, match="model_path: nowhere: no such folder"):
        factory("nowhere")


def test_numbers_and_prompts_that_cannot_be_are_named(tmp_path: Path) -> None:
    folder = str(tmp_path)
    with pytest.raises(InputError, match="window is 1"):
        perplexity_enricher(folder, window=1)
    with pytest.raises(InputError, match="k is 0"):
        top_k_logit_enricher(folder, k=0)
    with pytest.raises(InputError, match=r"has no \{text\}"):
        ask_llm_enricher(folder, prompt="Useful?")
    with pytest.raises(InputError, match="answers is 'yes'"):
        ask_llm_enricher(folder, answers="yes")


# --- folders of transformers ---


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import tokenizers
    import transformers

    path: Path = tmp_path_factory.mktemp("model")
    words = tokenizers.Tokenizer(
        tokenizers.models.WordLevel({word: index for index, word in enumerate(WORDS)}, unk_token="[UNK]")
    )
    words.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    fast: Any = transformers.PreTrainedTokenizerFast
    fast(tokenizer_object=words, bos_token="<s>", unk_token="[UNK]").save_pretrained(path)
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=64,
    )
    transformers.LlamaForCausalLM(config).save_pretrained(path)
    return path


@pytest.mark.slow
def test_a_folder_of_transformers_gives_the_loss_that_it_gives_itself(folder: Path) -> None:
    import transformers

    model = load_causal_model(str(folder))
    tokens = model.tokens_of("the market of the river")
    ids = torch.tensor([tokens])
    with torch.inference_mode():
        loss = transformers.AutoModelForCausalLM.from_pretrained(folder)(input_ids=ids, labels=ids).loss
    page = Page("the market of the river")

    perplexity_enricher(str(folder)).apply(page)
    top_k_logit_enricher(str(folder), k=2).apply(page)
    ask_llm_enricher(str(folder)).apply(page)

    assert page.record["perplexity"] == pytest.approx(float(loss.exp()), rel=1e-5)
    assert math.isfinite(page.record["top_k_logit"])
    assert 0 < page.record["ask_llm"] < 1
    empty = Page("")
    ask_llm_enricher(str(folder)).apply(empty)
    assert empty.record == {"ask_llm": None}


@pytest.mark.slow
def test_a_folder_of_open_lm_is_read_with_a_tokenizer_of_the_toolkit(tmp_path: Path) -> None:
    from toolkit_shared.language_model import OpenLM

    torch.manual_seed(0)
    network = OpenLM(vocab_size=258, width=16, num_layers=1, num_heads=2, max_length=32).eval()
    network.save_pretrained(tmp_path)
    page = Page("the market")

    perplexity_enricher(str(tmp_path), tokenizer="bytes").apply(page)

    ids = torch.tensor([[0, *(byte + 1 for byte in b"the market")]])
    with torch.inference_mode():
        losses = torch.nn.functional.cross_entropy(network(ids)[0, :-1].float(), ids[0, 1:])
    assert page.record["perplexity"] == pytest.approx(float(losses.exp()), rel=1e-5)


@pytest.mark.slow
def test_an_encoder_gives_unit_vectors_that_do_not_depend_on_neighbours(folder: Path) -> None:
    step = semantic_dedup(keep_fraction=0.5, encoder_path=str(folder))
    pages = [Page("the market"), Page("price of the river answer")]

    both, alone = step.collect(pages)["embeddings"], step.collect(pages[1:])["embeddings"]

    assert (both[1] == alone[0]).all()
    assert (both**2).sum(1) == pytest.approx([1, 1], abs=1e-6)


@pytest.mark.slow
def test_a_folder_without_a_model_or_with_pickled_weights_is_refused(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no usable language model"):
        load_causal_model(str(tmp_path))

    for name in ("config.json", "tokenizer.json", "tokenizer_config.json"):
        (tmp_path / name).write_bytes((folder / name).read_bytes())
    torch.save({}, tmp_path / "pytorch_model.bin")
    with pytest.raises(InputError, match="no usable language model"):
        load_causal_model(str(tmp_path))
