"""TRL at work on the documents of a benchmark; runs in TRL's own environment."""

from typing import Any

import datasets
import numpy as np
import pyarrow as pa
import trl
from serving import serve

datasets.disable_progress_bars()
State: dict[str, Any] = {}


def give_documents(tokens: str, lengths: str) -> dict[str, int]:
    """Keep the documents as lists of int32 ids, and again as lists of as many nulls, which hold no bytes."""
    offsets = np.concatenate([[0], np.cumsum(np.load(lengths), dtype=np.int64)]).astype(np.int32)
    values = {"tokens": pa.array(np.load(tokens).astype(np.int32)), "lengths": pa.nulls(int(offsets[-1]))}
    for name, column in values.items():
        State[name] = datasets.Dataset(pa.table({"input_ids": pa.ListArray.from_arrays(offsets, column)}))
    return {"documents": len(offsets) - 1}


def pack(capacity: int, column: str) -> float:
    """Pack all documents in one batch, with their tokens or by lengths; the work is the number of tokens."""
    dataset = State[column]
    # Not from a cache file of an earlier repeat, which would give a time of nothing.
    options = {"batch_size": len(dataset), "load_from_cache_file": False, "keep_in_memory": True}
    State["packed"] = trl.pack_dataset(dataset, capacity, "bfd", map_kwargs=options)
    return float(len(dataset.data.column("input_ids").chunk(0).values))


def rows() -> dict[str, int]:
    """Rows of the last packing, and the tokens in them."""
    column = State["packed"].data.column("input_ids")
    return {"rows": len(State["packed"]), "tokens": sum(len(chunk.flatten()) for chunk in column.chunks)}


if __name__ == "__main__":
    serve(
        {"give_documents": give_documents, "pack": pack, "rows": rows},
        ["trl", "datasets", "pyarrow", "numpy"],
    )
