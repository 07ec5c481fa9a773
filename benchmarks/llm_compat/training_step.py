"""What does a step of compatibility training cost on a CPU, against three models with full logits?

Tokens a second of the same optimizer steps. The plain arm runs three models and makes three tensors of
logits; ours runs one model, takes the teachers' hidden states from a cache, and makes one teacher's logits
a token in chunks. A third arm runs both teachers live, on two bases rather than three. The losses of all
arms must agree. The peak memory of each arm is that of a process of its own.
"""

import multiprocessing
import resource
import sys
from pathlib import Path

import torch

from benchmarks.llm_compat.training_step_arms import (
    CACHED,
    LIVE,
    PLAIN,
    Sizes,
    build,
    check_parity,
    make_files,
    temporary_folder,
)
from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

FULL = Sizes(width=512, layers=4, heads=8, vocabulary=32_000, rank=16, rows=4, length=128)
SMOKE = Sizes(width=32, layers=1, heads=2, vocabulary=200, rank=2, rows=2, length=16)
QUESTION = Question(
    name="training-step",
    toolkit="llm-compat",
    expected="at least 1.6 times the tokens/s of three models with full logits (moonshot 2.5)",
    holds=lambda ratio: ratio >= 1.6,
    packages=["llm-compat", "torch", "transformers", "peft"],
)


def measure(options: Options) -> Finding:
    """Time as many steps of each arm in turn."""
    torch.set_num_threads(1)
    sizes, steps = SMOKE if options.scale == "smoke" else FULL, options.pick(1, 2)
    with temporary_folder() as name:
        folder = Path(name)
        rows = make_files(folder, sizes, steps=options.pick(2, 4))
        memory = {arm: peak_memory(arm, folder, sizes) for arm in (CACHED, LIVE, PLAIN)}
        arms = {arm: build(arm, folder, rows, sizes) for arm in (CACHED, LIVE, PLAIN)}
        samples = alternate(
            {
                name: lambda arm=arm: timed(lambda: sum(arm.step() for _ in range(steps)))  # type: ignore[misc]
                for name, arm in arms.items()
            },
            repeats=options.repeats,
            progress=report_round,
        )
        check_parity(arms, tolerance=1e-3)
    peaks = ", ".join(f"{arm}: {size / 2**20:.0f} MiB" for arm, size in memory.items())
    note = f"{sizes.describe()}; one thread; peak resident memory of a process, imports included: {peaks}"
    bound = "matrix products of one core, about 78 % of the time by torch's profiler"
    return Finding(samples, CACHED, PLAIN, bound, note=note)


def peak_memory(arm: str, folder: Path, sizes: Sizes) -> int:
    """Bytes that a process had resident at most while it took two steps of an arm."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(_take_two_steps, (arm, folder, sizes))


def _take_two_steps(arm: str, folder: Path, sizes: Sizes) -> int:
    import numpy as np
    from llm_compat.data.token_rows import TokenRows

    torch.set_num_threads(1)
    trained = np.arange(sizes.length) < sizes.length - 1
    tokens = np.random.default_rng(0).integers(sizes.vocabulary, size=(2 * sizes.rows, sizes.length))
    rows = TokenRows.from_rows((row, trained) for row in tokens.astype(np.int32))
    steps = build(arm, folder, rows, sizes)
    for _ in range(2):
        steps.step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=5)


if __name__ == "__main__":
    sys.exit(main())
