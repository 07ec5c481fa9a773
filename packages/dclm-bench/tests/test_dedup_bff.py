"""Every mode of BFF against its plainest form.

The oracle has words as strings, a set for the filter and one page at a time. It was written from the
description of the official program, for pages whose words are runs of letters between white space. With a
set in place of a Bloom filter there are no false positives, so the answer is exact.
"""

import re
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from bff_verdicts import by_filter
from dclm_bench.dedup.bff import BffOptions
from dclm_bench.dedup.bloom_filter import BloomFilter
from hypothesis import given, settings
from hypothesis import strategies as st

MODES = ["paragraph", "document", "old-both", "naive-both", "both", "substring"]

Span = tuple[int, int]


def words(text: str, start: int = 0) -> list[tuple[str, int]]:
    """Each word and where it begins."""
    return [(found.group(), start + found.start()) for found in re.finditer(r"[^\s]+", text)]


def paragraphs(text: str) -> list[Span]:
    """Spans between line feeds, each beginning with its line feed."""
    places = [0, *[i for i, character in enumerate(text) if character == "\n"], len(text)]
    return list(pairwise(places))


def grams(tokens: list[str], smallest: int, largest: int) -> list[tuple[str, ...]]:
    """The n-grams of a unit."""
    if len(tokens) >= largest:
        return [tuple(tokens[i : i + largest]) for i in range(len(tokens) - largest + 1)]
    return [tuple(tokens)] if len(tokens) >= smallest else []


class Oracle:
    """One filter, and the official modes on it."""

    def __init__(self, smallest: int, largest: int, threshold: float, fewest: int = 50) -> None:
        self.seen: set[tuple[str, ...]] = set()
        self.smallest, self.largest, self.threshold, self.fewest = smallest, largest, threshold, fewest

    def unit(self, text: str, span: Span) -> tuple[bool, int, int]:
        """Look a unit up and insert it unless it is removed; whether it is, found and all n-grams."""
        tokens = [word for word, _ in words(text[span[0] : span[1]])]
        keys = grams(tokens, self.smallest, self.largest)
        found = sum(key in self.seen for key in keys)
        gone = bool(keys) and found / len(keys) > self.threshold
        if not gone:
            self.seen.update(keys)
        return gone, found, len(keys)

    def paragraph(self, text: str) -> tuple[list[Span], int, int]:
        spans, contained, total = [], 0, 0
        for span in paragraphs(text):
            gone, found, size = self.unit(text, span)
            contained, total = contained + found, total + size
            spans += [span] * gone
        return spans, contained, total

    old_both = paragraph  # the page is emptied by its counts

    def document(self, text: str) -> tuple[list[Span], int, int]:
        gone, found, size = self.unit(text, (0, len(text)))
        return [(0, len(text))] * gone, found, size

    def naive_both(self, text: str) -> tuple[list[Span], int, int]:
        spans, found, size = self.document(text)
        return (spans, found, size) if spans else (self.paragraph(text)[0], found, size)

    def both(self, text: str, *, fixed: bool) -> tuple[list[Span], int, int]:
        tokens = words(text)
        spans = paragraphs(text)
        keys = grams([word for word, _ in tokens], self.smallest, self.largest)
        hits = [key in self.seen for key in keys]
        contained, total = sum(hits), len(keys)
        if total and contained / total >= self.threshold:
            return [(0, len(text))], contained, total
        full = len(tokens) >= self.largest
        ends = [tokens[i + self.largest - 1][1] if full else len(text) for i in range(total)]
        homes = []
        for i in range(total):
            if not fixed:
                home = 0
            else:
                home = next(n for n, span in enumerate(spans) if span[0] <= tokens[i][1] < span[1])
            homes.append(home if full and ends[i] < spans[home][1] else None)
        removed = []
        crossing = [i for i in range(total) if homes[i] is None]
        for n, span in enumerate(spans):
            own = [i for i in range(total) if homes[i] == n]
            gone = bool(own) and sum(hits[i] for i in own) / len(own) >= self.threshold
            if gone:
                removed.append(span)
            else:
                self.seen.update(keys[i] for i in own)
            while crossing and full:
                if ends[crossing[0]] < span[0]:
                    self.seen.add(keys[crossing.pop(0)])
                elif gone:
                    crossing.pop(0)
                else:
                    break
        self.seen.update(keys[i] for i in crossing)
        return removed, contained, total

    def bridged(self, intervals: list[Span], *, forward: bool) -> list[Span]:
        found: list[tuple[int, int, int]] = []
        for start, end in intervals if forward else intervals[::-1]:
            if found:
                low, high, seen = found[-1]
                joined = (min(low, start), max(high, end), seen + end - start)
                if joined[2] >= (joined[1] - joined[0]) * self.threshold:
                    found[-1] = joined
                    continue
            found.append((start, end, end - start))
        return [(low, high) for low, high, _ in found]

    @staticmethod
    def united(first: list[Span], second: list[Span]) -> list[Span]:
        first, second, taken = list(first), list(second), []
        while first and second:
            taken.append((first if first[0] <= second[0] else second).pop(0))
        merged: list[Span] = []
        for start, end in [*taken, *first, *second]:
            if merged and merged[-1][1] >= start:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def substring(self, text: str, *, fixed: bool) -> tuple[list[Span], int, int]:
        tokens = words(text)
        n = self.largest
        keys = grams([word for word, _ in tokens], n, n)
        hits = [key in self.seen for key in keys]
        covered = [any(hits[max(0, i - n + 1) : i + 1]) for i in range(len(tokens))]
        intervals: list[Span] = []
        for i in range(len(keys)):
            if hits[i] and intervals and intervals[-1][1] >= i:
                intervals[-1] = (intervals[-1][0], i + n)
            elif hits[i]:
                intervals.append((i, i + n))
        assert sum(covered) == sum(end - start for start, end in intervals)
        if self.threshold < 1:
            backward = self.bridged(intervals, forward=False)
            intervals = self.united(
                self.bridged(intervals, forward=True), sorted(backward) if fixed else backward
            )
        intervals = [(s, e) for s, e in intervals if e - s >= self.fewest]
        inside = [any(s <= i < e for s, e in intervals) for i in range(len(tokens))]
        for i, key in enumerate(keys):
            if not any(inside[i : i + n]):
                self.seen.add(key)
        places = [place for _, place in tokens] + [len(text)]
        return [(places[s], places[e]) for s, e in intervals], sum(hits), len(keys)


