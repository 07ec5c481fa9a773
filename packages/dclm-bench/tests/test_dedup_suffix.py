"""Repeated spans against a search that compares everything with everything."""

import re

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.dedup.suffix import Keep, _mark_copies, repeated_tokens, window_starts
from dclm_bench.dedup.suffix_step import suffix_dedup
from dclm_bench.steps.step import keeps_all
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

MANY = " ".join(f"w{i}" for i in range(50))


def quadratic(pages: list[list[int]], length: int, keep: Keep) -> list[bool]:
    """The definition: every window against every other window."""
    windows, place = [], 0
    for page in pages:
        windows += [(place + i, tuple(page[i : i + length])) for i in range(len(page) - length + 1)]
        place += len(page)
    removed = [False] * place
    for start, content in windows:
        for other, same in windows:
            copied = other != start if keep == "none" else other + length <= start
            if content == same and copied:
                removed[start : start + length] = [True] * length
    return removed


@given(st.lists(st.lists(st.integers(0, 1), max_size=14), max_size=5), st.integers(1, 5))
def test_repeated_tokens_are_those_of_the_quadratic_search(pages: list[list[int]], length: int) -> None:
    # given few different tokens, so that much is repeated, also with overlaps
    hashes = np.array([token * 7919 + 5 for page in pages for token in page], np.uint64)
    counts = np.array([len(page) for page in pages], np.int64)
    for keep in ("first", "none"):
        # when
        found = repeated_tokens(hashes, counts, min_tokens=length, keep=keep)
        # then
        assert found.tolist() == quadratic(pages, length, keep)


def test_windows_whose_hashes_collide_are_told_apart_by_their_tokens() -> None:
    # given four windows of two tokens that are said to have one hash, though only two of them are equal
    hashes = np.array([1, 2, 3, 4, 1, 2, 5, 6], np.uint64)
    starts = window_starts(np.array([2, 2, 2, 2]), 2)
    gone = np.zeros(4, np.bool_)
    # when
    _mark_copies(hashes, starts, np.arange(4), 2, False, gone)
    # then
    assert starts.tolist() == [0, 2, 4, 6]
    assert gone.tolist() == [False, False, True, False]


@pytest.mark.parametrize(("keep", "first"), [("first", True), ("none", False)])
def test_a_span_of_fifty_tokens_goes_and_one_of_forty_nine_stays(keep: Keep, first: bool) -> None:
    # given
    shorter = MANY.rsplit(" ", 1)[0]
    pages = [[Page(f"One. {MANY} end"), Page(f"Two, {MANY}!")], [Page(f"{shorter} three"), Page(MANY)]]
    step = suffix_dedup(keep=keep)
    # when
    arrays = [step.collect(shard) for shard in pages]
    decided = list(step.decide(lambda: iter(arrays)))
    values = [step.apply(shard, found) for shard, found in zip(pages, decided, strict=True)]
    # then
    assert [page.text for shard in pages for page in shard] == [
        f"One. {MANY} end" if first else "One.  end",
        "Two, !",
        f"{shorter} three",
        "",
    ]
    assert [[keeps_all(step.rules, row) for row in shard] for shard in values] == [
        [True, True],
        [True, False],
    ]
    assert [page.record["suffix_dedup_num_spans"] for page in pages[1]] == [0, 1]


def test_an_empty_corpus_and_pages_without_a_token_are_no_special_case() -> None:
    step = suffix_dedup(min_tokens=1)
    assert list(step.decide(lambda: iter([]))) == []
    pages = [Page(""), Page(" \n")]
    arrays = [step.collect(pages), step.collect([])]
    decided = list(step.decide(lambda: iter(arrays)))
    assert step.apply(pages, decided[0]) == [(0.0,), (0.0,)]
    assert step.apply([], decided[1]) == []


def test_a_parameter_out_of_range_gives_one_line() -> None:
    with pytest.raises(InputError, match=re.escape("suffix_dedup: min_tokens 0 is below 1")):
        suffix_dedup(min_tokens=0)
    with pytest.raises(InputError, match=re.escape("suffix_dedup: keep 'last' is neither first nor none")):
        suffix_dedup(keep="last")  # type: ignore[arg-type]
