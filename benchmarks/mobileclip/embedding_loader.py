"""How fast are the three embeddings of a training step read, against the official npz?

The official loader decodes all 36 rows of a sample (30 augmentations, 1 + 5 captions, two teachers of 768)
and keeps three of them; the store maps its files and reads three, a batch at a time, as a training step needs
them. Both read from warm memory: the official arm has the members' bytes at hand, so opening the tar costs it
nothing, and its npz is not compressed, the quickest kind. A further arm draws one sample at a time. The arms
must give equal rows to the bit.

An earlier measurement on one core: 0.61 ms against 0.019 ms a sample.
"""

import io
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from mobileclip.reinforcement.store import ReinforcedStore

from benchmarks.bandwidth import copy_bandwidth
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.mobileclip.reinforced_set import (
    Draw,
    generated_samples,
    npz_members,
    random_draws,
    write_store,
)
from benchmarks.question import Finding, Options, Question, answer, report_round

QUESTION = Question(
    name="embedding-loader-npz",
    toolkit="mobileclip",
    expected="at least 25 times the samples/s of decoding the official npz",
    holds=lambda ratio: ratio >= 25,
    packages=["mobileclip", "numpy", "torch"],
    unit="samples",
)
BATCH = 256
OURS, OFFICIAL = "mobileclip store, float32", "official npz, float32"
ONE_BY_ONE = "mobileclip store, one by one"


def measure(options: Options) -> Finding:
    """Time draws from the store and decoded members in turn."""
    torch.set_num_threads(1)
    at_least = options.pick(0, 1)
    with tempfile.TemporaryDirectory() as name:
        samples = generated_samples(options.pick(8, 400), "float32")
        store = write_store(Path(name) / "store", samples)
        members = npz_members(samples)
        draws = random_draws(len(samples), options.pick(50, 2048))
        check_rows(store, draws, [draw_npz(members, draw) for draw in draws])
        arms = {
            OURS: lambda: timed(lambda: read_store(store, draws), at_least_seconds=at_least),
            ONE_BY_ONE: lambda: timed(lambda: read_singly(store, draws), at_least_seconds=at_least),
            OFFICIAL: lambda: timed(lambda: read_npz(members, draws), at_least_seconds=at_least),
        }
        found = alternate(arms, repeats=options.repeats, progress=report_round)
    note = (
        f"{len(draws)} draws of {len(samples)} samples, {len(members[0]) / 1e3:.0f} kB a member, rows equal"
    )
    return Finding(found, OURS, OFFICIAL, bound_of(found[OURS], bytes_a_number=4), note=note)


def draw_npz(members: Sequence[bytes], draw: Draw) -> list[torch.Tensor]:
    """The three rows by the steps of the official loader."""
    arrays = np.load(io.BytesIO(members[draw.sample]))
    image, texts = arrays["image_emb"][draw.augmentation], arrays["text_emb"]
    return [torch.tensor(row).type(torch.float32) for row in (image, texts[0], texts[1 + draw.synthetic])]


def read_npz(members: Sequence[bytes], draws: Sequence[Draw]) -> float:
    """Some draws by the official steps; their number."""
    part = draws[: max(20, len(draws) // 10)]
    for draw in part:
        draw_npz(members, draw)
    return float(len(part))


def batches_of(store: ReinforcedStore, draws: Sequence[Draw]) -> Iterator[list[torch.Tensor]]:
    """The image, real and synthetic rows of each batch of draws, as float32 tensors in the same memory."""
    batch = None
    for start in range(0, len(draws), BATCH):
        samples, augmentations, synthetic = zip(*draws[start : start + BATCH], strict=True)
        if batch is not None and len(batch.image) != len(samples):
            batch = None
        batch = store.draw_batch(samples, augmentations, [0] * len(samples), synthetic, out=batch)
        assert batch.synthetic is not None
        yield [torch.from_numpy(rows) for rows in (batch.image, batch.text, batch.synthetic)]


def read_store(store: ReinforcedStore, draws: Sequence[Draw]) -> float:
    """All draws out of the store, batch by batch; their number."""
    return float(sum(len(batch[0]) for batch in batches_of(store, draws)))


def read_singly(store: ReinforcedStore, draws: Sequence[Draw]) -> float:
    """All draws out of the store, each for itself; their number."""
    for draw in draws:
        for row in store.draw(draw.sample, draw.augmentation, 0, draw.synthetic):
            assert row is not None
            torch.from_numpy(row)
    return float(len(draws))


def check_rows(
    store: ReinforcedStore, draws: Sequence[Draw], theirs: Sequence[Sequence[torch.Tensor]]
) -> None:
    """Make sure that the store gives the rows that the other arm read, to the bit."""
    batches = [[rows.clone() for rows in batch] for batch in batches_of(store, draws)]
    for kind in range(3):
        ours = torch.cat([batch[kind] for batch in batches])
        assert torch.equal(ours, torch.stack([rows[kind] for rows in theirs])), "a row differs"


def bound_of(samples: Sequence[Sample], *, bytes_a_number: int) -> str:
    """What limits the store's arm, and how near it is to copying memory."""
    rate = max(sample.work / sample.wall_seconds for sample in samples)
    # each row is read as it is stored, and written as float32
    moved = rate * 3 * 1536 * (bytes_a_number + 4)
    share = moved / (2 * copy_bandwidth())
    return f"copying rows: {1e6 / rate:.1f} us a sample, {moved / 1e9:.1f} GB/s, {share:.0%} of a plain copy"


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
