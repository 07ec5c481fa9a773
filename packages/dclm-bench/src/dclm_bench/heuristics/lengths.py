"""Rules on how long a page, its words and its lines are."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import require_choice, require_numbers
from dclm_bench.heuristics.facts import LINES, WORD_CHARACTERS, WORDS, text_facts
from dclm_bench.heuristics.sentences import load_splitter
from dclm_bench.heuristics.word_counts import word_counter
from dclm_bench.steps.step import Rule, Step

LENGTH_TYPES = ("char", "word", "sentence", "line", "paragraph")
_OPTIONS = {
    "char": (),
    "word": ("model", "ignore_punctuation", "ignore_whitespace"),
    "sentence": ("remove_empty", "tokenizer", "tokenizer_lang", "punkt_path"),
    "line": ("remove_empty",),
    "paragraph": ("remove_empty",),
}


def page_length_filter(
    length_type: str,
    min_length: float = 1,
    max_length: float = math.inf,
    *,
    model: str | None = None,
    ignore_punctuation: bool | None = None,
    ignore_whitespace: bool | None = None,
    remove_empty: bool | None = None,
    tokenizer: str | None = None,
    tokenizer_lang: str | None = None,
    punkt_path: str | None = None,
) -> Step:
    """Keeps pages of `min_length` to `max_length` units, both included.

    Args:
        length_type: The unit: "char", "word", "sentence", "line" or "paragraph" (cut at an empty line).
        min_length: The fewest.
        max_length: The most.
        model: For words: "fasttext" (default), "uniseg" or "split"; see `text.words.split_words`.
        ignore_punctuation: For words (default: false): only those that begin with a letter or digit.
        ignore_whitespace: For words (default: true): not those of white space alone.
        remove_empty: For lines and paragraphs (default: true): not those of white space alone.
        tokenizer: For sentences: "nltk" (Punkt), "blingfire" (default; here the built-in rules) or "rules".
        tokenizer_lang: For "nltk": "en" or "english" for its English model; else Punkt without a model.
        punkt_path: The folder of that model; see `sentences.load_splitter`.

    Source: official `page_length_filter`; RefinedWeb appendix G (50 to 100,000 words), C4 section 2.2.
    """
    func = "page_length_filter"
    require_choice(func, "length_type", length_type, LENGTH_TYPES)
    require_numbers(func, min_length=min_length, max_length=max_length)
    given = {
        name: value
        for name, value in {
            "model": model,
            "ignore_punctuation": ignore_punctuation,
            "ignore_whitespace": ignore_whitespace,
            "remove_empty": remove_empty,
            "tokenizer": tokenizer,
            "tokenizer_lang": tokenizer_lang,
            "punkt_path": punkt_path,
        }.items()
        if value is not None
    }
    for name in given:
        if name not in _OPTIONS[length_type]:
            raise InputError(
                f"{func}: {name} says nothing about a length in units of {length_type}; remove it"
            )
    count = _counter(length_type, given)

    def apply(page: Page) -> Sequence[float]:
        length = count(page)
        return (length, length)

    return Step(func, apply, (Rule("min_length", ">=", min_length), Rule("max_length", "<=", max_length)))


def _counter(length_type: str, given: dict[str, Any]) -> Callable[[Page], int]:
    if length_type == "word":
        return word_counter("page_length_filter", **given)
    if length_type == "char":
        return lambda page: len(page.text)
    if length_type == "sentence":
        if given.pop("remove_empty", True) is not True:
            raise InputError(
                "page_length_filter: sentences are counted with remove_empty alone; remove the key"
            )
        split = load_splitter(**given)
        return lambda page: len(page.view(split))
    remove_empty = given.get("remove_empty", True)
    if length_type == "paragraph":
        return lambda page: count_paragraphs(page.text, "\n\n", remove_empty)
    if remove_empty:
        return lambda page: int(page.view(text_facts).totals[LINES])
    return lambda page: page.text.count("\n") + 1


def count_paragraphs(text: str, separator: str, remove_empty: bool) -> int:
    """How many parts there are between the separators, those of white space alone left out if asked."""
    parts = text.split(separator)
    return sum(1 for part in parts if part and not part.isspace()) if remove_empty else len(parts)


def word_length_filter(min_length: float = 0, max_length: float = math.inf) -> Step:
    """Keeps pages whose mean word length is from `min_length` to `max_length` characters, both included.

    Words are cut at white space. A page without a word is dropped, whatever the limits.

    Source: official `word_length_filter`; Gopher (Rae et al., 2021), table A1: 3 to 10.
    """
    func = "word_length_filter"
    require_numbers(func, min_length=min_length, max_length=max_length)

    def apply(page: Page) -> Sequence[float]:
        totals = page.view(text_facts).totals
        words = int(totals[WORDS])
        if words == 0:
            return (-math.inf, math.inf)
        mean = int(totals[WORD_CHARACTERS]) / words
        return (mean, mean)

    return Step(func, apply, (Rule("min_length", ">=", min_length), Rule("max_length", "<=", max_length)))


def line_length_filter(length_type: str = "max", max_length: float = 1000) -> Step:
    """Keeps pages whose longest line, or mean line, has at most `max_length` characters.

    Lines are those of `str.splitlines`. An empty page is dropped, whatever the limit.

    Args:
        length_type: "max" or "avg".
        max_length: The limit.

    Source: official `line_length_filter`; RedPajama v1's rules for GitHub.
    """
    func = "line_length_filter"
    require_choice(func, "length_type", length_type, ("max", "avg"))
    require_numbers(func, max_length=max_length)

    def apply(page: Page) -> Sequence[float]:
        if not page.text:
            return (math.inf,)
        lengths = [len(line) for line in page.text.splitlines()]
        return (max(lengths) if length_type == "max" else sum(lengths) / len(lengths),)

    return Step(func, apply, (Rule("max_length", "<=", max_length),))
