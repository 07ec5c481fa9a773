"""Word boundaries by Unicode's rules (UAX #29), in one pass over the code points.

A state machine: the state is the class of the code point before, those that attach to it (Extend, Format,
ZWJ) left out; a table says for state and class what the rules say of a boundary between them. Three of them
look ahead (for a letter after the apostrophe of "can't"), one counts (a flag is two regional indicators).
"""

from functools import cache

import numpy as np
import numpy.typing as npt

from dclm_bench.text.character_properties import (
    A_LETTER,
    ALPHANUMERIC,
    BLOCK_MASK,
    BLOCK_SHIFT,
    CLASS_MASK,
    CR,
    DOUBLE_QUOTE,
    EXTEND,
    EXTEND_NUM_LET,
    FORMAT,
    HEBREW_LETTER,
    KATAKANA,
    LF,
    MID_LETTER,
    MID_NUM,
    MID_NUM_LET,
    NEWLINE,
    NUMERIC,
    OTHER,
    PICTOGRAPHIC,
    REGIONAL_INDICATOR,
    SINGLE_QUOTE,
    W_SEG_SPACE,
    WORD_BREAKS,
    ZWJ,
    character_table,
)
from dclm_bench.text.code_points import code_points
from dclm_bench.text.compiled import compiled

CodePoints = npt.NDArray[np.uint32]
Bounds = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

# States beside the classes: the second half of a flag; a middle sign of which it is known that the word goes
# on after it.
_PAIRED, _INSIDE = 19, 20
_NUM_CLASSES = len(WORD_BREAKS)
_NUM_STATES = _NUM_CLASSES + 2

# What a state and a class say; the conditions are on the next code point that does not attach.
_BREAK, _JOIN, _IF_LETTER, _IF_HEBREW, _IF_NUMERIC, _JOIN_THEN_IF_LETTER, _ATTACH = range(7)


def word_bounds(codes: CodePoints) -> Bounds:
    """int64 [tokens + 1]: where tokens begin, and last the length; token i is `codes[b[i]:b[i + 1]]`.

    Tokens are words, and likewise each run of blanks and each other sign: nothing is left out. Of an empty
    text the only bound is 0.

    Source: UAX #29 (Unicode 16.0), rules WB1 to WB999; official `uniseg.wordbreak.words`.
    """
    index, blocks = character_table()
    bounds = np.empty(len(codes) + 1, np.int64)
    count = fill_word_bounds(codes, index, blocks, action_table(), bounds)
    return bounds[:count].copy()


def word_bounds_of(text: str) -> Bounds:
    """`word_bounds` of a text; the form for `Page.view`."""
    return word_bounds(code_points(text))


@cache
def action_table() -> Bytes:
    """uint8 [states * 32]: by state and class what the rules say, for `fill_word_bounds`.

    Source: UAX #29, the rules that each block names.
    """
    actions = np.full((_NUM_STATES, CLASS_MASK + 1), _BREAK, np.uint8)
    letters, middles = [A_LETTER, HEBREW_LETTER], [MID_LETTER, MID_NUM_LET, SINGLE_QUOTE]
    newlines, attaching = [CR, LF, NEWLINE], [EXTEND, FORMAT, ZWJ]
    for state in range(_NUM_STATES):
        if state not in newlines:  # WB4
            actions[state, attaching] = _ATTACH
    actions[CR, LF] = _JOIN  # WB3
    actions[W_SEG_SPACE, W_SEG_SPACE] = _JOIN  # WB3d
    for before in letters:
        actions[before, letters] = _JOIN  # WB5
        actions[before, middles] = _IF_LETTER  # WB6
        actions[before, NUMERIC] = _JOIN  # WB9
        actions[NUMERIC, before] = _JOIN  # WB10
    actions[HEBREW_LETTER, SINGLE_QUOTE] = _JOIN_THEN_IF_LETTER  # WB7a, and WB6
    actions[HEBREW_LETTER, DOUBLE_QUOTE] = _IF_HEBREW  # WB7b
    actions[NUMERIC, NUMERIC] = _JOIN  # WB8
    actions[NUMERIC, [MID_NUM, MID_NUM_LET, SINGLE_QUOTE]] = _IF_NUMERIC  # WB12
    actions[_INSIDE, [*letters, NUMERIC]] = _JOIN  # WB7, WB7c, WB11
    actions[KATAKANA, KATAKANA] = _JOIN  # WB13
    for state in (*letters, NUMERIC, KATAKANA, EXTEND_NUM_LET):
        actions[state, EXTEND_NUM_LET] = _JOIN  # WB13a
        actions[EXTEND_NUM_LET, state] = _JOIN  # WB13b
    actions[REGIONAL_INDICATOR, REGIONAL_INDICATOR] = _JOIN  # WB15, WB16
    return actions.ravel()


