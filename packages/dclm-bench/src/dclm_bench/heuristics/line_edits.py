r"""Steps that remove lines from a page. A line is what stands between two `\n`.

Each drops the page whose text becomes empty (rule `not_empty`, of which the value is the number of characters
that are left). The facts of a text say in one call whether any line is hit, and mostly none is.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import require_choice, require_numbers
from dclm_bench.heuristics.facts import (
    DIGITS,
    END,
    LETTERS,
    LINE_WORDS,
    LONGEST_WORD,
    START,
    UPPERS,
    text_facts,
)
from dclm_bench.steps.step import Rule, Step
from dclm_bench.text.compiled import compiled
from dclm_bench.text.words import WORD_MODELS, split_words

NOT_EMPTY = Rule("not_empty", ">", 0)

_COUNTED = (
    "likes shares comments retweets reposts quotes bookmarks upvotes downvotes downloads views followers"
)
_COUNTER = re.compile(rf"\W*\d[\d.,]*[kmb]?\s+(?:{'|'.join(_COUNTED.split())})\W*")
# A counter has the letters of one of the nouns, and perhaps one of k, m and b; see `_counter_candidates`.
_FEWEST_LETTERS = min(map(len, _COUNTED.split()))
_MOST_LETTERS = max(map(len, _COUNTED.split())) + 1

Lines = npt.NDArray[np.int32]
Kept = npt.NDArray[np.bool_]


def uppercase_ratio_line_modifier(max_ratio: float = 0.5) -> Step:
    """Removes lines of whose characters more than this share is in upper case, and blanks around the text.

    Source: official `uppercase_ratio_line_modifier`; RefinedWeb appendix G.2.
    """
    return _ratio_step("uppercase_ratio_line_modifier", UPPERS, max_ratio)


def numeric_ratio_line_modifier(max_ratio: float = 1.0) -> Step:
    """Removes lines of whose characters more than this share is digits, and blanks around the text.

    Source: official `numeric_ratio_line_modifier`; RefinedWeb appendix G.2 (0.999999: digits alone).
    """
    return _ratio_step("numeric_ratio_line_modifier", DIGITS, max_ratio)


def counter_line_modifier() -> Step:
    """Removes lines that are a counter ("3 likes", "1.2k views"), and blanks around the text.

    Source: official `counter_line_modifier`; RefinedWeb appendix G.2.
    """

    def apply(page: Page) -> Sequence[float]:
        text = page.text
        lines = page.view(text_facts).lines
        candidates = _counter_candidates(lines)
        kept = None
        for index in candidates.tolist():
            if _COUNTER.fullmatch(text[lines[index, START] : lines[index, END]].lower()):
                kept = np.ones(len(lines), np.bool_) if kept is None else kept
                kept[index] = False
        if kept is not None:
            text = join_kept(text, lines, kept)
        page.text = text.strip()
        return (len(page.text),)

    return Step("counter_line_modifier", apply, (NOT_EMPTY,), edits=True)


def line_length_modifier(min_length: float = 0, max_length: float = math.inf) -> Step:
    """Removes lines with fewer than `min_length` or more than `max_length` words; empty lines stay.

    A line of white space alone has no words.

    Source: official `line_length_modifier`; RefinedWeb appendix G.2 (2), C4 section 2.2 (5).
    """
    func = "line_length_modifier"
    require_numbers(func, min_length=min_length, max_length=max_length)
    low, high = float(min_length), float(max_length)
    return _line_step(func, lambda lines: lines_within(lines, LINE_WORDS, low, high, True), strip=False)


def word_length_modifier(
    max_length: float = 1000,
    model: str = "fasttext",
    ignore_punctuation: bool = False,
    ignore_whitespace: bool = True,
) -> Step:
    """Removes lines with a word of more than `max_length` characters.

    Words are those of `text.words.split_words`.

    Source: official `word_length_modifier`; C4 as in TensorFlow Datasets (1,000).
    """
    func = "word_length_modifier"
    require_numbers(func, max_length=max_length)
    require_choice(func, "model", model, WORD_MODELS)
    if model == "split" and not ignore_punctuation:
        most = float(max_length)
        return _line_step(
            func, lambda lines: lines_within(lines, LONGEST_WORD, 0.0, most, False), strip=False
        )
    options: dict[str, Any] = {
        "model": model,
        "ignore_punctuation": ignore_punctuation,
        "ignore_whitespace": ignore_whitespace,
    }

    def keeps(line: str) -> bool:
        return len(line) <= max_length or all(
            len(word) <= max_length for word in split_words(line, **options)
        )

    return _text_line_step(func, keeps)


def punctuation_line_modifier(remove_ellipses: bool = False) -> Step:
    """Removes lines that do not end, blanks aside, in one of `.`, `!`, `?`, `"` and the ellipsis character.

    Empty lines stay; a line of white space alone goes.

    Args:
        remove_ellipses: Whether lines that end in `...` or the ellipsis character go, too.

    Source: official `punctuation_line_modifier`; C4 section 2.2.
    """

    def keeps(line: str) -> bool:
        end = line.rstrip()
        if not line:
            return True
        return end.endswith((".", "!", "?", '"', "…")) and not (
            remove_ellipses and end.endswith(("...", "…"))
        )

    return _text_line_step("punctuation_line_modifier", keeps)


def join_kept(text: str, lines: Lines, kept: Kept) -> str:
    """The text with the kept lines alone."""
    spans = lines[kept, : END + 1].tolist()
    return "\n".join([text[start:end] for start, end in spans])


def _ratio_step(func: str, column: int, max_ratio: float) -> Step:
    require_numbers(func, max_ratio=max_ratio)
    limit = float(max_ratio)
    return _line_step(func, lambda lines: _below_ratio(lines, column, limit), strip=True)


def _line_step(func: str, keep: Callable[[Lines], tuple[Kept, int]], *, strip: bool) -> Step:
    """A step that keeps lines by their facts; `keep` gives which, and how many are not."""

    def apply(page: Page) -> Sequence[float]:
        text = page.text
        lines = page.view(text_facts).lines
        kept, num_removed = keep(lines)
        if num_removed:
            text = join_kept(text, lines, kept)
        page.text = text.strip() if strip else text
        return (len(page.text),)

    return Step(func, apply, (NOT_EMPTY,), edits=True)


def _text_line_step(func: str, keeps: Callable[[str], bool]) -> Step:
    """A step that keeps lines by what they hold."""

    def apply(page: Page) -> Sequence[float]:
        page.text = "\n".join([line for line in page.text.split("\n") if keeps(line)])
        return (len(page.text),)

    return Step(func, apply, (NOT_EMPTY,), edits=True)


@compiled
def _below_ratio(lines: Lines, column: int, limit: float) -> tuple[Kept, int]:
    """Which lines have at most this ratio of a column to their characters, and how many have more."""
    kept = np.ones(len(lines), np.bool_)
    removed = 0
    for i in range(len(lines)):
        length = lines[i, END] - lines[i, START]
        if length > 0 and not lines[i, column] / length <= limit:
            kept[i] = False
            removed += 1
    return kept, removed


@compiled
def lines_within(lines: Lines, column: int, low: float, high: float, keep_empty: bool) -> tuple[Kept, int]:
    """Which lines have a column from low to high, or are empty if these are kept; and how many have not."""
    kept = np.ones(len(lines), np.bool_)
    removed = 0
    for i in range(len(lines)):
        if keep_empty and lines[i, END] == lines[i, START]:
            continue
        if not (low <= lines[i, column] <= high):
            kept[i] = False
            removed += 1
    return kept, removed


@compiled
def _counter_candidates(lines: Lines) -> npt.NDArray[np.int64]:
    """int64: the lines that have a digit, and as many letters as a counter can have; a superset."""
    found = np.empty(len(lines), np.int64)
    count = 0
    for i in range(len(lines)):
        if lines[i, DIGITS] > 0 and _FEWEST_LETTERS <= lines[i, LETTERS] <= _MOST_LETTERS:
            found[count] = i
            count += 1
    return found[:count]
