"""The repetition rules give the fractions and the verdicts of the official functions."""

import json
import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.repetition.fractions import FRACTIONS, repetition_fractions
from dclm_bench.repetition.steps import LIMITS
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Step, keeps_all
from dclm_bench.text.word_breaks import words
from hypothesis import given
from hypothesis import strategies as st
from repetition_pages import pages
from toolkit_shared.errors import InputError

OFFICIAL = Path(__file__).parent / "goldens" / "repetition_official.json"
GOPHER = "massive_web_repetition_filters"
SINGLE: tuple[dict[str, Any], ...] = (
    {"granularity": 1, "ngram_char_ratio": "most_common"},
    {"granularity": 3, "ngram_char_ratio": "all", "ignore_case": True},
    {"granularity": 7, "ngram_char_ratio": "most_common"},
    {"granularity": 12, "ngram_char_ratio": "all"},
    {"granularity": "line", "ignore_case": True},
    {"granularity": "paragraph", "ignore_case": True, "count_characters": False},
)


def step_of(func: str, **parameters: Any) -> Step:
    step = make_step(func, parameters)
    assert isinstance(step, Step)
    return step


def values(text: str, func: str = GOPHER, **parameters: Any) -> Sequence[float]:
    return step_of(func, **parameters).apply(Page(text))


def kept(text: str, func: str = GOPHER, **parameters: Any) -> bool:
    step = step_of(func, **parameters)
    return keeps_all(step.rules, step.apply(Page(text)))


def golden(value: float | str | None) -> float:
    """What we give: nothing to keep it for is infinite, nothing that repeats 0, nothing to repeat NaN."""
    if value is None:
        return 0.0
    return math.inf if value == "dropped" else float(value)


def official() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(OFFICIAL.read_text(encoding="ascii"))
    assert len(found) == len(pages())
    return found


def test_verdicts_are_those_of_the_official_filter_on_pages_of_either_kind() -> None:
    wanted = official()

    found = [kept(text) for text in pages()]

    assert 20 < sum(found) < len(found) - 20
    assert found == [page["kept"] for page in wanted]
    assert [kept(text, skip_paragraph=True) for text in pages()] == [
        page["kept_without_paragraphs"] for page in wanted
    ]


def test_fractions_are_those_of_the_official_rules_to_the_last_bit() -> None:
    found = [astuple(repetition_fractions(text)) for text in pages()]

    # Where the official function compares nothing, ours is 0 (no repetition) or NaN (nothing to repeat).
    assert [[0.0 if math.isnan(value) else value for value in page] for page in found] == [
        [golden(value) for value in page["fractions"]] for page in official()
    ]


@pytest.mark.parametrize("number", range(len(SINGLE)), ids=[str(list(one.values())) for one in SINGLE])
def test_a_single_rule_gives_the_official_fraction_with_other_parameters(number: int) -> None:
    found = [values(text, "repetition_filter", max_fraction=0.5, **SINGLE[number])[0] for text in pages()]

    assert [0.0 if math.isnan(value) else value for value in found] == [
        golden(page["single"][number]) for page in official()
    ]


def test_three_equal_lines_of_ten_are_exactly_the_limit_and_are_kept() -> None:
    alone = ["alpha beta", "gamma delta", "epsilon zeta", "eta theta", "iota kappa", "lambda mu", "nu xi"]
    text = "\n".join(["again", alone[0], "again", alone[1], "again", *alone[2:]])

    assert repetition_fractions(text).duplicate_line_fraction == 0.3
    assert kept(text)
    assert not kept(text + "\nagain")


def test_all_occurrences_count_and_blanks_around_a_line_do_not() -> None:
    fractions = repetition_fractions("abc\n  abc \n\n\ndefgh\n")

    assert fractions.duplicate_line_fraction == 2 / 3
    assert fractions.duplicate_line_character_fraction == 6 / 11
    assert fractions.duplicate_paragraph_fraction == 0.0


def test_the_longest_of_the_most_frequent_pairs_counts() -> None:
    fractions = repetition_fractions("a b x a b y longer pair z longer pair")

    assert fractions.top_2_gram_character_fraction == 2 * 10 / 27


