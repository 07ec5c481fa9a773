import math
from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Step, keeps_all
from toolkit_shared.errors import InputError


def build(func: str, **parameters: Any) -> Step:
    step = make_step(func, parameters)
    assert isinstance(step, Step)
    return step


def values(step: Step, text: str, **record: Any) -> list[float]:
    return list(step.apply(Page(text, record)))


def keeps(step: Step, text: str, **record: Any) -> bool:
    return keeps_all(step.rules, values(step, text, **record))


def test_a_page_is_kept_at_both_limits_of_its_length() -> None:
    step = build("page_length_filter", length_type="word", min_length=2, max_length=3)
    assert [rule.name for rule in step.rules] == ["min_length", "max_length"]
    assert [keeps(step, text) for text in ("a", "a b", "a b c", "a b c d")] == [False, True, True, False]
    assert values(step, "a b c d") == [4, 4]


@pytest.mark.parametrize(
    ("length_type", "text", "length"),
    [
        ("char", "añ\U0001d7ce\n", 4),
        ("word", "one two\n- three", 5),  # the newline and the dash are words, unless asked otherwise
        ("line", "one\n \n\ntwo", 2),
        ("paragraph", "one\ntwo\n\nthree\n\n\n\n", 2),
        ("sentence", "It is 5 p.m. now. Is it? Yes.", 3),
    ],
)
def test_a_length_is_counted_in_the_unit_that_is_asked_for(length_type: str, text: str, length: int) -> None:
    assert values(build("page_length_filter", length_type=length_type), text) == [length, length]


def test_punctuation_and_blank_lines_count_only_if_asked() -> None:
    assert values(build("page_length_filter", length_type="word", ignore_punctuation=True), "a - b") == [2, 2]
    step = build("page_length_filter", length_type="line", remove_empty=False)
    assert values(step, "one\n \n\ntwo") == [4, 4]


def test_a_page_without_words_is_dropped_at_every_limit() -> None:
    assert values(build("word_length_filter"), " \n") == [-math.inf, math.inf]
    assert not keeps(build("word_length_filter"), " \n")
    for func, limit in (
        ("symbol_ratio_filter", "max_symbol_to_word_ratio"),
        ("alphabetic_word_ratio_filter", "max_ratio"),
    ):
        assert not keeps(build(func, **{limit: 1e9}), "\n")


def test_the_mean_word_length_is_kept_at_both_limits() -> None:
    step = build("word_length_filter", min_length=3, max_length=10)
    assert values(step, "abc abcd ab") == [3, 3]
    assert [keeps(step, text) for text in ("ab abc", "abc", "a" * 10, "a" * 11)] == [False, True, True, False]


def test_symbols_are_counted_without_overlaps_of_their_own_kind() -> None:
    # "# # ... . . . …" has 2 + 1 + 1 + 1 symbols in 7 words; "......" is two, "....." one.
    step = build("symbol_ratio_filter")
    assert values(step, "# # ... . . . …") == [5 / 7]
    assert values(step, "......") == [2]
    assert values(step, ".....") == [1]
    assert values(step, ". . . . .") == [1 / 5]
    assert keeps(step, "# " + "word " * 9)  # 1 of 10, the limit
    assert not keeps(step, "# " + "word " * 8)


def test_three_of_ten_lines_with_an_ellipsis_are_kept_at_three_tenths() -> None:
    step = build("ellipsis_count_filter", max_ellipsis_end_ratio=0.3)
    ends = ["wait...", "wait . . .", "wait…"]
    assert keeps(step, "\n".join([*ends, *["line"] * 7]))
    assert not keeps(step, "\n".join([*ends, *["line"] * 6]))
    assert math.isnan(values(step, " \n")[0])  # no line: kept


def test_bullets_are_counted_after_the_blanks_of_a_line() -> None:
    step = build("bullet_count_filter", max_bullet_start_ratio=0.9)
    bullets = [" * a", "• b", "● c", "- d", "-e", "*", "-", "-", "-"]
    assert keeps(step, "\n".join([*bullets, "line", "", " "]))
    assert not keeps(step, "\n".join(["- x", *bullets]))


def test_two_of_ten_words_without_a_letter_are_kept() -> None:
    step = build("alphabetic_word_ratio_filter", max_ratio=0.2)
    assert keeps(step, "12 -- a b c d e f g h")
    assert not keeps(step, "12 -- a b c d e f g")
    assert keeps(step, "1a ²b " + "c " * 2)


def test_stop_words_are_counted_in_any_case_and_only_as_whole_words() -> None:
    step = build("stop_word_filter", min_stop_word=2)
    assert values(step, "The THE theory to, of") == [3]
    assert keeps(step, "the x the")
    assert not keeps(build("stop_word_filter", count_unique=True, min_stop_word=2), "the x the")
    assert values(step, "nothing here") == [-math.inf]
    assert not keeps(build("stop_word_filter", min_stop_word=0), "nothing here")  # as the official loop does


def test_the_share_of_letters_and_digits_has_a_lower_limit_in_spite_of_its_name() -> None:
    step = build("alphanumeric_char_ratio_filter", max_alnum_ratio=0.25)
    assert [keeps(step, text) for text in ("a???", "a????", "")] == [True, False, False]


