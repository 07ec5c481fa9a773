"""Captions of digit pairs: the full one, the noise of the web, and those of a captioner that errs."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from mobileclip.experiment.digit_pairs import NUM_CLASSES, class_parts

DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
INKS = ("light", "dark")
JUNK = tuple(
    "sale new shop best home buy free online now get blue red big city day view page click more info deal "
    "gift baby car dog house paper set size stock vintage print poster card design art kit store hot".split()
)
SLOTS = 12
# every word of a prompt occurs in training captions: a tower has no use for a word that it never saw
VOCABULARY = tuple(
    dict.fromkeys((*"a photo of left right and ink".split(), *DIGITS, *INKS, *JUNK)),
)
_ROW = {word: row + 1 for row, word in enumerate(VOCABULARY)}  # 0 is padding

Tokens = npt.NDArray[np.int64]


def full_caption(label: int) -> str:
    """The whole truth about an image of this class; also the prompt of the class."""
    left, right, dark = class_parts(label)
    return _sentence(left, right, dark)


def web_caption(label: int, rng: np.random.Generator) -> str:
    """A caption as the web has them, for an image of this class.

    It is full in 20 %, junk in 25 %, one of the digits among junk in 30 %, that of another image in 10 %, and
    in 15 % it has both digits without their order, or in the wrong one.

    Source: shares of the prototype of this experiment; templates and junk words are our choice.
    """
    left, right, dark = class_parts(label)
    kind = rng.random()
    if kind < 0.20:
        return _sentence(left, right, dark)
    if kind < 0.45:
        return _junk(rng, int(rng.integers(4, 9)))
    if kind < 0.75:
        words = _junk(rng, int(rng.integers(2, 6))).split()
        words.insert(int(rng.integers(len(words) + 1)), DIGITS[(left, right)[rng.integers(2)]])
        return " ".join(words)
    if kind < 0.85:
        return full_caption(int(rng.integers(NUM_CLASSES)))
    if rng.random() < 0.5:
        return _sentence(right, left, dark)
    first, second = ((left, right), (right, left))[rng.integers(2)]
    return f"a photo of {DIGITS[first]} and {DIGITS[second]}"


def synthetic_caption(label: int, error_ratio: float, rng: np.random.Generator) -> str:
    """What a captioner writes that reads each digit wrong with probability `error_ratio`."""
    left, right, dark = class_parts(label)
    seen = [
        (digit + int(rng.integers(1, 10))) % 10 if rng.random() < error_ratio else digit
        for digit in (left, right)
    ]
    return _sentence(seen[0], seen[1], dark)


def tokenize(captions: Sequence[str]) -> Tokens:
    """Rows of words, int64 [captions, 12], 0 where a caption has ended; longer ones are cut.

    Raises:
        KeyError: a word that is not in the vocabulary.
    """
    rows = np.zeros((len(captions), SLOTS), np.int64)
    for row, caption in zip(rows, captions, strict=True):
        words = [_ROW[word] for word in caption.split()][:SLOTS]
        row[: len(words)] = words
    return rows


def _sentence(left: int, right: int, dark: bool) -> str:
    return f"a photo of a {DIGITS[left]} left of a {DIGITS[right]} {INKS[dark]} ink"


def _junk(rng: np.random.Generator, count: int) -> str:
    return " ".join(JUNK[index] for index in rng.integers(len(JUNK), size=count))
