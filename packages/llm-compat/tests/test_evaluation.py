"""Choices by log-likelihood, greedy generation and ensembles, against the plain way to compute them."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.evaluation.choices import choice_log_likelihoods, label_log_probabilities
from llm_compat.evaluation.ensemble import average_log_probabilities
from llm_compat.evaluation.generation import generate_greedily, is_exact_match
from tiny_models import make_model

MODEL = make_model(width=16, vocabulary=20)
CONTEXTS = [[5], [3, 4, 5, 6], [1, 2]]
CHOICES = [[[7], [8, 9]], [[1], [2], [3, 3, 3]], [[19, 18, 17, 16], [4]]]


def one_by_one(context: list[int], choice: list[int]) -> float:
    total = 0.0
    for end in range(len(choice)):
        tokens = torch.tensor([context + choice[:end]])
        with torch.no_grad():
            total += torch.log_softmax(MODEL(tokens).logits[0, -1], dim=-1)[choice[end]].item()
    return total


def test_choices_have_the_likelihood_of_their_tokens_one_after_the_other() -> None:
    found = choice_log_likelihoods(MODEL, CONTEXTS, CHOICES, batch_size=4)

    for context, choices, values in zip(CONTEXTS, CHOICES, found, strict=True):
        assert values == pytest.approx([one_by_one(context, choice) for choice in choices], abs=1e-5)


@pytest.mark.parametrize("family", ["gemma2", "granite", "gpt2", "phi"])
def test_heads_that_scale_or_cap_their_logits_are_scored_as_the_model_does(family: str) -> None:
    model = make_model(family, vocabulary=20)
    with torch.no_grad():
        logits = model(torch.tensor([[3, 4, 5]])).logits[0]

    found = choice_log_likelihoods(model, [[3]], [[[4, 5]]])

    expected = torch.log_softmax(logits, dim=-1)
    assert found[0][0] == pytest.approx((expected[0, 4] + expected[1, 5]).item(), abs=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 7])
def test_the_batch_size_changes_no_likelihood(batch_size: int) -> None:
    one = choice_log_likelihoods(MODEL, CONTEXTS, CHOICES, batch_size=64)
    other = choice_log_likelihoods(MODEL, CONTEXTS, CHOICES, batch_size=batch_size)

    for first, second in zip(one, other, strict=True):
        assert first == pytest.approx(second, abs=1e-5)


def test_an_empty_context_or_choice_is_refused() -> None:
    for contexts, choices in (([[]], [[[1]]]), ([[1]], [[[]]])):
        with pytest.raises(ValueError, match="item 0: an empty context or choice has no likelihood"):
            choice_log_likelihoods(MODEL, contexts, choices)


def test_label_log_probabilities_are_normalised_over_the_whole_vocabulary() -> None:
    logits = torch.log(torch.tensor([[0.1, 0.2, 0.3, 0.4]]))

    found = label_log_probabilities(logits + 5.0, torch.tensor([3, 1]))

    assert found.exp().tolist() == [pytest.approx([0.4, 0.2])]


def test_the_ensemble_of_two_distributions_is_their_geometric_mean() -> None:
    first, second = torch.tensor([[0.8, 0.1, 0.1]]), torch.tensor([[0.2, 0.4, 0.4]])

    found = average_log_probabilities(first.log(), second.log()).exp()

    # square roots of 0.16, 0.04 and 0.04, over their sum 0.8
    assert found.tolist() == [pytest.approx([0.5, 0.25, 0.25])]


@given(st.lists(st.floats(-20, 0), min_size=2, max_size=6))
def test_an_ensemble_of_a_model_with_itself_is_the_model(scores: list[float]) -> None:
    own = torch.log_softmax(torch.tensor([scores]), dim=-1)

    found = average_log_probabilities(own, own)

    torch.testing.assert_close(found, own, atol=1e-5, rtol=1e-5)
    assert math.isclose(found.exp().sum().item(), 1.0, abs_tol=1e-5)


def test_models_with_other_choices_have_no_ensemble() -> None:
    with pytest.raises(ValueError, match=r"\(1, 2\) and \(1, 3\): the models have other choices"):
        average_log_probabilities(torch.zeros(1, 2), torch.zeros(1, 3))


def test_greedy_answers_are_those_of_each_prompt_alone() -> None:
    prompts = [[3], [4, 5], [6], [7, 8]]

    found = generate_greedily(MODEL, prompts, max_new_tokens=5)

    for prompt, answer in zip(prompts, found, strict=True):
        tokens = list(prompt)
        for _ in range(5):
            with torch.no_grad():
                tokens.append(int(MODEL(torch.tensor([tokens])).logits[0, -1].argmax()))
        assert answer == tokens[len(prompt) :]


def test_an_answer_ends_before_the_end_token() -> None:
    whole = generate_greedily(MODEL, [[3], [4]], max_new_tokens=6)
    end = whole[0][2]

    cut = generate_greedily(MODEL, [[3], [4]], max_new_tokens=6, end=end)

    assert cut == [answer[: answer.index(end)] if end in answer else answer for answer in whole]
    assert len(cut[0]) <= 2


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt 1 is empty; give at least one token"):
        generate_greedily(MODEL, [[1], []], max_new_tokens=1)


@pytest.mark.parametrize(
    ("answer", "target", "ignore_case", "same"),
    [
        (" 42\n", "42", False, True),
        ("42.0", "42", False, False),
        ("Paris", "paris", False, False),
        ("Paris", "paris", True, True),
        ("new york", "newyork", True, False),
    ],
)
def test_exact_match_forgives_white_space_at_the_ends_only(
    answer: str, target: str, ignore_case: bool, same: bool
) -> None:
    assert is_exact_match(answer, target, ignore_case=ignore_case) is same
