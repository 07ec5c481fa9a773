from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.heuristics.patterns import any_of
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Compat, Step, keeps_all
from hypothesis import given, settings
from hypothesis import strategies as st


def edited(text: str, func: str, compat: Compat = "official", **parameters: Any) -> str | None:
    """The text after a step; None where the page is dropped."""
    step = make_step(func, parameters, compat=compat)
    assert isinstance(step, Step)
    page = Page(text, {})
    return page.text if keeps_all(step.rules, step.apply(page)) else None


def test_a_line_with_half_its_characters_in_upper_case_stays() -> None:
    assert edited("ABcd\nABCd\nÄÖüß", "uppercase_ratio_line_modifier", max_ratio=0.5) == "ABcd\nÄÖüß"
    assert edited("ABCD", "uppercase_ratio_line_modifier") is None


def test_only_lines_of_digits_alone_go() -> None:
    text = "123\n12 3\n1²\n\n٣٤\n½ab"
    assert edited(text, "numeric_ratio_line_modifier", max_ratio=0.999999) == "12 3\n\n½ab"


def test_edits_that_strip_do_so_even_where_no_line_goes() -> None:
    for func in ("uppercase_ratio_line_modifier", "numeric_ratio_line_modifier", "counter_line_modifier"):
        assert edited(" \n a b \n", func) == "a b"
    assert edited(" \n a b \n", "line_length_modifier", min_length=0) == " \n a b \n"


@pytest.mark.parametrize(
    ("line", "goes"),
    [
        ("3 likes", True),
        ("• 1.2K Views!", True),
        ("12,345 followers •", True),
        ("5m\tdownloads", True),
        ("3 likes it", False),
        ("likes 3", False),
        ("3likes", False),
        ("3 hearts", False),
        ("I have 3 likes", False),
        ("3 kk likes", False),
        ("7 li\u212aes", True),  # the Kelvin sign is a k in lower case
        ("٣ views", True),
    ],
)
def test_a_counter_is_a_number_and_one_of_twelve_words(line: str, goes: bool) -> None:
    assert edited(f"text\n{line}", "counter_line_modifier") == ("text" if goes else f"text\n{line}")


def test_lines_with_too_few_words_go_and_empty_lines_stay() -> None:
    assert (
        edited("one two\n\none\n \nthree four", "line_length_modifier", min_length=2)
        == "one two\n\nthree four"
    )
    assert edited("a b c\na b", "line_length_modifier", max_length=2) == "a b"
    assert edited("one\n", "line_length_modifier", min_length=2) is None


def test_lines_with_a_long_word_go() -> None:
    assert edited("abcd abc\nabcde\n", "word_length_modifier", max_length=4, model="split") == "abcd abc\n"
    # fastText does not cut at a blank that is not ASCII.
    assert edited("abc\u2003abc\nab", "word_length_modifier", max_length=4) == "ab"
    assert edited("-----\nab", "word_length_modifier", max_length=4, ignore_punctuation=True) == "-----\nab"


def test_lines_without_a_mark_at_their_end_go() -> None:
    text = 'One.\nTwo\nThree! \nFour?\n"Five"\n\nSix…\nSeven...\n '
    assert edited(text, "punctuation_line_modifier") == 'One.\nThree! \nFour?\n"Five"\n\nSix…\nSeven...'
    assert edited(text, "punctuation_line_modifier", remove_ellipses=True) == 'One.\nThree! \nFour?\n"Five"\n'


def test_a_phrase_is_cut_out_of_short_lines_alone() -> None:
    options: dict[str, Any] = {"banlist": "items in cart", "max_length": 4, "remove_substring_only": True}
    text = "2 Items in Cart\nso there are items in cart here\nitems in cart"
    assert edited(text, "substring_line_modifier", **options) == "2\nso there are items in cart here"


def test_cutting_a_phrase_also_removes_short_blank_lines() -> None:
    options: dict[str, Any] = {"banlist": "items in cart", "max_length": 10, "remove_substring_only": True}
    assert edited("a\n \n\nb", "substring_line_modifier", **options) == "a\n\nb"


def test_a_phrase_can_be_bound_to_the_start_or_the_end_of_a_line() -> None:
    sign_in: dict[str, Any] = {"banlist": "Sign-in", "location": "prefix", "remove_substring_only": True}
    assert (
        edited("Sign-in now\nplease sign-in", "substring_line_modifier", **sign_in) == "now\nplease sign-in"
    )
    more: dict[str, Any] = {"banlist": "Read more...", "location": "suffix", "remove_substring_only": True}
    assert edited("x Read more...\nRead more... y", "substring_line_modifier", **more) == "x\nRead more... y"


