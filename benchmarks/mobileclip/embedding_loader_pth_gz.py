"""How fast are the three embeddings of a training step read, against the official gzipped torch file?

As `embedding_loader`, with the bfloat16 container in which the public sets come. It is read in two ways: the
training code unpacks it as a whole and then loads it; the generator's own reader loads from the packed
stream, in which torch seeks back and forth, several times as slow. The ratio is to the quicker one.

An earlier measurement on one core: 9.8 ms (from the packed stream) against 0.019 ms a sample.
"""

import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from benchmarks.measurement import alternate, timed
from benchmarks.mobileclip.embedding_loader import ONE_BY_ONE, bound_of, check_rows, read_singly, read_store
from benchmarks.mobileclip.reinforced_set import (
    Draw,
    generated_samples,
    load_pth_gz,
    pth_gz_members,
    random_draws,
    stream_pth_gz,
    write_store,
)
from benchmarks.question import Finding, Options, Question, answer, report_round

QUESTION = Question(
    name="embedding-loader-pth-gz",
    toolkit="mobileclip",
    expected="at least 200 times the samples/s of decoding the official pth.gz",
    holds=lambda ratio: ratio >= 200,
    packages=["mobileclip", "numpy", "torch"],
    unit="samples",
)
Load = Callable[[bytes], dict[str, torch.Tensor]]
OURS, OFFICIAL = "mobileclip store, bfloat16", "official pth.gz, bfloat16"
STREAMED = "official pth.gz from the packed stream"


def measure(options: Options) -> Finding:
    """Time draws from the store and decoded members in turn."""
    torch.set_num_threads(1)
    at_least = options.pick(0, 1)
    with tempfile.TemporaryDirectory() as name:
        samples = generated_samples(options.pick(8, 400), "bfloat16")
        store = write_store(Path(name) / "store", samples)
        members = pth_gz_members(samples)
        draws = random_draws(len(samples), options.pick(50, 2048))
        for load in (load_pth_gz, stream_pth_gz):
            check_rows(store, draws[:100], [draw_pth_gz(load, members, draw) for draw in draws[:100]])
        arms = {
            OURS: lambda: timed(lambda: read_store(store, draws), at_least_seconds=at_least),
            ONE_BY_ONE: lambda: timed(lambda: read_singly(store, draws), at_least_seconds=at_least),
            OFFICIAL: lambda: timed(
                lambda: read_pth_gz(load_pth_gz, members, draws), at_least_seconds=at_least
            ),
            STREAMED: lambda: timed(
                lambda: read_pth_gz(stream_pth_gz, members, draws), at_least_seconds=at_least
            ),
        }
        found = alternate(arms, repeats=options.repeats, progress=report_round)
    note = (
        f"{len(draws)} draws of {len(samples)} samples, {len(members[0]) / 1e3:.0f} kB a member, rows equal"
    )
    return Finding(found, OURS, OFFICIAL, bound_of(found[OURS], bytes_a_number=2), note=note)


def draw_pth_gz(load: Load, members: Sequence[bytes], draw: Draw) -> list[torch.Tensor]:
    """The three rows by the steps of the official loader, as float32 tensors."""
    arrays = load(members[draw.sample])
    image, texts = arrays["image_emb"][draw.augmentation], arrays["text_emb"]
    return [row.type(torch.float32) for row in (image, texts[0], texts[1 + draw.synthetic])]


def read_pth_gz(load: Load, members: Sequence[bytes], draws: Sequence[Draw]) -> float:
    """Some draws by the official steps; their number."""
    part = draws[: max(10, len(draws) // 40)]
    for draw in part:
        draw_pth_gz(load, members, draw)
    return float(len(part))


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
