"""MinHash: the S-curve, signatures of pages with known similarity, clusters, and the step."""

import re
from itertools import chain
from typing import Any

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.dedup.clusters import all_roots, unite_equal
from dclm_bench.dedup.minhash import (
    PRESETS,
    MinHashOptions,
    band_keys,
    hash_functions,
    page_shingles,
    signatures,
    signatures_of,
)
from dclm_bench.dedup.minhash_curve import half_point, s_curve
from dclm_bench.dedup.minhash_step import minhash_dedup
from dclm_bench.dedup.minhash_torch import page_blocks, signatures_by_torch
from dclm_bench.steps.step import CorpusStep, keeps_all
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom
from toolkit_shared.errors import InputError

SIMILARITIES = [0.6, 0.7, 0.75, 0.8, 0.85, 0.9]


def run(step: CorpusStep, shards: list[list[Page]]) -> list[list[str]]:
    """The texts that a step keeps, shard by shard."""
    arrays = [step.collect(pages) for pages in shards]
    decided = list(step.decide(lambda: iter(arrays)))
    kept = []
    for pages, found in zip(shards, decided, strict=True):
        values = step.apply(pages, found)
        kept.append([p.text for p, row in zip(pages, values, strict=True) if keeps_all(step.rules, row)])
    return kept


@pytest.mark.parametrize(
    ("preset", "published"),
    [
        ("dclm", [0.0428, 0.3576, 0.7138, 0.9642, 0.9998, 1.0]),
        ("fineweb", [0.2111, 0.5645, 0.7716, 0.9235, 0.9884, 0.9996]),
        ("refinedweb", [0.0163, 0.3018, 0.7605, 0.9946, 1.0, 1.0]),
    ],
)
def test_the_s_curve_has_the_published_values(preset: str, published: list[float]) -> None:
    options = PRESETS[preset]
    assert s_curve(SIMILARITIES, options.bands, options.rows) == pytest.approx(published, abs=6e-5)
    assert s_curve(half_point(options.bands, options.rows), options.bands, options.rows) == pytest.approx(0.5)
    assert s_curve([0, 1], options.bands, options.rows).tolist() == [0, 1]


