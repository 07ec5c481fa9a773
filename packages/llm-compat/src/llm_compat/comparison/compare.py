"""All tasks of two runs, and what a third run says of them."""

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from llm_compat.comparison.items import PairedItems, paired_items, pooled_items
from llm_compat.comparison.measure import Measured, measure
from llm_compat.comparison.pairing import pair
from llm_compat.comparison.third_model import ThirdModel, compare_third
from llm_compat.data.outcomes import NO_FILTER, Outcomes
from llm_compat.data.runs import read_run
from llm_compat.settings.comparing import CompareSettings
from llm_compat.settings.reading import ReadSettings
from llm_compat.significance import holm

POOLED = "pooled"
# of several metrics of a task, the first of these stands first
PREFERRED = ("acc", "exact_match", "acc_norm", "em", "correct", "is_correct", "score", "rouge1")
THIRD = ("compat", "rerun")


@dataclass(frozen=True, kw_only=True)
class Slice:
    """The items with one value of a field.

    Attributes:
        field: Name of the field.
        value: The value as text.
        items: How many.
        measured: Old against new.
        p_holm: The test's p, corrected for the number of slices of this field.
    """

    field: str
    value: str
    items: int
    measured: Measured
    p_holm: float | None


@dataclass(frozen=True, kw_only=True)
class TaskComparison:
    """One task, filter and metric.

    Attributes:
        task: Its name.
        filter: The answer filter, `none`, or `pooled`.
        metric: The metric.
        items: The paired scores.
        measured: Old against new.
        third: By "compat" and "rerun", where given.
        slices: By field and value, where asked for.
        p_holm: The test's p, corrected for the number of tasks; one metric and filter a task counts.
        unpaired: Documents that not all runs have.
        notes: What a reader has to know.
    """

    task: str
    filter: str
    metric: str
    items: PairedItems
    measured: Measured
    third: Mapping[str, ThirdModel] = field(default_factory=dict)
    slices: Sequence[Slice] = ()
    p_holm: float | None = None
    unpaired: int = 0
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Task, filter where there is one, and metric."""
        return " ".join(
            part for part in (self.task, self.filter if self.filter != "none" else "", self.metric) if part
        )


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Everything that was compared.

    Attributes:
        paths: By model, what the user gave.
        runs: By model, the outcomes by (task, filter).
        tasks: In order of task, filter and metric; the first metric of a task is its main one.
        settings: How it was compared.
        notes: Of the runs as a whole.
    """

    paths: Mapping[str, Path]
    runs: Mapping[str, Mapping[tuple[str, str], Outcomes]]
    tasks: Sequence[TaskComparison]
    settings: CompareSettings
    notes: tuple[str, ...] = ()


