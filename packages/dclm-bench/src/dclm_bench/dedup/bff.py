"""BFF: paragraphs and pages whose n-grams have been seen before, by a Bloom filter in one pass.

Three functions make it up, each on many pages at once. `collect_units` turns texts into shingles and needs
nothing else, `decide_units` takes them through the filter in their order, and `cut` removes the spans that it
found. The verdict on a page depends on all pages before it, so the middle part runs alone.

The modes are those of the official tool, to the letter:

- "paragraph": a paragraph is removed where more than the threshold of its shingles are in the filter; else
  all its shingles are inserted, after all of them were looked up.
- "document": the same with the page as the only unit.
- "old-both" (DCLM-Baseline): "paragraph", and a page is emptied where more than the threshold of its
  shingles, all paragraphs taken together, were found. Its other paragraphs are in the filter by then.
- "both": shingles run across paragraphs, thresholds are inclusive, and shingles that touch a removed
  paragraph are not inserted. The official loop never leaves the first paragraph (it compares with the
  paragraph's beginning where its end is meant), so only that one can be removed; `compat="fixed"` mends it.
- "naive-both": "document", then "paragraph" for the pages kept. The first of these has inserted what the
  second looks up, so a page that survives as a whole loses every paragraph of n tokens or more: the
  official bug that users met as "more than 90 % removed". It is kept since it is what the name says.
- "substring": runs of tokens that were seen (at least `substring_tokens` long after near ones were joined,
  forwards and backwards) are cut out. The official code joins the two lists as if both were ascending, and so
  loses some of the backward joins; `compat="fixed"` keeps them.
- "exact": the whole text is one key.

Source: arXiv 2406.11794, section 4.2 and its appendix; official `dedup/bff/src/main.rs`.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from dclm_bench.dedup.bff_passes import crossing_pass, locate_shingles, naive_pass, removed_spans, unit_pass
from dclm_bench.dedup.bff_substring import substring_pass
from dclm_bench.dedup.bloom_filter import BloomFilter
from dclm_bench.dedup.shingles import (
    WHITE_SPACE,
    Tokens,
    paragraph_starts,
    text_hashes,
    tokens_of,
    unit_shingles,
)
from dclm_bench.steps.step import Arrays

Int64s = npt.NDArray[np.int64]
Mode = Literal["paragraph", "document", "both", "naive-both", "old-both", "substring", "exact"]
MODES: tuple[Mode, ...] = ("paragraph", "document", "both", "naive-both", "old-both", "substring", "exact")


@dataclass(frozen=True)
class BffOptions:
    """What BFF looks for.

    Attributes:
        mode: Which spans are removed.
        min_ngram: Fewest tokens of a paragraph (or page) that is looked at.
        max_ngram: Tokens of a shingle.
        threshold: Fraction of shingles above which a unit is removed; in mode "substring" the fraction of a
            joined span that must have been seen.
        substring_tokens: Fewest tokens of a span in mode "substring".
        update: Whether shingles are inserted; without it the filter is only asked.
        fixed: Whether the two defects of the official loops ("both", "substring") are mended.
    """

    mode: Mode = "old-both"
    min_ngram: int = 13
    max_ngram: int = 13
    threshold: float = 0.8
    substring_tokens: int = 50
    update: bool = True
    fixed: bool = False

    @property
    def cuts_pages(self) -> bool:
        """Whether a page can be removed for the fraction of all its shingles that were found."""
        return self.mode in ("document", "both", "naive-both", "old-both")


def collect_units(texts: Sequence[str], options: BffOptions) -> Arrays:
    """The shingles of the texts, and where their units begin.

    Returns:
        `shingles` uint64 [shingles]; `unit_shingles` int64 [units], how many each unit has; `page_units`
        int64 [pages]; `unit_starts` int64 [units] and `page_lengths` int64 [pages] in code points from the
        page's beginning. Mode "naive-both" adds `document_shingles` and `page_document_shingles` [pages],
        "both" `shingle_units` (the unit of the page that holds each shingle, or -1) and `shingle_ends`
        (where the last token of each begins), and "substring" `token_starts` and `page_tokens` [pages].
    """
    tokens = tokens_of(texts)
    lengths, page_starts = tokens.lengths(), tokens.text_starts
    smallest, largest = options.min_ngram, options.max_ngram
    if options.mode in ("document", "exact"):
        units = _whole_pages(lengths)
        if options.mode == "exact":
            return {**units, "shingles": text_hashes(tokens), "unit_shingles": np.ones(len(texts), np.int64)}
        shingles, counts = unit_shingles(tokens, page_starts, smallest, largest)
        return {**units, "shingles": shingles, "unit_shingles": counts}
    if options.mode == "substring":
        shingles, counts = unit_shingles(tokens, page_starts, largest, largest)
        first = np.searchsorted(tokens.starts, page_starts)
        starts = tokens.starts - np.repeat(page_starts[:-1], np.diff(first))
        found = {"shingles": shingles, "unit_shingles": counts, "token_starts": starts}
        return {**_whole_pages(lengths), **found, "page_tokens": np.diff(first)}
    starts, page_units = paragraph_starts(tokens)
    units = {
        "page_units": page_units,
        "page_lengths": lengths,
        "unit_starts": starts[:-1] - np.repeat(page_starts[:-1], page_units),
    }
    if options.mode == "both":
        return {**units, **_crossing_shingles(tokens, starts, page_units, options)}
    shingles, counts = unit_shingles(tokens, starts, smallest, largest)
    units |= {"shingles": shingles, "unit_shingles": counts}
    if options.mode == "naive-both":
        shingles, counts = unit_shingles(tokens, page_starts, smallest, largest)
        units |= {"document_shingles": shingles, "page_document_shingles": counts}
    return units


def decide_units(collected: Arrays, bloom: BloomFilter, options: BffOptions) -> Arrays:
    """Take pages through the filter in their order; what was collected of them says all.

    Args:
        collected: From `collect_units`, with the same options.
        bloom: Asked, and filled where `options.update`.
        options: What is looked for.

    Returns:
        `spans` int64 [spans, 2], what to cut, in code points of the page; `page_spans` int64 [pages];
        `contained` and `total` int64 [pages], the shingles found and all shingles; `kept_from` int64 [pages],
        before which nothing is kept.
    """
    state = (bloom.bits, np.uint64(bloom.num_bits), bloom.num_hashes, np.uint64(bloom.seed))
    shingles, counts, page_units = (collected[key] for key in ("shingles", "unit_shingles", "page_units"))
    limit, update = options.threshold, options.update
    if options.mode == "substring":
        ngram, fewest = options.max_ngram, options.substring_tokens
        places = (collected["token_starts"], collected["page_tokens"], collected["page_lengths"])
        spans, page_spans, contained, inserted = substring_pass(
            *state, shingles, counts, *places, ngram, fewest, limit, update, options.fixed
        )
        bloom.num_inserted += int(inserted)
        found = {"spans": spans, "page_spans": page_spans, "contained": contained, "total": counts}
        return {**found, "kept_from": _first_tokens(collected)}
    if options.mode == "naive-both":
        pages = (collected["document_shingles"], collected["page_document_shingles"])
        removed, whole, contained, total, inserted = naive_pass(
            *state, *pages, shingles, counts, page_units, limit, update
        )
    elif options.mode == "both":
        places = (collected["shingle_units"], collected["shingle_ends"], collected["unit_starts"])
        removed, whole, contained, total, inserted = crossing_pass(
            *state, shingles, counts, *places, page_units, limit, update
        )
    else:
        # a whole text is one key, found or not; the threshold has no part in it
        limit = 0.5 if options.mode == "exact" else limit
        removed, whole, contained, total, inserted = unit_pass(
            *state, shingles, counts, page_units, limit, update
        )
    bloom.num_inserted += int(inserted)
    spans, page_spans = removed_spans(
        removed, whole, page_units, collected["unit_starts"], collected["page_lengths"]
    )
    found = {"spans": spans, "page_spans": page_spans, "contained": contained, "total": total}
    return {**found, "kept_from": np.zeros(len(page_units), np.int64)}


def cut(text: str, spans: Int64s, options: BffOptions, *, kept_from: int = 0, total: int = 1) -> str:
    """The text without the spans, as the official tool leaves it.

    In the modes "both" and "substring" that tool also takes white space from the end, and in the latter what
    stands before the first token; not so from a page without a shingle (`total` 0).
    """
    if total == 0:
        return text
    pieces, place = [], kept_from
    for start, end in spans.tolist():
        pieces.append(text[place:start])
        place = end
    kept = "".join([*pieces, text[place:]])
    return kept.rstrip(WHITE_SPACE) if options.mode in ("both", "substring") else kept


def _first_tokens(collected: Arrays) -> Int64s:
    """int64 [pages]: where the first token begins; 0 for a page without one."""
    counts, starts = collected["page_tokens"], collected["token_starts"]
    first = np.cumsum(counts) - counts
    return np.where(counts > 0, starts[np.minimum(first, max(len(starts) - 1, 0))] if len(starts) else 0, 0)


def _whole_pages(lengths: Int64s) -> Arrays:
    """The pages as their own units."""
    return {
        "page_units": np.ones(len(lengths), np.int64),
        "page_lengths": lengths,
        "unit_starts": np.zeros(len(lengths), np.int64),
    }


def _crossing_shingles(tokens: Tokens, starts: Int64s, page_units: Int64s, options: BffOptions) -> Arrays:
    """Shingles over whole pages, each with the paragraph that holds it."""
    shingles, counts = unit_shingles(tokens, tokens.text_starts, options.min_ngram, options.max_ngram)
    first = np.searchsorted(tokens.starts, tokens.text_starts)
    units, ends = locate_shingles(
        tokens.starts, first, tokens.text_starts, starts, page_units, counts, options.max_ngram, options.fixed
    )
    return {"shingles": shingles, "unit_shingles": counts, "shingle_units": units, "shingle_ends": ends}
