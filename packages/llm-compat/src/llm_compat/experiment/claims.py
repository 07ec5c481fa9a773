"""All runs of the experiment: scenarios x seeds x arms, which are missing, and where they are kept."""

import functools
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.claims import Runs, complete_runs, paired_order, run_name
from toolkit_shared.execution import map_shards

from llm_compat import __version__
from llm_compat.experiment.configuration import V1, V2, ExperimentSettings, Scenario
from llm_compat.experiment.intents import IntentTask, write_intents
from llm_compat.experiment.task import PARTS, VERSIONS, fingerprint_task, read_task

KIND = "llm-compat-claims"


@dataclass(frozen=True)
class RunTask:
    """One run to do, as a worker process receives it; `arm` is None for the pair of task models."""

    scenario: Scenario
    arm: str | None
    seed: int
    settings: ExperimentSettings
    data: str
    out: str

    @property
    def pair(self) -> Path:
        """File of both task models of the scenario and seed; their runs are beside it, as JSON."""
        return Path(self.out) / "pairs" / f"{self.scenario.name}-seed{self.seed}.safetensors"


def run_claims(
    out: str | Path,
    *,
    scenarios: Sequence[Scenario],
    arms: Sequence[str],
    seeds: Sequence[int],
    settings: ExperimentSettings,
    data: str | Path | None = None,
    generated: IntentTask | None = None,
    workers: int = 1,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Runs]:
    """Every run of `scenarios` x `seeds` x (v1, v2, `arms`), by scenario.

    Runs that are there already are not done again. First the pair of task models of each scenario and seed is
    trained and kept, then each arm starts from it. The numbers do not depend on `workers`, nor on where a
    call was interrupted.

    Args:
        out: The folder: task/ (where it is generated), pairs/, runs/SCENARIO-ARM-seedN.json, manifest.json.
        scenarios: How old and new base differ.
        arms: What to compare beside v1 and v2.
        seeds: What to repeat over; a seed chooses the weights and orders of all models.
        settings: Sizes.
        data: Folder of a data-update task; None: generated requests.
        generated: What to generate; None: the usual sizes.
        workers: Processes, each on one thread; 1 runs in this process.
        resume: Go on in a folder that has runs already.
        overwrite: Empty a folder of other settings first.
        progress: Called with the number of pairs and runs done since the last call.

    Raises:
        InputError: the folder holds something else, or the data cannot be used.
    """
    out = Path(out)
    generated = generated or IntentTask()
    if data is not None:
        read_task(data, min_count=settings.min_count)  # before a folder is made: can it be used?
    config = {
        "settings": settings.as_dict(),
        "scenarios": [asdict(scenario) for scenario in scenarios],
        "arms": list(arms),
        "seeds": list(seeds),
        "data": asdict(generated) if data is None else fingerprint_task(data),
        "python": platform.python_version(),
        "torch": version("torch"),
    }
    where = str(out / "task" if data is None else data)

    def task(scenario: Scenario, arm: str | None, seed: int) -> RunTask:
        return RunTask(scenario, arm, seed, settings, where, str(out))

    pairs = [task(scenario, None, seed) for seed in seeds for scenario in scenarios]
    tasks = {
        run_name(arm, seed, scenario.name): task(scenario, arm, seed)
        for scenario in scenarios
        for arm, seed in paired_order((V1, V2, *arms), seeds)
    }
    found = complete_runs(
        out,
        kind=KIND,
        config=config,
        toolkit_version=__version__,
        tasks=tasks,
        run=run_task,
        prepare=functools.partial(_prepare, generated if data is None else None, pairs, workers, progress),
        workers=workers,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    return {
        scenario.name: {
            (arm, seed): found[run_name(arm, seed, scenario.name)]
            for seed in seeds
            for arm in (V1, V2, *arms)
        }
        for scenario in scenarios
    }


def run_pair_task(task: RunTask) -> str:
    """Train the two task models of a scenario and seed, and keep them; the file's path."""
    from toolkit_shared.threads import one_thread

    from llm_compat.experiment.pairs import save_pair
    from llm_compat.experiment.runs import run_pair

    data = read_task(task.data, min_count=task.settings.min_count)
    with one_thread(task.settings.device):
        pair, runs = run_pair(data, task.scenario, task.seed, task.settings)
    save_pair(pair, task.pair)
    write_json(task.pair.with_suffix(".json"), runs)  # last: it says that the pair is there
    return str(task.pair)


def run_task(task: RunTask) -> Mapping[str, Any]:
    """Do one run, from the kept pair."""
    if task.arm in (V1, V2):
        runs: dict[str, dict[str, Any]] = read_json(task.pair.with_suffix(".json"))
        return runs[task.arm]
    from toolkit_shared.threads import one_thread

    from llm_compat.experiment.pairs import load_pair
    from llm_compat.experiment.runs import run_arm

    assert task.arm is not None
    data = read_task(task.data, min_count=task.settings.min_count)
    with one_thread(task.settings.device):
        pair = load_pair(task.pair, data, task.scenario, task.settings)
        return run_arm(task.arm, data, task.scenario, task.seed, pair, task.settings)[0]


def count_steps(scenarios: Sequence[Scenario], arms: Sequence[str], seeds: Sequence[int]) -> int:
    """How often `run_claims` calls its progress when nothing is there yet: pairs, and runs."""
    return len(scenarios) * len(seeds) * (len(arms) + 3)


def _prepare(
    generated: IntentTask | None,
    pairs: Sequence[RunTask],
    workers: int,
    progress: Callable[[int], None] | None,
    out: Path,
) -> None:
    """Write the generated task, and train the pairs that are missing."""
    files = [out / "task" / name / f"{part}.jsonl" for name in VERSIONS for part in PARTS]
    if generated is not None and not all(path.exists() for path in files):
        write_intents(out / "task", generated)
    missing = [task for task in pairs if not task.pair.with_suffix(".json").exists()]
    for _ in map_shards(run_pair_task, missing, workers=workers, progress=progress):
        pass
