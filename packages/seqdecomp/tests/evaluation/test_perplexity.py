"""Losses of documents, each from its own first token, and their split into position bands."""

import itertools
import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.data.store import Store
from seqdecomp.evaluation.perplexity import (
    StoreDocuments,
    complete_bands,
    evaluate_perplexity,
    parse_bands,
)
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Scorer
from toolkit_shared.language_model import OpenLM


def uniform_scorer(vocabulary=4, max_length=256):
    return Scorer(model=lambda x: torch.zeros(*x.shape, vocabulary), max_length=max_length)


def position_model(input_ids):
    """Gives token 0 the probability 2^-(position + 1); position counts from the row's start."""
    tokens = input_ids.shape[1]
    zero = 0.5 ** torch.arange(1, tokens + 1, dtype=torch.float64)
    return torch.stack([zero, 1 - zero], dim=1).log().expand(len(input_ids), -1, -1)


def documents_of(seed, sizes, vocabulary=97):
    random = np.random.default_rng(seed)
    return [random.integers(0, vocabulary, size) for size in sizes]


def test_bands_count_each_predicted_token_at_its_input_position():
    # 100 tokens are 99 predictions: 64 + 35; 300 are cut to 257 tokens: 64 + 192; 43 tokens are cut
    result = evaluate_perplexity(uniform_scorer(), documents_of(0, [100, 300], 4), bands=(0, 64))
    assert [(band.start, band.stop, band.tokens) for band in result.bands] == [(0, 64, 128), (64, 256, 227)]
    assert result.tokens == 355
    assert (result.cut_tokens, result.cut_documents) == (43, 1)
    assert result.mean == pytest.approx(math.log(4), rel=1e-6)
    assert result.perplexity == pytest.approx(4, rel=1e-6)


def test_every_document_starts_at_position_zero():
    scorer = Scorer(model=position_model, max_length=16)
    result = evaluate_perplexity(scorer, [np.zeros(4, int), np.zeros(3, int)], bands=(0, 1, 2))
    # by hand: positions 0, 1, 2 cost 1, 2, 3 times ln 2, in both documents
    sums = [band.loss_sum / math.log(2) for band in result.bands]
    np.testing.assert_allclose(sums, [1 + 1, 2 + 2, 3], rtol=1e-6)
    assert result.document_loss_sums.tolist() == pytest.approx([6 * math.log(2), 3 * math.log(2)])


def test_the_mean_weighs_tokens_and_the_document_mean_weighs_documents():
    scorer = Scorer(model=position_model, max_length=16)
    result = evaluate_perplexity(scorer, [np.zeros(4, int), np.zeros(2, int)])
    assert result.mean / math.log(2) == pytest.approx((6 + 1) / 4)
    assert result.document_mean / math.log(2) == pytest.approx((2 + 1) / 2)


def test_permuting_the_documents_changes_nothing():
    # a packed window would show each document its neighbour
    torch.manual_seed(0)
    model = OpenLM(vocab_size=97, width=32, num_layers=2, num_heads=2, max_length=64).eval()
    scorer = Scorer(model=model, max_length=64, batch_tokens=200)
    documents = documents_of(5, [3, 60, 17, 17, 90, 2, 40, 17])
    order = [4, 0, 7, 3, 1, 6, 5, 2]
    first = evaluate_perplexity(scorer, documents, bands=(0, 16))
    second = evaluate_perplexity(scorer, [documents[index] for index in order], bands=(0, 16))
    np.testing.assert_allclose(second.document_loss_sums, first.document_loss_sums[order], rtol=1e-5)
    for band, other in zip(first.bands, second.bands, strict=True):
        assert other.tokens == band.tokens
        assert other.loss_sum == pytest.approx(band.loss_sum, rel=1e-6)


