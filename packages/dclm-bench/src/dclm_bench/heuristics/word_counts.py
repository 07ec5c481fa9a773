"""Counts of words and lines kept in the record, and the share of words that edits have taken away."""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import compile_pattern, require_choice, require_numbers
from dclm_bench.heuristics.facts import (
    ALPHANUMERIC_WORDS,
    FASTTEXT_ALPHANUMERIC,
    FASTTEXT_BLANK,
    FASTTEXT_BLANK_FIRST,
    FASTTEXT_WORDS,
    LINES,
    NEWLINES,
    WORDS,
    text_facts,
)
from dclm_bench.steps.step import Rule, Step
from dclm_bench.text.words import WORD_MODELS, split_words


def word_counter(
    func: str,
    *,
    model: str = "fasttext",
    ignore_punctuation: bool = False,
    ignore_whitespace: bool = True,
) -> Callable[[Page], int]:
    """A function that gives the number of words of a page, as `len(split_words(...))` would be.

    Raises:
        InputError: the model is unknown.
    """
    require_choice(func, "model", model, WORD_MODELS)
    if model == "uniseg":
        return lambda page: len(
            split_words(
                page.text,
                model="uniseg",
                ignore_punctuation=ignore_punctuation,
                ignore_whitespace=ignore_whitespace,
            )
        )
    places: tuple[int, ...]
    signs: tuple[int, ...]
    if model == "split":
        places, signs = (ALPHANUMERIC_WORDS if ignore_punctuation else WORDS,), (1,)
    elif ignore_punctuation:
        places, signs = (FASTTEXT_ALPHANUMERIC, FASTTEXT_BLANK_FIRST), (1, 0 if ignore_whitespace else 1)
    else:
        places = (FASTTEXT_WORDS, NEWLINES, FASTTEXT_BLANK)
        signs = (1, 1, -1 if ignore_whitespace else 0)

    def count(page: Page) -> int:
        totals = page.view(text_facts).totals
        return sum(int(totals[place]) * sign for place, sign in zip(places, signs, strict=True))

    return count


def word_counter_enricher(
    key: str = "word_count",
    overwrite: bool = False,
    ignore_punctuation: bool = True,
    model: str = "fasttext",
    ignore_whitespace: bool = True,
) -> Step:
    """Puts the number of words into the record under `key`; drops nothing.

    The words are those of `text.words.split_words`; here punctuation is left out unless told otherwise.

    Source: official `word_counter_enricher`.
    """
    func = "word_counter_enricher"
    count = word_counter(
        func, model=model, ignore_punctuation=ignore_punctuation, ignore_whitespace=ignore_whitespace
    )
    return Step(func, _enricher(func, key, overwrite, count))


def line_counter_enricher(
    paragraph_end: str = "\n", remove_empty: bool = True, key: str = "num_lines", overwrite: bool = False
) -> Step:
    """Puts the number of lines (or what else `paragraph_end` ends) into the record; drops nothing.

    Args:
        paragraph_end: A regular expression, as in the official code.
        remove_empty: Whether those of white space alone do not count.
        key: Where the number goes.
        overwrite: Whether a number that is there already may be replaced.

    Source: official `line_counter_enricher`.
    """
    func = "line_counter_enricher"
    pattern = compile_pattern(func, paragraph_end)
    if paragraph_end == "\n" and remove_empty:
        return Step(
            func, _enricher(func, key, overwrite, lambda page: int(page.view(text_facts).totals[LINES]))
        )

    def count(page: Page) -> int:
        parts = re.split(pattern, page.text)
        return sum(1 for part in parts if part and part.strip()) if remove_empty else len(parts)

    return Step(func, _enricher(func, key, overwrite, count))


def _enricher(
    func: str, key: str, overwrite: bool, count: Callable[[Page], int]
) -> Callable[[Page], Sequence[float]]:
    def apply(page: Page) -> Sequence[float]:
        if key in page.record and not overwrite:
            raise InputError(
                f"{func}: a record has '{key}' already; choose another key, or set overwrite: true"
            )
        page.record[key] = count(page)
        return ()

    return apply


def word_removal_ratio_filter(
    prev_word_count_key: str,
    new_word_count_key: str | None = None,
    max_removed_ratio: float = 0.05,
    ignore_punctuation: bool = True,
    model: str = "fasttext",
    ignore_whitespace: bool = True,
) -> Step:
    """Keeps pages of whose words the steps before have removed at most `max_removed_ratio`.

    A page that had no words is dropped, whatever the limit. The count before must come from a
    `word_counter_enricher` that stands after what may remove words for good (URL removal) and before the
    edits of lines.

    Args:
        prev_word_count_key: Where the count before the edits is in the record.
        new_word_count_key: Where that after them is; without it, or without that key, they are counted.
        max_removed_ratio: The limit.
        ignore_punctuation: How words are counted; as in the enricher.
        model: As in the enricher.
        ignore_whitespace: As in the enricher.

    Source: official `word_removal_ratio_filter`; RefinedWeb appendix G.2 (5 %).
    """
    func = "word_removal_ratio_filter"
    require_numbers(func, max_removed_ratio=max_removed_ratio)
    count = word_counter(
        func, model=model, ignore_punctuation=ignore_punctuation, ignore_whitespace=ignore_whitespace
    )

    def apply(page: Page) -> Sequence[float]:
        before = _number(page, prev_word_count_key)
        if before == 0:
            return (math.inf,)
        after = count(page)
        if new_word_count_key and new_word_count_key in page.record:
            after = _number(page, new_word_count_key)
        return ((before - after) / before,)

    def _number(page: Page, key: str) -> Any:
        value = page.record.get(key)
        if not isinstance(value, int | float):
            raise InputError(
                f"{func}: a record has no number '{key}'; put a word_counter_enricher before this step"
            )
        return value

    return Step(func, apply, (Rule("max_removed_ratio", "<=", max_removed_ratio),))
