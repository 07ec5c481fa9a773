"""The repetition rules as steps of a recipe."""

from collections.abc import Sequence
from typing import Any, Literal, get_args

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.repetition.fractions import (
    FRACTIONS,
    ngram_fraction,
    repetition_fractions,
    segment_fraction,
)
from dclm_bench.steps.step import Compat, Rule, Step
from dclm_bench.text.word_breaks import word_bounds_of

LIMITS = (0.30, 0.30, 0.20, 0.20, 0.20, 0.18, 0.16, 0.15, 0.14, 0.13, 0.12, 0.11, 0.10)
"""The limits of `FRACTIONS`. Source: Rae et al. 2021, table A1; official `massive_web_repetition_filters`."""

# The order in which datatrove's filter asks: paragraphs before lines.
_DATATROVE_ORDER = (1, 3, 0, 2, *range(4, 13))

NgramCharRatio = Literal["most_common", "all"]
_SEPARATOR_LENGTHS = {"line": 1, "paragraph": 2}


def massive_web_repetition_filters(skip_paragraph: bool = False, compat: Compat = "official") -> Step:
    """The 13 rules of Gopher; all fractions are computed, whichever drops the page.

    "fixed" is "official", in which no clear bug is known: a page of one line is exempt on purpose, and that
    overlapping pairs ("no no no") count twice drops only what is repetitive anyway. "datatrove" is its
    `GopherRepetitionFilter`, words and order of rules included.

    Args:
        skip_paragraph: Leave out the rules on paragraphs, where an extractor does not tell them from lines.
        compat: Whose counts.

    Raises:
        InputError: `skip_paragraph` is no truth value; or "datatrove", and spaCy is not installed.

    Source: official function of this name; DataComp-LM, appendix on heuristics; Rae et al. 2021, table A1.
    """
    if not isinstance(skip_paragraph, bool):
        raise InputError(
            f"massive_web_repetition_filters: skip_paragraph is {skip_paragraph!r}; give true or false"
        )
    order = _DATATROVE_ORDER if compat == "datatrove" else range(len(FRACTIONS))
    chosen = [number for number in order if not (skip_paragraph and "paragraph" in FRACTIONS[number])]
    names = [FRACTIONS[number] for number in chosen]
    rules = tuple(Rule(FRACTIONS[number], "<=", LIMITS[number]) for number in chosen)

    def official(page: Page) -> Sequence[float]:
        fractions = repetition_fractions(page.text, page.view(word_bounds_of))
        return [getattr(fractions, name) for name in names]

    def datatrove(page: Page) -> Sequence[float]:
        fractions = datatrove_repetition_fractions(page.text, page.view(words_of))
        return [getattr(fractions, name) for name in names]

    if compat != "datatrove":
        return Step("massive_web_repetition_filters", official, rules)
    from dclm_bench.repetition.datatrove import datatrove_repetition_fractions
    from dclm_bench.repetition.spacy_words import load_spacy_words

    words_of = load_spacy_words()
    return Step("massive_web_repetition_filters", datatrove, rules)


def repetition_filter(
    granularity: str | int,
    max_fraction: float,
    count_characters: bool = True,
    ngram_char_ratio: NgramCharRatio | None = None,
    ignore_case: bool = False,
) -> Step:
    """One rule: at most `max_fraction` of a page may be said more than once.

    Args:
        granularity: "line", "paragraph", or the number of words of an n-gram.
        max_fraction: The limit, 0..1.
        count_characters: For lines and paragraphs: whether to count code points in place of lines.
        ngram_char_ratio: For n-grams: "most_common" or "all"; None: the former for 2 to 4 words, the latter
            for 5 to 10.
        ignore_case: Whether to take the text in lower case.

    Raises:
        InputError: a value is none of these.

    Source: official function of this name.
    """
    most_common = _check(granularity, max_fraction, ngram_char_ratio)

    def segments(page: Page) -> Sequence[float]:
        text = page.text.lower() if ignore_case else page.text
        length = _SEPARATOR_LENGTHS[str(granularity)]
        return [segment_fraction(text, separator_length=length, count_characters=count_characters)]

    def ngrams(page: Page) -> Sequence[float]:
        text = page.text.lower() if ignore_case else page.text
        bounds = None if ignore_case else page.view(word_bounds_of)
        return [ngram_fraction(text, int(granularity), most_common=most_common, bounds=bounds)]

    apply = segments if isinstance(granularity, str) else ngrams
    return Step("repetition_filter", apply, (Rule("max_fraction", "<=", float(max_fraction)),))


def _check(granularity: Any, max_fraction: Any, ngram_char_ratio: Any) -> bool:
    """Whether the most frequent n-gram alone counts, after the parameters have been found usable."""
    if isinstance(max_fraction, bool) or not isinstance(max_fraction, int | float):
        raise InputError(f"repetition_filter: max_fraction is {max_fraction!r}; give a number, such as 0.3")
    if ngram_char_ratio is not None and ngram_char_ratio not in get_args(NgramCharRatio):
        raise InputError(
            f"repetition_filter: ngram_char_ratio is {ngram_char_ratio!r}; give most_common or all"
        )
    if isinstance(granularity, str) and granularity in _SEPARATOR_LENGTHS:
        return False
    if isinstance(granularity, bool) or not isinstance(granularity, int) or granularity < 1:
        raise InputError(
            f"repetition_filter: granularity is {granularity!r}; give line, paragraph, or a number of words"
        )
    if ngram_char_ratio is None and not 2 <= granularity <= 10:
        raise InputError(
            f"repetition_filter: granularity {granularity} has no default for ngram_char_ratio; "
            "give most_common or all"
        )
    return ngram_char_ratio == "most_common" or (ngram_char_ratio is None and granularity <= 4)