def pairs(number: int, shared: int, own: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Shingles of pairs of pages whose Jaccard similarity is exactly shared / (shared + 2 own)."""
    rng = np.random.default_rng(seed)
    shingles = []
    for _ in range(number):
        union = rng.choice(1 << 32, shared + 2 * own, replace=False).astype(np.uint32)
        shingles += [union[: shared + own], np.concatenate([union[:shared], union[shared + own :]])]
    return np.concatenate(shingles), np.full(2 * number, shared + own, np.int64)


@pytest.mark.parametrize(("shared", "own"), [(70, 15), (75, 12), (80, 10)])
def test_pairs_are_found_as_often_as_the_s_curve_says(shared: int, own: int) -> None:
    # given 1,500 pairs of the same similarity, near 0.7, 0.76 and 0.8
    options = MinHashOptions(seed=2)
    shingles, counts = pairs(1500, shared, own, seed=shared)
    # when
    found = signatures_of(shingles, counts, options)
    keys = band_keys(found, options.bands)
    detected = int((keys[::2] == keys[1::2]).any(axis=1).sum())
    # then inside 99 % of the binomial distribution
    similarity = shared / (shared + 2 * own)
    low, high = binom.ppf([0.005, 0.995], 1500, s_curve(similarity, options.bands, options.rows))
    assert low <= detected <= high
    # and the estimates have the mean and the variance of independent draws
    estimates = (found[::2] == found[1::2]).mean(axis=1)
    spread = similarity * (1 - similarity) / options.num_hashes
    assert estimates.mean() == pytest.approx(similarity, abs=4 * np.sqrt(spread / 1500))
    assert estimates.var() / spread == pytest.approx(1, abs=0.16)


def test_the_smallest_value_comes_from_each_shingle_equally_often() -> None:
    # given 20 shingles and 20,000 functions
    shingles = np.random.default_rng(5).choice(1 << 32, 20, replace=False).astype(np.uint32)
    multipliers, masks = hash_functions(20_000, seed=0)
    # when
    values = (shingles[:, None] ^ masks) * multipliers
    wins = np.bincount(values.argmin(axis=0), minlength=20)
    # then chi-squared with 19 degrees of freedom, below its 99.9 % point
    assert ((wins - 1000) ** 2 / 1000).sum() < 43.8
    # and each function is a permutation: it can be undone
    inverse = np.array([pow(int(a), -1, 1 << 32) for a in multipliers[:50]], np.uint32)
    assert ((values[:, :50] * inverse) ^ masks[:50] == shingles[:, None]).all()


def test_a_signature_is_the_minimum_over_the_pages_own_shingles() -> None:
    # given pages of several lengths, one of them empty and one shorter than a shingle
    options = MinHashOptions(bands=3, rows=2, ngram=3)
    texts = ["a b c d e", "", "a b", "x y z", " \n"]
    # when
    found, counts = signatures(texts, options)
    # then a naive computation in whole numbers agrees
    shingles, _ = page_shingles(texts, options)
    multipliers, masks = hash_functions(6, 0)
    assert counts.tolist() == [3, 0, 1, 1, 0]
    place = 0
    for page, count in enumerate(counts.tolist()):
        own = shingles[place : place + count].tolist()
        place += count
        expected = [
            min([(x ^ int(b)) * int(a) % (1 << 32) for x in own], default=(1 << 32) - 1)
            for a, b in zip(multipliers, masks, strict=True)
        ]
        assert found[page].tolist() == expected
    # and each page has it alone as well
    assert (signatures(["x y z"], options)[0][0] == found[3]).all()


def test_torch_gives_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    options = MinHashOptions(bands=4, rows=3)
    shingles, counts = pairs(5, 8, 3, seed=1)
    counts[3:5] = [0, counts[3] + counts[4]]
    expected = signatures_of(shingles, counts, options)
    for block in (1 << 26, 12 * 30, 12):
        monkeypatch.setattr("dclm_bench.dedup.minhash_torch._BLOCK", block)
        assert (signatures_by_torch(shingles, counts, options, device="cpu") == expected).all()
    pages = [Page("a b c d e f g"), Page(""), Page("a b")]
    compiled, by_torch = (minhash_dedup(device=device).collect(pages) for device in (None, "cpu"))
    assert (compiled["keys"] == by_torch["keys"]).all()
    assert page_blocks(np.array([3, 3, 9, 1]), 6) == [(0, 2), (2, 3), (3, 4)]


@given(st.lists(st.integers(0, 6), max_size=30), st.lists(st.integers(0, 6), max_size=30))
def test_clusters_are_the_connected_components_and_are_named_by_their_first_page(
    first: list[int], second: list[int]
) -> None:
    # given two bands of keys
    number = min(len(first), len(second))
    parents = np.arange(number)
    for band in (first[:number], second[:number]):
        keys = np.array(band, np.uint64)
        unite_equal(parents, keys, np.argsort(keys, kind="stable"))
    # when
    roots = all_roots(parents).tolist()
    # then a search from every page finds the same
    for page in range(number):
        reached, waiting = {page}, [page]
        while waiting:
            a = waiting.pop()
            near = {b for b in range(number) if first[a] == first[b] or second[a] == second[b]}
            waiting += near - reached
            reached |= near
        assert roots[page] == min(reached)


def test_the_first_of_near_copies_stays_for_any_cut_into_shards(monkeypatch: pytest.MonkeyPatch) -> None:
    # given three pages, near copies of two of them, and pages without a word
    rng = np.random.default_rng(0)
    originals = [[f"w{i}" for i in rng.integers(0, 10**6, 200)] for _ in range(3)]
    near = [" ".join([*words[:100], "changed", *words[101:]]) for words in originals[:2]]
    texts = [*(" ".join(words) for words in originals), "", near[1], near[0], " ", near[0]]
    kept = [*texts[:4], " "]
    for cuts in ([8], [2, 0, 6], [1] * 8):
        shards, start = [], 0
        for size in cuts:
            shards.append([Page(text) for text in texts[start : start + size]])
            start += size
        # when, then
        assert list(chain.from_iterable(run(minhash_dedup(), shards))) == kept
        pages = [page for shard in shards for page in shard]
        assert [page.record["minhash_cluster_size"] for page in pages] == [3, 2, 1, 1, 2, 3, 1, 3]
        assert [page.record["minhash_cluster"] for page in pages] == [0, 1, 2, 3, 1, 0, 6, 0]
    # and no less when the bands are read a few at a time
    monkeypatch.setattr("dclm_bench.dedup.minhash_step._KEY_BYTES", 8 * 8 * 10)
    assert run(minhash_dedup(), [[Page(text) for text in texts]])[0] == kept


def test_a_key_decides_which_copy_stays() -> None:
    text = " ".join(f"w{i}" for i in range(50))
    pages = [Page(text, {"id": i, "score": score}) for i, score in enumerate([0.2, -3.5, None, 0.9, -3.5])]
    for reverse, best in [(False, 1), (True, 3)]:
        step = minhash_dedup(selection_key="score", selection_reverse=reverse)
        arrays = [step.collect(pages)]
        (decided,) = step.decide(lambda arrays=arrays: iter(arrays))
        assert decided["copies_before"].tolist().index(0) == best
        assert decided["copies_before"][2] == 4  # without a score it comes last either way


def test_candidates_below_the_smallest_similarity_are_no_copies() -> None:
    # given two pages of similarity about 0.8, which one band of one row is sure to join
    words = [f"w{i}" for i in range(100)]
    texts = [" ".join(words), " ".join([*words[:50], "x", *words[51:]])]
    loose = {"bands": 200, "rows": 1}
    assert len(run(minhash_dedup(**loose), [[Page(text) for text in texts]])[0]) == 1
    for limit, left in [(0.5, 1), (0.97, 2)]:
        found = run(minhash_dedup(**loose, min_similarity=limit), [[Page(text) for text in texts]])
        assert len(found[0]) == left


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"preset": "nemo"}, "minhash_dedup: preset 'nemo' is none of dclm, fineweb, refinedweb"),
        ({"bands": 0}, "minhash_dedup: bands, rows and ngram must be at least 1"),
        ({"min_similarity": 2.0}, "minhash_dedup: min_similarity 2.0 is not between 0 and 1"),
        ({"selection_normalize": "x"}, "minhash_dedup: selection_normalize: 'x' is no normaliser"),
    ],
)
def test_a_parameter_out_of_range_gives_one_line(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        minhash_dedup(**parameters)


def test_an_empty_corpus_is_no_special_case() -> None:
    assert run(minhash_dedup(), []) == []
    assert run(minhash_dedup(), [[], []]) == [[], []]
