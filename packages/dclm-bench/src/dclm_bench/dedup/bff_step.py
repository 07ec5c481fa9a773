"""BFF as a step of a recipe."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.dedup.batches import joined, text_batches
from dclm_bench.dedup.bff import MODES, BffOptions, Mode, collect_units, cut, decide_units
from dclm_bench.dedup.bloom_filter import BloomFilter, filter_bytes
from dclm_bench.dedup.capacity import report_filter, require_capacity
from dclm_bench.dedup.shingles import WHITE_SPACE
from dclm_bench.steps.step import Arrays, Compat, Rule

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class BffDedup:
    """The corpus step; `bff_dedup` makes it and tells its parameters.

    Attributes:
        options: What is looked for.
        expected_ngrams: What the filter is made for; None: the n-grams of the corpus are counted first.
        fp_rate: Rate of false positives an n-gram.
        num_hashes: Positions an n-gram; 0: the best number.
        seed: Of the positions.
        start: File of the filter to go on with, or None.
        save: File in which the filter is left, or None.
        annotate: Whether texts stay as they are and spans are noted.
        on_overfull: Whether a filter that is too small stops the run.
    """

    options: BffOptions
    expected_ngrams: int | None
    fp_rate: float
    num_hashes: int
    seed: int
    start: str | None
    save: str | None
    annotate: bool
    on_overfull: Literal["refuse", "warn"]
    func: str = "bff_dedup"

    @property
    def edits(self) -> bool:
        """Text is cut, unless spans are only noted."""
        return not self.annotate

    @property
    def rules(self) -> tuple[Rule, ...]:
        """None where spans are only noted; the fraction is that of the page's shingles, NaN without one."""
        if self.annotate:
            return ()
        left = Rule("min_characters_left", ">=", 1)
        if not self.options.cuts_pages:
            return (left,)
        keep: Literal["<", "<="] = "<" if self.options.mode == "both" else "<="
        return Rule("max_contained_fraction", keep, self.options.threshold), left

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """Shingles and where units begin, as `collect_units` gives them."""
        texts = [page.text for page in pages]
        return joined([collect_units(batch, self.options) for batch in text_batches(texts)])

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """What `decide_units` gives, shard by shard, and the filter at the end.

        Raises:
            InputError: the filter is too small for the n-grams, or the file of a filter cannot be used.
        """
        bloom = self.first_filter(collected)
        units: list[npt.NDArray[np.int64]] = []
        pages: list[npt.NDArray[np.int64]] = []
        shards = collected()
        arrays = next(shards, None)
        while arrays is not None:
            decided = decide_units(arrays, bloom, self.options)
            units.append(arrays["unit_shingles"])
            pages.append(page_shingles(arrays))
            self._check(bloom, collected)
            arrays = next(shards, None)
            if arrays is None:
                # before the last shard is handed over: whoever has all of them may not come back
                self._finish(bloom, units, pages)
            yield decided

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """Cut the pages, or note what would be cut."""
        ends = np.cumsum(decided["page_spans"])
        values: list[Sequence[float]] = []
        for number, page in enumerate(pages):
            spans = decided["spans"][ends[number] - decided["page_spans"][number] : ends[number]]
            contained, total = int(decided["contained"][number]), int(decided["total"][number])
            if self.annotate:
                self._note(page, spans.tolist(), contained)
                values.append(())
                continue
            kept_from = int(decided["kept_from"][number])
            page.text = cut(page.text, spans, self.options, kept_from=kept_from, total=total)
            page.record["bff_contained_ngram_count_before_dedupe"] = contained
            left = len(page.text.strip(WHITE_SPACE))
            fraction = contained / total if total else float("nan")
            values.append((fraction, left) if self.options.cuts_pages else (left,))
        return values

    def first_filter(self, collected: Callable[[], Iterator[Arrays]]) -> BloomFilter:
        """The filter before the first page."""
        ngram_size = 0 if self.options.mode == "exact" else self.options.max_ngram
        if self.start is not None:
            bloom = BloomFilter.load(self.start)
            if bloom.ngram_size != ngram_size:
                raise InputError(
                    f"{self.start}: holds n-grams of {bloom.ngram_size} tokens, not of {ngram_size}; "
                    f"give a filter that was made with the same max_ngram_size"
                )
            return bloom
        count = self.expected_ngrams
        if count is None:
            count = count_ngrams(collected)
        return BloomFilter.for_ngrams(
            max(count, 1), self.fp_rate, ngram_size=ngram_size, seed=self.seed, num_hashes=self.num_hashes
        )

    def _finish(
        self, bloom: BloomFilter, units: list[npt.NDArray[np.int64]], pages: list[npt.NDArray[np.int64]]
    ) -> None:
        threshold = 0.5 if self.options.mode == "exact" else self.options.threshold
        logger.info("bff_dedup: %s", report_filter(bloom, self.fp_rate, threshold, units, pages))
        if self.save is not None:
            bloom.save(self.save)

    def _check(self, bloom: BloomFilter, collected: Callable[[], Iterator[Arrays]]) -> None:
        if not self.options.update:
            return
        try:
            require_capacity(bloom, self.fp_rate, "bff_dedup", 0)
        except InputError:
            before = BloomFilter.load(self.start).num_inserted if self.start is not None else 0
            try:
                require_capacity(bloom, self.fp_rate, "bff_dedup", before + count_ngrams(collected))
            except InputError as error:
                if self.on_overfull == "refuse":
                    raise
                logger.warning("%s", error)

    def _note(self, page: Page, spans: list[list[int]], contained: int) -> None:
        if self.options.mode == "exact":
            if spans:
                page.record["bff_exact_duplicate"] = True
            return
        page.record["bff_duplicate_spans"] = [
            [len(page.text[:place].encode("utf-8", "surrogatepass")) for place in span] for span in spans
        ]
        page.record["bff_contained_ngram_count"] = contained


