"""All runs of the experiment: regimes x seeds, which are missing, and where they are kept."""

import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from toolkit_shared.claims import Runs, complete_runs
from toolkit_shared.errors import require

from mobileclip import __version__
from mobileclip.experiment.configuration import (
    ARMS,
    ARMS_OF,
    CURVE_ARMS,
    REINFORCED,
    STRONG_CLIP,
    ExperimentSettings,
    Regime,
)
from mobileclip.experiment.efficiency import accuracy_at, crossing_ratio

KIND = "mobileclip-claims"
EFFICIENCY = "efficiency"
AXES = ("steps", "pairs")
TENTH = 0.1
Found = dict[str, Any]


@dataclass(frozen=True)
class RunTask:
    """One run to do, as a worker process receives it: all arms of a seed, which share teachers and pairs."""

    regime: Regime
    seed: int
    arms: tuple[str, ...]
    settings: ExperimentSettings


def run_claims(
    out: str | Path,
    *,
    regimes: Sequence[Regime],
    seeds: Sequence[int],
    settings: ExperimentSettings,
    workers: int = 1,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, dict[int, Found]]:
    """What every seed measured, by regime and seed.

    Runs that are there already are not done again. The numbers depend neither on `workers` nor on where a
    call was interrupted.

    Args:
        out: The folder: runs/REGIME-seedN.json, manifest.json.
        regimes: How hard images are augmented.
        seeds: What to repeat over; a seed divides the digits, and draws pairs, captions and weights.
        settings: Sizes.
        workers: Processes, each on one thread; 1 runs in this process.
        resume: Go on in a folder that has runs already.
        overwrite: Empty a folder of other settings first.
        progress: Called with the number of runs done since the last call.

    Raises:
        InputError: the folder holds something else, or scikit-learn is not installed.
    """
    require("sklearn.datasets", toolkit="mobileclip", extra="claims")  # before a folder is made
    tasks = {
        f"{regime.name}-seed{seed}": RunTask(regime, seed, ARMS_OF[regime.name], settings)
        for seed in seeds
        for regime in regimes
    }
    found = complete_runs(
        out,
        kind=KIND,
        config={
            "settings": settings.as_dict(),
            "regimes": [asdict(regime) for regime in regimes],
            "arms": {regime.name: list(ARMS_OF[regime.name]) for regime in regimes},
            "seeds": list(seeds),
            "python": platform.python_version(),
            "torch": version("torch"),
        },
        toolkit_version=__version__,
        tasks=tasks,
        run=run_task,
        workers=workers,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    return {regime.name: {seed: found[f"{regime.name}-seed{seed}"] for seed in seeds} for regime in regimes}


def run_task(task: RunTask) -> Found:
    """Do one run."""
    from toolkit_shared.threads import one_thread

    from mobileclip.experiment.runs import run_seed

    with one_thread():
        return run_seed(task.regime, task.seed, task.arms, task.settings)


def arm_runs(found: Mapping[int, Found]) -> Runs:
    """The runs of a regime by arm and seed."""
    return {
        (arm, seed): seed_runs["arms"][arm]
        for seed, seed_runs in found.items()
        for arm in ARMS
        if arm in seed_runs["arms"]
    }


def efficiency_runs(found: Mapping[int, Found]) -> Runs:
    """Both curves' ends and crossings by arm and seed, for the questions of efficiency.

    B with all steps and pairs is the arm "B", with a crossing of 1; F with a tenth of the steps or pairs is
    "F, 1/10 of the steps" or "F, 1/10 of the pairs", with the fraction at which its curve reaches B.
    """
    runs = {}
    for seed, seed_runs in found.items():
        if not seed_runs["curves"]:
            continue
        target = seed_runs["arms"][STRONG_CLIP]["accuracy"]
        runs[STRONG_CLIP, seed] = {"accuracy": target, "crossing": 1.0}
        for axis in AXES:
            points = seed_runs["curves"][axis][REINFORCED]
            runs[tenth_arm(axis), seed] = {
                "accuracy": accuracy_at(points, TENTH),
                "crossing": crossing_ratio(points, target),
            }
    return runs


def tenth_arm(axis: str) -> str:
    """The name of F with a tenth of the steps, or of the pairs."""
    return f"{REINFORCED}, 1/10 of the {axis}"


def mean_curves(found: Mapping[int, Found], axis: str) -> dict[str, list[tuple[float, float]]]:
    """By arm, (fraction, mean accuracy over the seeds in percent) along an axis; empty without curves."""
    curves = [seed_runs["curves"] for seed_runs in found.values() if seed_runs["curves"]]
    if not curves:
        return {}
    return {
        arm: [
            (points[0][0], 100.0 * sum(accuracy for _, accuracy in points) / len(points))
            for points in zip(*(one[axis][arm] for one in curves), strict=True)
        ]
        for arm in CURVE_ARMS
    }