def compare_runs(
    runs: Mapping[str, Sequence[Outcomes]],
    settings: CompareSettings | None = None,
    *,
    paths: Mapping[str, Path] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Compare the runs "old" and "new", and "compat" and "rerun" where they are given, task by task.

    Tasks and filters are matched by name; what only one run has is told in the notes.

    Args:
        runs: By model, what `read_run` gave.
        settings: How to compare.
        paths: By model, for messages.
        progress: Called with 1 for each task done.

    Raises:
        InputError: the runs share no task, filter or metric, or cannot be paired.
    """
    settings = settings or CompareSettings()
    named = {model: {(run.task, run.filter): run for run in found} for model, found in runs.items()}
    paths = paths or {model: next(iter(found.values())).source for model, found in named.items() if found}
    notes: list[str] = []
    tasks: list[TaskComparison] = []
    for key in _shared_tasks(named, paths, notes):
        having = {model: found[key] for model, found in named.items() if key in found}
        tasks += _compare_task(having, settings)
        if progress is not None:
            progress(1)
    if settings.paper_pooling:
        tasks += list(_pooled(tasks, settings))
    tasks.sort(key=lambda found: (found.task, found.filter == POOLED, found.filter, _rank(found.metric)))
    return Comparison(paths=paths, runs=named, tasks=_corrected(tasks), settings=settings, notes=tuple(notes))


def compare_paths(
    paths: Mapping[str, Path],
    read: ReadSettings | None = None,
    settings: CompareSettings | None = None,
    *,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Comparison:
    """Read the runs "old" and "new", and "compat" and "rerun" where they are given, and compare them.

    Args:
        paths: By model, a folder or file of logs.
        read: How they are read; the fields of `settings.by` and `settings.cluster` are added.
        settings: How they are compared.
        workers: Reading processes.
        progress: Called with the number of bytes read.

    Raises:
        InputError: a run cannot be read, or the runs cannot be compared.
    """
    read, settings = read or ReadSettings(), settings or CompareSettings()
    fields = dict.fromkeys([*read.fields, *settings.by, *([settings.cluster] if settings.cluster else [])])
    # slices are those of the old run's documents, which the others share
    wanted = {model: replace(read, fields=tuple(fields) if model == "old" else ()) for model in paths}
    runs = {
        model: read_run(path, wanted[model], workers=workers, progress=progress)
        for model, path in paths.items()
    }
    return compare_runs(runs, settings, paths=paths)


def main_tasks(tasks: Sequence[TaskComparison]) -> list[TaskComparison]:
    """One comparison a task: its first filter and first metric, never the pooled row."""
    first: dict[str, TaskComparison] = {}
    for found in tasks:
        if found.filter != POOLED:
            first.setdefault(found.task, found)
    return list(first.values())


def _shared_tasks(
    named: Mapping[str, Mapping[tuple[str, str], Outcomes]], paths: Mapping[str, Path], notes: list[str]
) -> list[tuple[str, str]]:
    """The tasks and filters of both the old and the new run; a third run need not have all of them."""
    shared = named["old"].keys() & named["new"].keys()
    for task in sorted({task for task, _ in named["old"]} & {task for task, _ in named["new"]}):
        filters = {
            model: sorted(name for own, name in named[model] if own == task) for model in ("old", "new")
        }
        if not any(own == task for own, _ in shared):
            told = "; ".join(f"{paths[model]} has {', '.join(names)}" for model, names in filters.items())
            raise InputError(
                f"{task}: the runs share no answer filter ({told}); give logs of the same filters"
            )
    for model, found in named.items():
        if not shared & found.keys():
            told = "; ".join(
                f"{paths[name]} has {_few(sorted({t for t, _ in named[name]}))}"
                for name in dict.fromkeys(("old", "new", model))
            )
            raise InputError(f"the runs share no task ({told}); give runs of the same tasks")
        alone = _names(found.keys() - shared)
        if alone and model not in THIRD:
            notes.append(f"only the {model} run has {_few(alone)}")
        lacking = _names(shared - found.keys())
        if lacking:
            notes.append(f"the {model} run has no {_few(lacking)}")
    return sorted(shared)


def _compare_task(runs: Mapping[str, Outcomes], settings: CompareSettings) -> Iterator[TaskComparison]:
    old = runs["old"]
    metrics = [name for name in old.scores if all(name in run.scores for run in runs.values())]
    if not metrics:
        told = "; ".join(f"{run.source} has {', '.join(run.scores) or 'none'}" for run in runs.values())
        raise InputError(f"{old.name}: the runs share no metric ({told}); give logs of the same metrics")
    for run in runs.values():
        for name in (*settings.by, *([settings.cluster] if settings.cluster else [])):
            if run is old and name not in run.slices:
                raise InputError(
                    f"{run.source}: {run.name}: no field '{name}' was read; name a field of the documents"
                )
    pairing = pair(list(runs.values()), allow_unpaired=settings.allow_unpaired)
    notes = tuple(dict.fromkeys([*pairing.notes, *(note for run in runs.values() for note in run.notes)]))
    for metric in sorted(metrics, key=_rank):
        items = paired_items(runs, pairing, metric)
        if len(items) == 0:
            continue
        extra = (
            (f"{items.unscored:,} items have no score in a run and were left out",) if items.unscored else ()
        )
        yield _compared(old.task, old.filter, metric, items, settings, pairing.unpaired, notes + extra)


def _compared(
    task: str,
    filter: str,
    metric: str,
    items: PairedItems,
    settings: CompareSettings,
    unpaired: int,
    notes: tuple[str, ...],
) -> TaskComparison:
    def generator(what: str) -> np.random.Generator:
        return stream(settings.seed, f"bootstrap/{task}/{filter}/{metric}/{what}")

    return TaskComparison(
        task=task,
        filter=filter,
        metric=metric,
        items=items,
        measured=measure(items, settings, generator("new")),
        third={
            model: compare_third(items, settings, generator(model), model=model)
            for model in THIRD
            if model in items.scores
        },
        slices=tuple(
            found for name in settings.by for found in _slices(items, name, settings, generator(f"by/{name}"))
        ),
        unpaired=unpaired,
        notes=notes,
    )


def _slices(
    items: PairedItems, name: str, settings: CompareSettings, generator: np.random.Generator
) -> list[Slice]:
    codes, names = items.slices[name].codes, items.slices[name].names
    order = np.argsort(codes, kind="stable")
    found = []
    bounds = np.searchsorted(codes[order], np.arange(len(names) + 1))
    for value, start, stop in zip(names, bounds[:-1], bounds[1:], strict=True):
        if start == stop:
            continue
        part = items.subset(order[start:stop])
        found.append((value, int(stop - start), measure(part, settings, generator)))
    corrected = holm([measured.p_values["mcnemar_p"] for _, _, measured in found])
    return [
        Slice(field=name, value=value, items=number, measured=measured, p_holm=p)
        for (value, number, measured), p in zip(found, corrected, strict=True)
    ]


def _pooled(tasks: Sequence[TaskComparison], settings: CompareSettings) -> Iterator[TaskComparison]:
    groups: dict[tuple[str, str], list[TaskComparison]] = {}
    for found in tasks:
        groups.setdefault((found.task, found.metric), []).append(found)
    for (task, metric), parts in groups.items():
        if len(parts) < 2:
            continue
        items = pooled_items([part.items for part in parts])
        note = f"each document counts once for each of {len(parts)} filters"
        unpaired = sum(part.unpaired for part in parts)
        yield _compared(task, POOLED, metric, items, settings, unpaired, (note,))


def _corrected(tasks: Sequence[TaskComparison]) -> list[TaskComparison]:
    """The tasks with Holm's correction over the main comparison of each."""
    main = main_tasks(tasks)
    corrected = holm([found.measured.p_values["mcnemar_p"] for found in main])
    by_task = {id(found): p for found, p in zip(main, corrected, strict=True)}
    return [replace(found, p_holm=by_task.get(id(found))) for found in tasks]


def _names(keys: Collection[tuple[str, str]]) -> list[str]:
    """Tasks with their filters, where these have names."""
    return sorted(task if filter == NO_FILTER else f"{task} ({filter})" for task, filter in keys)


def _rank(metric: str) -> tuple[int, str]:
    return (PREFERRED.index(metric) if metric in PREFERRED else len(PREFERRED), metric)


def _few(names: Sequence[str]) -> str:
    shown = ", ".join(names[:4])
    return shown if len(names) <= 4 else f"{shown} and {len(names) - 4} more"
