"""How fast do batches come out of the data loader, against reading the released layout by literal_eval?

The paper's code stores a sequence as the text of a Python list inside a tar and reads it with
`ast.literal_eval`. That reading is stated anew here, one call of the standard library a sequence, on shards
written in that layout; nothing of the released code runs. It also lacks the gathering into batches.
"""

import ast
import sys
import tarfile
import tempfile
from pathlib import Path

import torch
from seqdecomp.data.formats.released import write_shard
from seqdecomp.data.store import Store

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.batch_fetch import fetch, plan_of, store_of
from benchmarks.seqdecomp.decompose_with_offsets import LENGTHS
from benchmarks.seqdecomp.documents import EOS_ID, document_lengths, write_token_file

QUESTION = Question(
    name="batch-fetch-released-layout",
    toolkit="seqdecomp",
    expected="at least 1000 times the tokens/s of literal_eval on the released layout",
    holds=lambda ratio: ratio >= 1000,
    packages=["seqdecomp", "numpy", "torch"],
)
OURS, LITERAL = "seqdecomp", "literal_eval reading of released shards"


def measure(options: Options) -> Finding:
    """Time an epoch of the loader and a shard a bucket of the other layout in turn."""
    torch.set_num_threads(1)
    at_least = options.pick(0, 1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tokens.npy"
        write_token_file(path, document_lengths(options.pick(2_000, 100_000)))
        store = store_of(path, Path(name) / "store")
        plan = plan_of(store, options.pick(1 << 14, 1 << 19))
        shards = write_shards(store, Path(name), options.pick(1 << 12, 1 << 16))
        arms = {
            OURS: lambda: timed(lambda: fetch(store, plan), at_least_seconds=at_least),
            LITERAL: lambda: timed(lambda: read(shards), at_least_seconds=at_least),
        }
        samples = alternate(arms, repeats=options.repeats, progress=report_round)
    bound = "copying, see batch-fetch; the other arm by Python's parser"
    return Finding(samples, OURS, LITERAL, bound)


def write_shards(store: Store, folder: Path, tokens_a_bucket: int) -> list[Path]:
    """One shard a bucket with the first sequences of each, in the released layout."""
    shards = []
    for length in LENGTHS:
        rows = store.gather(store.bucket(length).starts[: max(1, tokens_a_bucket // length)], length)
        shards.append(folder / f"{length}.tar")
        write_shard(shards[-1], iter(rows), 0, EOS_ID)
    return shards


def read(shards: list[Path]) -> float:
    """All sequences of the shards as lists; the number of their tokens."""
    tokens = 0
    for shard in shards:
        with tarfile.open(shard) as archive:
            for member in archive:
                stream = archive.extractfile(member)
                assert stream is not None
                tokens += len(ast.literal_eval(stream.read().decode()))
    return float(tokens)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
