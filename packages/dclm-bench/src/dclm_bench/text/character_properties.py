"""What the word rules ask of a code point, in one byte, found in two steps.

Unicode 16.0, whatever the version of Python: a text has the same words on every machine. The table is that of
uniseg 0.10.1, with which the official pipeline finds its words.
"""

from functools import cache
from importlib.resources import files

import numpy as np
import numpy.typing as npt

UNICODE_VERSION = "16.0.0"

OTHER, CR, LF, NEWLINE, EXTEND, ZWJ, FORMAT, KATAKANA, HEBREW_LETTER, A_LETTER = range(10)
SINGLE_QUOTE, DOUBLE_QUOTE, MID_NUM_LET, MID_LETTER, MID_NUM, NUMERIC, EXTEND_NUM_LET = range(10, 17)
W_SEG_SPACE, REGIONAL_INDICATOR = 17, 18
WORD_BREAKS = (
    "Other CR LF Newline Extend ZWJ Format Katakana Hebrew_Letter ALetter Single_Quote Double_Quote "
    "MidNumLet MidLetter MidNum Numeric ExtendNumLet WSegSpace Regional_Indicator"
).split()
"""The values of Word_Break, in the order of the constants."""

CLASS_MASK = 31
PICTOGRAPHIC, ALPHANUMERIC, SPACE = 32, 64, 128
_FLAGS = {"p": PICTOGRAPHIC, "a": ALPHANUMERIC, "s": SPACE}

BLOCK_SHIFT = 7
BLOCK_MASK = (1 << BLOCK_SHIFT) - 1
NUM_CODE_POINTS = 0x110000

Table = tuple[npt.NDArray[np.uint8], npt.NDArray[np.uint8]]


@cache
def character_table() -> Table:
    """The table in two steps: the byte of a code point is in the block `index[code >> BLOCK_SHIFT]`.

    Its lower five bits are the value of Word_Break, the upper three the flags: Extended_Pictographic, first
    of `str.isalnum`, and white space as `str.strip` takes it.

    Returns:
        uint8 [8704] index, and uint8 [blocks * 128] the blocks one after the other.

    Source: Unicode Character Database 16.0.0, UAX #29 table 3.
    """
    numbers: dict[bytes, int] = {}
    size = 1 << BLOCK_SHIFT
    values = property_bytes().tobytes()
    index = [
        numbers.setdefault(values[place : place + size], len(numbers))
        for place in range(0, len(values), size)
    ]
    # An index above 255 would not fit, and NumPy says so.
    return np.array(index, np.uint8), np.frombuffer(bytearray(b"".join(numbers)), np.uint8)


def property_bytes() -> npt.NDArray[np.uint8]:
    """uint8 [1114112]: the byte of each code point, as in `character_table`."""
    values = np.zeros(NUM_CODE_POINTS, np.uint8)
    listed = files("dclm_bench.text").joinpath("character_properties.txt").read_text(encoding="ascii")
    numbers = {name: number for number, name in enumerate(WORD_BREAKS)}
    for line in listed.splitlines():
        if line.startswith("#"):
            continue
        place, name, *flags = line.split()
        first, _, last = place.partition("..")
        value = numbers[name] + sum(_FLAGS[flag] for flag in "".join(flags))
        values[int(first, 16) : int(last or first, 16) + 1] = value
    return values
