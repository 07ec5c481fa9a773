"""Everything that the heuristic rules ask of a text, counted by one compiled function."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dclm_bench.text.code_points import code_points
from dclm_bench.text.compiled import compiled
from dclm_bench.text.words import ALPHA, ALPHANUMERIC, DIGIT, SPACE, UPPER, character_classes

# Places in the totals. "fastText" words are cut at ASCII blanks and NUL alone, the others at any white space.
WORDS, WORD_CHARACTERS, WORDS_WITHOUT_LETTER, ALPHANUMERIC_WORDS = 0, 1, 2, 3
STOP_WORDS, STOP_WORDS_SEEN = 4, 5
FASTTEXT_WORDS, FASTTEXT_ALPHANUMERIC, FASTTEXT_BLANK, FASTTEXT_BLANK_FIRST, NEWLINES = 6, 7, 8, 9, 10
SYMBOLS, LINES, BULLETS, ELLIPSES, ALPHANUMERIC_CHARACTERS = 11, 12, 13, 14, 15
NUM_TOTALS = 16

# Columns of the table of lines, which are what stands between newlines; empty ones have a row too.
START, END, UPPERS, DIGITS, LETTERS, LINE_WORDS, LONGEST_WORD = 0, 1, 2, 3, 4, 5, 6
NUM_COLUMNS = 7


def _packed(word: str) -> int:
    packed = 1  # before the first byte, so that a word with a NUL in front is another
    for character in word:
        packed = packed << 8 | ord(character)
    return packed


_THE, _BE, _TO, _OF, _AND, _THAT, _HAVE, _WITH = (
    _packed(word) for word in ("the", "be", "to", "of", "and", "that", "have", "with")
)


class TextFacts(NamedTuple):
    """What was counted in a text.

    Attributes:
        totals: int64 [NUM_TOTALS], by the places above.
        lines: int32 [num_lines, NUM_COLUMNS], by the columns above.
    """

    totals: npt.NDArray[np.int64]
    lines: npt.NDArray[np.int32]


def text_facts(text: str) -> TextFacts:
    """The counts of a text; a function for `Page.view`."""
    totals = np.zeros(NUM_TOTALS, np.int64)
    lines = np.zeros((text.count("\n") + 1, NUM_COLUMNS), np.int32)
    if text:
        _count(code_points(text), character_classes(), totals, lines)
    return TextFacts(totals, lines)


@compiled
def _stop_word(packed: int) -> int:
    """The number of the stop word with these four bytes, from 0; -1: it is none."""
    if packed == _THE:
        return 0
    if packed == _BE:
        return 1
    if packed == _TO:
        return 2
    if packed == _OF:
        return 3
    if packed == _AND:
        return 4
    if packed == _THAT:
        return 5
    if packed == _HAVE:
        return 6
    if packed == _WITH:
        return 7
    return -1


@compiled
def _end_line(codes, first, last, totals) -> None:  # type: ignore[no-untyped-def]
    """Count a line that is stripped to codes[first:last + 1]; an empty one counts nowhere."""
    if last < first:
        return
    totals[LINES] += 1
    code = codes[first]
    if code == 0x25CF or code == 0x2022 or code == 0x2A or code == 0x2D:  # ● • * -
        totals[BULLETS] += 1
    code = codes[last]
    if code == 0x2026:
        totals[ELLIPSES] += 1
    elif code == 0x2E and last - first >= 2:
        if codes[last - 1] == 0x2E:
            totals[ELLIPSES] += codes[last - 2] == 0x2E
        elif last - first >= 4:
            spaced = codes[last - 1] == 0x20 and codes[last - 2] == 0x2E
            totals[ELLIPSES] += spaced and codes[last - 3] == 0x20 and codes[last - 4] == 0x2E


@compiled
def _end_word(packed, num_characters, lettered, alphanumeric, totals, lines, line) -> None:  # type: ignore[no-untyped-def]
    """Count a word that white space, or the end, has ended."""
    totals[WORDS] += 1
    totals[WORD_CHARACTERS] += num_characters
    totals[WORDS_WITHOUT_LETTER] += not lettered
    totals[ALPHANUMERIC_WORDS] += alphanumeric
    lines[line, LINE_WORDS] += 1
    lines[line, LONGEST_WORD] = max(lines[line, LONGEST_WORD], num_characters)
    if num_characters <= 4:
        number = _stop_word(packed)
        if number >= 0:
            totals[STOP_WORDS] += 1
            totals[STOP_WORDS_SEEN] |= 1 << number


@compiled
def _count_symbols(codes, totals) -> None:  # type: ignore[no-untyped-def]
    """Count the symbols, each kind without overlaps, as `str.count` counts them."""
    num_codes = len(codes)
    dots, spaced_end = 0, 0
    for i in range(num_codes):
        code = codes[i]
        if code != 0x2E:
            dots = 0
            totals[SYMBOLS] += code == 0x23 or code == 0x2026
            continue
        dots += 1
        if dots == 3:
            totals[SYMBOLS] += 1
            dots = 0
        if i >= spaced_end and i + 4 < num_codes and codes[i + 1] == 0x20 and codes[i + 2] == 0x2E:
            if codes[i + 3] == 0x20 and codes[i + 4] == 0x2E:
                totals[SYMBOLS] += 1
                spaced_end = i + 5


@compiled
def _count_fasttext_words(codes, classes, totals) -> None:  # type: ignore[no-untyped-def]
    """Count fastText's words: what ASCII blanks and NUL part."""
    in_word, blank = False, False
    for i in range(len(codes)):
        code = codes[i]
        if code == 0x20 or 0x09 <= code <= 0x0D or code == 0:
            if in_word:
                totals[FASTTEXT_BLANK] += blank
                in_word = False
            continue
        flags = classes[code]
        if not in_word:
            in_word, blank = True, True
            totals[FASTTEXT_WORDS] += 1
            totals[FASTTEXT_ALPHANUMERIC] += flags & ALPHANUMERIC != 0
            totals[FASTTEXT_BLANK_FIRST] += flags & SPACE != 0
        blank = blank and flags & SPACE != 0
    if in_word:
        totals[FASTTEXT_BLANK] += blank


