"""Steps that edit a text as a whole: blank lines, marks of citations, repeated lines."""

import re
from collections.abc import Sequence

from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.heuristics.checks import require_choice
from dclm_bench.heuristics.line_edits import NOT_EMPTY
from dclm_bench.steps.step import Step

_CITATION = re.compile(r"\[(?:\d*|edit|citation needed)\]")


def newline_removal_modifier(max_consecutive: int = 2) -> Step:
    """Shortens runs of newlines to at most `max_consecutive`; drops nothing.

    Source: official `newline_removal_modifier`; RefinedWeb appendix G.2.
    """
    func = "newline_removal_modifier"
    if not isinstance(max_consecutive, int) or isinstance(max_consecutive, bool) or max_consecutive < 0:
        raise InputError(f"{func}: max_consecutive is {max_consecutive!r}; give a whole number from 0")
    too_many, allowed = "\n" * (max_consecutive + 1), "\n" * max_consecutive
    runs = re.compile(rf"\n{{{max_consecutive + 1},}}")

    def apply(page: Page) -> Sequence[float]:
        if too_many in page.text:
            page.text = runs.sub(allowed, page.text)
        return ()

    return Step(func, apply, edits=True)


def citation_removal_modifier() -> Step:
    """Removes the marks `[12]`, `[]`, `[edit]` and `[citation needed]` of Wikipedia.

    Source: official `citation_removal_modifier`; C4 as in TensorFlow Datasets.
    """

    def apply(page: Page) -> Sequence[float]:
        if "[" in page.text:
            page.text = _CITATION.sub("", page.text)
        return (len(page.text),)

    return Step("citation_removal_modifier", apply, (NOT_EMPTY,), edits=True)


def within_page_dedup(granularity: str = "line", normalize: bool = True) -> Step:
    r"""Removes repeats of a line or paragraph of the same page, and keeps the first; drops nothing.

    Blank ones are no repeats.

    Args:
        granularity: "line" or "paragraph" (cut at `\n\n`).
        normalize: Whether case and blanks at the ends make no difference.

    Source: official `within_page_dedup`.
    """
    require_choice("within_page_dedup", "granularity", granularity, ("line", "paragraph"))
    separator = "\n" if granularity == "line" else "\n\n"

    def apply(page: Page) -> Sequence[float]:
        seen: set[str] = set()
        kept: list[str] = []
        for part in page.text.split(separator):
            key = part.strip().lower() if normalize else part
            if not key or key not in seen:
                kept.append(part)
                seen.add(key)
        page.text = separator.join(kept)
        return ()

    return Step("within_page_dedup", apply, edits=True)
