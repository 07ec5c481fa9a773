"""How fast is an exported image encoder beside the one that open_clip makes, on a CPU?

`MobileCLIP2-S0`, one image a call, the same weights in all arms and their features compared: open_clip's
model as `create_model` gives it (branches unfolded), ours folded in torch, ours folded in ONNX Runtime.
Decoding is not in the figure.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from benchmarks.measurement import Sample, alternate, timed
from benchmarks.mobileclip.image_arms import ONNX, PEER, ImageArms, build_arms
from benchmarks.question import Finding, Options, Question, answer, report_round

THREADS = 2
# a round is so many short turns of each arm: a machine that is slow for a second is so for all of them
BURSTS = 8
# threads of one arm spin for a while after its turn, on the cores that the next one needs
SETTLE_SECONDS = 0.1
QUESTION = Question(
    name="image-tower",
    toolkit="mobileclip",
    expected="ONNX Runtime on the folded encoder at least 2 times open_clip's encoder as created",
    holds=lambda ratio: ratio >= 2.0,
    packages=["mobileclip", "torch", "open_clip_torch", "timm", "onnxruntime"],
    unit="images",
    threads=THREADS,
)


def measure(options: Options, *, numerator: str = ONNX) -> Finding:
    """Time one image a call, in turn."""
    with tempfile.TemporaryDirectory() as folder:
        arms = build_arms(Path(folder), name="MobileCLIP2-S0", batch_size=1, threads=THREADS)
        error = arms.check_parity()
        bursts = [
            alternate(
                {name: lambda name=name: turn(arms, name, options) for name in arms.arms},  # type: ignore[misc]
                repeats=options.pick(1, BURSTS),
                progress=report_round,
            )
            for _ in range(options.repeats)
        ]
    samples = {name: [total(burst[name]) for burst in bursts] for name in arms.arms}
    return Finding(
        samples,
        numerator,
        PEER,
        "arithmetic of the cores: 2.39 GMAC an image",
        note=f"256 x 256 pixels, batch 1, {THREADS} threads; features of the arms equal to {error:.0e}",
    )


def turn(arms: ImageArms, name: str, options: Options) -> Sample:
    """An arm's images for a moment, after a pause and a call that are not timed."""
    time.sleep(SETTLE_SECONDS)
    arms.call(name)
    return timed(lambda: arms.call(name), at_least_seconds=0.0 if options.scale == "smoke" else 0.2)


def total(turns: Sequence[Sample]) -> Sample:
    """Several turns of an arm as one sample."""
    return Sample(
        sum(turn.work for turn in turns),
        sum(turn.wall_seconds for turn in turns),
        sum(turn.cpu_seconds for turn in turns),
    )


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=20)


if __name__ == "__main__":
    sys.exit(main())