def test_a_line_may_be_as_long_as_the_limit() -> None:
    longest = build("line_length_filter", length_type="max", max_length=3)
    mean = build("line_length_filter", length_type="avg", max_length=3)
    assert [keeps(longest, text) for text in ("abc\r\nab", "abcd\na", "")] == [True, False, False]
    assert [keeps(mean, text) for text in ("abcd\nab", "abcd\nabc")] == [True, False]


def test_five_hundredths_of_the_words_may_go() -> None:
    step = build("word_removal_ratio_filter", prev_word_count_key="before")
    assert values(step, "a " * 95, before=100) == [0.05]
    assert keeps(step, "a " * 95, before=100)
    assert not keeps(step, "a " * 94, before=100)
    assert not keeps(step, "", before=0)
    assert keeps(step, "a " * 101, before=100)
    kept_count = build("word_removal_ratio_filter", prev_word_count_key="before", new_word_count_key="after")
    assert values(kept_count, "", before=10, after=9) == [0.1]


def test_a_missing_count_is_said_in_one_line() -> None:
    step = build("word_removal_ratio_filter", prev_word_count_key="before")
    with pytest.raises(InputError, match="has no number 'before'; put a word_counter_enricher before"):
        values(step, "a")


def test_the_enrichers_write_their_counts_and_never_over_another() -> None:
    page = Page("one, two\n\n3", {})
    build("word_counter_enricher", key="words").apply(page)
    build("line_counter_enricher").apply(page)
    build("line_counter_enricher", paragraph_end="\n\n", key="paragraphs", remove_empty=False).apply(page)
    assert page.record == {"words": 3, "num_lines": 2, "paragraphs": 2}
    with pytest.raises(InputError, match="'num_lines' already"):
        build("line_counter_enricher").apply(page)
    build("line_counter_enricher", overwrite=True).apply(page)


def test_a_random_sample_is_the_same_in_every_run_and_as_large_as_asked() -> None:
    step = build("random_sampling_filter", keep_probability=0.25, seed=3)
    pages = [f"page {number}" for number in range(400)]
    kept = [keeps(step, page) for page in pages]
    assert kept == [
        keeps(build("random_sampling_filter", keep_probability=0.25, seed=3), page) for page in pages
    ]
    assert kept != [
        keeps(build("random_sampling_filter", keep_probability=0.25, seed=4), page) for page in pages
    ]
    assert 70 <= sum(kept) <= 130  # 100, and 3.5 standard deviations
    assert not keeps(build("random_sampling_filter", keep_probability=0), "x")
    assert keeps(build("random_sampling_filter", keep_probability=1), "x")


def test_files_are_kept_by_the_end_of_their_name() -> None:
    step = build("github_extension_filter")
    names = ("a/b.py", "Makefile", "a.PY", "a.txt")
    assert [keeps(step, "x", filename=name) for name in names] == [True, True, False, False]
    assert not keeps(step, "x")
    assert keeps(build("github_extension_filter", allowed_extensions=".txt"), "x", filename="a.txt")


def test_a_key_is_renamed_unless_the_new_one_is_taken() -> None:
    page = Page("", {"content": "hello", "a": 1, "b": 2})
    build("key_name_modifier").apply(page)
    build("key_name_modifier", old_key="a", new_key="b").apply(page)
    build("key_name_modifier", old_key="missing", new_key="c").apply(page)
    assert (page.text, page.record) == ("hello", {"a": 1, "b": 2})
    build("key_name_modifier", old_key="a", new_key="b", allow_overwrite=True).apply(page)
    assert page.record == {"b": 1}


@pytest.mark.parametrize(
    ("func", "parameters", "message"),
    [
        ("page_length_filter", {"length_type": "token"}, "length_type is 'token'; known are char, word"),
        (
            "page_length_filter",
            {"length_type": "char", "model": "split"},
            "model says nothing about a length",
        ),
        ("page_length_filter", {"length_type": "word", "model": "spacy"}, "model is 'spacy'"),
        ("word_length_filter", {"min_length": "3"}, "min_length is '3', no number"),
        ("stop_word_filter", {"min_stop_word": True}, "min_stop_word is True, no number"),
        ("random_sampling_filter", {"keep_probability": 1.5}, "give a number from 0 to 1"),
        ("url_substring_filter", {}, "no banlist; give banlist or banlist_from_fname"),
        ("url_substring_filter", {"banlist_from_fname": "regex.pkl"}, "is a pickle"),
        ("url_substring_filter", {"banlist_from_fname": "nowhere.txt"}, "nowhere.txt is not there"),
        ("substring_filter", {"banlist": ["a("]}, "is no regular expression"),
        ("substring_line_modifier", {"banlist": "a", "location": "middle"}, "location is 'middle'"),
        ("newline_removal_modifier", {"max_consecutive": -1}, "give a whole number from 0"),
        ("line_dedup", {"normalize": "ccnet"}, "'ccnet' is no normaliser"),
        ("line_counter_enricher", {"paragraph_end": "("}, "is no regular expression"),
    ],
)
def test_an_unusable_parameter_is_said_in_one_line(
    func: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        make_step(func, parameters)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
