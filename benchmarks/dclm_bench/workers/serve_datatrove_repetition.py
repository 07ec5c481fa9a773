"""datatrove's repetition filter at work on the pages of a benchmark; runs in datatrove's own environment."""

import json
from typing import Any

from datatrove.data import Document
from datatrove.pipeline.filters import GopherRepetitionFilter
from datatrove.utils.text import split_into_words
from serving import serve

State: dict[str, Any] = {}


def open_pages(source: str) -> dict[str, int]:
    """Keep the pages, and warm up spaCy with one of them."""
    with open(source, encoding="utf-8") as stream:
        State["pages"] = [json.loads(line)["text"] for line in stream]
    State["filter"] = GopherRepetitionFilter()
    State["filter"].filter(Document(text=State["pages"][0], id="0"))
    return {"pages": len(State["pages"])}


def judge() -> float:
    """The filter's verdict on each page, which are kept; the work is the number of pages."""
    verdicts = [State["filter"].filter(Document(text=text, id="0")) for text in State["pages"]]
    State["reasons"] = ["" if verdict is True else verdict[1] for verdict in verdicts]
    return float(len(verdicts))


def reasons() -> dict[str, list[str]]:
    """Why each page was dropped; empty for one that is kept."""
    return {"reasons": State["reasons"]}


def words() -> dict[str, list[list[str]]]:
    """The words of each page, which datatrove has from spaCy."""
    return {"words": [split_into_words(text, "eng") for text in State["pages"]]}


if __name__ == "__main__":
    serve(
        {"open_pages": open_pages, "judge": judge, "reasons": reasons, "words": words}, ["datatrove", "spacy"]
    )
