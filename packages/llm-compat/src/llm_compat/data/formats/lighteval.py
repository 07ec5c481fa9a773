"""Details of lighteval: `details/MODEL/TIME/details_TASK_TIME.parquet`, read in the layouts of 0.8 to 0.13.

A document that is evaluated by generating and by log-probabilities has two rows, each with some of the
metrics; they are one item. The choice behind an accuracy is rebuilt from the log-probabilities, and given
only where it explains the logged score of every item.
"""

import json
import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError

from llm_compat.data.choosing import Normalisation, best_choice, normalisations_of
from llm_compat.data.collecting import LoggedItem, collect, details_among, plain_text
from llm_compat.data.formats.lighteval_files import PATTERN, DetailsName, Row, name_of, read_rows
from llm_compat.data.formats.protocol import Progress
from llm_compat.data.outcomes import Detail, Outcomes
from llm_compat.settings.reading import ReadSettings

WANTED = f"{PATTERN} (lighteval)"

# Metrics that compare the whole of what the model wrote; others extract an answer, which is not logged.
_WHOLE_TEXT = frozenset({"em", "exact_match"})
_UNSCORED = math.nan


def recognises(path: Path) -> bool:
    """Whether `path` is a details file of lighteval, or a folder with at least one at any depth."""
    if path.is_file():
        return name_of(path) is not None
    return any(name_of(file) for file in path.rglob(PATTERN))


def read(path: Path, settings: ReadSettings, *, workers: int, progress: Progress | None) -> list[Outcomes]:
    """The outcomes of a details file, or of the newest one of every task in a folder.

    Raises:
        InputError: A file is damaged or of another layout, a folder has details of several models, or scores
            are to be computed anew.
    """
    if settings.rescore:
        raise InputError(f"{path}: rescoring is for logs of lm-evaluation-harness; leave --read.rescore out")
    outcomes = []
    for file, name, notes in _chosen(path):
        outcomes.append(_read_file(file, name.task, notes, settings))
        if progress is not None:
            progress(file.stat().st_size)
    return outcomes


