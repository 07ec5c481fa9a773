"""Banned phrases: lines or pages that hold one, and phrases cut out of short lines.

Under compat "official" an entry of a banlist is a regular expression, as the official code does not escape
it: "Read more..." also matches "Read moreXYZ". Under "fixed" an entry stands for its own letters, and
`exact_word` also finds entries that begin or end with a sign.
"""

import math
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from dclm_bench.data.page import Page
from dclm_bench.heuristics.banlists import banned_words
from dclm_bench.heuristics.checks import as_strings, compile_pattern, require_choice, require_numbers
from dclm_bench.heuristics.facts import END, LINE_WORDS, START, text_facts
from dclm_bench.heuristics.line_edits import NOT_EMPTY, join_kept, lines_within
from dclm_bench.heuristics.patterns import any_of
from dclm_bench.steps.step import Compat, Rule, Step
from dclm_bench.text.words import lowered

LOCATIONS = ("any", "prefix", "suffix")
_SPECIAL = frozenset(r"\.^$*+?{}[]|()")  # what is no letter of its own in a regular expression
# Not ASCII, and i, s or k where case makes no difference: I with a dot, i without, long s, Kelvin.
_FOLD_TO_ASCII = "\u0130\u0131\u017f\u212a"


def substring_line_modifier(
    banlist: Any,
    case_sensitive: bool = False,
    location: str = "any",
    max_length: float | None = None,
    remove_substring_only: bool = False,
    *,
    compat: Compat = "official",
) -> Step:
    """Removes lines that hold a banned phrase, or the phrase alone; and blanks around the text.

    Args:
        banlist: A phrase, or a list of them.
        case_sensitive: Whether case makes a difference.
        location: Where in the line the phrase stands: "any", "prefix" or "suffix".
        max_length: Lines with more words than this are left alone.
        remove_substring_only: Whether only the phrase goes, with one blank before (as a prefix: after) it,
            and the line only where nothing else is left.
        compat: "official": phrases are regular expressions; "fixed": they are not.

    Source: official `substring_line_modifier`; RefinedWeb appendix G.2, C4 section 2.2.
    """
    func = "substring_line_modifier"
    require_choice(func, "location", location, LOCATIONS)
    if max_length is not None:
        require_numbers(func, max_length=max_length)
    phrases = as_strings(func, "banlist", banlist)
    if not case_sensitive:
        phrases = [phrase.lower() for phrase in phrases]
    inner = any_of(phrases) if compat == "fixed" else f"(?:{'|'.join(phrases)})"
    whole = {"prefix": rf"^{inner}\s?", "suffix": rf"\s?{inner}$", "any": rf"\s?{inner}"}[location]
    pattern = compile_pattern(func, whole, 0 if case_sensitive else re.IGNORECASE)
    may_hold = _text_test(phrases, case_sensitive, escaped=compat == "fixed")
    edit = _cut_phrase(pattern) if remove_substring_only else _drop_line(pattern)
    # What is blank after the cut goes, and so do lines that were blank before it.
    drops_blank = remove_substring_only and (max_length is None or max_length >= 0)

    def apply(page: Page) -> Sequence[float]:
        if may_hold(page):
            lines = page.view(text_facts).lines
            short = (
                lines[:, LINE_WORDS] <= max_length
                if max_length is not None
                else np.ones(len(lines), np.bool_)
            )
            page.text = _edit_lines(page.text, lines.tolist(), short.tolist(), edit)
        elif drops_blank:
            lines = page.view(text_facts).lines
            kept, num_blank = lines_within(lines, LINE_WORDS, 1.0, math.inf, True)
            if num_blank:
                page.text = join_kept(page.text, lines, kept)
        page.text = page.text.strip()
        return (len(page.text),)

    return Step(func, apply, (NOT_EMPTY,), edits=True)


def _edit_lines(
    text: str, lines: list[list[int]], short: list[bool], edit: Callable[[str], str | None]
) -> str:
    kept: list[str] = []
    for row, is_short in zip(lines, short, strict=True):
        line = text[row[START] : row[END]]
        edited = edit(line) if is_short else line
        if edited is not None:
            kept.append(edited)
    return "\n".join(kept)


def _cut_phrase(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    def edit(line: str) -> str | None:
        left = pattern.sub("", line)
        return None if line and (not left or left.isspace()) else left

    return edit


def _drop_line(pattern: re.Pattern[str]) -> Callable[[str], str | None]:
    return lambda line: None if pattern.search(line) else line


def _text_test(phrases: list[str], case_sensitive: bool, *, escaped: bool) -> Callable[[Page], bool]:
    """A quick test of whether any line of a page can hold a phrase; it may say yes in vain, never no."""
    literals = [phrase if escaped else _longest_literal(phrase) for phrase in phrases]
    if not all(literals) or not (case_sensitive or all(map(str.isascii, literals))):
        return lambda page: True
    if case_sensitive:
        return lambda page: any(literal in page.text for literal in literals)

    def may_hold(page: Page) -> bool:
        if not page.text.isascii() and any(character in page.text for character in _FOLD_TO_ASCII):
            return True
        text = page.view(lowered)
        return any(literal in text for literal in literals)

    return may_hold


def _longest_literal(phrase: str) -> str:
    """The longest run of letters that each match of this regular expression holds; empty: none is known."""
    if _SPECIAL.intersection(phrase) - {"."}:
        return ""
    return max(phrase.split("."), key=len)


def substring_filter(
    banlist: Any = None,
    banlist_from_fname: str | None = None,
    location: str = "any",
    case_sensitive: bool = False,
    exact_word: bool = False,
    *,
    compat: Compat = "official",
) -> Step:
    """Keeps pages without a banned phrase; the value is the number of different phrases that were found.

    Args:
        banlist: A phrase, or a list of them.
        banlist_from_fname: A file with one phrase a line instead; see `banlists.banned_words`.
        location: Where in the page the phrase stands: "any", "prefix" or "suffix".
        case_sensitive: Whether case makes a difference; if not, the text is taken in lower case.
        exact_word: Whether the phrase must stand between word boundaries.
        compat: "official": phrases are regular expressions, and "prefix" and "suffix" bind to the whole list;
            "fixed": they are not, and a phrase that begins or ends with a sign counts as a word.

    Source: official `substring_filter`; C4 section 2.2.
    """
    func = "substring_filter"
    require_choice(func, "location", location, LOCATIONS)
    phrases = banned_words(func, banlist, banlist_from_fname)
    rule = Rule("banned_substrings", "<", 1)
    if phrases is None:
        return Step(func, lambda page: (math.nan,), (rule,))
    if not case_sensitive:
        phrases = [phrase.lower() for phrase in phrases]
    plain = not any(_SPECIAL.intersection(phrase) for phrase in phrases)
    inner = any_of(phrases) if compat == "fixed" or plain else f"(?:{'|'.join(phrases)})"
    if exact_word:
        inner = rf"(?<!\w){inner}(?!\w)" if compat == "fixed" else rf"\b{inner}\b"
    whole = {"prefix": f"^{inner}", "suffix": f"{inner}$", "any": inner}[location]
    pattern = compile_pattern(func, whole)
    only = phrases[0] if plain and len(phrases) == 1 and whole == inner and not exact_word else None

    def apply(page: Page) -> Sequence[float]:
        text = page.text if case_sensitive else page.view(lowered)
        if only is not None and only not in text:
            return (0,)
        return (len({match.group() for match in pattern.finditer(text)}),)

    return Step(func, apply, (rule,))
