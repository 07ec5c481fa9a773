"""Exact copies of texts, URLs and lines."""

import re
from typing import Any

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.dedup.clusters import equal_groups, places_in_groups
from dclm_bench.dedup.exact import exact_dedup, url_dedup
from dclm_bench.dedup.normalizers import NORMALIZERS, normalize_timestamps, normalize_url
from dclm_bench.steps.step import CorpusStep, keeps_all
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError


def run(step: CorpusStep, shards: list[list[Page]]) -> list[list[Page]]:
    """The pages that a step keeps, shard by shard."""
    arrays = [step.collect(pages) for pages in shards]
    decided = list(step.decide(lambda: iter(arrays)))
    return [
        [p for p, row in zip(pages, step.apply(pages, found), strict=True) if keeps_all(step.rules, row)]
        for pages, found in zip(shards, decided, strict=True)
    ]


def test_the_first_of_equal_texts_stays_across_shards() -> None:
    shards = [[Page("a", {"n": 0}), Page("b", {"n": 1})], [], [Page("a ", {"n": 2}), Page("b", {"n": 3})]]
    assert [[page.record["n"] for page in shard] for shard in run(exact_dedup(), shards)] == [[0, 1], [], [2]]
    step = exact_dedup(normalize="normalize_whitespace_and_lowercase")
    assert [[page.record["n"] for page in shard] for shard in run(step, shards)] == [[0, 1], [], []]


@pytest.mark.parametrize(
    ("url", "key"),
    [
        ("https://www.example.org/a/", "example.org/a"),
        ("http://example.org/a?utm_source=x&id=3", "example.org/a"),
        ("http://example.org/a?id=3&utm_source=x", "example.org/a?id=3&utm_source=x"),
        ("http://example.org/a?referrer=1", "example.org/a"),
        ("www.example.org//", "www.example.org"),
        ("http://a.org/?u=https://www.b.org/", "a.org/?u=b.org"),
    ],
)
def test_a_url_is_compared_without_scheme_tracking_and_last_slash(url: str, key: str) -> None:
    assert normalize_url(url) == key


def test_one_page_of_each_url_stays_and_pages_without_one_stay_too() -> None:
    urls = ["http://a.org/", "https://www.a.org?utm_x=1", None, "http://b.org", None]
    pages = [Page(str(i), {} if url is None else {"url": url}) for i, url in enumerate(urls)]
    assert [page.text for page in run(url_dedup(), [pages])[0]] == ["0", "2", "3", "4"]


def test_the_lowest_value_of_the_selection_key_stays_or_the_highest_in_reverse() -> None:
    times = ["2020-01-02T00:00:00Z", "2019-05-01T10:00:00Z", "no time", "2020-01-02T00:00:00Z"]
    for reverse, stays in [(False, 2), (True, 0)]:  # what is no timestamp counts as -1
        step = exact_dedup(
            selection_key="date", selection_normalize="normalize_timestamps", selection_reverse=reverse
        )
        pages = [Page("same", {"date": date, "n": n}) for n, date in enumerate(times)]
        assert [page.record["n"] for page in run(step, [pages[:1], pages[1:]])[1 if stays else 0]] == [stays]
    assert normalize_timestamps("no time") == -1.0


def test_a_selection_key_without_an_order_is_refused() -> None:
    with pytest.raises(
        InputError, match=re.escape("exact_dedup: selection_key 'url' holds 'b', which has no")
    ):
        exact_dedup(selection_key="url").collect([Page("a", {"url": "b"})])
    with pytest.raises(InputError, match="'soundex' is no normaliser; known are normalize_url"):
        exact_dedup(normalize="soundex")


def test_a_field_that_is_no_text_is_compared_as_a_whole_and_stops_nothing() -> None:
    contents: list[object] = [3, "a", {"b": 1, "a": 2}, 3, {"a": 2, "b": 1}, ["x", 3], ["x", 3], None]
    pages = [Page("", {"tags": content, "n": n}) for n, content in enumerate(contents)]
    (kept,) = run(exact_dedup(content_key="tags"), [pages])
    assert [page.record["n"] for page in kept] == [0, 1, 2, 5, 7]
    assert kept[3].record["tags"] == ["x", 3]


def test_a_number_beyond_all_floats_has_no_order_and_is_no_crash() -> None:
    with pytest.raises(InputError, match="which has no order"):
        exact_dedup(selection_key="size").collect([Page("a", {"size": 10**400})])


def test_texts_are_selected_by_their_hash() -> None:
    # md5 of "b" begins with 92, of "a" with 0c, of "c" with 4a
    pages = [Page("same", {"url": url}) for url in "bac"]
    step = exact_dedup(selection_key="url", selection_normalize="hash_text")
    assert [page.record["url"] for page in run(step, [pages])[0]] == ["a"]


def test_members_of_a_list_are_units_and_an_empty_list_drops_the_page() -> None:
    pages = [Page("p", {"tags": ["a", "b", "a"]}), Page("q", {"tags": ["b"]}), Page("r", {"tags": []})]
    kept = run(exact_dedup(content_key="tags"), [pages])[0]
    assert [(page.text, page.record["tags"]) for page in kept] == [("p", ["a", "b"])]


@given(
    st.lists(
        st.tuples(st.integers(0, 3), st.integers(0, 3), st.one_of(st.none(), st.integers(0, 2))), max_size=25
    ),
    st.booleans(),
)
def test_places_in_groups_agree_with_sorting_each_group(members: list[Any], reverse: bool) -> None:
    # given
    high, low = (np.array([m[i] for m in members], np.uint64) for i in (0, 1))
    groups = equal_groups(high, low)
    selection = {
        "selection_high": np.zeros(len(members), np.uint64),
        "selection_low": np.array([m[2] or 0 for m in members], np.uint64),
        "selection_missing": np.array([m[2] is None for m in members], np.bool_),
    }
    # when
    places = places_in_groups(groups, selection, reverse=reverse)
    # then
    for number, (a, b, _) in enumerate(members):
        same = [i for i, m in enumerate(members) if m[:2] == (a, b)]
        assert groups[number] == same[0]
        sign = -1 if reverse else 1
        same.sort(key=lambda i: (members[i][2] is None, sign * (members[i][2] or 0), i))
        assert places[number] == same.index(number)


def test_lone_surrogates_and_lists_of_normalizers_are_no_obstacle() -> None:
    pages = [Page("a\ud800"), Page("a\ud800"), Page("a\udfff")]
    assert len(run(exact_dedup(), [pages])[0]) == 2
    assert set(NORMALIZERS) == {
        "normalize_url",
        "normalize_whitespace_and_lowercase",
        "normalize_timestamps",
        "hash_text",
    }
