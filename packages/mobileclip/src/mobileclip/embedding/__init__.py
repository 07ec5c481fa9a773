"""Unit vectors on disk: written in blocks that a killed run keeps, and searched exactly.

Three files go together: `NAME.npy` (rows), `NAME.jsonl` (one line a row: what it is of) and `NAME.json` (the
manifest: model, input, counts, what was left out and why), which is written last.
"""

from mobileclip.embedding.files import Embeddings, open_embeddings
from mobileclip.embedding.searching import top_matches
from mobileclip.embedding.writing import EmbeddingReport, write_embeddings

__all__ = ["EmbeddingReport", "Embeddings", "open_embeddings", "top_matches", "write_embeddings"]
