"""The leaderboard's score files: read whatever their layout, checked against what they say of themselves."""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError

from dclm_bench.evaluation.aggregates import aggregate, mean
from dclm_bench.evaluation.tasks import SUITES, VERSIONS, Suite, Version, tasks

MAX_BYTES = 1 << 26
TOLERANCE = 1e-12
"""Largest difference between a stored and a recomputed mean; more is a mismatch."""

ALIASES = {
    "jeopardy_all": "jeopardy",
    "winograd_wsc": "winograd",
    "lambada": "lambada_openai",
    "openbookqa": "openbook_qa",
    "hellaswag_10shot": "hellaswag",
}
"""Other names of a task; only whole names count, never a part of one (mmlu in mmlu_fewshot)."""

_LOGGED = re.compile(r"^metrics/(?P<task>[^/]+)/(?:(?P<group>[^/]+)/)?\d+-shot(?:/(?P<after>[^/]+))?/[^/]+$")


@dataclass(frozen=True)
class ScoreFile:
    """One file of scores.

    Attributes:
        path: Where it was read.
        model: What it says of the model; its file name where it says nothing.
        scores: Score of each of the 53 tasks that it has, 0..1.
        stored: What it holds under `Core_v1` and the like: a number, or a sentence on what is missing. The
            version is None for a key without one.
        unscored: Names of other tasks in it, sorted; they enter no mean.
        notes: What a reader has to know: scores that are no number, means over groups made here.
    """

    path: Path
    model: str
    scores: Mapping[str, float]
    stored: Mapping[tuple[Suite, Version | None], float | str]
    unscored: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def missing(self) -> tuple[str, ...]:
        """Names of the tasks without a score, in the official order."""
        return tuple(name for name in tasks() if name not in self.scores)


def read_score_file(path: str | Path) -> ScoreFile:
    """The scores in a JSON file.

    Layouts: `{"eval_metrics": {"icl": {TASK: SCORE}}}` (the leaderboard's), `{"eval_metrics": {TASK: ...}}`,
    `{"icl": {TASK: ...}}`, the flat `{TASK: ...}`, with keys such as `eval_metrics.icl.TASK` or the logged
    `metrics/TASK/10-shot/...` as well. A task may have a mapping of its groups (subjects) in the place of a
    score, or logged keys for each; then its score is the mean over the groups.

    Raises:
        InputError: the file cannot be read, is no JSON object, gives a task two different scores, one outside
            0..1 or groups that are not the task's, or has no score of any known task.
    """
    path = Path(path)
    document = _read(path)
    found: dict[str, float] = {}
    groups: dict[str, dict[str, float]] = {}
    unscored: set[str] = set()
    notes: list[str] = []
    for name, value in _entries(document):
        logged = _LOGGED.match(name)
        group = None if logged is None else logged["group"] or logged["after"]
        name = name if logged is None else logged["task"]
        task = ALIASES.get(name, name)
        if task not in tasks():
            if isinstance(value, int | float | Mapping) and name not in _HEADINGS:
                unscored.add(name)
        elif isinstance(value, Mapping):
            for part, share in value.items():
                _add(groups.setdefault(task, {}), str(part), share, f"{path}: {task}/{part}", notes)
        elif group is not None:
            _add(groups.setdefault(task, {}), group, value, f"{path}: {task}/{group}", notes)
        else:
            _add(found, task, value, f"{path}: {task}", notes)
    for task, shares in groups.items():
        _add(found, task, _mean_over_groups(path, task, shares), f"{path}: {task}", notes)
        notes.append(f"{task}: mean over {len(shares)} groups")
    notes += _partly_asked(document)
    if not found:
        raise InputError(
            f"{path}: holds no score of any of the {len(tasks())} tasks; give an evaluation file"
        )
    model = document.get("model_name") or document.get("model") or document.get("name")
    return ScoreFile(
        path=path,
        model=model if isinstance(model, str) else path.stem,
        scores={name: found[name] for name in tasks() if name in found},
        stored=_stored(document),
        unscored=tuple(sorted(unscored)),
        notes=tuple(notes),
    )


def mismatches(file: ScoreFile, tolerance: float = TOLERANCE) -> list[str]:
    """A line for each stored mean that the scores do not give; none when all agree.

    A sentence must be the very one that the missing tasks make. A key without a version may agree with
    either; the line says so when it agrees with none.
    """
    lines = []
    for (suite, version), stored in file.stored.items():
        recomputed = [
            aggregate(file.scores, suite, known).stored for known in ([version] if version else VERSIONS)
        ]
        if not any(_agree(stored, value, tolerance) for value in recomputed):
            key = suite if version is None else f"{suite}_{version}"
            given = " or ".join(str(value) for value in recomputed)
            lines.append(f"{file.path}: {key}: stored {stored}, but the scores give {given}")
    return lines