@compiled
def _count_words_and_lines(codes, classes, totals, lines) -> None:  # type: ignore[no-untyped-def]
    """Count the words between white space, and fill the table of lines."""
    line, first, last = 0, 0, -1
    in_word, num_characters, packed, lettered, alphanumeric = False, 0, 1, False, False
    for i in range(len(codes)):
        code = codes[i]
        flags = classes[code]
        if flags & SPACE:
            if in_word:
                _end_word(packed, num_characters, lettered, alphanumeric, totals, lines, line)
                in_word = False
            if code == 0x0A:
                _end_line(codes, first, last, totals)
                lines[line, END] = i
                line += 1
                lines[line, START] = i + 1
                first, last = i + 1, i
                totals[NEWLINES] += 1
            continue
        if not in_word:
            in_word, num_characters, packed, lettered = True, 0, 1, False
            alphanumeric = flags & ALPHANUMERIC != 0
        num_characters += 1
        if num_characters <= 4:
            # Only ASCII has lower-case forms that spell a stop word.
            packed = packed << 8 | (code + 32 if 65 <= code <= 90 else min(code, 255))
        lettered = lettered or flags & ALPHA != 0
        if last < first:
            first = i
        last = i
        totals[ALPHANUMERIC_CHARACTERS] += flags & ALPHANUMERIC != 0
        lines[line, UPPERS] += flags & UPPER != 0
        lines[line, DIGITS] += flags & DIGIT != 0
        lines[line, LETTERS] += flags & ALPHA != 0
    if in_word:
        _end_word(packed, num_characters, lettered, alphanumeric, totals, lines, line)
    _end_line(codes, first, last, totals)
    lines[line, END] = len(codes)


@compiled
def _count(codes, classes, totals, lines) -> None:  # type: ignore[no-untyped-def]
    """Fill the totals and the table of lines of a text that is not empty."""
    _count_symbols(codes, totals)
    _count_fasttext_words(codes, classes, totals)
    _count_words_and_lines(codes, classes, totals, lines)
