"""Semantic order: planted topics come out one after the other, the same way each time."""

import numpy as np
from seqdecomp.data.store import Store
from seqdecomp.documents import Documents
from seqdecomp.semantic import greedy_path, nearest_neighbours, semantic_order, tf_idf


def planted(topics: int, each: int, seed: int = 0) -> tuple[Store, np.ndarray]:
    """Documents that share ten ids of their own topic and many common ones, in random order."""
    random = np.random.default_rng(seed)
    topic = random.permutation(np.repeat(np.arange(topics), each))
    documents = [
        np.concatenate([random.integers(0, 20, 60), 100 + 10 * t + random.integers(0, 10, 20)]) for t in topic
    ]
    return Store.from_documents(documents), topic


def test_documents_of_one_topic_stand_together() -> None:
    store, topic = planted(5, 12)

    order = semantic_order(store, Documents.of(store), neighbours=8)

    assert sorted(order.tolist()) == list(range(60))
    changes = np.count_nonzero(np.diff(topic[order]))
    assert changes <= 8  # 4 at best; a random order changes about 48 times
    assert np.array_equal(order, semantic_order(store, Documents.of(store), neighbours=8))


def test_vectors_have_length_one_and_ids_in_every_document_weigh_nothing() -> None:
    store = Store.from_documents([[1, 2, 2, 0], [1, 3, 0], [1, 4, 4, 4, 0]])

    vectors = tf_idf(store, Documents.of(store))

    np.testing.assert_allclose(np.asarray(vectors.power(2).sum(axis=1)).ravel(), 1, rtol=1e-6)
    assert vectors[:, 0].sum() == vectors[:, 1].sum() == 0


def test_equal_documents_are_each_others_nearest() -> None:
    store = Store.from_documents([[1, 2, 3], [7, 8, 9], [1, 2, 3], [5, 6]])

    similar, weights = nearest_neighbours(tf_idf(store, Documents.of(store)), 2)

    assert (similar[0, 0], similar[2, 0]) == (2, 0)
    np.testing.assert_allclose(weights[0, 0], 1, rtol=1e-6)


def test_the_path_takes_the_best_edge_and_starts_anew_at_the_least_connected() -> None:
    # Node 3 stands alone (degree 0) and comes first; then 0 (degree 1), its only neighbour 1, then 2.
    similar = np.array([[1], [2], [1], [0]])
    weights = np.array([[0.5], [0.9], [0.9], [0.0]], np.float32)

    assert greedy_path(similar, weights).tolist() == [3, 0, 1, 2]


def test_no_documents_have_an_empty_order() -> None:
    store = Store.from_documents([])
    assert semantic_order(store, Documents.of(store)).tolist() == []