def suspicions(file: ScoreFile) -> list[str]:
    """A line for each score that cannot be what it should be, by the number of questions.

    A plain accuracy times its questions is a whole number, to the precision of single floats; a file made on
    a part of the questions is suspect for that. A mean over groups is one only by chance; where two tasks or
    more with groups are, they were averaged over the questions instead. A trivia score of nearly 0 beside a
    jeopardy score that is not says that answers were not matched: 42 of the 156 published files are so, and
    their EXTENDED is lower for it by up to a point.
    """
    lines, micro = [], []
    for name, score in file.scores.items():
        task = tasks()[name]
        right = score * task.num_items
        is_whole = abs(right - round(right)) <= 2.0**-23 * task.num_items + 1e-9
        if not task.group_sizes and not is_whole:
            lines.append(f"{name}: {score:.6g} of {task.num_items} questions is {right:.3f} right answers")
        elif task.group_sizes and is_whole and 0 < score < 1:
            micro.append(name)
    trivia, jeopardy = file.scores.get("triviaqa_sm_sub", 1.0), file.scores.get("jeopardy", 0.0)
    if trivia < 0.001 and jeopardy > 0.05:
        lines.append(
            f"triviaqa_sm_sub: {trivia:.4f} beside a jeopardy of {jeopardy:.4f}: answers not matched?"
        )
    if len(micro) > 1:
        lines.append(f"{', '.join(micro)}: means over the questions, where means over the groups are wanted")
    return lines


def version_of_plain_key(file: ScoreFile, suite: Suite) -> Version | None:
    """Which version's value the key without a version holds; None when it holds neither, or is not there."""
    stored = file.stored.get((suite, None))
    if not isinstance(stored, float):
        return None
    agreeing = [v for v in VERSIONS if _agree(stored, aggregate(file.scores, suite, v).stored, TOLERANCE)]
    return agreeing[0] if len(agreeing) == 1 else None


_HEADINGS = ("eval_metrics", "icl", "aggregated_task_categories_centered")


def _read(path: Path) -> dict[str, Any]:
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: is larger than {MAX_BYTES >> 20} MiB; give an evaluation file")
        # NaN is let in: the official code writes it for means over no task.
        document = json.loads(path.read_text(encoding="utf-8"), object_pairs_hook=_unique)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror}; give an evaluation file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no usable JSON: {error}; mend or replace the file") from None
    if not isinstance(document, dict):
        raise InputError(f"{path}: holds no JSON object; give an evaluation file")
    return document


def _unique(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    """The object, in which no name may stand twice with different values."""
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found and found[name] != value:
            raise ValueError(f"'{name}' stands in it twice, with different values")
        found[name] = value
    return found


def _entries(document: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Name and value of all that may be a task's score."""
    inner: Any = document.get("eval_metrics", document)
    if isinstance(inner, Mapping):
        inner = inner.get("icl", inner)
    if not isinstance(inner, Mapping):
        return
    for key, value in inner.items():
        name = key.removeprefix("eval_metrics.").removeprefix("icl.").removeprefix("icl/")
        if inner is not document or name in tasks() or name in ALIASES or _LOGGED.match(name):
            yield name, value


def _add(found: dict[str, float], name: str, value: Any, where: str, notes: list[str]) -> None:
    if isinstance(value, str) or value is None or (isinstance(value, float) and math.isnan(value)):
        notes.append(f"{name}: {value!r} is no score, so the task is missing")
        return
    if not isinstance(value, int | float) or isinstance(value, bool):
        raise InputError(f"{where}: {value!r} is no score; give a number from 0 to 1")
    if not 0 <= value <= 1:
        hint = "; divide percent by 100" if 1 < value <= 100 else ""
        raise InputError(f"{where}: {value!r} is no score from 0 to 1{hint}")
    if name in found and found[name] != value:
        raise InputError(f"{where}: has two scores, {found[name]} and {value}; remove one of them")
    found[name] = float(value)


def _mean_over_groups(path: Path, name: str, shares: Mapping[str, float]) -> float | None:
    known = {group for group, _ in tasks()[name].group_sizes}
    if not known:
        raise InputError(
            f"{path}: {name}: has scores of groups, but no groups are known of it; give one number"
        )
    lacking = sorted(known - set(shares))
    unknown = sorted(set(shares) - known)
    if lacking or unknown:
        wrong = f"lacks {', '.join(lacking)}" if lacking else f"has the unknown {', '.join(unknown)}"
        raise InputError(f"{path}: {name}: {wrong} of its {len(known)} groups; give all, or their mean")
    return mean([shares[group] for group in sorted(known)])


def _partly_asked(document: Mapping[str, Any]) -> list[str]:
    """A line where tasks were asked only in part, as `evaluate --limit` does and writes into its file."""
    asked = document.get("asked")
    numbers = {
        name: entry.get("num_asked")
        for name, entry in (asked.items() if isinstance(asked, Mapping) else ())
        if name in tasks() and isinstance(entry, Mapping)
    }
    partly = [
        f"{name} ({number} of {tasks()[name].num_items})"
        for name, number in numbers.items()
        if isinstance(number, int) and number < tasks()[name].num_items
    ]
    return [f"asked in part, so errors are larger than shown: {', '.join(partly)}"] if partly else []


def _stored(document: Mapping[str, Any]) -> dict[tuple[Suite, Version | None], float | str]:
    found: dict[tuple[Suite, Version | None], float | str] = {}
    versions: tuple[Version | None, ...] = (*VERSIONS, None)
    for suite in SUITES:
        for version in versions:
            value = document.get(suite if version is None else f"{suite}_{version}")
            if isinstance(value, str):
                found[suite, version] = value
            elif isinstance(value, int | float) and not isinstance(value, bool):
                found[suite, version] = float(value)
    return found


def _agree(stored: float | str, recomputed: float | str, tolerance: float) -> bool:
    if isinstance(stored, float) and isinstance(recomputed, float):
        return abs(stored - recomputed) <= tolerance
    return isinstance(stored, str) and stored == recomputed
