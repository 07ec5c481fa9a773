"""Addresses cut out of texts: those with a top-level domain, and those that are four numbers."""

import re
from collections.abc import Sequence

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.heuristics.banlists import banned_words
from dclm_bench.heuristics.line_edits import NOT_EMPTY
from dclm_bench.heuristics.patterns import any_of
from dclm_bench.steps.step import Compat, Step

MOST_BLANKS = 10  # before an address, that go with it
_SCHEME = r"(?:(?:https?|ftp)://)?"
_HOST = "-a-zA-Z0-9@:%._+~#="
_TAIL = r"[-a-zA-Z0-9()@:%_+.~#?&/=]*"
_OCTET = "[0-2]?[0-9]{1,2}"
_NUMBERS = re.compile(rf"\s{{0,{MOST_BLANKS}}}\b{_SCHEME}(?:{_OCTET}\.){{3}}{_OCTET}{_TAIL}")
_NUMBERS_HINT = re.compile(r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]")


def url_removal_modifier(
    tlds_filepath: str = "baselines/mappers/iana_tlds.txt", *, compat: Compat = "official"
) -> Step:
    """Removes addresses from the text, with up to ten blanks before each.

    Under compat "official" those with a top-level domain are removed only from texts that begin with the
    letters of one in any case ("Visit ..." begins with .vi, "hello ..." with none): the official code asks
    for a match at the start where it means one anywhere. Under "fixed" they are removed from every text.
    Addresses of four numbers always are.

    Args:
        tlds_filepath: A file with one top-level domain a line; the official path stands for the shipped one.
        compat: As above.

    Source: official `url_removal_modifier`; RefinedWeb appendix G.2.
    """
    func = "url_removal_modifier"
    domains = banned_words(func, None, tlds_filepath)
    if domains is None:
        raise InputError(f"{func}: {tlds_filepath} is no list of top-level domains; give one")
    remove = DomainAddresses(domains)
    begins = re.compile(any_of(domains), re.IGNORECASE)

    def apply(page: Page) -> Sequence[float]:
        text = page.text
        if compat == "fixed" or begins.match(text):
            text = remove.cut(text)
        if _NUMBERS_HINT.search(text):
            text = _NUMBERS.sub("", text)
        page.text = text
        return (len(text),)

    return Step(func, apply, (NOT_EMPTY,), edits=True)


class DomainAddresses:
    """Cuts addresses with one of these top-level domains out of texts.

    Such an address holds no white space but before it. So only the stretches without white space that have a
    dot and a domain in them are searched, which gives the same as a search of the whole text.
    """

    def __init__(self, domains: Sequence[str]) -> None:
        ending = any_of(domains)
        self._whole = re.compile(rf"\s{{0,{MOST_BLANKS}}}{_SCHEME}[{_HOST}]{{1,256}}\.{ending}\b{_TAIL}")
        self._hint = re.compile(rf"\.{ending}\b")

    def cut(self, text: str) -> str:
        """The text without its addresses."""
        parts: list[str] = []
        done = 0  # what stands before is in the parts, or cut
        searched = 0
        for hint in self._hint.finditer(text):
            dot = hint.start()
            if dot < searched or dot == 0 or text[dot - 1] not in _HOST_CHARACTERS:
                continue
            start, end = _stretch(text, dot, searched)
            searched = end
            shorter = self._whole.sub("", text[start:end])
            if len(shorter) != end - start:
                parts += [text[done:start], shorter]
                done = end
        return "".join([*parts, text[done:]]) if parts else text


_HOST_CHARACTERS = frozenset(chr(code) for code in range(128) if re.fullmatch(rf"[{_HOST}]", chr(code)))
_BLANK = re.compile(r"\s")


def _stretch(text: str, place: int, first: int) -> tuple[int, int]:
    """Start and end of what stands around a place without white space, with up to ten blanks before it."""
    found = _BLANK.search(text, place)
    end = found.start() if found else len(text)
    start = place
    while start > first and not text[start - 1].isspace():
        start -= 1
    blanks = max(first, start - MOST_BLANKS)
    while start > blanks and text[start - 1].isspace():
        start -= 1
    return start, end