def oracle_of(options: BffOptions) -> Callable[[str], Any]:
    """The oracle's function for a mode."""
    one = Oracle(options.min_ngram, options.max_ngram, options.threshold, options.substring_tokens)
    found = getattr(one, options.mode.replace("-", "_"))
    if options.mode in ("both", "substring"):
        return lambda text: found(text, fixed=options.fixed)
    return found  # type: ignore[no-any-return]


@st.composite
def corpora(draw: st.DrawFn) -> list[str]:
    """Pages of few words, with blank lines, odd white space, and paragraphs that come again."""
    blanks = st.sampled_from([" ", "  ", "\n", "\n\n", "\t", "\r\n", "\u2003"])
    word = st.sampled_from(["a", "b", "cc", "d9"])
    pairs = st.lists(st.tuples(word, blanks).map("".join), max_size=9)
    paragraph = pairs.map("".join)
    pool = draw(st.lists(paragraph.map(lambda text: f"a b {text}"), min_size=1, max_size=3))
    piece = st.one_of(paragraph, st.sampled_from(pool))
    return draw(st.lists(st.lists(piece, max_size=4).map("\n".join), min_size=1, max_size=6))


@pytest.mark.parametrize(
    ("mode", "fixed"), [*((mode, False) for mode in MODES), ("both", True), ("substring", True)]
)
def test_every_mode_gives_the_spans_and_counts_of_the_exact_oracle(mode: Any, fixed: bool) -> None:
    # given short n-grams, so that much is seen twice, and a set in place of the filter
    for smallest, largest, threshold in [(3, 3, 0.8), (2, 3, 0.5), (1, 2, 0.0), (2, 2, 1.0)]:
        check(BffOptions(mode, smallest, largest, threshold, substring_tokens=4, fixed=fixed))


def check(options: BffOptions) -> None:
    """The filter and the oracle agree on generated corpora."""

    @settings(max_examples=25)
    @given(corpora())
    def agree(texts: list[str]) -> None:
        oracle = oracle_of(options)
        assert by_filter(texts, options, BloomFilter.for_ngrams(2000, 1e-9)) == [
            oracle(text) for text in texts
        ]

    agree()
