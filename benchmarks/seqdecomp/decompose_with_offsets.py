"""How fast are documents whose places are known filed into buckets, against OLMo-core?

Both get the places of the documents and write their index files. OLMo-core's function always searches the
token file for the end-of-text token first; for the ratio that search is taken out of it (it is handed the
documents' places), so that its loop over documents is compared with ours. The function as users call it is
a third arm.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from seqdecomp.data.buckets import Bucket
from seqdecomp.decomposition import decompose

from benchmarks.bandwidth import read_bandwidth
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.documents import EOS_ID, document_lengths, write_token_file

QUESTION = Question(
    name="decompose-with-offsets",
    toolkit="seqdecomp",
    expected="at least 20 times OLMo-core's tokens/s (moonshot 100)",
    holds=lambda ratio: ratio >= 20,
    packages=["seqdecomp", "numpy"],
)
OURS, PEER = "seqdecomp", "ai2-olmo-core 3.0.0"
GIVEN = f"{PEER}, documents given"
OLMO_CORE = ["ai2-olmo-core==3.0.0"]
WORKER = Path(__file__).parent / "workers" / "serve_olmo_core.py"
MIN_LENGTH, MAX_LENGTH = 256, 8192
LENGTHS = [MIN_LENGTH << i for i in range(6)]


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same documents and compare the pieces that they cut."""
    lengths = document_lengths(options.pick(2_000, 500_000))
    ends = np.cumsum(lengths)
    starts, tokens = ends - lengths, float(ends[-1])
    at_least = options.pick(0, 1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)

        def ours() -> float:
            save_buckets(decompose(starts, lengths, min_length=MIN_LENGTH, max_length=MAX_LENGTH), folder)
            return tokens

        arms = {OURS: lambda: timed(ours, at_least_seconds=at_least)}
        if not options.peers:
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            return Finding(samples, OURS, None)
        write_token_file(folder / "tokens.npy", lengths)
        np.save(folder / "ends.npy", ends)
        arguments = {
            "buckets": LENGTHS,
            "eos_id": EOS_ID,
            "dtype": "uint16",
            "path": str(folder / "tokens.npy"),
        }
        with Peer(OLMO_CORE, WORKER) as peer:
            peer.ask("give_boundaries", path=str(folder / "ends.npy"))

            def theirs(task: str) -> Sample:
                return peer.measure(task, target=str(folder / f"{task}.npy"), **arguments)

            arms[GIVEN] = lambda: theirs("bucket_given_documents")
            arms[PEER] = lambda: theirs("bucket_documents")
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            pieces = require_same_pieces(folder, folder / "bucket_documents.npy")
            assert pieces == require_same_pieces(folder, folder / "bucket_given_documents.npy")
            versions = peer.versions
    # A document's start and length are read once and, level by level, read and written: 16 bytes each time.
    seconds = min(sample.wall_seconds / sample.work * tokens for sample in samples[OURS])
    moved = 16 * len(lengths) * (1 + 2 * len(LENGTHS)) / seconds
    limit = read_bandwidth()
    bound = f"passes over cached blocks: {moved / 1e9:.1f} GB/s, {moved / limit:.0%} of reading from memory"
    note = f"{len(lengths)} documents, {int(tokens)} tokens, {pieces} equal pieces"
    return Finding(samples, OURS, GIVEN, bound, versions, note)


def save_buckets(buckets: dict[int, Bucket], folder: Path) -> None:
    """Write each bucket's starts to a file, as a build does."""
    for length, bucket in buckets.items():
        np.save(folder / f"bucket-{length}.npy", bucket.starts)


def require_same_pieces(folder: Path, theirs: Path) -> int:
    """The number of pieces, after asserting that both cut the same ones."""
    pieces = np.fromfile(theirs, np.uint32).astype(np.int64).reshape(-1, 2)
    pieces = pieces[np.argsort(pieces[:, 0])]
    starts = [np.load(folder / f"bucket-{length}.npy") for length in LENGTHS]
    lengths = np.repeat(LENGTHS, [len(part) for part in starts])
    joined = np.concatenate(starts)
    order = np.argsort(joined)
    assert np.array_equal(joined[order], pieces[:, 0]), "the pieces start elsewhere"
    assert np.array_equal(joined[order] + lengths[order], pieces[:, 1]), "the pieces end elsewhere"
    return len(pieces)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
