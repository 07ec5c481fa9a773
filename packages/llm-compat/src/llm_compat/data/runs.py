"""Reading a run: which format it is in, and what of it was asked for."""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from toolkit_shared.errors import InputError

from llm_compat.data.directions import is_higher_better
from llm_compat.data.formats.protocol import FORMATS, Format, Progress, format_named
from llm_compat.data.outcomes import Detail, Outcomes
from llm_compat.data.selection import select_names
from llm_compat.settings.reading import ReadSettings, RunFormat

logger = logging.getLogger(__name__)

_DEFAULT_SETTINGS = ReadSettings()


def read_run(
    path: str | Path,
    settings: ReadSettings = _DEFAULT_SETTINGS,
    *,
    workers: int = 1,
    progress: Progress | None = None,
) -> list[Outcomes]:
    """The outcomes of one model, one for each task and filter, sorted by task and filter.

    Args:
        path: A folder or file of logs, in any of the formats.
        settings: How it is read, and what of it.
        workers: Processes; the outcomes are the same for any number.
        progress: Called with the number of bytes read.

    Raises:
        InputError: There is no such path, it is in no known format, something in it is wrong, or something
            that was asked for is not there.
    """
    path = Path(path)
    if workers < 1:
        raise InputError(f"--workers: {workers} is not positive; give 1 or more")
    if not path.exists():
        raise InputError(f"{path}: no such file or folder; check the path")
    read = _format_of(path, settings.format).read(path, settings, workers=workers, progress=progress)
    return sorted(_selected(path, read, settings), key=lambda outcomes: (outcomes.task, outcomes.filter))


def read_details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items, in the order of `items`, read again from the log.

    Args:
        outcomes: What `read_run` gave.
        items: Positions in its arrays.

    Raises:
        InputError: The log is gone or was changed since.
    """
    if len(items) == 0:
        return []
    format: RunFormat = outcomes.format  # type: ignore[assignment]  # readers set one of the known names
    return format_named(format).details(outcomes, [int(item) for item in items])


def _format_of(path: Path, name: RunFormat | None) -> Format:
    if name is not None:
        return format_named(name)
    for known in FORMATS:
        module = format_named(known)
        if module.recognises(path):
            logger.debug("%s is read as %s", path, known)
            return module
    raise InputError(f"{path}: {_nothing(path)}")


def _nothing(path: Path) -> str:
    """What is wrong with a path that no format recognises, and what to do."""
    if path.is_dir():
        if not any(file.is_file() for file in path.rglob("*")):
            return "is an empty folder; give the folder or file of a run"
        if any(path.rglob("results*.json")):
            return "has results but no samples; run lm_eval again with --log_samples"
    wanted = "; ".join(format_named(name).WANTED for name in FORMATS)
    return f"is no run in a known format; looked for {wanted}"


def _selected(path: Path, read: Sequence[Outcomes], settings: ReadSettings) -> list[Outcomes]:
    """What was asked for of what was read, with the direction of every metric."""
    tasks = select_names((one.task for one in read), settings.tasks, option="--task", where=path)
    read = [one for one in read if one.task in tasks]
    filters = select_names((one.filter for one in read), settings.filters, option="--filter", where=path)
    read = [one for one in read if one.filter in filters]
    computed = {*settings.rescore, *settings.similarity}
    present = [name for one in read for name in one.scores]
    metrics = {*select_names(present, settings.metrics, option="--metric", where=path), *computed}
    lower = set(select_names(present, settings.lower_is_better, option="--read.lower-is-better", where=path))
    lower = lower if settings.lower_is_better else set()
    chosen = []
    for one in read:
        scores = {name: values for name, values in one.scores.items() if name in metrics}
        if scores or not one.scores:
            chosen.append(_directed(one, scores, lower))
    return chosen


def _directed(outcomes: Outcomes, scores: Mapping[str, object], lower: set[str]) -> Outcomes:
    told = outcomes.higher_is_better
    return replace(
        outcomes,
        scores={name: outcomes.scores[name] for name in scores},
        answers={name: codes for name, codes in outcomes.answers.items() if name in scores},
        higher_is_better={
            name: name not in lower and told.get(name, is_higher_better(name)) for name in scores
        },
    )
