"""Repeated spans as a step of a recipe: they are cut out of the pages."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.dedup.batches import joined, text_batches
from dclm_bench.dedup.shingles import WHITE_SPACE, tokens_of
from dclm_bench.dedup.suffix import Bools, Int64s, Keep, repeated_tokens
from dclm_bench.steps.step import Arrays, Rule
from dclm_bench.text.compiled import compiled

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class SuffixDedup:
    """The corpus step; `suffix_dedup` makes it and tells its parameters.

    Attributes:
        min_tokens: Fewest tokens of a span.
        keep: Whether the first occurrence stays.
    """

    min_tokens: int
    keep: Keep
    func: str = "suffix_dedup"
    edits: bool = True
    rules: tuple[Rule, ...] = (Rule("min_characters_left", ">=", 1),)

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """`hashes`, `starts` and `ends` [tokens], the places in the page, and `page_tokens` [pages]."""
        return joined([_tokens_in_pages(batch) for batch in text_batches([page.text for page in pages])])

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """`spans` int64 [spans, 2] in code points of the page, and `page_spans` int64 [pages].

        The hashes of all tokens of the corpus are held in memory, and some forty bytes more for each.
        """
        shards = [{name: arrays[name] for name in ("hashes", "page_tokens")} for arrays in collected()]
        if not shards:
            return
        every = joined(shards)
        removed = repeated_tokens(
            every["hashes"], every["page_tokens"], min_tokens=self.min_tokens, keep=self.keep
        )
        share = removed.mean() if len(removed) else 0.0
        logger.info("suffix_dedup: %d of %d tokens removed (%.2g)", removed.sum(), len(removed), share)
        start = 0
        for arrays in collected():
            end = start + len(arrays["starts"])
            spans, page_spans = _token_spans(
                removed[start:end], arrays["starts"], arrays["ends"], arrays["page_tokens"]
            )
            yield {"spans": spans, "page_spans": page_spans}
            start = end

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """Cut the spans; the value is the number of characters left, without white space at the ends."""
        ends = np.cumsum(decided["page_spans"])
        values: list[Sequence[float]] = []
        for number, page in enumerate(pages):
            spans = decided["spans"][ends[number] - decided["page_spans"][number] : ends[number]].tolist()
            pieces, place = [], 0
            for start, end in spans:
                pieces.append(page.text[place:start])
                place = end
            page.text = "".join([*pieces, page.text[place:]])
            page.record["suffix_dedup_num_spans"] = len(spans)
            values.append((float(len(page.text.strip(WHITE_SPACE))),))
        return values


def _tokens_in_pages(texts: Sequence[str]) -> Arrays:
    tokens = tokens_of(texts)
    counts = np.diff(np.searchsorted(tokens.starts, tokens.text_starts))
    shift = np.repeat(tokens.text_starts[:-1], counts)
    return {
        "hashes": tokens.hashes,
        "starts": tokens.starts - shift,
        "ends": tokens.ends - shift,
        "page_tokens": counts,
    }


@compiled
def _token_spans(removed: Bools, starts: Int64s, ends: Int64s, page_tokens: Int64s) -> tuple[Int64s, Int64s]:
    """The spans of tokens in a row that are removed, from the first's beginning to the last's end."""
    spans = np.empty((len(removed), 2), np.int64)
    page_spans = np.zeros(len(page_tokens), np.int64)
    count, token = 0, 0
    for page in range(len(page_tokens)):
        inside = False
        for _ in range(page_tokens[page]):
            if removed[token] and inside:
                spans[count - 1, 1] = ends[token]
            elif removed[token]:
                spans[count, 0], spans[count, 1] = starts[token], ends[token]
                count += 1
                page_spans[page] += 1
            inside = removed[token]
            token += 1
    return spans[:count].copy(), page_spans


def suffix_dedup(min_tokens: int = 50, keep: Keep = "first") -> SuffixDedup:
    """The step that cuts out every span of at least `min_tokens` tokens that stands elsewhere in the corpus.

    Args:
        min_tokens: Fewest tokens of a span; 50 in the paper.
        keep: "first" leaves the first occurrence, "none" no occurrence.

    Raises:
        InputError: a parameter is out of range.

    Source: Lee et al. (2021), ExactSubstr; see `dedup.suffix`.
    """
    if min_tokens < 1:
        raise InputError(f"suffix_dedup: min_tokens {min_tokens} is below 1")
    if keep not in ("first", "none"):
        raise InputError(f"suffix_dedup: keep '{keep}' is neither first nor none")
    return SuffixDedup(min_tokens, keep)
