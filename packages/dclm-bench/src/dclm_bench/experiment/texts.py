"""Every page of a collection as the texts that the arms train on, made once for all splits."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.records import read_jsonl, write_jsonl

from dclm_bench.data.page import Page
from dclm_bench.experiment.applying import passes_steps
from dclm_bench.experiment.collection import Collection, RawPage
from dclm_bench.experiment.leakage import find_sharing
from dclm_bench.extraction.encodings import decode_detected
from dclm_bench.extraction.html import ExtractionError, extract_text
from dclm_bench.recipe import NamedStep, build_steps, load_recipe, notes_of

log = logging.getLogger(__name__)

LANGUAGE_KEY = "language_id_whole_page_fasttext"


@dataclass(frozen=True)
class PageTexts:
    """A page in all the forms that are compared.

    Attributes:
        id: Its name.
        source: "article" (with gold text), "page", or "labelled" (text with a human label).
        main: Its main content.
        all_text: All its visible text; for labelled texts, whose HTML is not at hand, the text itself.
        trafilatura: Its main content by trafilatura; None where that is not installed, or not asked for.
        gold: The text of the article as a person sees it.
        good: The human label.
        english: Whether the main content is taken for English.
        filtered: The main content after the heuristic filters with their edits; None where they drop it.
        shares: Ids of articles whose gold text has 13 words in a row in common with this page.
    """

    id: str
    source: Literal["article", "page", "labelled"]
    main: str
    all_text: str
    trafilatura: str | None
    gold: str | None
    good: bool | None
    english: bool
    filtered: str | None
    shares: tuple[str, ...]


def prepare_texts(
    collection: Collection, *, min_language_probability: float, trafilatura: bool | None = None
) -> tuple[list[PageTexts], dict[str, int]]:
    """The texts of all pages, and how many pages were left out, by reason.

    Pages are decoded with detection, so that no arm loses pages to their encoding.

    Args:
        collection: The raw pages.
        min_language_probability: Above this a page is English.
        trafilatura: Whether to extract the articles with trafilatura too; None: where it is installed.

    Raises:
        InputError: trafilatura is asked for and not installed.
    """
    if trafilatura is None:
        trafilatura = has_trafilatura()
    language = build_steps(
        load_recipe(
            [
                {"func": "detect_lang_whole_page_enricher", "model": "fasttext"}
                | {"key_prefix": LANGUAGE_KEY.removesuffix("_fasttext")},
                {"func": "language_filter", "key": LANGUAGE_KEY, "keep_languages": ["en"]}
                | {"threshold": min_language_probability},
            ]
        )
    )
    heuristics = build_steps(load_recipe("heuristics"))
    lost: dict[str, int] = {}
    rows: list[dict[str, Any]] = []
    for source, pages in (("article", collection.articles), ("page", collection.pages)):
        for page in pages:
            try:
                texts = _extract(page, trafilatura=trafilatura and source == "article")
            except ExtractionError:
                lost["cannot be parsed"] = lost.get("cannot be parsed", 0) + 1
                continue
            rows.append({"id": page.id, "source": source, "gold": page.gold, "good": None, **texts})
    for index, (text, good) in enumerate(collection.labelled):
        own = {"main": text, "all_text": text, "trafilatura": None, "gold": None, "good": good}
        rows.append({"id": f"quality/{index:05d}", "source": "labelled", **own})
    gold = {page.id: page.gold for page in collection.articles if page.gold is not None}
    sharing = find_sharing(gold, ["\n".join((row["main"], row["all_text"])) for row in rows])
    log.info("language and heuristics of %d pages", len(rows))
    for note in notes_of((*language, *heuristics)):
        log.info("%s", note)
    return [
        PageTexts(**row, **_verdicts(row["main"], language, heuristics), shares=shares)
        for row, shares in zip(rows, sharing, strict=True)
    ], lost


def has_trafilatura() -> bool:
    """Whether trafilatura is installed, which is no dependency: it serves one arm."""
    return find_spec("trafilatura") is not None


def write_texts(texts: Sequence[PageTexts], path: Path) -> None:
    """Write them as JSON lines, whole or not at all."""
    write_jsonl(path, map(asdict, texts))


def read_texts(path: Path) -> list[PageTexts]:
    """What `write_texts` wrote."""
    return [PageTexts(**{**row, "shares": tuple(row["shares"])}) for _, row in read_jsonl(path)]


def _extract(page: RawPage, *, trafilatura: bool) -> dict[str, str | None]:
    html = decode_detected(page.html, {})
    return {
        "main": extract_text(html),
        "all_text": extract_text(html, main_content=False),
        "trafilatura": extract_text(html, extractor="trafilatura") if trafilatura else None,
    }


def _verdicts(text: str, language: Sequence[NamedStep], heuristics: Sequence[NamedStep]) -> Mapping[str, Any]:
    english = passes_steps(language, Page(text))
    filtered = Page(text)
    kept = passes_steps(heuristics, filtered)
    return {"english": english, "filtered": filtered.text if kept else None}
