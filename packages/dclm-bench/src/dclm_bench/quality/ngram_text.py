"""How text is made plain before it meets an n-gram model that was trained on CCNet's text."""

import re

# Plain marks and the wide or typographic ones that they stand for: the table of CCNet (MIT licence), which
# its models were trained with, errors included (a fullwidth 1 becomes a quotation mark).
_MARKS = {
    ",": "\uff0c\u3001",
    ".": "\u3002",
    '"': "\u201e\u201d\u201c\u00ab\u00bb\uff11\u300d\u300c\u300a\u300b",
    "'": "\u00b4\u2019",
    ":": "\u2236\uff1a",
    "?": "\uff1f",
    "!": "\uff01",
    "(": "\uff08",
    ")": "\uff09",
    ";": "\uff1b",
    "-": "\u2013\u2501\u25ba",
    " - ": "\u2014",
    ". ": "\uff0e",
    "~": "\uff5e",
    "...": "\u2026",
    "<": "\u3008",
    ">": "\u3009",
    "[": "\u3010",
    "]": "\u3011",
    "%": "\uff05",
}
_PLAIN = str.maketrans({mark: plain for plain, marks in _MARKS.items() for mark in marks})
_DIGIT = re.compile(r"\d")
_UNPRINTABLE = re.compile("[\x00-\x1f\x7f-\x9f]")


def normalize_for_ngrams(text: str) -> str:
    """Every digit as 0, plain punctuation, and no control characters, line feeds among them.

    Source: CCNet (Wenzek et al., 2020), section 3.2, as the official quality enricher applies it.
    """
    plain = _DIGIT.sub("0", text.strip()).translate(_PLAIN)
    return _UNPRINTABLE.sub("", plain)
