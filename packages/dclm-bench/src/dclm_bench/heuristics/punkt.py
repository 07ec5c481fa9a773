"""Sentences by the Punkt method: is a full stop the end, or part of an abbreviation, an initial or a number?

Decisions and patterns are those of NLTK 3.8 (the one of the time of the paper), so that with the parameters
of its English model the sentences are the same; newer NLTK also knows curly quotes.

Source: Kiss and Strunk, Unsupervised Multilingual Sentence Boundary Detection (2006), section 4; the numbers
in comments are its sections.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

from toolkit_shared.errors import InputError

# In which places a word has been seen, as bits: upper and lower case, at the start or inside of sentences.
MIDDLE_UPPER, START_LOWER = 1 << 2, 1 << 4
ANY_UPPER, ANY_LOWER = 1 << 1 | 1 << 2 | 1 << 3, 1 << 4 | 1 << 5 | 1 << 6
MAX_PARAMETER_BYTES = 1 << 28

_NOT_IN_WORD = r"[)\";}\]*:@'({\[?!]"
_MULTIPLE = r"(?:-{2,}|\.{2,}|(?:\.\s){2,}\.)"
_WORD = re.compile(
    rf"{_MULTIPLE}|(?=[^(\"`{{\[:;&#*@)}}\]\-,])\S+?(?=\s|$|{_NOT_IN_WORD}|{_MULTIPLE}"
    rf"|,(?=$|\s|{_NOT_IN_WORD}|{_MULTIPLE}))|\S"
)
_END_CONTEXT = re.compile(rf"[.?!](?=(?P<after>{_NOT_IN_WORD}|\s+(?P<next>\S+)))")
_CLOSING = re.compile(r"[\"')\]}]+?(?:\s+|(?=--)|$)", re.MULTILINE)
_ELLIPSIS = re.compile(r"\.\.+$")
_NUMBER = re.compile(r"^-?[.,]?\d[\d,.-]*\.?$")
_INITIAL = re.compile(r"[^\W\d]\.$")
_ASCII_SPACE = re.compile("[ \t\n\r\x0b\x0c]")
NUMBER_TYPE = "##number##"


@dataclass(frozen=True)
class PunktParameters:
    """What Punkt has learnt of a language; empty: nothing.

    Attributes:
        abbreviations: In lower case, without the last full stop.
        collocations: Pairs of a word before a full stop and the one after it that belong together.
        starters: Words that often begin a sentence.
        contexts: Word -> where it has been seen, as bits.
    """

    abbreviations: frozenset[str] = frozenset()
    collocations: frozenset[tuple[str, str]] = frozenset()
    starters: frozenset[str] = frozenset()
    contexts: dict[str, int] = field(default_factory=dict)


def read_parameters(folder: Path) -> PunktParameters:
    """The parameters in a folder as NLTK's `punkt_tab/english` is.

    Raises:
        InputError: a file is missing or is no table of the kind.
    """

    def rows(name: str) -> list[str]:
        path = folder / name
        try:
            if path.stat().st_size > MAX_PARAMETER_BYTES:
                raise InputError(f"{path}: is larger than {MAX_PARAMETER_BYTES:,} bytes; is it Punkt's?")
            return path.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(
                f"{path}: cannot be read ({error}); give the folder 'english' of NLTK's punkt_tab"
            ) from None

    contexts: dict[str, int] = {}
    for row in filter(None, rows("ortho_context.tab")):
        word, _, bits = row.rpartition("\t")
        if not bits.isdecimal():
            raise InputError(
                f"{folder / 'ortho_context.tab'}: {row[:40]!r} is no word and number; is it Punkt's?"
            )
        contexts[word] = int(bits)
    pairs = [tuple(row.split("\t")) for row in filter(None, rows("collocations.tab"))]
    return PunktParameters(
        abbreviations=frozenset(filter(None, rows("abbrev_types.txt"))),
        collocations=frozenset((pair[0], pair[1]) for pair in pairs if len(pair) == 2),
        starters=frozenset(filter(None, rows("sent_starters.txt"))),
        contexts=contexts,
    )


def split_sentences(text: str, parameters: PunktParameters) -> list[str]:
    """The sentences of a text, without blanks around them and without empty ones."""
    spans = list(_spans(text, parameters))
    sentences: list[str] = []
    moved = 0  # what closes a sentence and stands behind its end goes with it
    for index, (start, end) in enumerate(spans):
        start += moved
        moved = 0
        if index + 1 < len(spans):
            after, after_end = spans[index + 1]
            closing = _CLOSING.match(text[after:after_end])
            if closing:
                end = after + len(closing.group().rstrip())
                moved = closing.end()
        sentence = text[start:end].strip()
        if sentence:
            sentences.append(sentence)
    return sentences


def _spans(text: str, parameters: PunktParameters) -> Iterator[tuple[int, int]]:
    start = 0
    for found, context in _candidates(text):
        if _has_break(context, parameters):
            yield start, found.end()
            start = found.start("next") if found["next"] else found.end()
    yield start, len(text.rstrip())


def _candidates(text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each sign that may end a sentence, the last of a word with several, with the word and what follows."""
    word_start, word_end = 0, 0
    before: re.Match[str] | None = None
    for found in _END_CONTEXT.finditer(text):
        space = _last_space(text, word_end, found.start())
        start = word_start if space <= word_end else space + 1
        if before is not None and word_end <= start:
            yield before, text[word_start:word_end] + before[0] + before["after"]
        before, word_start, word_end = found, start, found.start()
    if before is not None:
        yield before, text[word_start:word_end] + before[0] + before["after"]


