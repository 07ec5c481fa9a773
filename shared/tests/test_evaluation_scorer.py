"""Losses and greedy answers do not depend on how rows are batched and padded."""

import math

import numpy as np
import pytest
import torch
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.model_folder import TransformersLM
from toolkit_shared.evaluation.scorer import Scorer
from toolkit_shared.language_model import OpenLM

LN2 = math.log(2)
# After 0: 1/2, 1/4, 1/8, 1/8. After 1: all 1/4. After 2: 1/8, 1/8, 1/4, 1/2. After 3: 1/2, 1/2, 0, 0.
HALVINGS = torch.tensor([[1.0, 2, 3, 3], [2, 2, 2, 2], [3, 3, 2, 1], [1, 1, 60, 60]])


def halving_model(input_ids):
    return -LN2 * HALVINGS[input_ids]


def random_rows(seed, count, longest, vocabulary=97):
    random = np.random.default_rng(seed)
    return [random.integers(0, vocabulary, random.integers(2, longest)) for _ in range(count)]


def test_losses_are_the_tables_log_probabilities():
    scorer = Scorer(model=halving_model, max_length=8)
    found = dict(scorer.score([np.array([0, 1, 3, 0]), np.array([2, 3, 1])]))
    # by hand: 0->1 is 1/4, 1->3 is 1/4, 3->0 is 1/2; 2->3 is 1/2, 3->1 is 1/2
    np.testing.assert_allclose(found[0].losses / LN2, [2, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(found[1].losses / LN2, [1, 1], rtol=1e-6)


def test_only_the_last_tokens_asked_for_are_scored():
    scorer = Scorer(model=halving_model, max_length=8)
    found = scorer.score_all([np.array([0, 1, 3, 0]), np.array([2, 3, 1])], [1, 2])
    np.testing.assert_allclose(found[0].losses / LN2, [1], rtol=1e-6)
    np.testing.assert_allclose(found[1].losses / LN2, [1, 1], rtol=1e-6)


def test_is_best_marks_the_tokens_that_greedy_decoding_would_write():
    scorer = Scorer(model=halving_model, max_length=8)
    (scores,) = scorer.score_all([np.array([2, 3, 0, 1])], [3])
    assert scores.is_best.tolist() == [True, True, False]  # 3 -> 0 is a tie, won by the lower id


@pytest.mark.parametrize("batch_tokens", [1, 64, 200, 100_000])
def test_losses_do_not_depend_on_the_batch_for_a_table(batch_tokens):
    table = torch.randn(97, 97, generator=torch.Generator().manual_seed(0))
    rows = random_rows(1, 23, 60)
    alone = [dict(Scorer(model=lambda x: table[x], max_length=60).score([row]))[0].losses for row in rows]
    batched = dict(Scorer(model=lambda x: table[x], max_length=60, batch_tokens=batch_tokens).score(rows))
    assert all(np.array_equal(batched[index].losses, losses) for index, losses in enumerate(alone))


def test_losses_of_a_transformer_do_not_depend_on_the_batch():
    torch.manual_seed(0)
    model = OpenLM(vocab_size=97, width=32, num_layers=2, num_heads=2, max_length=64).eval()
    rows = random_rows(2, 17, 60)
    alone = [dict(Scorer(model=model, max_length=64).score([row]))[0].losses for row in rows]
    batched = dict(Scorer(model=model, max_length=64, batch_tokens=300).score(rows))
    for index, losses in enumerate(alone):
        np.testing.assert_allclose(batched[index].losses, losses, atol=1e-5)  # float32 rounding


def test_what_the_model_says_of_padding_is_never_read():
    def model(input_ids):
        logits = torch.zeros(*input_ids.shape, 5)
        logits[input_ids == 0] = float("nan")  # no row below holds token 0, so only padding does
        return logits

    rows = [np.array([1, 2, 3, 4, 1, 2]), np.array([1, 2]), np.array([3, 3, 3])]
    found = dict(Scorer(model=model, max_length=8).score(rows))
    assert all(np.allclose(scores.losses, math.log(5)) for scores in found.values())


def test_a_loss_that_is_not_finite_is_an_error_and_no_number():
    scorer = Scorer(model=lambda x: torch.full((*x.shape, 4), float("nan")), max_length=8)
    with pytest.raises(InputError, match=r"^model: gives a loss that is not finite; .*$"):
        list(scorer.score([np.array([0, 1])]))


def test_a_row_longer_than_the_context_is_a_programming_error():
    scorer = Scorer(model=halving_model, max_length=3)
    assert len(dict(scorer.score([np.array([0, 1, 2, 3])]))[0].losses) == 3
    with pytest.raises(ValueError, match="at most 4 can be scored"):
        list(scorer.score([np.array([0, 1, 2, 3, 0])]))


def test_greedy_answers_end_at_eos_at_the_limit_or_when_complete():
    def model(input_ids):  # counts upwards
        return 9.0 * torch.nn.functional.one_hot((input_ids + 1) % 10, 10).float()

    scorer = Scorer(model=model, max_length=32, batch_tokens=24)
    prompts = [np.array([4]), np.array([9, 0, 1]), np.array([6, 7])]
    assert scorer.answer(prompts, max_new_tokens=4) == [[5, 6, 7, 8], [2, 3, 4, 5], [8, 9, 0, 1]]
    assert scorer.answer(prompts, max_new_tokens=4, eos_id=8) == [[5, 6, 7], [2, 3, 4, 5], []]
    ended = scorer.answer(prompts, max_new_tokens=4, is_complete=lambda ids: ids[-1] == 5)
    assert ended == [[5], [2, 3, 4, 5], [8, 9, 0, 1]]


def test_states_are_made_logits_only_where_they_are_read():
    torch.manual_seed(0)
    model = OpenLM(vocab_size=97, width=32, num_layers=2, num_heads=2, max_length=64).eval()
    projected = []

    def project(states):
        projected.append(tuple(states.shape))
        return model.output(states)

    def states(input_ids):
        return model(input_ids, project=False)

    rows = [np.arange(1, 20), np.arange(5, 11)]
    lean, plain = Scorer(model=states, project=project, max_length=64), Scorer(model=model, max_length=64)
    for one, other in zip(lean.score_all(rows, [3, 2]), plain.score_all(rows, [3, 2]), strict=True):
        np.testing.assert_allclose(one.losses, other.losses, rtol=1e-5)
    assert projected == [(5, 32)]
    assert lean.answer(rows, max_new_tokens=4) == plain.answer(rows, max_new_tokens=4)


def test_bfloat16_losses_are_finite_and_near_those_of_float32():
    torch.manual_seed(0)
    model = OpenLM(vocab_size=97, width=32, num_layers=2, num_heads=2, max_length=64).eval()
    rows = random_rows(4, 6, 60)
    exact = dict(Scorer(model=model, max_length=64).score(rows))
    rounded = dict(Scorer(model=model, max_length=64, precision="bfloat16").score(rows))
    for index, scores in exact.items():
        # bfloat16 keeps 8 bits, and the logits here are of order 1
        np.testing.assert_allclose(rounded[index].losses, scores.losses, atol=0.1)
        assert not np.array_equal(rounded[index].losses, scores.losses)


@pytest.mark.slow
def test_a_transformers_model_is_scored_as_it_scores_itself():
    import transformers

    torch.manual_seed(0)
    config = transformers.GPT2Config(vocab_size=97, n_positions=64, n_embd=32, n_layer=2, n_head=2)
    model = transformers.GPT2LMHeadModel(config).eval()
    wrapped = TransformersLM(model)
    rows = random_rows(3, 9, 60)
    found = dict(Scorer(model=wrapped, max_length=wrapped.max_length, batch_tokens=150).score(rows))
    for index, row in enumerate(rows):
        ids = torch.from_numpy(row)[None]
        own = model(input_ids=ids, labels=ids).loss.item()
        assert found[index].losses.mean() == pytest.approx(own, abs=1e-5)
    assert (wrapped.max_length, wrapped.vocab_size) == (64, 97)
