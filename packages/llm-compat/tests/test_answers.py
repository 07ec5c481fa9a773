"""Answers in one spelling, and their codes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.answers import INVALID, answer_code, canonical_answer, choice_code
from llm_compat.data.outcomes import NO_ANSWER


@pytest.mark.parametrize("text", ["1000", "1,000", "$1000", "$1,000.", " 1000\n", "+1000", "1000."])
def test_spellings_of_a_number_are_one_answer(text: str) -> None:
    assert canonical_answer(text) == "1000"
    assert answer_code(text) == answer_code("1000")


@pytest.mark.parametrize(
    ("one", "other"),
    [("18", "18.00"), ("18", "-18"), ("Yes", "yes"), ("1,000 men", "1000 men"), ("0.5", "5"), ("7", "07")],
)
def test_answers_that_exact_match_tells_apart_stay_apart(one: str, other: str) -> None:
    assert answer_code(one) != answer_code(other)


def test_a_negative_number_keeps_its_sign_wherever_the_dollar_stands() -> None:
    assert {canonical_answer(text) for text in ("-$5", "$-5", "-5.", "-5")} == {"-5"}


@pytest.mark.parametrize("text", ["", "  \n", INVALID, " [invalid] ", None])
def test_what_is_no_answer_has_the_code_of_none(text: str | None) -> None:
    assert answer_code(text) == NO_ANSWER


@given(st.text())
def test_a_spelling_is_its_own_spelling_and_no_text_breaks_it(text: str) -> None:
    answer = canonical_answer(text)
    assert (answer is None) == (answer_code(text) == NO_ANSWER)
    if answer is not None:
        assert answer_code(answer) == answer_code(text)


def test_half_of_a_surrogate_pair_has_a_code() -> None:
    assert answer_code("\ud800") not in (NO_ANSWER, answer_code("\ud801"))


def test_choices_have_codes_of_their_own() -> None:
    codes = {choice_code(index) for index in range(100)}
    assert len(codes) == 100
    assert not codes & {answer_code(str(index)) for index in range(100)}
