"""What does a step of compatibility training cost on one GPU, in time and in memory?

The arms of `training_step` in bfloat16, on a model in which the layers, not the head, are most of the
work. The cached arm reads the teachers' states from files that are mapped into memory. Peak memory is the
most that torch had allocated on the device in two steps of each arm alone; it must be at most half that of
the plain arm, or the question fails whatever the speed. At scale smoke the same code runs with a tiny
model on the CPU.
"""

import gc
import sys
from pathlib import Path

import torch

from benchmarks.llm_compat.training_step import SMOKE
from benchmarks.llm_compat.training_step_arms import (
    CACHED,
    LIVE,
    PLAIN,
    FusedSteps,
    PlainSteps,
    Sizes,
    build,
    check_parity,
    make_files,
    temporary_folder,
)
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

FULL = Sizes(
    width=2048,
    layers=16,
    heads=16,
    vocabulary=32_000,
    rank=64,
    rows=8,
    length=512,
    device="cuda",
    dtype=torch.bfloat16,
    chunk_tokens=2048,
)
MEMORY_FRACTION = 0.5
QUESTION = Question(
    name="training-step-gpu",
    toolkit="llm-compat",
    expected="at least 1.7 times the tokens/s of three models with full logits, in at most half the memory",
    holds=lambda ratio: ratio >= 1.7,
    packages=["llm-compat", "torch", "transformers", "peft"],
    scale="gpu",
)


def measure(options: Options) -> Finding | None:
    """Time as many steps of each arm in turn; nothing where there is no GPU."""
    smoke = options.scale == "smoke"
    if not smoke and not torch.cuda.is_available():
        print("training step gpu: skipped, there is no CUDA device")
        return None
    sizes, steps = SMOKE if smoke else FULL, options.pick(1, 8)
    with temporary_folder() as name:
        folder = Path(name)
        rows = make_files(folder, sizes, steps=options.pick(2, 16))
        memory = {arm: peak_memory(build(arm, folder, rows, sizes), sizes) for arm in (CACHED, LIVE, PLAIN)}
        arms = {arm: build(arm, folder, rows, sizes) for arm in (CACHED, LIVE, PLAIN)}

        def run(arm: FusedSteps | PlainSteps) -> float:
            tokens = sum(arm.step() for _ in range(steps))
            synchronize(sizes)
            return tokens

        samples: dict[str, list[Sample]] = alternate(
            {name: lambda arm=arm: timed(lambda: run(arm)) for name, arm in arms.items()},  # type: ignore[misc]
            repeats=options.repeats,
            warm_up=options.pick(1, 2),
            progress=report_round,
        )
        check_parity(arms, tolerance=1e-3 if smoke else 0.05)
    fraction = memory[CACHED] / max(1, memory[PLAIN])
    if not smoke:
        assert fraction <= MEMORY_FRACTION, f"the cached arm takes {fraction:.2f} of the plain arm's memory"
    peaks = ", ".join(f"{arm}: {size / 2**30:.2f} GiB" for arm, size in memory.items())
    note = f"{sizes.describe()}; peak device memory {peaks}; cached / plain {fraction:.2f}"
    return Finding(samples, CACHED, PLAIN, "matrix products of the GPU", note=note)


def peak_memory(arm: FusedSteps | PlainSteps, sizes: Sizes) -> int:
    """Bytes that were allocated on the device at most in two steps of an arm alone; 0 on a CPU."""
    if sizes.device != "cuda":
        return 0
    gc.collect()
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    for _ in range(2):
        arm.step()
    synchronize(sizes)
    return torch.cuda.max_memory_allocated()


def synchronize(sizes: Sizes) -> None:
    """Wait for the device."""
    if sizes.device == "cuda":
        torch.cuda.synchronize()


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