def test_a_neighbour_never_leaks_into_a_document():
    torch.manual_seed(0)
    model = OpenLM(vocab_size=97, width=32, num_layers=1, num_heads=2, max_length=64).eval()
    scorer = Scorer(model=model, max_length=64)
    first, second, other = documents_of(6, [20, 30, 30])
    with_second = evaluate_perplexity(scorer, [first, second])
    with_other = evaluate_perplexity(scorer, [first, other])
    assert with_second.document_loss_sums[0] == with_other.document_loss_sums[0]
    assert with_second.document_loss_sums[1] != with_other.document_loss_sums[1]


@given(
    sizes=st.lists(st.integers(0, 80), max_size=12),
    borders=st.sets(st.integers(1, 90), max_size=5),
    batch_tokens=st.sampled_from([1, 100, 10_000]),
)
def test_bands_add_up_to_the_whole(sizes, borders, batch_tokens):
    table = torch.randn(13, 13, generator=torch.Generator().manual_seed(1))
    scorer = Scorer(model=lambda x: table[x], max_length=50, batch_tokens=batch_tokens)
    result = evaluate_perplexity(scorer, documents_of(7, sizes, 13), bands=(0, *sorted(borders)))
    assert sum(band.tokens for band in result.bands) == sum(max(min(size, 51) - 1, 0) for size in sizes)
    assert result.tokens == result.document_tokens.sum()
    assert result.loss_sum == pytest.approx(math.fsum(result.document_loss_sums), rel=1e-12, abs=1e-12)
    assert result.cut_tokens + result.tokens == sum(max(size - 1, 0) for size in sizes)
    assert [low.stop for low in result.bands[:-1]] == [high.start for high in result.bands[1:]]


def test_documents_in_which_nothing_can_be_predicted_are_counted():
    result = evaluate_perplexity(uniform_scorer(), [np.zeros(0, int), np.zeros(1, int), np.zeros(2, int)])
    assert (result.unscored_documents, result.tokens) == (2, 1)
    nothing = evaluate_perplexity(uniform_scorer(), [np.zeros(1, int)])
    assert (nothing.mean, nothing.document_mean, nothing.perplexity) == (None, None, None)
    assert nothing.document()["loss"] is None


def test_a_store_gives_the_same_as_its_documents_in_memory():
    documents = documents_of(8, [5, 70, 1, 33], 97)
    table = torch.randn(97, 97, generator=torch.Generator().manual_seed(2))
    scorer = Scorer(model=lambda x: table[x], max_length=32)
    seen = StoreDocuments(Store.from_documents(documents), max_tokens=33)
    assert [len(seen[index]) for index in range(len(seen))] == [5, 33, 1, 33]
    from_store = evaluate_perplexity(scorer, seen, lengths=seen.lengths)
    assert from_store.document() == evaluate_perplexity(scorer, documents).document()
    assert from_store.cut_tokens == 70 - 33
    limited = StoreDocuments(Store.from_documents(documents), max_tokens=33, limit=2)
    assert len(evaluate_perplexity(scorer, limited, lengths=limited.lengths).document_tokens) == 2


def test_default_bands_grow_fourfold_and_end_with_the_context():
    assert complete_bands(None, 1024) == (0, 64, 256, 1024)
    assert complete_bands(None, 8192) == (0, 64, 256, 1024, 4096, 8192)
    assert complete_bands(None, 40) == (0, 40)
    assert complete_bands((0, 64, 256, 1024), 128) == (0, 64, 128)
    for length in (40, 1000, 8192):
        assert all(low < high for low, high in itertools.pairwise(complete_bands(None, length)))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("64:256", "--bands 64:256: the first border is not 0; write for example 0:64:256:1024"),
        ("0:256:64", "--bands 0:256:64: the borders do not rise; write for example 0:64:256:1024"),
        ("0:a", "--bands '0:a': a border is not a whole number; write for example 0:64:256:1024"),
        ("", "--bands '': a border is not a whole number; write for example 0:64:256:1024"),
    ],
)
def test_wrong_bands_are_refused_with_one_line(text, message):
    with pytest.raises(InputError) as error:
        complete_bands(parse_bands(text), 512)
    assert str(error.value) == message
