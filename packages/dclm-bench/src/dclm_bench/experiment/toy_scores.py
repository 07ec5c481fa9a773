"""Two made-up evaluation files in the leaderboard's layout; the second model is better by a known gain."""

from pathlib import Path

from toolkit_shared.artifacts import write_json
from toolkit_shared.randomness import stream

from dclm_bench.evaluation.aggregates import aggregate
from dclm_bench.evaluation.tasks import SUITES, VERSIONS, tasks

GAIN = 0.05
NAMES = ("toy-small", "toy-large")


def write_toy_scores(out: str | Path, *, seed: int = 0) -> tuple[Path, Path]:
    """Write OUT/toy-small.json and OUT/toy-large.json; their paths.

    Every task of the first lies by chance above its baseline; the second has `GAIN` of all questions more.
    No model stands behind them.

    Args:
        out: Folder; it is made.
        seed: Of the scores.
    """
    rng = stream(seed, "toy scores")
    first, second = {}, {}
    for name, task in tasks().items():
        base = task.baseline("v2")
        sizes = max(1, task.num_items)
        right = round((base + 0.3 * float(rng.random()) * (1 - base)) * sizes)
        better = min(sizes, right + round(GAIN * sizes))
        first[name], second[name] = right / sizes, better / sizes
    paths = (Path(out) / f"{NAMES[0]}.json", Path(out) / f"{NAMES[1]}.json")
    for path, name, scores in zip(paths, NAMES, (first, second), strict=True):
        means = {
            f"{suite}_{version}": aggregate(scores, suite, version).stored
            for suite in SUITES
            for version in VERSIONS
        }
        write_json(path, {"name": name, "eval_metrics": {"icl": scores}, **means})
    return paths
