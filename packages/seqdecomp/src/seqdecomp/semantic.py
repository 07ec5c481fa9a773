"""Semantic order of documents: similar ones one after the other, for in-context pretraining."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import scipy.sparse

from seqdecomp.data.store import Store
from seqdecomp.documents import Documents

Int64s = npt.NDArray[np.int64]

_BLOCK_DOCUMENTS = 512


def semantic_order(
    store: Store,
    documents: Documents,
    *,
    neighbours: int = 16,
    max_tokens: int = 2048,
    progress: Callable[[int], None] | None = None,
) -> Int64s:
    """An order of documents in which each is followed by one that is like it, int64 [documents].

    Documents are compared by the cosine of TF-IDF weights of their token ids, and put on one path that goes
    from each to the most similar of its neighbours not yet visited. Cost grows with the square of the
    number of documents: meant for corpora of up to some ten thousand.

    Args:
        store: Where the tokens are.
        documents: The documents to order.
        neighbours: Nearest neighbours that the path may go to.
        max_tokens: Tokens, from the beginning, by which a document is compared.
        progress: Called with the number of documents compared since the last call.

    Source: section 2.2 of arXiv 2310.10638 (document graph and path), with TF-IDF in place of a learnt
    retriever.
    """
    vectors = tf_idf(store, documents, max_tokens=max_tokens)
    similar, weights = nearest_neighbours(vectors, neighbours, progress=progress)
    return greedy_path(similar, weights)


def tf_idf(store: Store, documents: Documents, *, max_tokens: int = 2048) -> scipy.sparse.csr_matrix:
    """Unit vectors of log term frequency times inverse document frequency, float32 [documents, ids]."""
    number = len(documents.starts)
    spans = np.minimum(documents.lengths, max_tokens)
    ids = [
        np.asarray(store.gather(documents.starts[i : i + 1], int(spans[i])))[0] for i in range(number)
    ]  # one document at a time: the tokens of all at once need not fit
    row = np.repeat(np.arange(number), spans)
    column = np.concatenate(ids) if ids else np.zeros(0, np.int64)
    width = int(column.max()) + 1 if len(column) else 1
    counts = scipy.sparse.coo_matrix(
        (np.ones(len(column), np.float32), (row, column)), shape=(number, width)
    ).tocsr()
    frequency = np.bincount(counts.indices, minlength=width)
    counts.data = 1 + np.log(counts.data)
    weighted = counts.multiply(np.log((1 + number) / (1 + frequency))[None, :]).tocsr()
    norms = np.sqrt(weighted.multiply(weighted).sum(axis=1)).A1 if number else np.zeros(0)
    scale = scipy.sparse.diags(1 / np.maximum(norms, 1e-12))
    return scipy.sparse.csr_matrix(scale @ weighted, dtype=np.float32)


def nearest_neighbours(
    vectors: scipy.sparse.csr_matrix, number: int, *, progress: Callable[[int], None] | None = None
) -> tuple[Int64s, npt.NDArray[np.float32]]:
    """The most similar other rows of each row and their cosines, [rows, number] each, best first.

    Equal cosines are ordered by row number, so that the result is the same everywhere.
    """
    rows = vectors.shape[0]
    number = min(number, max(rows - 1, 0))
    similar = np.zeros((rows, number), np.int64)
    weights = np.zeros((rows, number), np.float32)
    transposed = vectors.T.tocsr()
    for first in range(0, rows, _BLOCK_DOCUMENTS):
        block = np.asarray((vectors[first : first + _BLOCK_DOCUMENTS] @ transposed).todense())
        here = np.arange(len(block))
        block[here, first + here] = -1
        best = np.argsort(-block, axis=1, kind="stable")[:, :number]
        similar[first : first + len(block)] = best
        weights[first : first + len(block)] = np.take_along_axis(block, best, axis=1)
        if progress is not None:
            progress(len(block))
    return similar, weights


def greedy_path(similar: Int64s, weights: npt.NDArray[np.float32]) -> Int64s:
    """One path through all nodes that follows the best unvisited neighbour, int64 [nodes].

    The graph holds an edge between two nodes if either counts the other among its neighbours. The path
    begins, and after a dead end goes on, at the unvisited node of the lowest degree.

    Args:
        similar: int64 [nodes, k], neighbours of each node.
        weights: float32 [nodes, k], their similarity; edges of no similarity are not followed.
    """
    nodes = len(similar)
    edges: list[dict[int, float]] = [{} for _ in range(nodes)]
    for node, (others, values) in enumerate(zip(similar.tolist(), weights.tolist(), strict=True)):
        for other, value in zip(others, values, strict=True):
            if value > 0:
                edges[node][other] = edges[other][node] = value
    starts = sorted(range(nodes), key=lambda node: (len(edges[node]), node))
    visited = [False] * nodes
    path: list[int] = []
    for start in starts:
        current: int | None = start if not visited[start] else None
        while current is not None:
            visited[current] = True
            path.append(current)
            open_edges = [(-value, other) for other, value in edges[current].items() if not visited[other]]
            current = min(open_edges)[1] if open_edges else None
    return np.array(path, np.int64)
