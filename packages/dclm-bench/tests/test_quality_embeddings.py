"""SemDedup and the linear classifier on embeddings that are given."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.quality.embeddings import (
    LinearClassifier,
    embedding_classifier_enricher,
    fit_linear_classifier,
    load_linear_classifier,
    normalized,
)
from dclm_bench.quality.semantic_dedup import (
    SemanticDedup,
    nearest_centroids,
    nearest_similarity,
    semantic_dedup,
    spherical_k_means,
)
from dclm_bench.steps.step import keeps_all
from toolkit_shared.errors import InputError


def unit_vectors(count: int, width: int, seed: int) -> Any:
    return normalized(np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32))


def kept_by(step: SemanticDedup, shards: Sequence[Sequence[Page]]) -> list[bool]:
    collected = [step.collect(pages) for pages in shards]
    kept = []
    for pages, decided in zip(shards, step.decide(lambda: iter(collected)), strict=True):
        kept += [keeps_all(step.rules, values) for values in step.apply(pages, decided)]
    return kept


def pages_of(vectors: Any) -> list[Page]:
    return [Page("", {"vector": [float(value) for value in vector]}) for vector in vectors]


# --- SemDedup ---


def test_clusters_are_found_where_they_are_and_the_same_each_time() -> None:
    centres = unit_vectors(4, 16, 0)
    truth = np.arange(200) % 4
    vectors = normalized(centres[truth] + 0.05 * np.random.default_rng(1).normal(size=(200, 16)).astype("f4"))

    found = spherical_k_means(vectors, 4, iterations=20, seed=3)

    assert np.array_equal(found, spherical_k_means(vectors, 4, iterations=20, seed=3))
    clusters, similarity = nearest_centroids(vectors, found)
    assert len({(a, b) for a, b in zip(truth, clusters, strict=True)}) <= 8
    assert np.linalg.norm(found, axis=1) == pytest.approx(np.ones(4), abs=1e-6)
    assert (similarity > 0.5).mean() > 0.7


def test_the_value_is_the_highest_similarity_to_one_farther_from_the_centre() -> None:
    vectors = unit_vectors(60, 8, 2)
    centroids = unit_vectors(3, 8, 4)
    clusters, closeness = nearest_centroids(vectors, centroids)

    values = nearest_similarity(vectors, centroids)

    for index in range(60):
        before = [
            float(vectors[other] @ vectors[index])
            for other in range(60)
            if clusters[other] == clusters[index] and (closeness[other], other) < (closeness[index], index)
        ]
        assert values[index] == pytest.approx(max(before, default=-1.0), abs=1e-6)


def test_of_copies_one_is_kept() -> None:
    vectors = np.repeat(unit_vectors(10, 32, 5), 3, axis=0)
    step = semantic_dedup(similarity_threshold=0.95, embeddings_key="vector", num_clusters=4)

    kept = kept_by(step, [pages_of(vectors[:7]), [], pages_of(vectors[7:])])

    assert [sum(kept[first : first + 3]) for first in range(0, 30, 3)] == [1] * 10


def test_a_share_keeps_exactly_that_of_the_pages_and_those_least_like_another() -> None:
    vectors = np.concatenate([unit_vectors(30, 32, 6), np.repeat(unit_vectors(1, 32, 7), 10, axis=0)])
    step = semantic_dedup(keep_fraction=0.775, embeddings_key="vector", num_clusters=1)

    kept = kept_by(step, [pages_of(vectors)])

    assert sum(kept) == 31
    assert sum(kept[30:]) == 1  # nine of the ten copies went


def test_shards_do_not_matter() -> None:
    pages = pages_of(unit_vectors(50, 8, 8))
    step = semantic_dedup(keep_fraction=0.5, embeddings_key="vector")

    assert kept_by(step, [pages]) == kept_by(step, [pages[:13], pages[13:14], pages[14:]])


def test_an_empty_corpus_is_no_error() -> None:
    step = semantic_dedup(keep_fraction=0.5, embeddings_key="vector")

    assert kept_by(step, [[], []]) == []


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({}, "either keep_fraction or similarity_threshold"),
        (
            {"keep_fraction": 0.75, "similarity_threshold": 0.75},
            "either keep_fraction or similarity_threshold",
        ),
        ({"keep_fraction": 7}, "keep_fraction is 7"),
        ({"similarity_threshold": 2}, "similarity_threshold is 2"),
        ({"keep_fraction": 0.5, "num_clusters": 0}, "num_clusters"),
        ({"keep_fraction": 0.5, "embeddings_key": None}, "either embeddings_key or encoder_path"),
    ],
)
def test_parameters_that_cannot_be_are_named(parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        semantic_dedup(**{"embeddings_key": "vector", **parameters})


@pytest.mark.parametrize(
    "vectors", [[None, [1.0]], [[1.0], [1.0, 2.0]], [[math.inf]], [["x"]], ["abc"], [{}]]
)
def test_embeddings_that_are_none_are_named(vectors: list[Any]) -> None:
    step = semantic_dedup(keep_fraction=0.5, embeddings_key="vector")
    with pytest.raises(InputError, match="'vector' is missing"):
        step.collect([Page("", {"vector": vector}) for vector in vectors])


def test_shards_of_different_widths_are_refused() -> None:
    step = semantic_dedup(keep_fraction=0.5, embeddings_key="vector")
    with pytest.raises(InputError, match="different widths"):
        kept_by(step, [pages_of(unit_vectors(2, 3, 0)), pages_of(unit_vectors(2, 4, 0))])


# --- linear classifier ---


def test_the_fitted_classifier_is_where_the_gradient_vanishes() -> None:
    draw = np.random.default_rng(0)
    vectors = draw.normal(size=(200, 5)).astype(np.float32)
    labels = vectors[:, 0] + 0.5 * draw.normal(size=200) > 0.3

    fitted = fit_linear_classifier(vectors, labels, penalty=2.0)

    wrong = fitted.probabilities(vectors) - labels
    assert wrong.sum() == pytest.approx(0, abs=1e-6)
    assert vectors.T.astype(float) @ wrong + 2.0 * fitted.weights == pytest.approx(np.zeros(5), abs=1e-6)
    assert np.mean((fitted.probabilities(vectors) > 0.5) == labels) > 0.85


def test_separable_examples_and_one_kind_alone() -> None:
    vectors = np.array([[-1.0], [-2.0], [1.0], [2.0]], np.float32)
    fitted = fit_linear_classifier(vectors, np.array([0, 0, 1, 1], bool), penalty=1e-6)

    assert (fitted.probabilities(vectors) > 0.5).tolist() == [False, False, True, True]
    with pytest.raises(InputError, match="one kind is missing"):
        fit_linear_classifier(vectors, np.ones(4, bool))


def test_a_saved_classifier_scores_pages(tmp_path: Path) -> None:
    LinearClassifier(np.array([2.0, 0.0]), -1.0).save(tmp_path / "c.json")
    page = Page("", {"vector": [3.0, 4.0]})

    embedding_classifier_enricher(str(tmp_path / "c.json"), embeddings_key="vector").apply(page)

    assert page.record["embedding_hq_prob"] == pytest.approx(1 / (1 + math.exp(-(2 * 0.6 - 1))))


def test_a_classifier_of_another_width_or_no_classifier_is_named(tmp_path: Path) -> None:
    LinearClassifier(np.array([2.0]), -1.0).save(tmp_path / "c.json")
    step = embedding_classifier_enricher(str(tmp_path / "c.json"), embeddings_key="vector")
    with pytest.raises(InputError, match="has 2 numbers, and the classifier 1"):
        step.apply(Page("", {"vector": [3.0, 4.0]}))

    (tmp_path / "d.json").write_text('{"weights": "x"}')
    with pytest.raises(InputError, match=r"d\.json: holds no 'weights'"):
        load_linear_classifier(str(tmp_path / "d.json"))
