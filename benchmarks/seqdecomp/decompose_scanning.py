"""How fast is a raw token file searched for documents and filed into buckets, against OLMo-core?

Both map the file, find the end-of-text tokens, cut the documents and write their index files. The file is in
the page cache.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from seqdecomp.decomposition import decompose, document_boundaries

from benchmarks.bandwidth import read_bandwidth
from benchmarks.measurement import alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.decompose_with_offsets import (
    LENGTHS,
    MAX_LENGTH,
    MIN_LENGTH,
    OLMO_CORE,
    OURS,
    PEER,
    WORKER,
    require_same_pieces,
    save_buckets,
)
from benchmarks.seqdecomp.documents import EOS_ID, document_lengths, write_token_file

QUESTION = Question(
    name="decompose-scanning",
    toolkit="seqdecomp",
    expected="at least 3 times OLMo-core's tokens/s",
    holds=lambda ratio: ratio >= 3,
    packages=["seqdecomp", "numpy"],
)


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same file and compare the pieces that they cut."""
    lengths = document_lengths(options.pick(2_000, 500_000))
    at_least = options.pick(0, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        path = folder / "tokens.npy"
        write_token_file(path, lengths)

        def ours() -> float:
            tokens = np.memmap(path, np.uint16, "r").view(np.ndarray)
            starts, found = document_boundaries(tokens, EOS_ID)
            save_buckets(decompose(starts, found, min_length=MIN_LENGTH, max_length=MAX_LENGTH), folder)
            return float(len(tokens))

        arms = {OURS: lambda: timed(ours, at_least_seconds=at_least)}
        if not options.peers:
            return Finding(alternate(arms, repeats=options.repeats, progress=report_round), OURS, None)
        with Peer(OLMO_CORE, WORKER) as peer:
            target = folder / "theirs.npy"
            arms[PEER] = lambda: peer.measure(
                "bucket_documents",
                path=str(path),
                target=str(target),
                buckets=LENGTHS,
                eos_id=EOS_ID,
                dtype="uint16",
            )
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            pieces = require_same_pieces(folder, target)
            versions = peer.versions
    read = 2 * max(sample.work / sample.wall_seconds for sample in samples[OURS])
    limit = read_bandwidth()
    bound = (
        f"reading the tokens: {read / 1e9:.1f} GB/s, {read / limit:.0%} of what one core reads from memory"
    )
    note = f"{len(lengths)} documents, {int(lengths.sum())} tokens, {pieces} equal pieces"
    return Finding(samples, OURS, PEER, bound, versions, note)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
