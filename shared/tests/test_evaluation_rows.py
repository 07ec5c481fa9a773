"""Rows of tokens: what is scored, what is cut, and which examples come before."""

import numpy as np
import pytest
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.few_shot import draw_examples
from toolkit_shared.evaluation.rows import Row, continuation_rows, prompt_rows

END = 256


def encode(texts):
    return [np.frombuffer(text.encode(), np.uint8) for text in texts]


def text(row: Row) -> bytes:
    return bytes(row.ids.tolist())


def continuation(context: str, end: str, max_length: int) -> Row:
    (row,) = continuation_rows([(context, end)], encode=encode, end_of_text=END, max_length=max_length)
    return row


def prompt(given: str, max_length: int, max_new_tokens: int) -> Row:
    (row,) = prompt_rows(
        [given], encode=encode, end_of_text=END, max_length=max_length, max_new_tokens=max_new_tokens
    )
    return row


def test_blanks_before_an_answer_are_scored_with_it() -> None:
    row = continuation("Answer:  ", "yes", 100)
    assert text(row) == b"Answer:  yes"
    assert row.num_scored == len("  yes")


def test_a_long_context_loses_its_beginning_and_an_empty_one_is_end_of_text() -> None:
    row = continuation("0123456789", "ab", 6)
    assert (text(row), row.num_scored, row.is_cut) == (b"56789ab", 2, True)
    assert not continuation("56789", "ab", 6).is_cut
    assert continuation("", "a", 6).ids.tolist() == [END, ord("a")]


def test_a_prompt_leaves_room_for_its_answer_and_has_no_blanks_at_its_end() -> None:
    row = prompt("0123456789 ", 6, 3)
    assert (text(row), row.num_scored, row.is_cut) == (b"6789", 0, True)
    assert not prompt("6789", 6, 3).is_cut
    assert prompt(" ", 6, 3).ids.tolist() == [END]


def test_a_context_of_several_continuations_is_encoded_once() -> None:
    asked: list[str] = []

    def counted(texts):
        asked.extend(texts)
        return encode(texts)

    pairs = [("one", " a"), ("one", " b"), ("two", " a")]
    rows = continuation_rows(pairs, encode=counted, end_of_text=END, max_length=9)
    assert [text(row) for row in rows] == [b"one a", b"one b", b"two a"]
    assert asked == ["one", "two", " a", " b"]


def test_what_does_not_fit_the_model_is_refused() -> None:
    with pytest.raises(InputError, match="answer 'abcdefg': has 7 tokens; 1 to 6 fit the model's context"):
        continuation("x", "abcdefg", 6)
    with pytest.raises(InputError, match="answer '': has 0 tokens; 1 to 6"):
        continuation("x", "", 6)
    with pytest.raises(InputError, match="max_new_tokens: 7 do not fit the model's context 6"):
        prompt("x", 6, 7)


def test_examples_are_others_of_the_group_and_do_not_depend_on_how_many_are_asked() -> None:
    groups = ["even", "odd"] * 10
    shown = draw_examples(groups, 20, num_fewshot=5, task="t", seed=1)
    for index, numbers in enumerate(shown):
        assert len(set(numbers)) == 5
        assert index not in numbers
        assert all(number % 2 == index % 2 for number in numbers)
    assert draw_examples(groups, 3, num_fewshot=5, task="t", seed=1) == shown[:3]
    assert draw_examples(groups, 20, num_fewshot=5, task="t", seed=2) != shown
    assert draw_examples(groups, 20, num_fewshot=5, task="u", seed=1) != shown


def test_a_small_group_shows_all_its_others_and_no_shots_show_none() -> None:
    (shown,) = draw_examples(["", "", "", "x"], 1, num_fewshot=10, task="t", seed=0)
    assert sorted(shown) == [1, 2]
    assert draw_examples(["x"], 1, num_fewshot=2, task="t", seed=0) == [[]]
    assert draw_examples(["", ""], 2, num_fewshot=0, task="t", seed=0) == [[], []]