def test_official_phrases_are_regular_expressions_and_fixed_ones_are_not() -> None:
    more: dict[str, Any] = {
        "banlist": "Read more...",
        "location": "suffix",
        "max_length": 10,
        "remove_substring_only": True,
    }
    assert edited("Go on. Read moreXYZ", "substring_line_modifier", **more) == "Go on."
    assert edited("Go on. Read moreXYZ", "substring_line_modifier", "fixed", **more) == "Go on. Read moreXYZ"
    assert edited("Go on. READ MORE...", "substring_line_modifier", "fixed", **more) == "Go on."


@pytest.mark.parametrize("letter", ["\u017f", "S"])
def test_letters_that_fold_to_ascii_are_found_as_the_regular_expression_finds_them(letter: str) -> None:
    assert edited(f"{letter}ign-in\nx", "substring_line_modifier", banlist="sign-in") == "x"


def test_lines_that_hold_a_banned_phrase_go() -> None:
    text = "Turn on JavaScript.\nJava, script."
    assert edited(text, "substring_line_modifier", banlist=["javascript"]) == "Java, script."
    assert edited(text, "substring_line_modifier", banlist=["javascript"], case_sensitive=True) == text
    assert edited("cookie policy", "substring_line_modifier", banlist=["javascript", "cookie policy"]) is None


def test_pages_that_hold_a_banned_phrase_are_dropped() -> None:
    assert edited("Lorem IPSUM", "substring_filter", banlist=["lorem ipsum"]) is None
    assert edited("Lorem IPSUM", "substring_filter", banlist=["lorem ipsum"], case_sensitive=True)
    assert edited("a { b", "substring_filter", banlist="{") is None
    assert edited("classic", "substring_filter", banlist=["ass"], exact_word=True)
    assert edited("an ass.", "substring_filter", banlist=["ass"], exact_word=True) is None
    assert edited("b a", "substring_filter", banlist=["a"], location="prefix")
    assert edited("b a", "substring_filter", banlist=["a"], location="suffix") is None


def test_a_word_that_is_a_sign_is_only_found_by_the_fixed_rule() -> None:
    assert edited("x 🖕 y", "substring_filter", banlist=["🖕"], exact_word=True)
    assert edited("x 🖕 y", "substring_filter", "fixed", banlist=["🖕"], exact_word=True) is None
    assert edited("a.b", "substring_filter", banlist=["a.c", "."]) is None
    assert edited("ab", "substring_filter", "fixed", banlist=["a.", "."])


def test_without_the_official_list_the_rule_does_not_apply() -> None:
    options: dict[str, Any] = {"banlist_from_fname": "baselines/mappers/banlists/ldnoobw.txt"}
    assert edited("any thing", "substring_filter", **options) == "any thing"


def test_runs_of_newlines_are_shortened() -> None:
    assert edited("a\n\n\n\nb\n\nc\n", "newline_removal_modifier", max_consecutive=2) == "a\n\nb\n\nc\n"
    assert edited("a\nb", "newline_removal_modifier", max_consecutive=0) == "ab"


def test_citations_are_cut_out() -> None:
    assert edited("so[1][] it is[edit] [citation needed] [a]", "citation_removal_modifier") == "so it is  [a]"
    assert edited("[12]", "citation_removal_modifier") is None


def test_the_first_of_equal_lines_stays() -> None:
    assert edited("A\n\nb\n a\n\nB", "within_page_dedup") == "A\n\nb\n"
    assert edited("A\na\nA", "within_page_dedup", normalize=False) == "A\na"
    assert edited("a\nb\n\nc\n\na\nb", "within_page_dedup", granularity="paragraph") == "a\nb\n\nc"


@given(st.lists(st.text("ab.", min_size=1, max_size=4), min_size=1, max_size=6), st.text("ab.x", max_size=20))
@settings(derandomize=True, deadline=None)
def test_the_pattern_of_many_words_finds_the_longest_at_each_place(words: list[str], text: str) -> None:
    import re

    naive, place = [], 0
    while place < len(text):
        found = max((word for word in words if text.startswith(word, place)), key=len, default="")
        naive += [found] if found else []
        place += len(found) or 1
    assert re.findall(any_of(words), text) == naive