def _last_space(text: str, start: int, end: int) -> int:
    """The place of the last ASCII blank in a part of the text; `start` where there is none."""
    for place in range(end - 1, start - 1, -1):
        if _ASCII_SPACE.match(text, place):
            return place
    return start


class _Token:
    """A word of a context, with what the first pass says of it."""

    __slots__ = ("abbreviation", "breaks", "ellipsis", "text", "type")

    def __init__(self, text: str, parameters: PunktParameters) -> None:
        self.text = text
        self.type = _NUMBER.sub(NUMBER_TYPE, text.lower())
        self.breaks = text in (".", "?", "!")
        self.ellipsis = not self.breaks and _ELLIPSIS.match(text) is not None
        self.abbreviation = False
        if not self.breaks and not self.ellipsis and text.endswith(".") and not text.endswith(".."):
            word = text[:-1].lower()
            known = parameters.abbreviations
            self.abbreviation = word in known or word.rpartition("-")[2] in known
            self.breaks = not self.abbreviation

    def without_period(self) -> str:
        return self.type[:-1] if len(self.type) > 1 and self.type[-1] == "." else self.type

    def without_end(self) -> str:
        return self.without_period() if self.breaks else self.type


def _has_break(context: str, parameters: PunktParameters) -> bool:
    """Whether a sentence ends inside of the context."""
    tokens = [
        _Token(word, parameters)
        for line in context.split("\n")
        if line.strip()
        for word in _WORD.findall(line)
    ]
    for token, following in pairwise(tokens):
        if token.text.endswith("."):
            _reconsider(token, following, parameters)
        if token.breaks:
            return True
    return False


def _reconsider(token: _Token, following: _Token, parameters: PunktParameters) -> None:
    """The second pass: decide on a word with a full stop by the word behind it (section 4)."""
    word, after = token.without_period(), following.without_end()
    initial = _INITIAL.match(token.text) is not None
    if (word, after) in parameters.collocations:  # 4.1.2
        token.breaks = False
        return
    begins = _begins_sentence(following, parameters)
    if (token.abbreviation or token.ellipsis) and not initial:  # 4.2
        if begins or (following.text[0].isupper() and after in parameters.starters):
            token.breaks = True
            return
    if initial or word == NUMBER_TYPE:  # 4.3
        always_upper = not parameters.contexts.get(after, 0) & ANY_LOWER
        if begins is False or (begins is None and initial and following.text[0].isupper() and always_upper):
            token.breaks = False


def _begins_sentence(token: _Token, parameters: PunktParameters) -> bool | None:
    """Whether a word begins a sentence by its case (4.1.1); None: it cannot be told."""
    if token.text in (";", ":", ",", ".", "!", "?"):
        return False
    seen = parameters.contexts.get(token.without_end(), 0)
    if token.text[0].isupper() and seen & ANY_LOWER and not seen & MIDDLE_UPPER:
        return True
    if token.text[0].islower() and (seen & ANY_UPPER or not seen & START_LOWER):
        return False
    return None
