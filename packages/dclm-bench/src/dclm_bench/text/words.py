"""Classes of characters as `str` has them, and the words of a text in the three ways that recipes ask for.

Here a word is what a person sees between blanks; the words of Unicode's rules are in `word_breaks`.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from itertools import pairwise
from typing import Literal

import numpy as np
import numpy.typing as npt

WordModel = Literal["fasttext", "uniseg", "split"]
WORD_MODELS = ("fasttext", "uniseg", "split")

SPACE, ALPHA, ALPHANUMERIC, UPPER, DIGIT = 1, 2, 4, 8, 16
_METHODS: dict[int, Callable[[str], bool]] = {
    SPACE: str.isspace,
    ALPHA: str.isalpha,
    ALPHANUMERIC: str.isalnum,
    UPPER: str.isupper,
    DIGIT: str.isdigit,
}
# All that Unicode has assigned, and may still assign, to letters and digits: planes 0 to 3 and 14.
_ASSIGNED = ((0, 0x40000), (0xE0000, 0xE1000))
_FASTTEXT_WORD = re.compile("\n|[^ \n\r\t\v\f\0]+")
END_OF_SENTENCE = "</s>"


@cache
def character_classes() -> npt.NDArray[np.uint8]:
    """uint8 [1114112]: for each code point the sum of the classes that it is of.

    The classes are `str.isspace`, `isalpha`, `isalnum`, `isupper` and `isdigit` of this Python, for all of
    Unicode: SPACE, ALPHA, ALPHANUMERIC, UPPER, DIGIT.
    """
    classes = np.zeros(0x110000, np.uint8)
    for start, end in _ASSIGNED:
        characters = [chr(code) for code in range(start, end)]
        for flag, method in _METHODS.items():
            found = np.fromiter(map(method, characters), bool, len(characters))
            classes[start:end] |= np.where(found, np.uint8(flag), np.uint8(0))
    return classes


def lowered(text: str) -> str:
    """The text in lower case; as a function of this module it can be the key of `Page.view`."""
    return text.lower()


def split_words(
    text: str,
    *,
    model: WordModel = "fasttext",
    ignore_punctuation: bool = False,
    ignore_whitespace: bool = True,
) -> list[str]:
    r"""The words of a text.

    Args:
        text: The text.
        model: "fasttext": cut at blank, \n, \r, \t, \v, \f and NUL alone, and each newline gives a word
            `</s>`; "uniseg": the segments of UAX #29, blanks among them; "split": cut at any white space.
        ignore_punctuation: Leave out words whose first character is neither a letter nor a digit (nor, where
            `ignore_whitespace` is false, white space).
        ignore_whitespace: Leave out words of white space alone.

    Source: official `split_words`; the tokenizer of fastText's `Dictionary::readWord`.
    """
    return _wanted(_segments(text, model), ignore_punctuation, ignore_whitespace)


def _segments(text: str, model: WordModel) -> Sequence[str]:
    if model == "split":
        return text.split()
    if model == "fasttext":
        words: list[str] = _FASTTEXT_WORD.findall(text)
        return [END_OF_SENTENCE if word == "\n" else word for word in words] if "\n" in text else words
    from dclm_bench.text.word_breaks import word_bounds_of

    bounds = word_bounds_of(text).tolist()
    return [text[start:end] for start, end in pairwise(bounds)]


def _wanted(words: Iterable[str], ignore_punctuation: bool, ignore_whitespace: bool) -> list[str]:
    if ignore_punctuation and ignore_whitespace:
        return [word for word in words if word[0].isalnum()]
    if ignore_punctuation:
        return [word for word in words if word[0].isalnum() or word[0].isspace()]
    if ignore_whitespace:
        return [word for word in words if not word.isspace()]
    return list(words)
