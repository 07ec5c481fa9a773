r"""Steps on LaTeX sources, as RedPajama v1 cleans arXiv; each drops the page whose text becomes empty."""

import re
from collections.abc import Sequence

from dclm_bench.data.page import Page
from dclm_bench.heuristics.line_edits import NOT_EMPTY
from dclm_bench.steps.step import Compat, Rule, Step

_END_MATTER = re.compile(
    r"\\appendix|\\begin\{(?:references|REFERENCES|thebibliography)\}|\\bibliography\{.*?\}", re.DOTALL
)
_COMMENT_LINE = re.compile(r"^%.*\n?", re.MULTILINE)
_COMMENT_AT_END = re.compile(r"[^\\]%.+$", re.MULTILINE)
_COMMENT_BLOCK = re.compile(r"\\begin\{comment\}.*?\\end\{comment\}", re.DOTALL)
_NEW_COMMAND = re.compile(r"\\\bnewcommand\b\*?\{(\\[a-zA-Z0-9]+?)\}\{(.*?)\}$", re.MULTILINE)
_DEFINITION = re.compile(r"\\def\s*(\\[a-zA-Z0-9]+?)\s*\{(.*?)\}$", re.MULTILINE)
_LEVELS = ("chapter", "part", "section", "subsection", "subsubsection", "paragraph", "subparagraph")


def _heading(level: str) -> str:
    return rf"\\\b{level}\b\*?(?:\[.*?\])?\{{.*?\}}"


# The official pattern has no bar between its last two levels.
_OFFICIAL_HEADINGS = re.compile(
    "|".join([*map(_heading, _LEVELS[:-2]), _heading(_LEVELS[-2]) + _heading(_LEVELS[-1])]), re.DOTALL
)
_HEADINGS = re.compile("|".join(map(_heading, _LEVELS)), re.DOTALL)


def arxiv_appendix_modifier() -> Step:
    r"""Removes all from the first `\appendix`, `\bibliography{...}` or environment of references on.

    Source: official `arxiv_appendix_modifier`; RedPajama v1's cleaner of arXiv.
    """

    def apply(page: Page) -> Sequence[float]:
        found = _END_MATTER.search(page.text)
        if found:
            page.text = page.text[: found.start()]
        return (len(page.text),)

    return Step("arxiv_appendix_modifier", apply, (NOT_EMPTY,), edits=True)


def arxiv_comment_modifier(remove_multiline: bool = False) -> Step:
    r"""Removes comments: lines that begin with `%`, and ends of lines from a `%` on that no `\` precedes.

    The character before the `%` goes, too, as in the official code.

    Args:
        remove_multiline: Whether environments `comment` go as well.

    Source: official `arxiv_comment_modifier`; RedPajama v1's cleaner of arXiv.
    """

    def apply(page: Page) -> Sequence[float]:
        text = page.text
        if "%" in text:
            text = _COMMENT_AT_END.sub("", _COMMENT_LINE.sub("", text))
        if remove_multiline:
            text = _COMMENT_BLOCK.sub("", text)
        page.text = text
        return (len(text),)

    return Step("arxiv_comment_modifier", apply, (NOT_EMPTY,), edits=True)


def arxiv_macro_modifier(*, compat: Compat = "official") -> Step:
    r"""Writes macros without arguments (`\newcommand`, `\def`, each on a line) out where they are used.

    They are replaced one after the other, in the order of the first definition of a name, `\newcommand`
    before `\def`; the last definition counts, and the definitions themselves are rewritten, too.

    Args:
        compat: "official": a page with a definition that is not ASCII is dropped, as the official code fails
            on it; "fixed": it is treated as any other.

    Source: official `arxiv_macro_modifier`; RedPajama v1's cleaner of arXiv.
    """

    def apply(page: Page) -> Sequence[float]:
        text = page.text
        macros: dict[str, str] = {}
        for pattern in (_NEW_COMMAND, _DEFINITION):
            for found in pattern.finditer(text):
                macros[found[1]] = found[2]
        usable = compat == "fixed" or all(map(str.isascii, macros.values()))
        if usable:
            for name, value in macros.items():
                use = re.compile(re.escape(name) + "([^a-zA-Z0-9])")
                text = use.sub(lambda found, value=value: value + found[1], text)  # type: ignore[misc]
            page.text = text
        return (1 if usable else 0, len(text))

    return Step("arxiv_macro_modifier", apply, (Rule("ascii_macros", ">=", 1), NOT_EMPTY), edits=True)


def arxiv_section_strip_modifier(*, compat: Compat = "official") -> Step:
    r"""Removes all before the first heading (`\section{...}` and the like); without a heading drops the page.

    Args:
        compat: "official": a paragraph is a heading only directly before a subparagraph, as the official
            pattern lacks a bar there; "fixed": both are headings.

    Source: official `arxiv_section_strip_modifier`; RedPajama v1's cleaner of arXiv.
    """
    headings = _HEADINGS if compat == "fixed" else _OFFICIAL_HEADINGS

    def apply(page: Page) -> Sequence[float]:
        found = headings.search(page.text)
        if found:
            page.text = page.text[found.start() :]
        return (1 if found else 0,)

    return Step("arxiv_section_strip_modifier", apply, (Rule("has_heading", ">=", 1),), edits=True)
