"""How fast are documents packed into rows by best-fit decreasing, against TRL?

Packing is to tell which documents make up each row. The two arms of the ratio do that and no more: TRL packs
documents of the same lengths whose tokens are nulls, so that it has none to copy. Two further arms also copy
the tokens into rows. All pack everything as one batch and must need the same number of rows.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from seqdecomp.data.store import Store, TokenFile
from seqdecomp.packing import pack_best_fit

from benchmarks.bandwidth import copy_bandwidth
from benchmarks.measurement import alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.documents import document_lengths, write_token_file

QUESTION = Question(
    name="best-fit-packing",
    toolkit="seqdecomp",
    expected="at least 20 times TRL's tokens/s at the same number of rows",
    holds=lambda ratio: ratio >= 20,
    packages=["seqdecomp", "numpy"],
)
OURS, PEER = "seqdecomp", "trl 1.16.0"
OURS_COPIED, PEER_COPIED = f"{OURS}, with tokens", f"{PEER}, with tokens"
TRL = ["trl==1.16.0", "datasets"]
WORKER = Path(__file__).parent / "workers" / "serve_trl.py"
CAPACITY = 8192


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same documents."""
    lengths = np.minimum(
        document_lengths(options.pick(2_000, 120_000)), CAPACITY
    )  # "bfd" would cut longer ones
    starts, tokens = np.cumsum(lengths) - lengths, float(lengths.sum())
    at_least = options.pick(0, 1)
    found: dict[str, int] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_token_file(folder / "tokens.bin", lengths)
        store = store_of(folder / "tokens.bin", lengths)

        def assign() -> float:
            found["rows"] = len(pack_best_fit(starts, lengths, length=CAPACITY))
            return tokens

        def copy() -> float:
            rows = pack_best_fit(starts, lengths, length=CAPACITY)
            offsets, places, spans = rows.segments()
            found["copied rows"] = len(
                store.gather_segments(places, spans, offsets, CAPACITY, dtype=np.int32)
            )
            return tokens

        arms = {
            OURS: lambda: timed(assign, at_least_seconds=at_least),
            OURS_COPIED: lambda: timed(copy, at_least_seconds=at_least),
        }
        if not options.peers:
            return Finding(alternate(arms, repeats=options.repeats, progress=report_round), OURS, None)
        np.save(folder / "lengths.npy", lengths)
        np.save(folder / "tokens.npy", np.fromfile(folder / "tokens.bin", np.uint16))
        with Peer(TRL, WORKER) as peer:
            peer.ask("give_documents", tokens=str(folder / "tokens.npy"), lengths=str(folder / "lengths.npy"))
            arms[PEER] = lambda: peer.measure("pack", capacity=CAPACITY, column="lengths")
            arms[PEER_COPIED] = lambda: peer.measure("pack", capacity=CAPACITY, column="tokens")
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            theirs, versions = peer.ask("rows"), peer.versions
    assert theirs["tokens"] == tokens, "the peer left tokens out"
    assert theirs["rows"] == found["rows"] == found["copied rows"], "the numbers of rows differ"
    rate = max(sample.work / sample.wall_seconds for sample in samples[OURS]) * len(lengths) / tokens
    copied = 4 * max(sample.work / sample.wall_seconds for sample in samples[OURS_COPIED])
    limit = copy_bandwidth()
    bound = (
        f"sorting the lengths: {rate / 1e6:.1f} M documents/s; with tokens one copy call a document: "
        f"{copied / 1e9:.1f} GB/s of int32 ids, {copied / limit:.0%} of one copy"
    )
    note = f"{len(lengths)} documents, {int(tokens)} tokens, {theirs['rows']} rows of {CAPACITY} in both"
    return Finding(samples, OURS, PEER, bound, versions, note)


def store_of(path: Path, lengths: np.ndarray) -> Store:
    """A store over one token file whose documents are known."""
    boundaries = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    file = TokenFile(
        path=path,
        dtype="uint16",
        offset_bytes=0,
        tokens=int(boundaries[-1]),
        source=0,
        boundaries_in_memory=boundaries,
    )
    return Store([file])


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
