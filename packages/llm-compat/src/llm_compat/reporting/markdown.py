"""Cells and rows of Markdown that hold any text."""

from collections.abc import Sequence

_SIGNS = "\\|[*_`"


def markdown_cell(text: str) -> str:
    """Text that cannot end a cell or a line, nor become a tag, a link or an emphasis."""
    plain = " ".join(text.split())
    for sign in _SIGNS:
        plain = plain.replace(sign, "\\" + sign)
    return plain.replace("<", "&lt;")


def markdown_rows(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table."""
    shown = [[markdown_cell(cell) for cell in row] for row in (header, *rows)]
    shown.insert(1, ["---"] * len(header))
    return ["| " + " | ".join(row) + " |" for row in shown]
