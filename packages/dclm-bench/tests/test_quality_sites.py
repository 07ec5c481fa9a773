"""Buckets of pages by the rank of their site."""

import math
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.quality.pagerank import PagerankBuckets, pagerank_filter, rank_buckets, read_ranks
from dclm_bench.steps.step import keeps_all
from toolkit_shared.errors import InputError


@pytest.fixture
def ranks(tmp_path: Path) -> str:
    lines = [f"site{number}.org\t{number / 10}" for number in range(10)]
    (tmp_path / "ranks.tsv").write_text("\n".join(lines) + "\n")
    return str(tmp_path / "ranks.tsv")


def kept_urls(step: PagerankBuckets, shards: Sequence[Sequence[Page]]) -> list[str]:
    collected = [step.collect(pages) for pages in shards]
    kept = []
    for pages, decided in zip(shards, step.decide(lambda: iter(collected)), strict=True):
        for page, values in zip(pages, step.apply(pages, decided), strict=True):
            if keeps_all(step.rules, values):
                kept.append(page.record["url"])
    return kept


def test_every_bucket_has_its_fifth_and_the_first_has_the_highest_ranks(ranks: str) -> None:
    pages = [
        Page("", {"url": f"https://www.Site{number}.org/a"}) for number in (3, 9, 0, 7, 1, 5, 2, 8, 6, 4)
    ]

    buckets = [kept_urls(pagerank_filter(ranks, bucket), [pages[:4], pages[4:]]) for bucket in range(5)]

    numbers = [sorted(int(url[16]) for url in bucket) for bucket in buckets]
    assert numbers == [[8, 9], [6, 7], [4, 5], [2, 3], [0, 1]]


def test_a_page_of_an_unknown_site_is_dropped_by_a_rule_of_its_own(ranks: str) -> None:
    step = pagerank_filter(ranks)
    pages = [Page("", {"url": "https://elsewhere.org"}), Page("", {}), Page("", {"url": "http://[bad"})]
    decided = next(step.decide(lambda: iter([step.collect(pages)])))

    for values in step.apply(pages, decided):
        verdicts = [rule.keeps(value) for rule, value in zip(step.rules, values, strict=True)]
        assert verdicts == [False, True, True]


def test_equal_ranks_are_in_one_bucket() -> None:
    assert rank_buckets(np.array([1.0, 2.0, 2.0, 2.0, math.nan, 3.0]), 5).tolist() == [4, 2, 2, 2, -1, 0]
    assert rank_buckets(np.array([]), 5).tolist() == []


def test_ranks_may_be_json_lines_of_urls(tmp_path: Path) -> None:
    path = tmp_path / "ranks.jsonl"
    path.write_text('{"url": "https://a.org/x", "score": 3}\n')

    assert read_ranks(path, "url") == {"https://a.org/x": 3.0}


@pytest.mark.parametrize("line", ["site.org\tnan", "site.org", "\t3", "site.org\tx"])
def test_a_line_that_is_no_rank_is_named(line: str, tmp_path: Path) -> None:
    (tmp_path / "ranks.tsv").write_text(f"a.org\t1\n{line}\n")
    with pytest.raises(InputError, match=r"ranks\.tsv, line 2"):
        read_ranks(tmp_path / "ranks.tsv", "domain")


def test_a_bucket_that_is_none_is_refused(ranks: str) -> None:
    with pytest.raises(InputError, match="bucket is 5"):
        pagerank_filter(ranks, 5)
