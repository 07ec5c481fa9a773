"""Interleaved timings of the arms of one question, one thread each."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

MAX_CALLS = 1_000_000


@dataclass(frozen=True)
class Sample:
    """One timing: what was done, and the seconds of the clock and of the processor that it took.

    Attributes:
        work: Units done, such as tokens.
        wall_seconds: By the clock.
        cpu_seconds: Of the process, all its threads.
    """

    work: float
    wall_seconds: float
    cpu_seconds: float


def timed(function: Callable[[], float], *, at_least_seconds: float = 0.0) -> Sample:
    """Runs `function`, which returns the work it did, again and again until the given time has passed."""
    work, calls = 0.0, 0
    cpu, wall = time.process_time(), time.perf_counter()
    while calls == 0 or (time.perf_counter() - wall < at_least_seconds and calls < MAX_CALLS):
        work += function()
        calls += 1
    return Sample(work, time.perf_counter() - wall, time.process_time() - cpu)


def alternate(
    arms: Mapping[str, Callable[[], Sample]],
    *,
    repeats: int,
    warm_up: int = 1,
    progress: Callable[[str], None] = lambda line: None,
) -> dict[str, list[Sample]]:
    """The samples of each arm, taken in turn (A, B, A, B, ...), after `warm_up` rounds that are not kept."""
    samples: dict[str, list[Sample]] = {name: [] for name in arms}
    for turn in range(-warm_up, repeats):
        for name, measure in arms.items():
            sample = measure()
            rate = sample.work / sample.wall_seconds
            progress(
                f"{'warm-up' if turn < 0 else turn + 1}: {name}: {sample.wall_seconds:.3f} s, {rate:.4g}/s"
            )
            if turn >= 0:
                samples[name].append(sample)
    return samples
