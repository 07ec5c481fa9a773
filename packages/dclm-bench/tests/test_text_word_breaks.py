"""Words are Unicode's: UAX #29 by its rules, and as uniseg 0.10.1 finds them."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import pytest
from dclm_bench.text.character_properties import (
    ALPHANUMERIC,
    NUM_CODE_POINTS,
    SPACE,
    UNICODE_VERSION,
    WORD_BREAKS,
    character_table,
    property_bytes,
)
from dclm_bench.text.code_points import code_points
from dclm_bench.text.word_breaks import property_flags, word_bounds, word_bounds_of, words
from hypothesis import given
from hypothesis import strategies as st

UNISEG = Path(__file__).parent / "goldens" / "uniseg_0.10.1_words.json"

# Written for this test, after the rules of UAX #29; "|" is a boundary.
RULES = {
    "WB3": "a|\r\n|b",
    "WB3a and WB3b": "a|\n|\u0308|b",
    "WB3c": "\u200d🛑|a\u200d🛑",
    "WB3d": "a|   |b",
    "WB3d is about neighbours": "a| \u0308| |b",
    "WB4": "a\u0308\u00ad\u200db| \u0308|c",
    "WB4 not after a newline": "\n|\u0308\u0308|a",
    "WB5": "abc",
    "WB6 and WB7": "can't|'|'|a.b|.|.|c|:|1",
    "WB6 with what attaches": "a\u0308'\u0308b",
    "WB7a": "ב'| |ב'ב'|'|a|'",
    "WB7b and WB7c": 'ב"ב|"| |a|"|b',
    "WB8": "123",
    "WB9 and WB10": "a1b2",
    "WB11 and WB12": "1,000.5|,| |1'2|;|x|,|1",
    "WB13": "カタ|ひ|ら",
    "WB13a and WB13b": "a_1_カ__|-",
    "WB15 and WB16": "🇩🇪|🇫🇷|🇯| |x|🇩\u200d🇪|🇫",
    "WB999": "中|文|!|?",
}


@pytest.mark.parametrize("marked", RULES.values(), ids=RULES)
def test_each_rule_gives_its_boundaries(marked: str) -> None:
    tokens = marked.split("|")

    bounds = word_bounds_of("".join(tokens))

    assert bounds.tolist() == np.cumsum([0, *map(len, tokens)]).tolist()


def test_an_empty_text_has_one_bound_and_no_words() -> None:
    assert word_bounds_of("").tolist() == [0]
    assert words("") == []


def test_bounds_are_those_of_uniseg_on_strings_of_many_scripts_and_on_every_class() -> None:
    cases = json.loads(UNISEG.read_text(encoding="ascii"))

    found = [[text, word_bounds_of(text).tolist()] for text, _ in cases]

    assert len(found) > 400
    assert found == cases


SAMPLES = "ab1'\".,:_ \r\n\u0308\u200d\u00ad🛑🇩בカ"
PROPERTIES = property_bytes()


def by_the_rules(text: str) -> list[int]:
    """Boundaries, rule after rule as the standard writes them, for texts of the classes in `SAMPLES`."""
    kinds = [WORD_BREAKS[PROPERTIES[ord(char)] & 31] for char in text]
    attach, letters = ("Extend", "Format", "ZWJ"), ("ALetter", "Hebrew_Letter")
    newlines, quotes = ("CR", "LF", "Newline"), ("MidNumLet", "Single_Quote")

    def solid(place: int, step: int) -> int:
        place += step
        while 0 <= place < len(text) and kinds[place] in attach:
            place += step
        return place

    def kind(place: int) -> str:
        return kinds[place] if 0 <= place < len(text) else "edge"

    def joined(place: int) -> bool:
        raw, now = kinds[place - 1], kinds[place]
        if raw in newlines or now in newlines:
            return (raw, now) == ("CR", "LF")
        if (raw == "ZWJ" and text[place] == "🛑") or raw == now == "WSegSpace" or now in attach:
            return True
        back = solid(place, -1)
        before, further, ahead = kind(back), kind(solid(back, -1)), kind(solid(place, 1))
        word = (*letters, "Numeric", "Katakana", "ExtendNumLet")
        if now == before == "Regional_Indicator":
            run = 0
            while kind(back) == "Regional_Indicator":
                run, back = run + 1, solid(back, -1)
            return run % 2 == 1
        return (
            (before in letters and now in letters)
            or (before in letters and now in ("MidLetter", *quotes) and ahead in letters)
            or (further in letters and before in ("MidLetter", *quotes) and now in letters)
            or (before == "Hebrew_Letter" and now == "Single_Quote")
            or (before == "Hebrew_Letter" and now == "Double_Quote" and ahead == "Hebrew_Letter")
            or (further == "Hebrew_Letter" and before == "Double_Quote" and now == "Hebrew_Letter")
            or (before in (*letters, "Numeric") and now in (*letters, "Numeric"))
            or (further == now == "Numeric" and before in ("MidNum", *quotes))
            or (before == ahead == "Numeric" and now in ("MidNum", *quotes))
            or (before == now == "Katakana")
            or (before in word and now == "ExtendNumLet")
            or (before == "ExtendNumLet" and now in word)
        )

    return [place for place in range(len(text) + 1) if place in (0, len(text)) or not joined(place)]


@given(st.text(alphabet=SAMPLES, max_size=14))
def test_the_state_machine_agrees_with_the_rules_as_they_are_written(text: str) -> None:
    assert word_bounds_of(text).tolist() == by_the_rules(text)


@given(st.text(max_size=30))
def test_tokens_are_the_text_cut_into_pieces_that_are_not_empty(text: str) -> None:
    bounds = word_bounds_of(text)

    assert bounds[0] == 0
    assert bounds[-1] == len(text)
    assert (np.diff(bounds) > 0).all()


@given(st.text(st.characters(codec=None, exclude_categories=[]), max_size=20))
def test_code_points_are_those_of_the_text_lone_surrogates_too(text: str) -> None:
    codes = code_points(text)

    assert codes.dtype == np.uint32
    assert codes.tolist() == [ord(char) for char in text]


def test_every_code_point_has_the_byte_of_the_list() -> None:
    index, blocks = character_table()
    codes = np.arange(NUM_CODE_POINTS)

    found = blocks[(index[codes >> 7].astype(np.int64) << 7) | (codes & 127)]

    assert UNICODE_VERSION == "16.0.0"
    assert (found == property_bytes()).all()


def test_alphanumeric_and_space_are_those_of_python_where_python_knows_the_character() -> None:
    known = np.array([code for code in range(NUM_CODE_POINTS) if unicodedata.category(chr(code)) != "Cn"])

    alphanumeric = property_flags(known.astype(np.uint32), ALPHANUMERIC)
    space = property_flags(known.astype(np.uint32), SPACE)

    assert alphanumeric.tolist() == [chr(code).isalnum() for code in known]
    assert space.tolist() == [chr(code).isspace() for code in known]


def test_words_are_the_tokens_that_begin_with_a_letter_or_a_number() -> None:
    text = 'The quick ("brown") fox can\u2019t jump 32.3 feet, right? _x ½ 中文 \u0301a'

    found = words(text)

    assert found == [
        "The",
        "quick",
        "brown",
        "fox",
        "can\u2019t",
        "jump",
        "32.3",
        "feet",
        "right",
        "½",
        "中",
        "文",
        "a",
    ]


def test_bounds_of_codes_are_those_of_the_text() -> None:
    text = "No two are alike, are they?"

    assert word_bounds(code_points(text)).tolist() == word_bounds_of(text).tolist()
