"""How fast do batches come out of the data loader, with no model behind it, against OLMo-core's?

Both read the same token file and give out one epoch in one process: the same buckets, each step one length,
inputs as int64 tensors; ours gives the targets with them. A third arm is OLMo-core's default of four threads,
a fourth only our gathering of token rows. In OLMo-core's order, its first batches must equal those gathered
here.
"""

import hashlib
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from seqdecomp.build import build_store
from seqdecomp.data.loading import PlanLoader, StepDataset
from seqdecomp.data.store import Store
from seqdecomp.olmo_order import olmo_batch_order, olmo_bucket_permutation
from seqdecomp.plan import Plan
from seqdecomp.rows import Group, Rows
from seqdecomp.settings import DecompositionSettings, ReadSettings

from benchmarks.bandwidth import copy_bandwidth
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.decompose_with_offsets import LENGTHS, MAX_LENGTH, MIN_LENGTH, OLMO_CORE, WORKER
from benchmarks.seqdecomp.documents import EOS_ID, VOCAB_SIZE, document_lengths, write_token_file

QUESTION = Question(
    name="batch-fetch",
    toolkit="seqdecomp",
    expected="at least 10 times the tokens/s of OLMo-core's loader",
    holds=lambda ratio: ratio >= 10,
    packages=["seqdecomp", "numpy", "torch"],
)
OURS, ROWS, PEER = "seqdecomp", "seqdecomp, token rows only", "ai2-olmo-core 3.0.0"
THREADS = f"{PEER}, 4 threads"


def measure(options: Options) -> Finding:
    """Time one epoch out of each loader in turn."""
    torch.set_num_threads(1)
    batch_tokens, at_least = options.pick(1 << 14, 1 << 19), options.pick(0, 1)
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "tokens.npy"
        write_token_file(path, document_lengths(options.pick(2_000, 100_000)))
        store = store_of(path, Path(name) / "store")
        plan = plan_of(store, batch_tokens)
        arms = {
            OURS: lambda: timed(lambda: fetch(store, plan), at_least_seconds=at_least),
            ROWS: lambda: timed(lambda: gather(store, plan), at_least_seconds=at_least),
        }
        if not options.peers:
            return Finding(alternate(arms, repeats=options.repeats, progress=report_round), OURS, None)
        with Peer(OLMO_CORE, WORKER) as peer:
            for threads in (0, 4):
                opened = peer.ask(
                    "open_loader",
                    path=str(path),
                    work=str(Path(name) / "work"),
                    shortest=MIN_LENGTH,
                    longest=MAX_LENGTH,
                    eos_id=EOS_ID,
                    vocab_size=VOCAB_SIZE,
                    batch_tokens=batch_tokens,
                    threads=threads,
                )
            batches = opened["total_batches"]
            assert batches == plan.steps, f"{batches} batches of the peer, {plan.steps} of the plan"
            equal = require_equal_batches(store, opened["batches_per_bucket"], batch_tokens, peer)

            def theirs(threads: int) -> Sample:
                return peer.measure("fetch", batches=batches, threads=threads)

            arms[PEER] = lambda: theirs(0)
            arms[THREADS] = lambda: theirs(4)
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            versions = peer.versions
    rate = max(sample.work / sample.wall_seconds for sample in samples[OURS])
    limit = copy_bandwidth()
    written = 16 * rate
    bound = (
        f"copying: {written / 1e9:.1f} GB/s of int64 inputs and targets, {written / limit:.0%} of one copy"
    )
    note = f"an epoch of {plan.steps} batches of {batch_tokens} tokens; {equal} equal in the peer's order"
    return Finding(samples, OURS, PEER, bound, versions, note)


def store_of(path: Path, out: Path) -> Store:
    """A store that refers to the token file."""
    build_store(
        [path],
        out,
        settings=DecompositionSettings(min_length=MIN_LENGTH, max_length=MAX_LENGTH),
        read=ReadSettings(format="olmo", dtype="uint16", eos_id=EOS_ID, vocab_size=VOCAB_SIZE),
    )
    return Store.open(out)


def plan_of(store: Store, batch_tokens: int) -> Plan:
    """Whole batches of all buckets in random order."""
    groups = [
        Group(str(length), "", length, Rows.from_bucket(store.bucket(length), length)) for length in LENGTHS
    ]
    return Plan(groups, batch_tokens=batch_tokens, curriculum="uniform", cycles=1, leftovers="drop")


def fetch(store: Store, plan: Plan) -> float:
    """One epoch out of the loader; its tokens."""
    loader = PlanLoader(StepDataset(store, plan), workers=0, pin_memory=False)
    return float(sum(batch["input_ids"].numel() for batch in loader))


def gather(store: Store, plan: Plan) -> float:
    """The same rows without a loader; their tokens."""
    tokens = 0
    for step in range(plan.steps):
        group, rows = plan.rows_of_step(step)
        tokens += plan.groups[group].rows.gather(store, rows)[0].size
    return float(tokens)


def require_equal_batches(
    store: Store, batches: list[int], batch_tokens: int, peer: Peer, first: int = 20
) -> int:
    """How many of the peer's first batches were compared, after asserting that they are equal."""
    buckets, numbers = olmo_batch_order("olmo-natural", np.array(batches), seed=0, epoch=1)
    found = peer.ask("hashes", batches=first, threads=0)["hashes"]
    for bucket, number, theirs in zip(buckets.tolist(), numbers.tolist(), found, strict=False):
        length = LENGTHS[bucket]
        starts = store.bucket(length).starts
        order = olmo_bucket_permutation(length, len(starts), seed=0, epoch=1)
        rows = batch_tokens // length
        tokens = store.gather(starts[order[number * rows : (number + 1) * rows]], length)
        assert hashlib.sha256(tokens.tobytes()).hexdigest() == theirs, "a batch differs from the peer's"
    return len(found)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
