"""The runs of an experiment, each a file that is whole or absent, so that an interrupted call goes on."""

import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from toolkit_shared.artifacts import claim_folder, finish_folder, read_json, sha256_file, write_json
from toolkit_shared.execution import map_shards

log = logging.getLogger(__name__)

Task = TypeVar("Task")
Arm = TypeVar("Arm")


def complete_runs(
    out: str | Path,
    *,
    kind: str,
    config: Mapping[str, Any],
    toolkit_version: str,
    tasks: Mapping[str, Task],
    run: Callable[[Task], Mapping[str, Any]],
    prepare: Callable[[Path], None] | None = None,
    workers: int = 1,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> dict[str, dict[str, Any]]:
    """What every task measured, by name; tasks whose file the folder `out` has already are not done again.

    A run is written, whole, when it ends, so an interrupted call loses at most the runs under way.

    Args:
        out: The folder: runs/NAME.json, and manifest.json in the end.
        kind: What the folder holds, such as `seqdecomp-claims`.
        config: All that the runs depend on; a folder of another configuration is refused, field by field.
        toolkit_version: Version for the manifest.
        tasks: What to run, by name, in this order; with more workers than one they must pickle.
        run: Does one task; gives what was measured as JSON values. With more workers than one it must be
            importable by its name.
        prepare: Called with `out` before the first run and at every resumption: writes what all runs share.
        workers: Processes; 1 runs in this process.
        resume: Go on in a folder that has runs already.
        overwrite: Empty a folder of other settings first.
        progress: Called with the number of runs done since the last call.

    Raises:
        InputError: the folder holds something else, or other settings; or raised by `prepare` or `run`.
    """
    out = Path(out)
    state = claim_folder(out, kind=kind, config=config, resume=resume, overwrite=overwrite)
    if prepare is not None:
        prepare(out)
    (out / "runs").mkdir(exist_ok=True)
    missing = [
        (str(run_path(out, name)), task) for name, task in tasks.items() if not run_path(out, name).exists()
    ]
    done = len(tasks) - len(missing)
    if done:
        log.info("resumed with %d of %d runs done", done, len(tasks))
    for _ in map_shards(functools.partial(_run_and_write, run), missing, workers=workers, progress=progress):
        pass
    runs = {name: read_json(run_path(out, name)) for name in tasks}
    if state != "complete":
        hashes = {path.name: sha256_file(path) for path in sorted((out / "runs").glob("*.json"))}
        finish_folder(out, {"schema": 1, "toolkit_version": toolkit_version, "runs": hashes})
    return runs


def run_name(arm: str, seed: int, scenario: str = "") -> str:
    """The name of a run of one arm and seed: SCENARIO-ARM-seedN, or ARM-seedN without a scenario."""
    return f"{scenario}-{arm}-seed{seed}" if scenario else f"{arm}-seed{seed}"


def run_path(out: Path, name: str) -> Path:
    """The file of a run."""
    return out / "runs" / f"{name}.json"


def paired_order(arms: Sequence[Arm], seeds: Sequence[int]) -> Iterator[tuple[Arm, int]]:
    """Every arm and seed: seed by seed, each starting with another arm.

    So a machine that slows down, or heats up, favours no arm.
    """
    for seed in seeds:
        turn = seed % len(arms)
        for arm in (*arms[turn:], *arms[:turn]):
            yield arm, seed


def _run_and_write(run: Callable[[Task], Mapping[str, Any]], item: tuple[str, Task]) -> str:
    path, task = item
    write_json(path, dict(run(task)))
    return path