def page_shingles(arrays: Arrays) -> npt.NDArray[np.int64]:
    """int64 [pages]: shingles that decide on each page."""
    if "page_document_shingles" in arrays:
        return arrays["page_document_shingles"]
    counts, page_units = arrays["unit_shingles"], arrays["page_units"]
    if len(counts) == len(page_units):
        return counts
    ends = np.cumsum(page_units)
    sums = np.concatenate([[0], np.cumsum(counts)])
    found: npt.NDArray[np.int64] = sums[ends] - sums[ends - page_units]
    return found


def count_ngrams(collected: Callable[[], Iterator[Arrays]]) -> int:
    """All shingles of the corpus, repeats counted: what a filter has to hold at most."""
    names = ("shingles", "document_shingles")
    return sum(len(arrays[name]) for arrays in collected() for name in names if name in arrays)


def bff_dedup(
    remove_type: Mode = "old-both",
    expected_ngram_count: int | None = None,
    fp_rate: float = 0.01,
    min_ngram_size: int = 13,
    max_ngram_size: int = 13,
    filtering_threshold: float = 0.8,
    substr_seqlen: int = 50,
    num_hashers: int = 0,
    no_update_bloom_filter: bool = False,
    annotate: bool = False,
    bloom_filter_file: str | None = None,
    save_bloom_filter: str | None = None,
    on_overfull: Literal["refuse", "warn"] = "refuse",
    seed: int = 0,
    compat: Compat = "official",
) -> BffDedup:
    """The step that removes what a Bloom filter over n-grams has seen before.

    The names are the official ones; the defaults are those of DCLM-Baseline (13, 13, old-both), where the
    official program has 20, 20, paragraph. Three things differ from it. The n-grams are counted when
    `expected_ngram_count` is not given. A filter is read from `bloom_filter_file` and left in
    `save_bloom_filter`, not in the same file, so that a run can be repeated. And with `annotate` the other
    fields of a record stay.

    Args:
        remove_type: One of the modes that `dclm_bench.dedup.bff` tells.
        expected_ngram_count: What the filter is made for; None: counted first.
        fp_rate: Rate of false positives an n-gram.
        min_ngram_size: Fewest tokens of a paragraph that is looked at.
        max_ngram_size: Tokens of an n-gram.
        filtering_threshold: Fraction of n-grams above which a paragraph or a page goes.
        substr_seqlen: Fewest tokens of a span that remove_type "substring" cuts.
        num_hashers: Positions an n-gram; 0: the best number for the size.
        no_update_bloom_filter: Ask the filter without filling it.
        annotate: Note spans (in bytes of UTF-8) instead of cutting them.
        bloom_filter_file: A filter to go on with; its size and number of hashes are its own.
        save_bloom_filter: Where to leave the filter.
        on_overfull: Whether a filter that is too small stops the run or is only logged.
        seed: Of the filter's positions.
        compat: "fixed" mends the official loops of "both" and "substring".

    Raises:
        InputError: a parameter is out of range.

    Source: arXiv 2406.11794, section 4.2; official `dedup/bff`.
    """
    options = BffOptions(
        mode=remove_type,
        min_ngram=min_ngram_size,
        max_ngram=max_ngram_size,
        threshold=filtering_threshold,
        substring_tokens=substr_seqlen,
        update=not no_update_bloom_filter,
        fixed=compat == "fixed",
    )
    step = BffDedup(
        options=options,
        expected_ngrams=expected_ngram_count,
        fp_rate=fp_rate,
        num_hashes=num_hashers,
        seed=seed,
        start=bloom_filter_file,
        save=save_bloom_filter,
        annotate=annotate,
        on_overfull=on_overfull,
    )
    _require_in_range(step)
    return step


def _require_in_range(step: BffDedup) -> None:
    """Refuse parameters with which nothing could be done; the messages have their official names."""
    given = step.options
    if given.mode not in MODES:
        raise InputError(f"bff_dedup: remove_type '{given.mode}' is none of {', '.join(MODES)}")
    if not 1 <= given.min_ngram <= given.max_ngram:
        raise InputError(
            f"bff_dedup: min_ngram_size {given.min_ngram} and max_ngram_size {given.max_ngram} are no range; "
            "give 1 <= min <= max"
        )
    if not 0 <= given.threshold <= 1:
        raise InputError(f"bff_dedup: filtering_threshold {given.threshold} is not between 0 and 1")
    if step.expected_ngrams is not None and step.expected_ngrams < 1:
        raise InputError(f"bff_dedup: expected_ngram_count {step.expected_ngrams} is below 1; leave it out")
    if given.substring_tokens < 1 or step.num_hashes < 0 or step.seed < 0:
        raise InputError("bff_dedup: substr_seqlen must be at least 1, num_hashers and seed at least 0")
    if step.on_overfull not in ("refuse", "warn"):
        raise InputError(f"bff_dedup: on_overfull '{step.on_overfull}' is neither refuse nor warn")
    if step.start is not None and step.save is not None:
        if Path(step.start).resolve() == Path(step.save).resolve():
            raise InputError(
                f"bff_dedup: save_bloom_filter is the file that is read, {step.start}; name another, or a "
                "repeated run would find every page in it"
            )
    filter_bytes(1, step.fp_rate, num_hashes=step.num_hashes)  # refuses a rate that is none
