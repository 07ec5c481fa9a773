"""The text of an HTML page, by one of the extractors that the paper compares."""

import importlib
import re
from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from toolkit_shared.errors import InputError

Extractor = Literal["resiliparse", "resiliparse-all", "trafilatura", "wet"]
EXTRACTORS: tuple[Extractor, ...] = ("resiliparse", "resiliparse-all", "trafilatura", "wet")

MAX_DEPTH = 4000
_WORTH_COUNTING = 2 * MAX_DEPTH
_SHORTEST_TAG = len("<b>")
_TAG = re.compile(r"<(/?)([a-zA-Z][a-zA-Z0-9:-]*)")
# Never open, or closed by what follows them, so they do not nest.
_FLAT_TAGS = frozenset(
    "area base br col embed hr img input link meta param source track wbr frame keygen "
    "p li dt dd option optgroup tr td th thead tbody tfoot a".split()
)


class ExtractionError(Exception):
    """The extractor cannot read the page; the message is the reason."""


TextOf = Callable[[str, int], str]
"""The text of a page of which `count_tags` gives the second argument."""


def extract_text(html: str, *, extractor: str = "resiliparse", main_content: bool = True) -> str:
    """The text of a page; empty where the extractor finds none.

    Args:
        html: The page. Resiliparse reads plain text, too, and joins its lines.
        extractor: "resiliparse", "resiliparse-all" (all visible text), or "trafilatura" (not installed with
            this package).
        main_content: With "resiliparse": leave out navigation, footers and the like.

    Raises:
        ExtractionError: the page is nested more than 4,000 elements deep (the time that the parser needs
            grows with the square of the depth: minutes at 100,000), or the parser refuses it.
        InputError: there is no such extractor, or it is not installed.

    Source: section 3.1 (resiliparse, main content only, all other options at their defaults).
    """
    extract = text_extractor(extractor, main_content=main_content)
    return extract(html, count_tags(html.encode("utf-8", "surrogatepass")))


def text_extractor(extractor: str, *, main_content: bool = True) -> TextOf:
    """`extract_text` with the extractor looked up once, for many pages; raises as it does."""
    if extractor == "trafilatura":
        return _trafilatura()
    if extractor not in ("resiliparse", "resiliparse-all"):
        raise InputError(f"extractor: '{extractor}' is no extractor of HTML; give one of {EXTRACTORS[:3]}")
    from resiliparse.extract.html2text import extract_plain_text

    main_content = main_content and extractor == "resiliparse"

    def extract(html: str, num_tags: int) -> str:
        _require_shallow(html, num_tags)
        try:
            text: str = extract_plain_text(html, main_content=main_content)
        except (ValueError, RuntimeError, TypeError) as error:
            raise ExtractionError(str(error)) from None
        return text

    return extract


def count_tags(body: bytes) -> int:
    """How many `<` there are, which is no less than the tags; 0 for a page too short for `MAX_DEPTH`.

    Of bytes and by NumPy, for `str.count` would take a twentieth of the time of the whole extraction.
    """
    if len(body) <= _SHORTEST_TAG * _WORTH_COUNTING:
        return 0
    return int(np.count_nonzero(np.frombuffer(body, np.uint8) == ord("<")))


def nesting_depth(html: str) -> int:
    """About how many elements are open at once at the deepest place, from tags alone; links not counted."""
    depth = deepest = 0
    for match in _TAG.finditer(html):
        if match[2].lower() in _FLAT_TAGS:
            continue
        depth += -1 if match[1] else 1
        deepest = max(deepest, depth)
    return deepest


def _require_shallow(html: str, num_tags: int) -> None:
    # most pages have fewer tags than this altogether, so that no depth has to be counted
    if num_tags > _WORTH_COUNTING and nesting_depth(html) > MAX_DEPTH:
        raise ExtractionError(f"elements are nested more than {MAX_DEPTH:,} deep")


def _trafilatura() -> TextOf:
    try:
        trafilatura: Any = importlib.import_module("trafilatura")
    except ModuleNotFoundError as error:
        if error.name != "trafilatura":
            raise
        raise InputError(
            "trafilatura is not installed, and comes with no extra, for it is used by one arm only: "
            "pip install trafilatura"
        ) from None

    def extract(html: str, num_tags: int) -> str:
        _require_shallow(html, num_tags)
        return trafilatura.extract(html) or ""

    return extract
