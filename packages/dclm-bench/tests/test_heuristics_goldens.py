"""The official code's decisions, kept as goldens; `make_official_goldens.py` made them."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from dclm_bench.data.page import Page
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import Step, keeps_all

GOLDEN = json.loads(
    (Path(__file__).parent / "goldens" / "official_heuristics.json").read_text(encoding="utf-8")
)
BANNED = GOLDEN["banned"]
RECIPE: list[dict[str, Any]] = [
    {"func": "url_substring_filter", "banlist": BANNED["strict"], "ignore_chars": ["-", "."]},
    {"func": "url_substring_filter", "banlist": BANNED["hard"], "match_substrings": False},
    {
        "func": "url_substring_filter",
        "banlist": BANNED["soft"],
        "num_banned_substrs": 2,
        "match_substrings": False,
    },
    {"func": "url_removal_modifier"},
    {"func": "newline_removal_modifier", "max_consecutive": 2},
    {
        "func": "page_length_filter",
        "length_type": "word",
        "min_length": 50,
        "max_length": 100000,
        "ignore_punctuation": True,
    },
    {"func": "word_length_filter", "min_length": 3, "max_length": 10},
    {"func": "symbol_ratio_filter", "max_symbol_to_word_ratio": 0.1},
    {"func": "bullet_count_filter", "max_bullet_start_ratio": 0.9},
    {"func": "ellipsis_count_filter", "max_ellipsis_end_ratio": 0.3},
    {"func": "alphabetic_word_ratio_filter", "max_ratio": 0.2},
    {"func": "stop_word_filter", "count_unique": False, "min_stop_word": 2},
    {"func": "word_counter_enricher", "key": "previous_word_count"},
    {"func": "uppercase_ratio_line_modifier", "max_ratio": 0.5},
    {"func": "numeric_ratio_line_modifier", "max_ratio": 0.999999},
    {"func": "counter_line_modifier"},
    {"func": "line_length_modifier", "min_length": 2},
    {
        "func": "substring_line_modifier",
        "max_length": 10,
        "banlist": "items in cart",
        "remove_substring_only": True,
    },
    {
        "func": "substring_line_modifier",
        "max_length": 10,
        "banlist": "Read more...",
        "location": "suffix",
        "remove_substring_only": True,
    },
    {
        "func": "substring_line_modifier",
        "max_length": 10,
        "banlist": "Sign-in",
        "location": "prefix",
        "remove_substring_only": True,
    },
    {
        "func": "word_removal_ratio_filter",
        "prev_word_count_key": "previous_word_count",
        "max_removed_ratio": 0.05,
    },
]


def build(entry: dict[str, Any]) -> Step:
    parameters = dict(entry)
    step = make_step(parameters.pop("func"), parameters)
    assert isinstance(step, Step)
    return step


def short_hash(text: str) -> str:
    return hashlib.md5(text.encode()).hexdigest()[:8]


@pytest.mark.parametrize("golden", GOLDEN["steps"], ids=lambda golden: golden["step"]["func"])
def test_every_step_keeps_and_edits_as_the_official_code_does(golden: dict[str, Any]) -> None:
    step = build(golden["step"])
    kept, texts = "", {}
    for number, source in enumerate(GOLDEN["pages"]):
        page = Page(source["text"], {"url": source["url"]})
        keeps = keeps_all(step.rules, step.apply(page))
        kept += "1" if keeps else "0"
        if keeps and page.text != source["text"]:
            texts[str(number)] = short_hash(page.text)
    assert kept == golden["kept"]
    assert texts == golden["texts"]


def test_the_goldens_know_kept_and_dropped_pages_of_every_filter_and_edits_of_every_modifier() -> None:
    for golden in GOLDEN["steps"]:
        func = golden["step"]["func"]
        if func.endswith("_filter"):
            assert {"0", "1"} == set(golden["kept"]), func
        else:
            assert golden["texts"], func


def test_the_recipe_drops_each_page_at_the_step_at_which_the_official_code_does() -> None:
    steps = [build(entry) for entry in RECIPE]
    verdicts = []
    for source in GOLDEN["recipe"]["pages"]:
        text = "\n".join(GOLDEN["pages"][index]["text"] for index in source["join"])
        page = Page(text, {"url": source["url"]})
        dropped = next((step.func for step in steps if not keeps_all(step.rules, step.apply(page))), None)
        verdicts.append(dropped or short_hash(page.text))
    assert verdicts == GOLDEN["recipe"]["verdicts"]