def test_words_in_two_repeated_ngrams_count_once() -> None:
    text = "a b c d e f x a b c d e f"

    fractions = repetition_fractions(text)

    assert fractions.duplicate_5_gram_character_fraction == 12 / 13
    assert fractions.duplicate_6_gram_character_fraction == 12 / 13
    assert fractions.duplicate_7_gram_character_fraction == 0.0


def test_a_page_of_one_line_is_not_held_against_itself() -> None:
    fractions = repetition_fractions("all in one line")

    assert math.isnan(fractions.duplicate_line_fraction)
    assert math.isnan(fractions.duplicate_5_gram_character_fraction)  # it has four words
    assert fractions.top_4_gram_character_fraction == 0.0


def test_a_page_without_lines_is_dropped_at_any_limit() -> None:
    assert astuple(repetition_fractions("")) == (math.inf,) * 13
    assert values(" \n\n ")[0] == math.inf
    assert not kept(" \n\n ")
    assert not kept("", "repetition_filter", granularity=2, max_fraction=1.0)


def test_the_rules_have_the_official_limits_in_the_official_order() -> None:
    rules = step_of(GOPHER).rules

    assert [(rule.name, rule.limit, rule.keep) for rule in rules] == [
        (name, limit, "<=") for name, limit in zip(FRACTIONS, LIMITS, strict=True)
    ]
    assert LIMITS == (0.3, 0.3, 0.2, 0.2, 0.2, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.1)
    assert len(step_of(GOPHER, skip_paragraph=True).rules) == 11


def by_the_book(text: str) -> list[float]:
    """The 13 fractions, straightforwardly and slowly."""
    found: list[float] = []
    for characters in (False, True):
        for separator in ("\n", "\n\n"):
            parts = [part.strip() for part in text.split(separator) if part.strip()]
            sizes = [len(part) if characters else 1 for part in parts]
            counts = Counter(parts)
            repeated = sum(size for part, size in zip(parts, sizes, strict=True) if counts[part] > 1)
            nothing = math.inf if not parts else math.nan
            found.append(repeated / sum(sizes) if len(parts) > 1 else nothing)
    tokens = words(text)
    total = sum(map(len, tokens))
    for n in range(2, 11):
        ngrams = [tuple(tokens[place : place + n]) for place in range(len(tokens) - n + 1)]
        counted = Counter(ngrams)
        if not ngrams:
            found.append(math.nan)
        elif n <= 4:
            most = max(counted.values())
            longest = max(len("".join(ngram)) for ngram in ngrams if counted[ngram] == most)
            found.append(most * longest / total if most > 1 else 0.0)
        else:
            places = {p + k for p, ngram in enumerate(ngrams) if counted[ngram] > 1 for k in range(n)}
            found.append(sum(len(tokens[place]) for place in places) / total)
    return found


PIECE = st.sampled_from(
    ["a", "bb", "ccc", "a.b", "é", "中", " ", " ", "\n", "\n", "\n\n", ".", "\u00a0", "12"]
)


@given(st.lists(PIECE, min_size=1, max_size=60).map("".join))
def test_fractions_are_those_of_a_slow_count(text: str) -> None:
    assert astuple(repetition_fractions(text)) == pytest.approx(by_the_book(text), abs=0, nan_ok=True)


@given(st.lists(PIECE, min_size=1, max_size=40).map("".join), st.integers(2, 4))
def test_a_page_that_is_said_again_is_all_repetition(text: str, times: int) -> None:
    fractions = repetition_fractions("\n\n".join([text] * times))

    assert fractions.duplicate_line_fraction in (1.0, math.inf)
    assert fractions.duplicate_line_character_fraction in (1.0, math.inf)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"granularity": "word"}, "granularity is 'word'; give line, paragraph, or a number of words"),
        ({"granularity": 0}, "granularity is 0; give line, paragraph, or a number of words"),
        ({"granularity": 11}, "granularity 11 has no default for ngram_char_ratio; give most_common or all"),
        ({"granularity": 2, "ngram_char_ratio": "top"}, "ngram_char_ratio is 'top'; give most_common or all"),
        ({"granularity": 2, "max_fraction": "x"}, "max_fraction is 'x'; give a number, such as 0.3"),
    ],
)
def test_an_unusable_parameter_is_named_with_what_to_give(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError) as error:
        make_step("repetition_filter", {"max_fraction": 0.2, **parameters})

    assert str(error.value) == f"repetition_filter: {message}"
