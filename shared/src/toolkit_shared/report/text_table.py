"""Tables for the terminal: columns of one width."""

from collections.abc import Sequence


def text_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a table, header first, two spaces between the columns, none at the end of a line.

    The first column stands to the left; so do the others, but for those whose cells are all numbers (with
    commas, signs, percent signs), `-` or empty, which stand to the right.

    Raises:
        ValueError: a row is not as long as the header.
    """
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
    columns = list(zip(header, *rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    right = [
        place > 0 and bool(rows) and all(map(_is_number, column[1:])) for place, column in enumerate(columns)
    ]
    return [
        "  ".join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        ).rstrip()
        for line in (header, *rows)
    ]


def _is_number(text: str) -> bool:
    if text in ("", "-"):
        return True
    try:
        float(text.removesuffix("%").strip().replace(",", ""))
    except ValueError:
        return False
    return any(character.isdigit() for character in text)
