"""Pages by the rank of their site among all pages: five buckets of equal size."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.records import open_records, read_jsonl

from dclm_bench.data.page import Page
from dclm_bench.quality.scores import require_path
from dclm_bench.steps.step import Arrays, Rule

By = Literal["domain", "url"]


@dataclass(frozen=True)
class PagerankBuckets:
    """The corpus step; `pagerank_filter` makes it and tells its parameters."""

    ranks: dict[str, float]
    bucket: int
    num_buckets: int
    by: By
    url_key: str
    func: str = "pagerank_filter"
    edits: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """Whether the site has a rank, and the number of the bucket, which must be the one asked for."""
        bucket = float(self.bucket)
        return Rule("known", ">=", 1), Rule("first_bucket", ">=", bucket), Rule("last_bucket", "<=", bucket)

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """The rank of each page's site, NaN where it has none."""
        found = [self.ranks.get(_name(page.record.get(self.url_key), self.by), np.nan) for page in pages]
        return {"ranks": np.array(found, np.float64)}

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """The bucket of each page."""
        parts = [arrays["ranks"] for arrays in collected()]
        if not parts:
            return
        buckets = rank_buckets(np.concatenate(parts), self.num_buckets)
        first = 0
        for part in parts:
            yield {"buckets": buckets[first : first + len(part)]}
            first += len(part)

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """The values of the three rules; a page without a rank fails the first alone."""
        return [
            (0.0, np.nan, np.nan) if bucket < 0 else (1.0, float(bucket), float(bucket))
            for bucket in decided["buckets"]
        ]


def pagerank_filter(
    scores_path: str,
    bucket: int = 0,
    num_buckets: int = 5,
    by: By = "domain",
    url_key: str = "url",
) -> PagerankBuckets:
    """Keeps the pages of one bucket of the corpus by the rank of their site; bucket 0 has the highest ranks.

    Pages of equal rank are in one bucket, so that buckets may differ in size. Pages whose site has no rank
    are dropped by a rule of their own.

    Args:
        scores_path: Ranks, higher is better: JSON lines with `domain` or `url` and `score`, or lines of name,
            tab and number; plain, .gz or .zst.
        bucket: The bucket that is kept, from 0.
        num_buckets: How many there are.
        by: Whether the file names domains (a leading `www.` does not count) or whole URLs.
        url_key: Field with the page's URL.

    Raises:
        InputError: the file is missing or unusable, or a parameter is.

    Source: DataComp-LM section 4.4 (PageRank in five quantiles of the pages).
    """
    func = "pagerank_filter"
    if by not in get_args(By):
        raise InputError(f"{func}: by is {by!r}; known are {', '.join(get_args(By))}")
    if num_buckets < 1 or not 0 <= bucket < num_buckets:
        raise InputError(f"{func}: bucket is {bucket}; give a number from 0 to num_buckets - 1")
    ranks = read_ranks(require_path(func, "scores_path", scores_path), by)
    return PagerankBuckets(ranks, bucket, num_buckets, by, url_key)


def read_ranks(path: Path, by: By) -> dict[str, float]:
    """Name -> rank.

    Raises:
        InputError: the file holds no ranks, or a line is none.
    """
    ranks: dict[str, float] = {}
    for place, name, score in _rows(path, by):
        try:
            value = float(score)
        except (TypeError, ValueError):
            value = np.nan
        if not isinstance(name, str) or not np.isfinite(value):
            raise InputError(f"{path}, {place}: no {by} with a finite score; mend or remove the line")
        ranks[_name(name, by)] = value
    if not ranks:
        raise InputError(f"{path}: holds no ranks; give lines of {by}, tab and score, or JSON lines")
    return ranks


def rank_buckets(ranks: npt.NDArray[np.float64], num_buckets: int) -> npt.NDArray[np.int64]:
    """The bucket of each value, 0 the highest, -1 for NaN; equal values share the bucket of their middle."""
    known = np.flatnonzero(~np.isnan(ranks))
    buckets = np.full(len(ranks), -1, np.int64)
    _, groups, sizes = np.unique(-ranks[known], return_inverse=True, return_counts=True)
    middles = np.cumsum(sizes) - sizes / 2
    places = middles[groups] * num_buckets / max(len(known), 1)
    buckets[known] = np.minimum(places.astype(np.int64), num_buckets - 1)
    return buckets


def _rows(path: Path, by: By) -> Iterator[tuple[str, Any, Any]]:
    name = path.name.lower()
    if ".jsonl" in name or ".ndjson" in name:
        for place, record in read_jsonl(path):
            yield place, record.get(by), record.get("score")
        return
    with open_records(path) as stream:
        for number, line in enumerate(stream, 1):
            text = line.decode("utf-8", "replace").strip()
            if text:
                left, _, right = text.rpartition("\t")
                yield f"line {number}", left.strip() or None, right


def _name(url: object, by: By) -> str:
    """What ranks are found by: a URL, or its host in lower case without a leading `www.`."""
    text = url.strip() if isinstance(url, str) else ""
    if by == "url":
        return text
    try:
        host = urlsplit(text if "//" in text else f"//{text}").hostname or ""
    except ValueError:
        return ""
    return host.removeprefix("www.")
