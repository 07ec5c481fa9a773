"""With `compat="datatrove"` the rules are those of datatrove 0.10.0, on the words of spaCy 3.8.7 (stored)."""

import json
import math
import sys
from collections import Counter
from dataclasses import astuple
from pathlib import Path
from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.repetition.datatrove import datatrove_repetition_fractions
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Step
from hypothesis import given
from hypothesis import strategies as st
from repetition_pages import pages
from toolkit_shared.errors import InputError

DATATROVE = Path(__file__).parent / "goldens" / "repetition_datatrove.json"
REASONS = {
    "dup_para_frac": "duplicate_paragraph_fraction",
    "dup_para_char_frac": "duplicate_paragraph_character_fraction",
    "dup_line_frac": "duplicate_line_fraction",
    "dup_line_char_frac": "duplicate_line_character_fraction",
    **{f"top_{n}_gram": f"top_{n}_gram_character_fraction" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"duplicate_{n}_gram_character_fraction" for n in range(5, 11)},
}


def golden() -> dict[str, Any]:
    found: dict[str, Any] = json.loads(DATATROVE.read_text(encoding="ascii"))
    assert len(found["pages"]) == len(pages())
    return found


def gopher() -> Step:
    step = make_step("massive_web_repetition_filters", {}, compat="datatrove")
    assert isinstance(step, Step)
    return step


def test_fractions_and_reasons_are_those_of_datatrove(monkeypatch: pytest.MonkeyPatch) -> None:
    words = {
        text: [] if wanted is None else wanted["words"]
        for text, wanted in zip(pages(), golden()["pages"], strict=True)
    }
    monkeypatch.setattr("dclm_bench.repetition.spacy_words.load_spacy_words", lambda: words.__getitem__)
    step = gopher()

    for text, wanted in zip(pages(), golden()["pages"], strict=True):
        values = step.apply(Page(text))
        if wanted is None:  # datatrove divides by the length of an empty text
            assert values == [math.inf] * 13
            continue
        failed = [rule.name for rule, value in zip(step.rules, values, strict=True) if not rule.keeps(value)]
        assert list(values) == pytest.approx(
            [math.nan if value is None else value for value in wanted["fractions"]], abs=0, nan_ok=True
        )
        assert failed[:1] == ([REASONS[wanted["reason"]]] if wanted["reason"] else [])


def test_without_spacy_the_step_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "spacy", None)

    with pytest.raises(InputError, match=r"needs the words of spaCy.*pip install spacy"):
        gopher()


def test_only_what_is_said_again_counts_and_all_of_the_text_is_the_denominator() -> None:
    text = "abc\nabc\n\ndefgh\nabc"

    fractions = datatrove_repetition_fractions(text, text.split())

    assert fractions.duplicate_line_fraction == 2 / 4
    assert fractions.duplicate_line_character_fraction == 6 / 18
    assert fractions.duplicate_paragraph_fraction == 0.0


def test_ngrams_are_compared_without_the_blanks_between_their_words() -> None:
    words = "ab c d e f x a bc d e f".split()

    fractions = datatrove_repetition_fractions("." * 100, words)

    assert fractions.duplicate_5_gram_character_fraction == 0.06


def by_the_book(text: str, words: list[str]) -> list[float]:
    """The fractions of n-grams, straightforwardly."""
    found: list[float] = []
    for n in (2, 3, 4):
        ngrams = [" ".join(words[place : place + n]) for place in range(len(words) - n + 1)]
        counts = Counter(ngrams)
        best = max(counts, key=lambda ngram: counts[ngram], default="")
        found.append(len(best) * counts[best] / len(text) if ngrams else math.nan)
    for n in range(5, 11):
        seen: set[str] = set()
        place = characters = 0
        while place + n <= len(words):
            ngram = "".join(words[place : place + n])
            if ngram in seen:
                characters += len(ngram)
                place += n
            else:
                seen.add(ngram)
                place += 1
        found.append(characters / len(text))
    return found


@given(st.lists(st.sampled_from(["a", "aa", "b", "ab", "ba", "é"]), max_size=50))
def test_fractions_of_ngrams_are_those_of_a_slow_count(words: list[str]) -> None:
    text = " ".join(words) + "."

    found = astuple(datatrove_repetition_fractions(text, words))[4:]

    assert found == pytest.approx(by_the_book(text, words), abs=0, nan_ok=True)
