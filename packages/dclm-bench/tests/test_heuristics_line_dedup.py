import hashlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.heuristics.line_dedup import LineDedup, keep_one_of_equals, line_dedup
from dclm_bench.steps.step import Arrays, keeps_all
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

Rows = list[tuple[str, str]]
NORMALIZED: dict[str, Any] = {"normalize": "normalize_whitespace_and_lowercase"}
CHOSEN: dict[str, Any] = {"selection_key": "url", "selection_normalize": "hash_text"}


def deduplicated(step: LineDedup, shards: Sequence[Rows]) -> list[str | None]:
    """The texts after the step, shard after shard; None: the page was dropped."""
    pages = [[Page(text, {"url": url}) for text, url in shard] for shard in shards]

    def collected() -> Iterator[Arrays]:
        return (step.collect(shard) for shard in pages)

    texts: list[str | None] = []
    for shard, decided in zip(pages, step.decide(collected), strict=True):
        for page, values in zip(shard, step.apply(shard, decided), strict=True):
            texts.append(page.text if keeps_all(step.rules, values) else None)
    return texts


def official(rows: Rows) -> list[str | None]:
    """The same by dictionaries: of equal lines the one whose page's MD5 sorts first stays, then the first."""
    best: dict[str, tuple[str, int, int]] = {}
    for index, (text, url) in enumerate(rows):
        for place, line in enumerate(text.split("\n") if text else []):
            entry = (hashlib.md5(url.encode()).hexdigest(), index, place)
            key = line.strip().lower()
            best[key] = min(best.get(key, entry), entry)
    kept = {entry[1:] for entry in best.values()}
    texts: list[str | None] = []
    for index, (text, _) in enumerate(rows):
        lines = [
            line for place, line in enumerate(text.split("\n") if text else []) if (index, place) in kept
        ]
        texts.append("\n".join(lines) if lines else None)
    return texts


LINES = st.lists(st.sampled_from(["a", " A", "b", "", "c\u00e9", "C\u00c9 "]), max_size=5).map("\n".join)
ROWS = st.lists(st.tuples(LINES, st.sampled_from(["http://x", "http://y", "http://z"])), max_size=8)


@given(ROWS, st.integers(0, 8))
@settings(max_examples=200, derandomize=True, deadline=None)
def test_lines_stay_where_the_official_rule_leaves_them_whatever_the_shards(rows: Rows, cut: int) -> None:
    step = line_dedup(**NORMALIZED, **CHOSEN)
    assert deduplicated(step, [rows[:cut], rows[cut:]]) == official(rows)


def test_without_a_key_the_first_line_stays_letter_by_letter() -> None:
    rows = [("a\nb", "u"), ("b\nc\nB", "v"), ("a", "w")]
    assert deduplicated(line_dedup(), [rows]) == ["a\nb", "c\nB", None]


def test_the_order_of_pages_can_be_reversed() -> None:
    urls = sorted(("u", "v", "w"), key=lambda url: hashlib.md5(url.encode()).hexdigest())
    rows = [("same", url) for url in urls]
    assert deduplicated(line_dedup(**CHOSEN), [rows]) == ["same", None, None]
    assert deduplicated(line_dedup(**CHOSEN, selection_reverse=True), [rows]) == [None, None, "same"]


def test_one_empty_line_stays_in_the_whole_corpus() -> None:
    assert deduplicated(line_dedup(), [[("a\n\nb", "u")], [("c\n\nd", "v")]]) == ["a\n\nb", "c\nd"]


def test_no_page_at_all_is_no_error() -> None:
    assert deduplicated(line_dedup(), []) == []
    assert deduplicated(line_dedup(), [[], []]) == []
    assert keep_one_of_equals(np.zeros((0, 2), np.uint64), np.zeros((0, 2), np.uint64)).tolist() == []


def test_a_page_without_the_key_is_said_in_one_line() -> None:
    with pytest.raises(InputError, match="has no string 'url'"):
        line_dedup(**CHOSEN).collect([Page("a", {})])
