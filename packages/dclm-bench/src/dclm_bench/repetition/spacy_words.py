"""English words as datatrove has them: those of spaCy's tokenizer, which the user installs."""

import importlib
from collections.abc import Callable
from typing import Any

from toolkit_shared.errors import InputError

# spaCy fails on a text that holds the name of one of its flags, and datatrove then takes it out.
_BREAKS_SPACY = "IS_ALPHA"


def load_spacy_words() -> Callable[[str], list[str]]:
    """What splits a text into words: spaCy's English tokens, stripped, those of blanks left out.

    Raises:
        InputError: spaCy is not installed. It is in no extra, since only comparisons with datatrove want it.

    Source: datatrove 0.10.0, `SpaCyTokenizer.word_tokenize`.
    """
    try:
        spacy: Any = importlib.import_module("spacy")
    except ImportError:
        raise InputError(
            "compat 'datatrove': needs the words of spaCy, which is not installed; pip install spacy"
        ) from None
    language = spacy.blank("en")

    def words(text: str) -> list[str]:
        with language.memory_zone():
            tokens = language.tokenizer(text.replace(_BREAKS_SPACY, ""))
            return [word for token in tokens if (word := token.text.strip())]

    return words