def details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items, read again from the details file.

    Raises:
        InputError: The file is gone or was changed.
    """
    return details_among(outcomes, items, read_rows(outcomes.source), _detail)


def _chosen(path: Path) -> list[tuple[Path, DetailsName, list[str]]]:
    """The newest file of every task, with notes."""
    files = [path] if path.is_file() else sorted(path.rglob(PATTERN))
    named = [(file, name) for file in files if (name := name_of(file)) is not None]
    if not named:
        raise InputError(f"{path}: holds no {PATTERN}; give the output folder of lighteval")
    models = sorted({file.parent.parent for file, _ in named})
    if len(models) > 1:
        shown = ", ".join(str(model.relative_to(path)) for model in models[:4])
        raise InputError(f"{path}: has details of several models ({shown}); give the folder of one")
    by_task: dict[str, list[tuple[Path, DetailsName]]] = {}
    for file, name in named:
        by_task.setdefault(name.task, []).append((file, name))
    chosen = []
    for found in by_task.values():
        file, name = max(found, key=lambda one: one[1].date)
        older = len(found) - 1
        chosen.append((file, name, [f"{older} older runs of this task were left out"] if older else []))
    return chosen


def _read_file(path: Path, task: str, notes: list[str], settings: ReadSettings) -> Outcomes:
    rows = list(_merged(path, read_rows(path)).items())
    names = dict.fromkeys(name for _, row in rows for name in row.metrics)
    left_out: dict[str, Any] = {}
    for name in names:
        odd = next((v for _, row in rows if _score(v := row.metrics.get(name)) is None), None)
        if odd is not None:
            left_out[name] = odd
    notes = [*notes, *(f"metric {name} was left out: it has no number for each item" for name in left_out)]
    kept = [name for name in names if name not in left_out]
    answers: dict[str, list[str | None]] = {}
    for name in kept:
        found, note = _answers(name, [row for _, row in rows])
        notes += note
        if found is not None:
            answers[name] = found
    return collect(
        (
            LoggedItem(
                id=row.id if row.id is not None else f"{place:09d}",
                document=_document(row),
                place=place,
                scores={name: score for name in kept if (score := _score(row.metrics.get(name))) is not None},
                answers={name: values[number] for name, values in answers.items()},
                output=row.texts[0] if len(row.texts) == 1 else None,
                targets=_targets(row),
                prompt=row.prompt,
                fields=row.fields,
            )
            for number, (place, row) in enumerate(rows)
        ),
        settings,
        task=task,
        source=path,
        format="lighteval",
        notes=notes,
    )


def _merged(path: Path, rows: Any) -> dict[int, Row]:
    """Rows by place, those of one document joined: each way of sampling writes a row with its own metrics."""
    merged: dict[int, Row] = {}
    first: dict[tuple[str, str], int] = {}
    for place, row in enumerate(rows):
        here = place if row.id is None else first.setdefault((row.id, row.query), place)
        if here == place:
            merged[place] = row
            continue
        other = merged[here]
        known = {name for name, value in row.metrics.items() if value is not None}
        if doubled := known & {name for name, value in other.metrics.items() if value is not None}:
            raise InputError(
                f"{path}, row {place}: document {row.id} has a second {min(doubled)}; "
                "give the details of one run"
            )
        merged[here] = replace(
            other,
            metrics={**other.metrics, **{name: row.metrics[name] for name in known}},
            texts=other.texts or row.texts,
            log_probabilities=other.log_probabilities or row.log_probabilities,
            tokens=row.tokens if not other.log_probabilities else other.tokens,
        )
    return merged


def _score(value: Any) -> float | None:
    """A metric of a row as a number, NaN where it has none; None for what is no number."""
    if value is None:
        return _UNSCORED
    return float(value) if isinstance(value, bool | int | float) else None


def _answers(metric: str, rows: Sequence[Row]) -> tuple[list[str | None] | None, list[str]]:
    """The answers behind a metric, row by row, or None where they are not known; and notes."""
    scored = [row for row in rows if row.metrics.get(metric) is not None]
    if not all(_score(row.metrics[metric]) in (0.0, 1.0) for row in scored):
        return None, []
    if metric.split(":")[0] in _WHOLE_TEXT and all(len(row.texts) == 1 for row in scored):
        return [row.texts[0] if row.texts else None for row in rows], []
    ways = normalisations_of(metric)
    if not ways or not any(row.log_probabilities for row in scored):
        return None, []
    choices = [_choices(rows, way) for way in ways]
    fitting = [found for found in choices if _explains(found, rows, metric)]
    if not fitting:
        return None, [f"the log-probabilities do not explain {metric}: predicted answers are not known"]
    if any(found != fitting[0] for found in fitting[1:]):
        return None, [f"{metric} may be normalised in two ways: predicted answers are not known"]
    # by their texts, for a run may have shuffled them
    return [None if i is None else row.choices[i] for i, row in zip(fitting[0], rows, strict=True)], []


def _choices(rows: Sequence[Row], way: Normalisation) -> list[int | None]:
    return [best_choice(row.log_probabilities, row.choices, way, tokens=row.tokens) for row in rows]


def _explains(choices: Sequence[int | None], rows: Sequence[Row], metric: str) -> bool:
    """Whether every logged score is what the choice gives."""
    return all(
        index is not None and float(index in row.golds) == _score(row.metrics[metric])
        for index, row in zip(choices, rows, strict=True)
        if row.metrics.get(metric) is not None
    )


def _document(row: Row) -> str:
    # the only choice of a task that generates is the right answer, which is compared and no part of the key
    return json.dumps([row.query, sorted(row.choices) if len(row.choices) > 1 else []])


def _targets(row: Row) -> tuple[str, ...] | None:
    golds = tuple(row.choices[index] for index in row.golds if 0 <= index < len(row.choices))
    return golds or None


def _detail(row: Row, place: int) -> Detail:
    choice = best_choice(row.log_probabilities, row.choices, "none")
    written = row.texts[0] if len(row.texts) == 1 else None
    choices = row.choices if len(row.choices) > 1 else ()
    fields = {**row.fields, **{f"choice {index}": text for index, text in enumerate(choices)}}
    return Detail(
        id=row.id if row.id is not None else str(place),
        question=row.query,
        target=" | ".join(_targets(row) or ()),
        answer=written if choice is None else row.choices[choice],
        fields={name: plain_text(value) for name, value in fields.items() if value is not None},
    )
