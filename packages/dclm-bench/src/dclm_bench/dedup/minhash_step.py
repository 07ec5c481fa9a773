"""MinHash as a step of a recipe: of pages that are near copies of each other, one stays."""

import logging
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from dclm_bench.data.page import Page
from dclm_bench.dedup.batches import joined, text_batches
from dclm_bench.dedup.clusters import all_roots, places_in_groups, selection_of, unite_equal, unite_similar
from dclm_bench.dedup.minhash import PRESETS, MinHashOptions, band_keys, page_shingles, signatures
from dclm_bench.dedup.normalizers import require_normalizer
from dclm_bench.steps.step import Arrays, Rule

logger = logging.getLogger(__name__)

Int64s = npt.NDArray[np.int64]

# Bytes of band keys that are held at once; for a corpus with more, the shards are read several times.
_KEY_BYTES = 1 << 30


@dataclass(frozen=True)
class MinHashDedup:
    """The corpus step; `minhash_dedup` makes it and tells its parameters.

    Attributes:
        options: What a signature is made of.
        min_similarity: Smallest estimated similarity of candidates that are taken for copies, or None.
        selection_key: The field that decides which copy stays, or None.
        selection_normalize: How that field is read, or None.
        selection_reverse: Whether its highest value stays.
        device: Where torch makes the signatures; None: the compiled loop makes them.
    """

    options: MinHashOptions
    min_similarity: float | None
    selection_key: str | None
    selection_normalize: str | None
    selection_reverse: bool
    device: str | None = None
    func: str = "minhash_dedup"
    edits: bool = False
    rules: tuple[Rule, ...] = (Rule("copies_before", "<=", 0),)

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """`keys` uint64 [pages, bands], `shingles` int64 [pages], and what else the decision needs."""
        found = joined([self._collect(batch) for batch in text_batches([page.text for page in pages])])
        if self.selection_key is not None:
            found |= selection_of(pages, self.selection_key, self.selection_normalize, self.func)
        return found

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """`copies_before`, `cluster` (number of its first page) and `cluster_size`, int64 [pages] each."""
        shards = [(len(arrays["shingles"]), arrays["shingles"] > 0) for arrays in collected()]
        ends = np.cumsum([0, *(size for size, _ in shards)])
        solid = np.flatnonzero(np.concatenate([*(some for _, some in shards), np.zeros(0, np.bool_)]))
        roots = self._clusters(collected, ends, solid)
        places = places_in_groups(roots, self._selection(collected), reverse=self.selection_reverse)
        sizes = np.bincount(roots, minlength=len(roots))[roots]
        logger.info(
            "minhash_dedup: %d pages in %d clusters, %d of them with copies",
            len(roots),
            np.sum(places == 0),
            np.sum((places == 0) & (sizes > 1)),
        )
        for start, end in pairwise(ends):
            part = slice(start, end)
            yield {"copies_before": places[part], "cluster": roots[part], "cluster_size": sizes[part]}

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """Note the cluster of each page; the value is the number of its copies that are preferred to it."""
        for number, page in enumerate(pages):
            page.record["minhash_cluster"] = int(decided["cluster"][number])
            page.record["minhash_cluster_size"] = int(decided["cluster_size"][number])
        return [(float(places),) for places in decided["copies_before"]]

    def _collect(self, texts: Sequence[str]) -> Arrays:
        if self.device is None:
            found, counts = signatures(texts, self.options)
        else:
            from dclm_bench.dedup.minhash_torch import signatures_by_torch

            shingles, counts = page_shingles(texts, self.options)
            found = signatures_by_torch(shingles, counts, self.options, device=self.device)
        arrays: Arrays = {"keys": band_keys(found, self.options.bands), "shingles": counts}
        if self.min_similarity is not None:
            arrays["signatures"] = found
        return arrays

    def _clusters(self, collected: Callable[[], Iterator[Arrays]], ends: Int64s, solid: Int64s) -> Int64s:
        """int64 [pages]: the first page of the cluster of each page, found some bands at a time."""
        num_pages, bands = int(ends[-1]), self.options.bands
        parents = np.arange(num_pages)
        at_once = max(1, min(bands, _KEY_BYTES // max(8 * num_pages, 1)))
        known = None
        if self.min_similarity is not None:
            known = np.concatenate([arrays["signatures"] for arrays in collected()])
        for first in range(0, bands, at_once):
            keys = np.empty((min(at_once, bands - first), num_pages), np.uint64)
            for number, arrays in enumerate(collected()):
                keys[:, ends[number] : ends[number + 1]] = arrays["keys"][:, first : first + at_once].T
            for band in keys:
                order = solid[np.argsort(band[solid], kind="stable")]
                if known is None or self.min_similarity is None:
                    unite_equal(parents, band, order)
                else:
                    fewest = int(np.ceil(self.min_similarity * self.options.num_hashes))
                    unite_similar(parents, band, order, known, fewest)
        roots: Int64s = all_roots(parents)
        return roots

    def _selection(self, collected: Callable[[], Iterator[Arrays]]) -> Arrays | None:
        if self.selection_key is None:
            return None
        names = ("selection_high", "selection_low", "selection_missing")
        return joined([{name: arrays[name] for name in names} for arrays in collected()])


def minhash_dedup(
    preset: str | None = None,
    bands: int = 93,
    rows: int = 15,
    ngram: int = 5,
    seed: int = 0,
    lowercase: bool = False,
    min_similarity: float | None = None,
    selection_key: str | None = None,
    selection_normalize: str | None = None,
    selection_reverse: bool = False,
    device: str | None = None,
) -> MinHashDedup:
    """The step that keeps one page of each cluster of near copies, by default the first in the corpus.

    Candidates are pages that agree in a band; pages that are linked by candidates are one cluster. It removes
    more than exact search would where chains form, and `min_similarity` cuts them: then a candidate counts
    only where its signature agrees in that share with the first page of the band (all signatures are held in
    memory, 5.6 kB a page at 93 x 15).

    Args:
        preset: "dclm" (93 x 15), "fineweb" (14 x 8) or "refinedweb" (450 x 20), in place of bands and rows.
        bands: Bands.
        rows: Hash functions a band.
        ngram: Tokens of a shingle; 5 is unconfirmed for DCLM.
        seed: Of the hash functions.
        lowercase: Whether texts are lower-cased first.
        min_similarity: Smallest estimated similarity, or None.
        selection_key: A field with a number; the copy with the lowest stays.
        selection_normalize: How the field is read.
        selection_reverse: Whether the copy with the highest stays.
        device: "cuda", "cpu" and so on: where torch makes the signatures, the same bit for bit; left out: no
            torch is needed.

    Raises:
        InputError: a parameter is out of range.

    Source: arXiv 2406.11794, section 4.2 and its appendix; see `dedup.minhash`.
    """
    if preset is not None:
        if preset not in PRESETS:
            raise InputError(f"minhash_dedup: preset '{preset}' is none of {', '.join(PRESETS)}")
        bands, rows = PRESETS[preset].bands, PRESETS[preset].rows
    if min(bands, rows, ngram) < 1 or seed < 0:
        raise InputError("minhash_dedup: bands, rows and ngram must be at least 1, seed at least 0")
    if min_similarity is not None and not 0 <= min_similarity <= 1:
        raise InputError(f"minhash_dedup: min_similarity {min_similarity} is not between 0 and 1")
    require_normalizer(selection_normalize, "minhash_dedup: selection_normalize")
    options = MinHashOptions(bands, rows, ngram, seed, lowercase)
    return MinHashDedup(
        options, min_similarity, selection_key, selection_normalize, selection_reverse, device
    )