@compiled
def fill_word_bounds(codes: CodePoints, index: Bytes, blocks: Bytes, actions: Bytes, bounds: Bounds) -> int:
    """How many bounds were written to `bounds`, which has room for len(codes) + 1; for use in other kernels.

    Args:
        codes: uint32 [codes].
        index: First part of `character_table()`.
        blocks: Second part of it.
        actions: `action_table()`.
        bounds: int64 [len(codes) + 1], written to.
    """
    bounds[0] = 0
    count = 1
    if len(codes) == 0:
        return count
    state = np.int64(LF)  # as at the beginning of a line, nothing attaches to what is before the text
    after_zwj = False
    for place in range(len(codes)):
        code = np.int64(codes[place])
        value = np.int64(blocks[(np.int64(index[code >> BLOCK_SHIFT]) << BLOCK_SHIFT) | (code & BLOCK_MASK)])
        kind = value & CLASS_MASK
        action = np.int64(actions[state * (CLASS_MASK + 1) + kind])
        if action == _ATTACH:
            after_zwj = kind == ZWJ
            if state == W_SEG_SPACE:  # WB3d is about neighbours
                state = np.int64(OTHER)
            continue
        following = kind
        joins = action == _JOIN or action == _JOIN_THEN_IF_LETTER
        if action >= _IF_LETTER:
            next_kind = _next_kind(codes, place + 1, index, blocks)
            if (
                next_kind == HEBREW_LETTER
                if action == _IF_HEBREW
                else next_kind == NUMERIC
                if action == _IF_NUMERIC
                else next_kind == A_LETTER or next_kind == HEBREW_LETTER
            ):
                joins = True
                following = np.int64(_INSIDE)
        elif kind == REGIONAL_INDICATOR and joins:
            following = np.int64(_PAIRED)
        elif action == _BREAK and (kind == EXTEND or kind == FORMAT or kind == ZWJ):
            following = np.int64(OTHER)  # at the beginning of a line it stands for itself
        if not (joins or (after_zwj and value & PICTOGRAPHIC)) and place > 0:  # WB3c
            bounds[count] = place
            count += 1
        after_zwj = kind == ZWJ
        state = following
    bounds[count] = len(codes)
    return count + 1


@compiled
def _next_kind(codes: CodePoints, place: int, index: Bytes, blocks: Bytes) -> int:
    """The class of the first code point from `place` on that does not attach; OTHER at the end."""
    while place < len(codes):
        code = np.int64(codes[place])
        kind = (
            np.int64(blocks[(np.int64(index[code >> BLOCK_SHIFT]) << BLOCK_SHIFT) | (code & BLOCK_MASK)])
            & CLASS_MASK
        )
        if not (kind == EXTEND or kind == FORMAT or kind == ZWJ):
            return int(kind)
        place += 1
    return OTHER


@compiled
def has_flag(code: np.uint32, flag: int, index: Bytes, blocks: Bytes) -> bool:
    """Whether a code point has a flag of `character_table()`; for use in other kernels."""
    place = (np.int64(index[code >> BLOCK_SHIFT]) << BLOCK_SHIFT) | (np.int64(code) & BLOCK_MASK)
    return bool(blocks[place] & flag)


def words(text: str) -> list[str]:
    """The tokens of a text that begin with a letter or a number.

    Source: official `split_words(text, model="uniseg", ignore_punctuation=True)`.
    """
    codes = code_points(text)
    bounds = word_bounds(codes)
    begins = property_flags(codes[bounds[:-1]], ALPHANUMERIC)
    return [
        text[start:end]
        for start, end, keep in zip(bounds[:-1].tolist(), bounds[1:].tolist(), begins.tolist(), strict=True)
        if keep
    ]


def property_flags(codes: CodePoints, flag: int) -> npt.NDArray[np.bool_]:
    """Whether each code point has a flag of `character_table()`; bool [codes]."""
    index, blocks = character_table()
    places = (index[codes >> BLOCK_SHIFT].astype(np.int64) << BLOCK_SHIFT) | (codes & BLOCK_MASK)
    flags: npt.NDArray[np.bool_] = (blocks[places] & flag) != 0
    return flags
