"""SemDedup: of pages whose embeddings are near each other, one is enough."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.data.page import Page
from dclm_bench.quality.embeddings import EmbeddingSource, Vectors, normalized
from dclm_bench.quality.percentile import rank_scores
from dclm_bench.steps.step import Arrays, Rule

log = logging.getLogger(__name__)

_ROWS_AT_ONCE = 4096
_SAMPLE_PER_CLUSTER = 256


@dataclass(frozen=True)
class SemanticDedup:
    """The corpus step; `semantic_dedup` makes it and tells its parameters."""

    source: EmbeddingSource
    keep_fraction: float | None
    similarity_threshold: float | None
    num_clusters: int | None
    iterations: int
    seed: int
    func: str = "semantic_dedup"
    edits: bool = False

    @property
    def rules(self) -> tuple[Rule, ...]:
        """The similarity to the nearest page, or the share of pages that are less like another."""
        if self.keep_fraction is not None:
            return (Rule("keep_fraction", "<=", self.keep_fraction),)
        assert self.similarity_threshold is not None
        return (Rule("similarity_threshold", "<=", self.similarity_threshold),)

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """Embeddings of unit length."""
        return {"embeddings": self.source.of(pages)}

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """The value of each page; all embeddings are held in memory."""
        parts = [arrays["embeddings"] for arrays in collected()]
        sizes = [len(part) for part in parts]
        filled = [part for part in parts if len(part)]
        if not filled:
            yield from ({"values": np.zeros(0)} for _ in sizes)
            return
        if len({part.shape[1] for part in filled}) > 1:
            raise InputError(f"{self.func}: embeddings of different widths; make them with one encoder")
        vectors = np.concatenate(filled)
        num_clusters = self.num_clusters or max(1, round(math.sqrt(len(vectors))))
        centroids = spherical_k_means(vectors, num_clusters, iterations=self.iterations, seed=self.seed)
        values = nearest_similarity(vectors, centroids)
        if self.keep_fraction is not None:
            weights = np.ones(len(values))
            ranking = rank_scores(lambda: [(values, weights)], self.keep_fraction, lower_better=True)
            log.info("%s: the similarity at the cut is %r", self.func, ranking.cut.threshold)
            values = next(ranking.shares([values]))
        first = 0
        for size in sizes:
            yield {"values": values[first : first + size]}
            first += size

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """The value of each page."""
        return [(float(value),) for value in decided["values"]]


def semantic_dedup(
    keep_fraction: float | None = None,
    similarity_threshold: float | None = None,
    embeddings_key: str | None = None,
    encoder_path: str | None = None,
    num_clusters: int | None = None,
    iterations: int = 20,
    seed: int = 0,
    device: str = "cpu",
) -> SemanticDedup:
    """Removes pages that are much like another of their cluster.

    DataComp-LM gives 0.75 as its setting, and not what it is of: a share of pages or a cosine similarity. So
    one of the two must be named here.

    Args:
        keep_fraction: Share of the pages that is kept, those least like another.
        similarity_threshold: Highest cosine similarity to a page of the cluster farther from its centre.
        embeddings_key: Field with the embedding.
        encoder_path: Folder of an encoder, where the embeddings are not given.
        num_clusters: Clusters of k-means; None: the root of the number of pages.
        iterations: Steps of k-means.
        seed: Of the first centres.
        device: Where the encoder runs.

    Raises:
        InputError: a parameter is unusable.

    Source: DataComp-LM section 4.4; Abbas et al. (2023), section 3.
    """
    func = "semantic_dedup"
    if (keep_fraction is None) == (similarity_threshold is None):
        raise InputError(f"{func}: give either keep_fraction or similarity_threshold")
    if keep_fraction is not None and not 0 <= keep_fraction <= 1:
        raise InputError(f"{func}: keep_fraction is {keep_fraction}; give a number from 0 to 1")
    if similarity_threshold is not None and not -1 <= similarity_threshold <= 1:
        raise InputError(
            f"{func}: similarity_threshold is {similarity_threshold}; give a number from -1 to 1"
        )
    if (num_clusters is not None and num_clusters < 1) or iterations < 1:
        raise InputError(f"{func}: num_clusters and iterations have to be 1 or more")
    source = EmbeddingSource(func, embeddings_key, encoder_path, device)
    return SemanticDedup(source, keep_fraction, similarity_threshold, num_clusters, iterations, seed)


def spherical_k_means(vectors: Vectors, num_clusters: int, *, iterations: int, seed: int) -> Vectors:
    """Centres of unit length, shape (clusters, width), fitted to a sample of at most 256 vectors a cluster.

    The first centres are vectors drawn without replacement; a centre that loses all its vectors stays.

    Args:
        vectors: Rows of unit length.
        num_clusters: How many; at most as many as there are vectors.
        iterations: Lloyd steps; fewer when nothing moves.
        seed: Of the draws.
    """
    draw = stream(seed, "semantic dedup: k-means")
    num_clusters = min(num_clusters, len(vectors))
    most = num_clusters * _SAMPLE_PER_CLUSTER
    chosen = np.sort(draw.choice(len(vectors), min(most, len(vectors)), replace=False))
    sample = vectors[chosen]
    centroids = sample[np.sort(draw.choice(len(sample), num_clusters, replace=False))]
    before: npt.NDArray[np.int64] | None = None
    for _ in range(iterations):
        clusters, _ = nearest_centroids(sample, centroids)
        if before is not None and np.array_equal(clusters, before):
            break
        before = clusters
        sums = np.zeros(centroids.shape, np.float64)
        np.add.at(sums, clusters, sample.astype(np.float64))
        moved = normalized(sums.astype(np.float32))
        filled = np.bincount(clusters, minlength=num_clusters) > 0
        centroids = np.where(filled[:, None], moved, centroids)
    return centroids


def nearest_centroids(
    vectors: Vectors, centroids: Vectors
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float64]]:
    """The number of each vector's nearest centre, and its cosine similarity to it."""
    clusters = np.empty(len(vectors), np.int64)
    similarities = np.empty(len(vectors), np.float64)
    for first in range(0, len(vectors), _ROWS_AT_ONCE):
        products = vectors[first : first + _ROWS_AT_ONCE] @ centroids.T
        best = products.argmax(1)
        clusters[first : first + len(best)] = best
        similarities[first : first + len(best)] = products[np.arange(len(best)), best]
    return clusters, similarities


def nearest_similarity(vectors: Vectors, centroids: Vectors) -> npt.NDArray[np.float64]:
    """For each vector the highest similarity to one of its cluster farther from the centre; -1 for none.

    Of a group of near equals the one farthest from the centre has the lowest value, and stays. Vectors
    equally far rank in their order.

    Source: Abbas et al. (2023), section 3, whose code ranks each cluster by falling distance to its centre
    and compares each vector with those before it, kept or not.
    """
    clusters, closeness = nearest_centroids(vectors, centroids)
    values = np.full(len(vectors), -1.0)
    for cluster in range(len(centroids)):
        members = np.flatnonzero(clusters == cluster)
        members = members[np.argsort(closeness[members], kind="stable")]
        for first in range(0, len(members), _ROWS_AT_ONCE):
            rows = members[first : first + _ROWS_AT_ONCE]
            products = vectors[rows] @ vectors[members[: first + len(rows)]].T
            later = np.arange(products.shape[1])[None, :] >= (first + np.arange(len(rows)))[:, None]
            values[rows] = np.where(later, -1.0, products).max(1)
    return values
