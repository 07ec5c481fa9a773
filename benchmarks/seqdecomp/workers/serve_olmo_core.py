"""OLMo-core at work on the files of a benchmark; runs in OLMo-core's own environment."""

import hashlib
import itertools
from pathlib import Path
from typing import Any

import numpy as np
import torch
from olmo_core.data import numpy_dataset, utils
from olmo_core.data.collator import DataCollator
from olmo_core.data.data_loader import NumpyVSLDataLoader
from olmo_core.data.tokenizer import TokenizerConfig
from serving import serve

torch.set_num_threads(1)
State: dict[str, Any] = {}


def bucket_documents(path: str, target: str, buckets: list[int], eos_id: int, dtype: str) -> float:
    """Bucket the documents of a token file, as users call it; the work is the number of tokens."""
    documents, pieces = utils.bucket_documents(
        path, Path(target), buckets=buckets, eos_token_id=eos_id, dtype=getattr(np, dtype)
    )
    State["counts"] = {"documents": documents, "pieces": pieces}
    return float(Path(path).stat().st_size // np.dtype(dtype).itemsize)


def give_boundaries(path: str) -> dict[str, Any]:
    """Keep the documents' ends, so that `bucket_given_documents` need not search for them."""
    ends = np.load(path).tolist()
    State["documents"] = list(zip([0, *ends[:-1]], ends, strict=True))
    return {"documents": len(ends)}


def bucket_given_documents(path: str, target: str, buckets: list[int], eos_id: int, dtype: str) -> float:
    """The same with the documents' places given: all but the search for EOS."""
    search = utils.iter_document_indices
    utils.iter_document_indices = lambda *args, **kwargs: iter(State["documents"])
    try:
        return bucket_documents(path, target, buckets, eos_id, dtype)
    finally:
        utils.iter_document_indices = search


def counts() -> dict[str, int]:
    """Documents and pieces of the last bucketing."""
    return dict(State["counts"])


def open_loader(
    path: str,
    work: str,
    shortest: int,
    longest: int,
    eos_id: int,
    vocab_size: int,
    batch_tokens: int,
    threads: int | None,
) -> dict[str, Any]:
    """Make the data loader over one token file, one rank, loading in this process."""
    dataset = numpy_dataset.NumpyVSLDatasetConfig(
        paths=[path],
        tokenizer=TokenizerConfig(vocab_size=vocab_size, eos_token_id=eos_id, pad_token_id=eos_id),
        min_sequence_length=shortest,
        max_sequence_length=longest,
        work_dir=work,
        dtype=numpy_dataset.NumpyDatasetDType.uint16,
        include_instance_metadata=False,
    ).build()
    dataset.prepare()
    loader = NumpyVSLDataLoader(
        dataset,
        collator=DataCollator(pad_token_id=eos_id),
        global_batch_size=batch_tokens,
        work_dir=work,
        seed=0,
        num_threads=threads,
        num_workers=0,
    )
    loader.reshuffle(epoch=1)
    State[f"loader-{threads}"] = loader
    return {
        "total_batches": loader.total_batches,
        "batches_per_bucket": [count for _, count in loader.batches_per_bucket],
        "instances_per_bucket": [count for _, count in dataset.instances_per_bucket],
    }


def fetch(batches: int, threads: int | None) -> float:
    """Fetch the epoch's first batches; the work is the number of tokens."""
    loader = State[f"loader-{threads}"]
    loader.reset()
    return float(sum(batch["input_ids"].numel() for batch in itertools.islice(loader, batches)))


def hashes(batches: int, threads: int | None) -> dict[str, list[str]]:
    """Hashes of the tokens of the epoch's first batches, to compare with."""
    loader = State[f"loader-{threads}"]
    loader.reset()
    found = [
        hashlib.sha256(batch["input_ids"].numpy().tobytes()).hexdigest()
        for batch in itertools.islice(loader, batches)
    ]
    return {"hashes": found}


if __name__ == "__main__":
    serve(
        {
            "bucket_documents": bucket_documents,
            "give_boundaries": give_boundaries,
            "bucket_given_documents": bucket_given_documents,
            "counts": counts,
            "open_loader": open_loader,
            "fetch": fetch,
            "hashes": hashes,
        },
        ["ai2-olmo-core", "numpy", "torch"],
    )
