"""How fast are the counts of an old and a new model resampled, against drawing item by item?

Both arms give the counts of the five cells (both right; lost; gained; both wrong, with the same or another
answer) in every resample of 10,042 items. The distributions are the same: means, covariances and third
moments of both are held against those of the multinomial distribution in the same run.
"""

import sys
import time

import numpy as np
import numpy.typing as npt
from llm_compat.bootstrap import cell_draws

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PEER = "ours", "index resampling (numpy)"
# A task of 10,042 items: accuracies 72.7 and 72.9 %, of which 10.3 % lost, as for Llama 1 -> 2 on HellaSwag.
CELLS = np.array([6272, 1031, 1048, 620, 1071])
# A standard error too far: with some thirty moments a run that is right is refused once in ten thousand.
TOLERATED_ERRORS = 5.0

QUESTION = Question(
    name="bootstrap",
    toolkit="llm-compat",
    expected="at least 200 times the draws/s of index resampling",
    holds=lambda ratio: ratio >= 200,
    packages=["llm-compat", "numpy"],
    unit="draws",
)

Counts = npt.NDArray[np.int64]


def resample_items(codes: Counts, cells: int, draws: int, generator: np.random.Generator) -> Counts:
    """The counts of each cell when as many items as there are are drawn with replacement; [draws, cells].

    A loop over resamples, with indices of 64 bits: all at once, or of fewer bits, are slower.
    """
    counts = np.empty((draws, cells), np.int64)
    items = len(codes)
    for draw in range(draws):
        counts[draw] = np.bincount(codes[generator.integers(0, items, items)], minlength=cells)
    return counts


def require_multinomial(counts: Counts, cells: Counts) -> float:
    """Hold the moments of draws against those of the multinomial distribution; the largest error found.

    Returns:
        The largest deviation of a mean, a covariance or a third central moment, in standard errors.

    Raises:
        AssertionError: one is beyond what chance explains.

    Source: mean n p, covariance n (diag(p) - p p'), third central moment n p (1 - p) (1 - 2 p); standard
    errors from the spread of the draws themselves.
    """
    total = int(cells.sum())
    shares = cells / total
    centred = counts - total * shares
    assert (counts.sum(axis=1) == total).all(), "a resample has another number of items"
    products = centred[:, :, None] * centred[:, None, :]
    expected = total * (np.diag(shares) - np.outer(shares, shares))
    thirds = total * shares * (1 - shares) * (1 - 2 * shares)
    worst = 0.0
    for values, wanted in (
        (centred, np.zeros(len(cells))),
        (products.reshape(len(counts), -1), expected.ravel()),
        (centred**3, thirds),
    ):
        errors = values.std(axis=0, ddof=1) / np.sqrt(len(counts))
        worst = max(worst, float(np.abs((values.mean(axis=0) - wanted) / errors).max()))
    assert worst < TOLERATED_ERRORS, f"a moment is {worst:.1f} standard errors off"
    return worst


def measure(options: Options) -> Finding:
    """Time both arms in turn, and compare their distributions."""
    draws = options.pick(500, 10_000)
    at_least = options.pick(0, 1)
    codes = np.repeat(np.arange(len(CELLS)), CELLS)
    ours, theirs = np.random.default_rng(1), np.random.default_rng(2)
    found: dict[str, Counts] = {}

    def multinomial() -> float:
        found[OURS] = cell_draws(CELLS, draws, ours)
        return float(draws)

    def items() -> float:
        found[PEER] = resample_items(codes, len(CELLS), draws, theirs)
        return float(draws)

    samples = alternate(
        {OURS: lambda: timed(multinomial, at_least_seconds=at_least), PEER: lambda: timed(items)},
        repeats=options.repeats,
        progress=report_round,
    )
    worst = {name: require_multinomial(counts, CELLS) for name, counts in found.items()}
    seconds = min(sample.wall_seconds / sample.work for sample in samples[OURS])
    limit = _binomial_seconds(draws)
    bound = (
        f"drawing: {1e9 * seconds:.0f} ns a resample, of which the four binomial numbers alone are "
        f"{limit / seconds:.0%}"
    )
    note = (
        f"{len(codes):,} items, {len(CELLS)} cells, {draws:,} draws a call; largest error of a moment: "
        + ", ".join(f"{name} {value:.1f} standard errors" for name, value in worst.items())
    )
    return Finding(samples, OURS, PEER, bound, note=note)


def _binomial_seconds(draws: int) -> float:
    """Seconds a resample that numpy needs for its binomial numbers: the best of five."""
    generator = np.random.default_rng(3)
    left, counts = int(CELLS.sum()), CELLS[:-1].tolist()
    times = []
    for _ in range(5):
        start, items = time.perf_counter(), left
        for count in counts:
            generator.binomial(items, count / items, draws)
            items -= count
        times.append(time.perf_counter() - start)
    return min(times) / draws


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
