"""Writes `text/character_properties.txt`: what the word rules ask of each code point, in Unicode 16.0.

Run with the release of `regex` that knows this Unicode version:
`uv run --no-project --with regex==2024.11.6 python make_character_properties.py OUT`.
"""

import itertools
import sys
import unicodedata
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path

import regex

UNICODE = "16.0.0"
REGEX = "2024.11.6"
WORD_BREAKS = (
    "CR LF Newline Extend ZWJ Regional_Indicator Format Katakana Hebrew_Letter ALetter Single_Quote "
    "Double_Quote MidNumLet MidLetter MidNum Numeric ExtendNumLet WSegSpace"
).split()
# What `str.isalnum` asks: letters, and whatever has a numeric value.
ALPHANUMERIC = r"[\p{L}\p{Numeric_Type=Decimal}\p{Numeric_Type=Digit}\p{Numeric_Type=Numeric}]"
HEAD = f"""\
# Word_Break, Extended_Pictographic (p), alphanumeric (a: letter or numeric value) and white space as
# str.strip takes it (s), of Unicode {UNICODE}; what is not listed is Other with none of them.
# Data from the Unicode Character Database (Unicode License v3, unicode.org/license.txt), read through
# regex {REGEX}; made by tests/goldens/make_character_properties.py.
"""


def matching(pattern: str) -> list[bool]:
    """For each code point whether it matches."""
    match = regex.compile(pattern).match
    return [match(chr(code)) is not None for code in range(sys.maxunicode + 1)]


def descriptions() -> list[str]:
    """For each code point its class and its flags."""
    classes = ["Other"] * (sys.maxunicode + 1)
    for name in WORD_BREAKS:
        for code, found in enumerate(matching(rf"\p{{Word_Break={name}}}")):
            if found:
                classes[code] = name
    pictographic, alphanumeric = matching(r"\p{Extended_Pictographic}"), matching(ALPHANUMERIC)
    space = [chr(code).isspace() for code in range(sys.maxunicode + 1)]
    flags = zip(pictographic, alphanumeric, space, strict=True)
    letters = ["".join(itertools.compress("pas", flag)) for flag in flags]
    return [f"{name} {letter}".rstrip() for name, letter in zip(classes, letters, strict=True)]


def lines() -> Iterator[str]:
    """One line a range of code points that are alike."""
    first = 0
    for description, group in itertools.groupby(descriptions()):
        last = first + sum(1 for _ in group) - 1
        if description != "Other":
            place = f"{first:04X}" if first == last else f"{first:04X}..{last:04X}"
            yield f"{place} {description}\n"
        first = last + 1


if __name__ == "__main__":
    assert version("regex") == REGEX, f"regex {version('regex')} knows another Unicode version"
    # White space has not changed since Unicode 6.3, so any Python will do for it.
    assert tuple(map(int, unicodedata.unidata_version.split("."))) >= (6, 3, 0)
    Path(sys.argv[1]).write_text(HEAD + "".join(lines()), encoding="ascii")
