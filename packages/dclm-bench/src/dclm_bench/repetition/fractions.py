"""The 13 fractions of the repetition rules, all computed at once."""

import math
from dataclasses import dataclass, fields

from dclm_bench.repetition.ngrams import ngram_counts
from dclm_bench.repetition.segments import segment_counts
from dclm_bench.text.character_properties import character_table
from dclm_bench.text.code_points import code_points
from dclm_bench.text.word_breaks import Bounds, word_bounds

NOT_APPLICABLE = math.nan
ALWAYS_DROPPED = math.inf


@dataclass(frozen=True)
class RepetitionFractions:
    """How repetitive a text is; each fraction is 0 without repetition, NaN where there is nothing to repeat.

    Attributes:
        duplicate_line_fraction: Lines that occur more than once, of all lines; infinite if there is no line.
        duplicate_paragraph_fraction: The same of paragraphs.
        duplicate_line_character_fraction: Code points in lines that occur more than once; as above.
        duplicate_paragraph_character_fraction: The same of paragraphs.
        top_2_gram_character_fraction: Code points of the most frequent pair of words times its frequency, of
            those in all words; above 1 where occurrences overlap ("no no no no").
        top_3_gram_character_fraction: The same of three words.
        top_4_gram_character_fraction: The same of four words.
        duplicate_5_gram_character_fraction: Code points in words that are part of a repeated 5-gram.
        duplicate_6_gram_character_fraction: The same of six words.
        duplicate_7_gram_character_fraction: The same of seven words.
        duplicate_8_gram_character_fraction: The same of eight words.
        duplicate_9_gram_character_fraction: The same of nine words.
        duplicate_10_gram_character_fraction: The same of ten words.
    """

    duplicate_line_fraction: float
    duplicate_paragraph_fraction: float
    duplicate_line_character_fraction: float
    duplicate_paragraph_character_fraction: float
    top_2_gram_character_fraction: float
    top_3_gram_character_fraction: float
    top_4_gram_character_fraction: float
    duplicate_5_gram_character_fraction: float
    duplicate_6_gram_character_fraction: float
    duplicate_7_gram_character_fraction: float
    duplicate_8_gram_character_fraction: float
    duplicate_9_gram_character_fraction: float
    duplicate_10_gram_character_fraction: float


FRACTIONS = tuple(field.name for field in fields(RepetitionFractions))
"""The names, in the order in which the official filter compares the fractions with their limits."""

TOP_NGRAMS = (2, 3, 4)
DUPLICATE_NGRAMS = (5, 6, 7, 8, 9, 10)


def repetition_fractions(text: str, bounds: Bounds | None = None) -> RepetitionFractions:
    """The fractions of a text by the official rules.

    Every occurrence of what is repeated counts, the first one too. Lines and paragraphs (between two
    newlines) are stripped of white space, and empty ones are left out; a text of one line has no line to
    compare with, so the fraction does not apply. Words are Unicode's, without those that begin with
    neither letter nor number.

    Args:
        text: The text; an empty one has infinite fractions, since the official filter drops it.
        bounds: `word_bounds_of(text)`, where it is already there.

    Source: Rae et al. 2021, table A1; official `massive_web_repetition_filters`.
    """
    if not text:
        return RepetitionFractions(*[ALWAYS_DROPPED] * len(FRACTIONS))
    index, blocks = character_table()
    codes = code_points(text)
    if bounds is None:
        bounds = word_bounds(codes)
    lines, line_characters = _of_segments(segment_counts(codes, 1, index, blocks))
    paragraphs, paragraph_characters = _of_segments(segment_counts(codes, 2, index, blocks))
    longest = DUPLICATE_NGRAMS[-1]
    words, characters, in_top, in_repeated = ngram_counts(codes, bounds, longest, index, blocks)
    top, repeated = in_top.tolist(), in_repeated.tolist()
    return RepetitionFractions(
        lines,
        paragraphs,
        line_characters,
        paragraph_characters,
        *(top[n] / characters if words >= n else NOT_APPLICABLE for n in TOP_NGRAMS),
        *(repeated[n] / characters if words >= n else NOT_APPLICABLE for n in DUPLICATE_NGRAMS),
    )


def segment_fraction(text: str, *, separator_length: int, count_characters: bool) -> float:
    """The fraction of segments (or of the code points in them) that occur more than once in a text.

    Args:
        text: The text.
        separator_length: In newlines: 1 for lines, 2 for paragraphs.
        count_characters: Whether to count code points in place of segments.

    Source: official `repetition_filter` with granularity "line" or "paragraph".
    """
    if not text:
        return ALWAYS_DROPPED
    index, blocks = character_table()
    segments, characters = _of_segments(segment_counts(code_points(text), separator_length, index, blocks))
    return characters if count_characters else segments


def ngram_fraction(text: str, n: int, *, most_common: bool, bounds: Bounds | None = None) -> float:
    """The fraction of the code points of a text's words that are in repeated n-grams.

    Args:
        text: The text.
        n: Words in an n-gram, at least 1.
        most_common: Whether to count only the most frequent n-gram, as often as it occurs.
        bounds: `word_bounds_of(text)`, where it is already there.

    Source: official `repetition_filter` with a number as granularity.
    """
    if not text:
        return ALWAYS_DROPPED
    index, blocks = character_table()
    codes = code_points(text)
    if bounds is None:
        bounds = word_bounds(codes)
    words, characters, in_top, in_repeated = ngram_counts(codes, bounds, n, index, blocks)
    if words < n:
        return NOT_APPLICABLE
    return int((in_top if most_common else in_repeated)[n]) / characters


def _of_segments(counts: tuple[int, int, int, int]) -> tuple[float, float]:
    """Repeated segments of all, and code points in them of all."""
    segments, repeated, codes_in_all, codes_in_repeated = counts
    if segments == 0:
        return ALWAYS_DROPPED, ALWAYS_DROPPED
    if segments == 1:
        return NOT_APPLICABLE, NOT_APPLICABLE
    return repeated / segments, codes_in_repeated / codes_in_all
