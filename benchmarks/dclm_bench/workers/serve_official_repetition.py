"""The official repetition filter at work on the pages of a benchmark; runs in an environment of its own."""

import json
from pathlib import Path
from typing import Any

from official import load_official
from serving import serve

State: dict[str, Any] = {}


def open_pages(source: str, checkout: str) -> dict[str, int]:
    """Keep the pages, and make the filter out of a checkout of mlfoundations/dclm."""
    with open(source, encoding="utf-8") as stream:
        State["pages"] = [json.loads(line)["text"] for line in stream]
    State["filter"] = load_official(Path(checkout))("massive_web_repetition_filters")
    return {"pages": len(State["pages"])}


def judge(first: int, last: int) -> float:
    """Whether each of some pages is kept; the work is the number of pages."""
    State["kept"] = [bool(State["filter"]({"text": text})) for text in State["pages"][first:last]]
    return float(last - first)


def kept() -> dict[str, list[bool]]:
    """The last verdicts."""
    return {"kept": State["kept"]}


if __name__ == "__main__":
    serve({"open_pages": open_pages, "judge": judge, "kept": kept}, ["uniseg", "nltk"])
