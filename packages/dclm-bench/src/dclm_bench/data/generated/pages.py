"""The texts of generated pages, a function a kind, and their HTML with what a site puts around a text."""

from collections.abc import Callable
from html import escape
from typing import NamedTuple

import numpy as np

from dclm_bench.data.generated.languages import ENGLISH, LANGUAGES

NUM_SITES = 7


class Content(NamedTuple):
    """What a page says.

    Attributes:
        language: Two letters.
        title: Of the page; the first line of its text.
        blocks: The paragraphs.
    """

    language: str
    title: str
    blocks: tuple[str, ...]

    @property
    def text(self) -> str:
        """The main text: title and paragraphs, apart by an empty line."""
        return "\n\n".join((self.title, *self.blocks))


def article(rng: np.random.Generator, *, language: str = "en", paragraphs: int = 0) -> Content:
    """A good article: six to twelve paragraphs of three to six sentences."""
    speech = LANGUAGES[language].topic(rng)
    number = paragraphs or int(rng.integers(6, 13))
    blocks = tuple(speech.paragraph(rng, int(rng.integers(3, 7))) for _ in range(number))
    return Content(language, speech.title(rng), blocks)


def accented(rng: np.random.Generator) -> Content:
    """A good article with names in it whose bytes in Latin-1 are not UTF-8."""
    written = article(rng)
    return written._replace(blocks=(*written.blocks[:-1], f"{written.blocks[-1]} Café Müller."))


def foreign(rng: np.random.Generator) -> Content:
    """An article that is not in English."""
    return article(rng, language=("de", "fr", "es")[int(rng.integers(3))])


def near_duplicate(rng: np.random.Generator, original: Content) -> Content:
    """The paragraphs of another page, but for the last one, and two of its own: most of it is a copy."""
    own = article(rng, paragraphs=2)
    return Content("en", own.title, (own.blocks[0], *original.blocks[:-1], own.blocks[1]))


def repetitive(rng: np.random.Generator) -> Content:
    """Three paragraphs, each of them four times."""
    written = article(rng, paragraphs=3)
    return written._replace(blocks=written.blocks * 4)


def short(rng: np.random.Generator) -> Content:
    """One or two sentences: fewer than 50 words."""
    return article(rng, paragraphs=1)._replace(blocks=(ENGLISH.paragraph(rng, int(rng.integers(1, 3))),))


def listicle(rng: np.random.Generator) -> Content:
    """Twenty to thirty lines that begin with a bullet, a sentence each, and nothing else."""
    speech = ENGLISH.topic(rng)
    items = tuple(f"• {speech.sentence(rng)}" for _ in range(int(rng.integers(20, 31))))
    return Content("en", speech.title(rng), items)


def ellipsis(rng: np.random.Generator) -> Content:
    """Teasers of which each breaks off in an ellipsis."""
    speech = ENGLISH.topic(rng)
    lines = tuple(speech.paragraph(rng, 2)[:-1] + "..." for _ in range(int(rng.integers(8, 13))))
    return Content("en", speech.title(rng), lines)


def symbols(rng: np.random.Generator) -> Content:
    """Sentences in which every fourth word carries a hash sign."""
    written = article(rng)
    marked = []
    for line in written.blocks:
        words = [f"#{word}" if index % 4 == 0 else word for index, word in enumerate(line.split(" "))]
        marked.append(" ".join(words))
    return written._replace(blocks=tuple(marked))


def keywords(rng: np.random.Generator) -> Content:
    """Nouns and verbs in no sentence: no stop word among them."""
    words = [noun.removeprefix("the ") for noun in ENGLISH.nouns] + [*ENGLISH.plurals, *ENGLISH.adjectives]
    lines = tuple(
        " ".join(words[int(index)] for index in rng.integers(len(words), size=20)) for _ in range(10)
    )
    return Content("en", "Words", lines)


def numbers(rng: np.random.Generator) -> Content:
    """Rows of a price list: a third of the words hold no letter."""
    speech = ENGLISH.topic(rng)
    rows = tuple(
        f"{int(rng.integers(1, 9000))} {speech.sentence(rng)[:-1]} {_figures(rng)}"
        for _ in range(int(rng.integers(12, 18)))
    )
    return Content("en", speech.title(rng), rows)


def counters(rng: np.random.Generator) -> Content:
    """A good article with two counter lines, which an edit takes out; it is kept."""
    written = article(rng)
    likes, views = (int(number) for number in rng.integers(2, 9000, size=2))
    blocks = (*written.blocks[:2], f"{likes} likes", *written.blocks[2:], f"{views} views")
    return written._replace(blocks=blocks)


def _figures(rng: np.random.Generator) -> str:
    return " ".join(f"{int(number)},{int(number) % 90 + 10}" for number in rng.integers(100, 9000, size=7))


KINDS: dict[str, Callable[[np.random.Generator], Content]] = {
    "article": article,
    "boilerplate": lambda rng: article(rng, paragraphs=6),
    "counters": counters,
    "latin-1": accented,
    "foreign": foreign,
    "repetitive": repetitive,
    "short": short,
    "listicle": listicle,
    "ellipsis": ellipsis,
    "symbols": symbols,
    "keywords": keywords,
    "numbers": numbers,
    "banned-url": article,
    "not-html": article,
}
"""Kinds of pages that stand alone, with their writers; "duplicate" and "near-duplicate" need another page."""


def site_name(site: int) -> str:
    """The host of a site; the top-level domain is reserved, so none of them exists."""
    return f"www.site{site}.example"


def to_html(content: Content, site: int, rng: np.random.Generator, *, heavy: bool, charset: str) -> str:
    """A page of a site: around the text navigation, sidebar and footer, the same on all pages of the site.

    Args:
        content: The text.
        site: Number of the site.
        rng: For what the page does not share with its site: dates and comments.
        heavy: Whether there are far more of these than text.
        charset: What the page says of its encoding.
    """
    own = np.random.Generator(np.random.PCG64(np.random.SeedSequence([site])))
    menu = [ENGLISH.title(own) for _ in range(40 if heavy else 10)]
    navigation = "".join(
        f'<li><a href="/s{index}">{escape(entry)}</a></li>' for index, entry in enumerate(menu)
    )
    related = "".join(
        f'<li><a href="/r{index}">{escape(ENGLISH.title(own))}</a></li>'
        for index in range(30 if heavy else 5)
    )
    cookie = escape(ENGLISH.sentence(own))
    comments = "".join(
        f'<div class="comment"><b>guest{int(rng.integers(999))}</b> '
        f"{escape(ENGLISH.sentence(rng))} Reply Share</div>"
        for _ in range(25 if heavy else 0)
    )
    body = "\n".join(f"<p>{escape(block)}</p>" for block in content.blocks)
    return (
        f'<!DOCTYPE html>\n<html lang="{content.language}"><head><meta charset="{charset}">'
        f"<title>{escape(content.title)}</title><script>var page = {int(rng.integers(1 << 30))};</script>"
        "<style>nav { float: left }</style></head>\n<body>"
        f'<div class="cookie-banner">{cookie}</div>'
        f'<header><nav class="navigation"><ul>{navigation}</ul></nav></header>\n'
        f'<main><article class="post-content"><h1>{escape(content.title)}</h1>\n{body}\n'
        f'</article></main>\n<section class="comments" id="comments">{comments}</section>'
        f'<aside class="sidebar"><h3>Related</h3><ul>{related}</ul></aside>'
        f'<footer class="footer">Copyright {site_name(site)}. All rights reserved. {cookie}</footer>'
        "</body></html>\n"
    )
