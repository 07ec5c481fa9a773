"""One HTML file that needs nothing else: no scripts, no fonts, pictures inside; light and dark."""

import base64
from collections.abc import Sequence
from html import escape
from typing import NamedTuple, NewType

from toolkit_shared.report.numbers import format_number

Html = NewType("Html", str)

# The policy makes a page that fetches anything show a gap instead, so "offline" cannot break unseen.
_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark; --line: #8886; --soft: #8881 }}
body {{ font: 16px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 52em; padding: 0 1em }}
table {{ border-collapse: collapse; display: block; overflow-x: auto; margin: 1em 0 }}
th, td {{ border-bottom: 1px solid var(--line); padding: .3em .8em .3em 0; text-align: left }}
td.number {{ text-align: right; font-variant-numeric: tabular-nums }}
pre {{ background: var(--soft); overflow-x: auto; padding: .8em }}
figure {{ margin: 1.5em 0 }}
img {{ max-width: 100%; height: auto }}
figcaption {{ opacity: .8 }}
</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


class Section(NamedTuple):
    """A heading, and what stands under it, made by `paragraph`, `table`, `code` and `picture`."""

    heading: str
    parts: Sequence[Html]


def html_page(title: str, sections: Sequence[Section | tuple[str, Sequence[Html]]]) -> str:
    """A whole HTML page of these sections, in one file that is read offline."""
    body = []
    for heading, parts in sections:
        body.append(f"<section>\n<h2>{escape(heading)}</h2>")
        body += [*parts, "</section>"]
    return _PAGE.format(title=escape(title), body="\n".join(body))


def paragraph(text: str) -> Html:
    """Running text."""
    return Html(f"<p>{escape(text)}</p>")


def code(text: str) -> Html:
    """Text in lines as they are, such as commands or a file."""
    return Html(f"<pre>{escape(text)}</pre>")


def table(header: Sequence[str], rows: Sequence[Sequence[str | float | None]]) -> Html:
    """A table; numbers are shown by `format_number` and stand to the right, None is an empty cell.

    Raises:
        ValueError: a row is not as long as the header.
    """
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>"]
    for row in rows:
        if len(row) != len(header):
            raise ValueError(f"a row of {len(row)} cells under a header of {len(header)}")
        lines.append("<tr>" + "".join(map(_cell, row)) + "</tr>")
    return Html("\n".join([*lines, "</table>"]))


def picture(image: str | bytes, caption: str) -> Html:
    """A picture within the page: the text of an SVG, or the bytes of a PNG.

    It cannot run scripts or reach the page, whatever is in it.

    Raises:
        ValueError: `image` is neither.
    """
    if isinstance(image, str):
        if "<svg" not in image[:1000]:
            raise ValueError("the text is no SVG")
        kind, data = "svg+xml", image.encode()
    else:
        if not image.startswith(b"\x89PNG\r\n\x1a\n"):
            raise ValueError("the bytes are no PNG")
        kind, data = "png", image
    source = f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
    text = escape(caption)
    return Html(f'<figure>\n<img alt="{text}" src="{source}">\n<figcaption>{text}</figcaption>\n</figure>')


def _cell(value: str | float | None) -> str:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return f'<td class="number">{format_number(value)}</td>'
    return f"<td>{escape('' if value is None else str(value))}</td>"
