"""The official pipeline's steps at work on the pages of a benchmark; runs in an environment of its own."""

import copy
import hashlib
import json
from pathlib import Path
from typing import Any

from official import load_official
from serving import serve

State: dict[str, Any] = {}


def open_pages(source: str, checkout: str, steps: list[dict[str, Any]]) -> dict[str, int]:
    """Keep the pages, and make the steps out of a checkout of mlfoundations/dclm."""
    with open(source, encoding="utf-8") as stream:
        State["pages"] = [json.loads(line) for line in stream]
    get_mapper = load_official(Path(checkout))
    State["steps"] = steps
    State["mappers"] = [get_mapper(**step) for step in steps]
    return {"pages": len(State["pages"])}


def run_steps(first: int, last: int) -> float:
    """Run some pages through the steps; the work is the number of pages."""
    State["outcomes"] = [_outcome(page) for page in copy.deepcopy(State["pages"][first:last])]
    return float(last - first)


def run_alone(number: int) -> dict[str, list[str]]:
    """What one step does to every page: the hash of the text that it leaves, or "dropped"."""
    mapper, counts = State["mappers"][number], State["steps"][number]["func"] == "word_counter_enricher"
    found = []
    for page in copy.deepcopy(State["pages"]):
        page["url"] = page["metadata"]["WARC-Target-URI"]
        if not counts:
            page["previous_word_count"] = 100
        try:
            result = mapper(page)
        except Exception:  # the official runner loses such a page
            result = []
        if not result:
            found.append("dropped")
            continue
        text = result[0]["text"].encode("utf-8", "surrogatepass")
        counted = result[0]["previous_word_count"] if counts else ""
        found.append(hashlib.md5(text).hexdigest() + str(counted))
    return {"outcomes": found}


def outcomes() -> dict[str, list[str]]:
    """For each of the last pages the number of the step that dropped it, or the hash of its text."""
    return {"outcomes": State["outcomes"]}


def _outcome(page: dict[str, Any]) -> str:
    for number, mapper in enumerate(State["mappers"]):
        try:
            result = mapper(page)
        except Exception:  # the official runner loses such a page
            result = []
        if not result:
            return str(number)
        page = result[0]
    return hashlib.md5(page["text"].encode("utf-8", "surrogatepass")).hexdigest()


if __name__ == "__main__":
    tasks = {"open_pages": open_pages, "run_steps": run_steps, "outcomes": outcomes, "run_alone": run_alone}
    serve(tasks, ["uniseg", "retrie", "nltk"])
