"""Rules on shares (of symbols, bullets, ellipses, words with letters) and on the number of stop words."""

import math
from collections.abc import Sequence

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import require_numbers
from dclm_bench.heuristics.facts import (
    ALPHANUMERIC_CHARACTERS,
    BULLETS,
    ELLIPSES,
    LINES,
    STOP_WORDS,
    STOP_WORDS_SEEN,
    SYMBOLS,
    WORDS,
    WORDS_WITHOUT_LETTER,
    text_facts,
)
from dclm_bench.heuristics.limits import least_ratio
from dclm_bench.steps.step import Rule, Step


def symbol_ratio_filter(max_symbol_to_word_ratio: float = 0.1) -> Step:
    """Keeps pages with at most this many symbols a word; a page without a word is dropped.

    Symbols are `#`, `...`, `. . .` and the ellipsis character, each counted without overlaps of its own.

    Source: official `symbol_ratio_filter`; Gopher table A1: 0.1.
    """
    require_numbers("symbol_ratio_filter", max_symbol_to_word_ratio=max_symbol_to_word_ratio)

    def apply(page: Page) -> Sequence[float]:
        totals = page.view(text_facts).totals
        words = int(totals[WORDS])
        return (int(totals[SYMBOLS]) / words if words else math.inf,)

    rule = Rule("max_symbol_to_word_ratio", "<=", max_symbol_to_word_ratio)
    return Step("symbol_ratio_filter", apply, (rule,))


def bullet_count_filter(max_bullet_start_ratio: float = 0.9) -> Step:
    """Keeps pages of whose lines at most this share begins with a bullet: one of four characters.

    Lines of white space alone do not count; a page without lines is kept. The value is the least ratio at
    which the page is kept (see `limits.least_ratio`).

    Source: official `bullet_count_filter`; Gopher table A1: 0.9.
    """
    require_numbers("bullet_count_filter", max_bullet_start_ratio=max_bullet_start_ratio)

    def apply(page: Page) -> Sequence[float]:
        totals = page.view(text_facts).totals
        return (least_ratio(int(totals[BULLETS]), int(totals[LINES])),)

    return Step("bullet_count_filter", apply, (Rule("max_bullet_start_ratio", "<=", max_bullet_start_ratio),))


def ellipsis_count_filter(max_ellipsis_end_ratio: float = 0.3) -> Step:
    """Keeps pages of whose lines at most this share ends in an ellipsis; as `bullet_count_filter` otherwise.

    An ellipsis is `...`, `. . .` or the character.

    Source: official `ellipsis_count_filter`; Gopher table A1: 0.3.
    """
    require_numbers("ellipsis_count_filter", max_ellipsis_end_ratio=max_ellipsis_end_ratio)

    def apply(page: Page) -> Sequence[float]:
        totals = page.view(text_facts).totals
        return (least_ratio(int(totals[ELLIPSES]), int(totals[LINES])),)

    rule = Rule("max_ellipsis_end_ratio", "<=", max_ellipsis_end_ratio)
    return Step("ellipsis_count_filter", apply, (rule,))


def alphabetic_word_ratio_filter(max_ratio: float = 0.2) -> Step:
    """Keeps pages of whose words at most this share has no letter; a page without a word is dropped.

    Source: official `alphabetic_word_ratio_filter`; Gopher table A1: 80 % of the words with a letter.
    """
    require_numbers("alphabetic_word_ratio_filter", max_ratio=max_ratio)

    def apply(page: Page) -> Sequence[float]:
        totals = page.view(text_facts).totals
        words = int(totals[WORDS])
        return (int(totals[WORDS_WITHOUT_LETTER]) / words if words else math.inf,)

    return Step("alphabetic_word_ratio_filter", apply, (Rule("max_ratio", "<=", max_ratio),))


def stop_word_filter(count_unique: bool = False, min_stop_word: int = 2) -> Step:
    """Keeps pages with at least this many stop words: the, be, to, of, and, that, have, with.

    A page without any is dropped, even where `min_stop_word` is 0.

    Args:
        count_unique: Whether each word counts once.
        min_stop_word: The fewest.

    Source: official `stop_word_filter`; Gopher table A1: two.
    """
    require_numbers("stop_word_filter", min_stop_word=min_stop_word)

    def apply(page: Page) -> Sequence[float]:
        totals = page.view(text_facts).totals
        count = int(totals[STOP_WORDS_SEEN]).bit_count() if count_unique else int(totals[STOP_WORDS])
        return (count or -math.inf,)

    return Step("stop_word_filter", apply, (Rule("min_stop_word", ">=", min_stop_word),))


def alphanumeric_char_ratio_filter(max_alnum_ratio: float = 0.25) -> Step:
    """Keeps pages of whose characters at least this share is letters or digits; an empty page is dropped.

    The parameter is the official one; in spite of its name it is the smallest ratio that is kept.

    Source: official `alphanumeric_char_ratio_filter`; RedPajama v1's rules for GitHub.
    """
    require_numbers("alphanumeric_char_ratio_filter", max_alnum_ratio=max_alnum_ratio)

    def apply(page: Page) -> Sequence[float]:
        if not page.text:
            return (-math.inf,)
        return (int(page.view(text_facts).totals[ALPHANUMERIC_CHARACTERS]) / len(page.text),)

    return Step("alphanumeric_char_ratio_filter", apply, (Rule("max_alnum_ratio", ">=", max_alnum_ratio),))
