import re
from typing import Any

import numpy as np
from dclm_bench.data.page import Page
from dclm_bench.heuristics.facts import (
    ALPHANUMERIC_CHARACTERS,
    ALPHANUMERIC_WORDS,
    BULLETS,
    ELLIPSES,
    END,
    FASTTEXT_ALPHANUMERIC,
    FASTTEXT_BLANK,
    FASTTEXT_BLANK_FIRST,
    FASTTEXT_WORDS,
    LINES,
    NEWLINES,
    NUM_TOTALS,
    START,
    STOP_WORDS,
    STOP_WORDS_SEEN,
    SYMBOLS,
    WORD_CHARACTERS,
    WORDS,
    WORDS_WITHOUT_LETTER,
    text_facts,
)
from dclm_bench.heuristics.limits import least_ratio
from dclm_bench.heuristics.word_counts import word_counter
from dclm_bench.text.words import (
    ALPHA,
    ALPHANUMERIC,
    DIGIT,
    SPACE,
    UPPER,
    WORD_MODELS,
    character_classes,
    split_words,
)
from hypothesis import given, settings
from hypothesis import strategies as st

PIECES = [
    *" \n\t\x0b\x0c\r\0\xa0\x1c\x85\u2028.#*-aT1Ⅷ²é中Kİ,",
    *(
        "…",
        "•",
        "●",
        "...",
        ". . .",
        "the",
        " of ",
        "THAT",
        "with",
        "bE",
        "\ud800",
        "\U0001d7ce",
        "\U00020000",
    ),
]
TEXTS = st.lists(st.sampled_from(PIECES), max_size=40).map("".join)
STOP = ["the", "be", "to", "of", "and", "that", "have", "with"]


def counted_by_str(text: str) -> list[int]:
    """The totals by the methods of `str` alone."""
    totals = [0] * NUM_TOTALS
    words = text.split()
    tokens = re.findall("[^ \n\r\t\v\f\0]+", text)
    lines = [stripped for line in text.split("\n") if (stripped := line.strip())]
    stop = [word.lower() for word in words if word.lower() in STOP]
    totals[WORDS] = len(words)
    totals[WORD_CHARACTERS] = sum(map(len, words))
    totals[WORDS_WITHOUT_LETTER] = sum(not any(map(str.isalpha, word)) for word in words)
    totals[ALPHANUMERIC_WORDS] = sum(word[0].isalnum() for word in words)
    totals[STOP_WORDS] = len(stop)
    totals[STOP_WORDS_SEEN] = sum(1 << STOP.index(word) for word in set(stop))
    totals[FASTTEXT_WORDS] = len(tokens)
    totals[FASTTEXT_ALPHANUMERIC] = sum(token[0].isalnum() for token in tokens)
    totals[FASTTEXT_BLANK] = sum(token.isspace() for token in tokens)
    totals[FASTTEXT_BLANK_FIRST] = sum(token[0].isspace() for token in tokens)
    totals[NEWLINES] = text.count("\n")
    totals[SYMBOLS] = sum(text.count(symbol) for symbol in ("#", "...", ". . .", "…"))
    totals[LINES] = len(lines)
    totals[BULLETS] = sum(line.startswith(("●", "•", "*", "-")) for line in lines)
    totals[ELLIPSES] = sum(line.endswith(("...", ". . .", "…")) for line in lines)
    totals[ALPHANUMERIC_CHARACTERS] = sum(map(str.isalnum, text))
    return totals


@given(TEXTS)
@settings(max_examples=150, derandomize=True, deadline=None)
def test_the_totals_are_what_the_methods_of_str_count(text: str) -> None:
    assert text_facts(text).totals.tolist() == counted_by_str(text)


@given(TEXTS)
@settings(max_examples=80, derandomize=True, deadline=None)
def test_the_table_of_lines_is_what_the_methods_of_str_count(text: str) -> None:
    rows = text_facts(text).lines.tolist()
    lines = text.split("\n")
    assert [text[row[START] : row[END]] for row in rows] == lines
    assert [row[END + 1 :] for row in rows] == [
        [
            sum(map(str.isupper, line)),
            sum(map(str.isdigit, line)),
            sum(map(str.isalpha, line)),
            len(line.split()),
            max(map(len, line.split()), default=0),
        ]
        for line in lines
    ]


def test_every_character_has_the_classes_that_str_gives_it() -> None:
    classes = character_classes()
    methods = {
        SPACE: str.isspace,
        ALPHA: str.isalpha,
        ALPHANUMERIC: str.isalnum,
        UPPER: str.isupper,
        DIGIT: str.isdigit,
    }
    # All of the planes that have characters, and every 97th place of the others.
    places = [*range(0x33480), *range(0x33480, 0x110000, 97)]
    for flag, method in methods.items():
        expected = np.fromiter((method(chr(place)) for place in places), bool, len(places))
        assert np.array_equal(classes[places] & flag != 0, expected)


@given(TEXTS, st.sampled_from(WORD_MODELS), st.booleans(), st.booleans())
@settings(max_examples=200, derandomize=True, deadline=None)
def test_words_are_counted_as_they_are_split(
    text: str, model: str, ignore_punctuation: bool, ignore_whitespace: bool
) -> None:
    options: dict[str, Any] = {
        "model": model,
        "ignore_punctuation": ignore_punctuation,
        "ignore_whitespace": ignore_whitespace,
    }
    assert word_counter("", **options)(Page(text)) == len(split_words(text, **options))


def test_words_of_fasttext_are_cut_at_ascii_blanks_and_every_newline_is_one() -> None:
    # By fastText's own tokenizer (fasttext-wheel 0.9.2).
    assert split_words("a b\nc\n\n d\xa0e f\0g", model="fasttext") == [
        *("a", "b", "</s>", "c", "</s>", "</s>", "d\xa0e", "f", "g")
    ]
    assert split_words("« a\nb »", ignore_punctuation=True) == ["a", "b"]


def test_words_of_unicode_keep_blanks_only_if_asked() -> None:
    assert split_words("can't, no", model="uniseg") == ["can't", ",", "no"]
    assert split_words("can't, no", model="uniseg", ignore_whitespace=False) == ["can't", ",", " ", "no"]
    assert split_words("a, b", model="uniseg", ignore_punctuation=True, ignore_whitespace=False) == [
        "a",
        " ",
        "b",
    ]


@given(st.integers(0, 500), st.integers(0, 500), st.floats(0, 1))
@settings(derandomize=True, deadline=None)
def test_the_least_ratio_gives_the_verdict_of_the_product(count: int, extra: int, limit: float) -> None:
    total = count + extra
    value = least_ratio(count, total)
    for ratio in (limit, value, np.nextafter(value, -1), 0.3, 0.9):
        assert (not value > ratio) == (not count > ratio * total)


def test_the_least_ratio_differs_from_the_quotient_where_the_product_does() -> None:
    assert 1 > (1 / 49) * 49  # so one of 49 lines is dropped at this limit
    assert least_ratio(1, 49) > 1 / 49
    assert least_ratio(3, 10) <= 0.3
    assert np.isnan(least_ratio(0, 0))
