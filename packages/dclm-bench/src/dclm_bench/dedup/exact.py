"""Exact copies as a step: of a text, of a URL, or of the members of a list.

A copy is one whose content, after a normaliser, has the same 128-bit hash. Of the copies the first in the
corpus stays, or the one with the lowest value of `selection_key`. Where the content is a list, its members
are the units: copies are taken out of it, and a page is dropped when nothing is left.

Source: official `ray_processing/dedup_jsonl.py`. It takes MD5 of the normalised content, and among copies
without a selection key whichever Ray delivers first, where ours is the first in the corpus.
"""

import hashlib
import json
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TypeGuard

import numpy as np

from dclm_bench.data.page import Page
from dclm_bench.dedup.clusters import equal_groups, places_in_groups, selection_of
from dclm_bench.dedup.normalizers import NORMALIZERS, require_normalizer
from dclm_bench.steps.step import Arrays, Rule

_NO_UNITS = -1


@dataclass(frozen=True)
class ExactDedup:
    """The corpus step; the functions below make it and tell its parameters.

    Attributes:
        func: Its name in recipes.
        content_key: The field that is compared; "text" is the page's text.
        normalize: Name of the normaliser, or None.
        selection_key: The field that decides which copy stays, or None.
        selection_normalize: How that field is read, or None.
        selection_reverse: Whether its highest value stays.
    """

    func: str
    content_key: str
    normalize: str | None
    selection_key: str | None
    selection_normalize: str | None
    selection_reverse: bool
    rules: tuple[Rule, ...] = (Rule("copies_before", "<=", 0),)
    edits: bool = False

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """`high` and `low` uint64 [units], halves of hashes; `units` int64 [pages], -1 without content."""
        digests: list[bytes] = []
        counts = np.empty(len(pages), np.int64)
        normalize = NORMALIZERS[self.normalize] if self.normalize is not None else str
        for number, page in enumerate(pages):
            units = self._units(page)
            counts[number] = _NO_UNITS if units is None else len(units)
            for unit in units or ():
                content = str(normalize(unit)).encode("utf-8", "surrogatepass")
                digests.append(hashlib.blake2b(content, digest_size=16).digest())
        halves = np.frombuffer(b"".join(digests), "<u8").reshape(-1, 2).astype(np.uint64)
        found: Arrays = {"high": halves[:, 0].copy(), "low": halves[:, 1].copy(), "units": counts}
        if self.selection_key is not None:
            values = selection_of(pages, self.selection_key, self.selection_normalize, self.func)
            found |= {name: np.repeat(array, np.maximum(counts, 0)) for name, array in values.items()}
        return found

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """`copies_before` int64 [units]: the copies that are preferred to each unit; `units` as collected."""
        shards = list(collected())
        if not shards:
            return
        names = ["high", "low"]
        if self.selection_key is not None:
            names += ["selection_high", "selection_low", "selection_missing"]
        every = {name: np.concatenate([arrays[name] for arrays in shards]) for name in names}
        groups = equal_groups(every["high"], every["low"])
        selection = every if self.selection_key is not None else None
        places = places_in_groups(groups, selection, reverse=self.selection_reverse)
        start = 0
        for arrays in shards:
            end = start + len(arrays["high"])
            yield {"copies_before": places[start:end], "units": arrays["units"]}
            start = end

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """Take copies out of lists; the value is the fewest copies that any of a page's units has.

        NaN without the field, so that the page stays; infinity for an empty list, so that it goes.
        """
        values: list[Sequence[float]] = []
        start = 0
        for page, count in zip(pages, decided["units"].tolist(), strict=True):
            if count == _NO_UNITS:
                values.append((math.nan,))
                continue
            places = decided["copies_before"][start : start + count].tolist()
            start += count
            content = self._content(page)
            if _has_units(content):
                units = zip(content, places, strict=True)
                page.record[self.content_key] = [unit for unit, place in units if place == 0]
            values.append((float(min(places, default=math.inf)),))
        return values

    def _content(self, page: Page) -> object:
        return page.text if self.content_key == "text" else page.record.get(self.content_key)

    def _units(self, page: Page) -> list[str] | None:
        """The units of a page; None without the field. A number or an object is one unit, its JSON."""
        content = self._content(page)
        if content is None:
            return None
        if _has_units(content):
            return list(content)
        return [content if isinstance(content, str) else json.dumps(content, sort_keys=True)]


def _has_units(content: object) -> TypeGuard[list[str]]:
    return isinstance(content, list) and all(isinstance(unit, str) for unit in content)


def exact_dedup(
    content_key: str = "text",
    normalize: str | None = None,
    selection_key: str | None = None,
    selection_normalize: str | None = None,
    selection_reverse: bool = False,
) -> ExactDedup:
    """The step that keeps one of pages (or units) with the same content.

    Args:
        content_key: The field that is compared; a list has its members as units.
        normalize: normalize_url, normalize_whitespace_and_lowercase, normalize_timestamps or hash_text.
        selection_key: A field; the copy with the lowest value stays.
        selection_normalize: How the field is read: hash_text for texts, normalize_timestamps for times.
        selection_reverse: Whether the copy with the highest value stays.

    Raises:
        InputError: a normaliser is unknown.
    """
    require_normalizer(normalize, "exact_dedup: normalize")
    require_normalizer(selection_normalize, "exact_dedup: selection_normalize")
    return ExactDedup(
        "exact_dedup", content_key, normalize, selection_key, selection_normalize, selection_reverse
    )


def url_dedup(
    content_key: str = "url",
    normalize: str | None = "normalize_url",
    selection_key: str | None = None,
    selection_normalize: str | None = None,
    selection_reverse: bool = False,
) -> ExactDedup:
    """The step that keeps one page of each URL; parameters as in `exact_dedup`."""
    require_normalizer(normalize, "url_dedup: normalize")
    require_normalizer(selection_normalize, "url_dedup: selection_normalize")
    return ExactDedup(
        "url_dedup", content_key, normalize, selection_key, selection_normalize, selection_reverse
    )
