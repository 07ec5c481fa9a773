"""The whole road once: flips that were planted are found, and a small update is mitigated."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import claim_folder, finish_folder, write_text
from toolkit_shared.threads import one_thread

from llm_compat import __version__
from llm_compat.comparison.compare import Comparison, compare_paths
from llm_compat.experiment.configuration import (
    ENSEMBLE,
    EXTRA_TRAINING,
    METHOD,
    SCENARIOS,
    V1,
    V2,
    ExperimentSettings,
)
from llm_compat.experiment.intents import IntentTask, write_intents
from llm_compat.experiment.logs import write_log
from llm_compat.experiment.measures import unpack_answers
from llm_compat.experiment.planting import MODELS, check_planted, plant_runs
from llm_compat.experiment.runs import run_arm, run_pair
from llm_compat.experiment.task import read_task

KIND = "llm-compat-demo"
ARMS = {
    V1: "the old model",
    V2: "the update, without mitigation",
    METHOD: "the update with a compatibility adapter",
    EXTRA_TRAINING: "control: as much more plain training",
    ENSEMBLE: "bound: both models at every answer",
}
STEPS = 5
"""How often `demonstrate` calls its progress: the planted runs, the pair, and three arms."""
SETTINGS = ExperimentSettings(pretrain_epochs=8, epochs=6)
GENERATED = IntentTask(test=2000)


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the demonstration found; the figures of the report.

    Attributes:
        out: Its folder.
        planted: The comparison of the planted runs.
        problems: What of it was not as it was planted.
        runs: By arm, the runs of the small models.
        trained: The comparison of their logs: v1, v2, and muscle as the compatible model.
    """

    out: Path
    planted: Comparison
    problems: list[str]
    runs: dict[str, dict[str, Any]]
    trained: Comparison


def demonstrate(
    out: str | Path,
    *,
    seed: int = 0,
    overwrite: bool = False,
    settings: ExperimentSettings = SETTINGS,
    generated: IntentTask = GENERATED,
    progress: Callable[[int], None] | None = None,
) -> Demonstration:
    """Run the demonstration in the folder `out`; nothing is downloaded.

    Args:
        out: Folder to fill: runs/planted/MODEL, runs/trained/MODEL (both as harness logs), task/.
        seed: Of the planted flips, and of all models.
        overwrite: Begin anew in the folder of an earlier demonstration.
        settings: Sizes of the small models.
        generated: Sizes of their task.
        progress: Called with 1 after each part.

    Raises:
        InputError: the folder holds something else.
    """
    out = Path(out)
    config = {"seed": seed, "settings": settings.as_dict(), "generated": vars(generated)}
    claim_folder(out, kind=KIND, config=config, overwrite=overwrite)

    def advance() -> None:
        if progress is not None:
            progress(1)

    planted = plant_runs(out / "runs/planted", seed)
    comparison = compare_paths({model: out / "runs/planted" / model for model in MODELS})
    problems = check_planted(planted, comparison)
    advance()
    runs = _train(out, seed, settings, generated, advance)
    names = {"old": V1, "new": V2, "compat": METHOD}
    trained = compare_paths({model: out / "runs/trained" / arm for model, arm in names.items()})
    return Demonstration(out=out, planted=comparison, problems=problems, runs=runs, trained=trained)


def finish(found: Demonstration, page: str) -> Path:
    """Write the report's page and seal the folder; the page's path."""
    path = found.out / "index.html"
    write_text(path, page)
    if (found.out / "job.json").exists():
        finish_folder(found.out, {"schema": 1, "toolkit_version": __version__})
    return path


def _train(
    out: Path, seed: int, settings: ExperimentSettings, generated: IntentTask, advance: Callable[[], None]
) -> dict[str, dict[str, Any]]:
    """Train the arms on a generated task, and write their answers as logs; the runs by arm."""
    write_intents(out / "task", generated, seed)
    task = read_task(out / "task", min_count=settings.min_count)
    with one_thread(settings.device):
        pair, runs = run_pair(task, SCENARIOS["same"], seed, settings)
        advance()
        for arm in (METHOD, EXTRA_TRAINING, ENSEMBLE):
            runs[arm] = run_arm(arm, task, SCENARIOS["same"], seed, pair, settings)[0]
            advance()
    for arm, run in runs.items():
        write_log(out / "runs/trained", arm, task, unpack_answers(run))
    return runs
