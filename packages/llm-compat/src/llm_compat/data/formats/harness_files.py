"""Which files are the run of lm-evaluation-harness, and what its results file says of each task."""

import json
import re
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.records import open_records

from llm_compat.data.selection import select_names

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".jsonl.zstd")
PACKED = (".gz", ".zst", ".zstd")
_SAMPLES = re.compile(
    r"samples_(?P<task>.+?)(?:_(?P<stamp>\d{4}-\d\d-\d\dT[0-9.-]+))?\.jsonl(?:\.gz|\.zstd?)?"
)
_FIRST_LINE_BYTES = 1 << 24
_DELIMITER = " "


@dataclass(frozen=True, kw_only=True)
class TaskFacts:
    """What a results file says of one task.

    Attributes:
        output_type: Such as `multiple_choice`; None where it is not known.
        higher_is_better: By metric.
        expected_items: Documents that were evaluated, or None.
        filters: Names of the filters that have results, in their order.
        delimiters: What may stand before a choice in its continuation; the likeliest first.
        custom_scoring: Whether the task scores by code of its own, so that accuracy may be another thing.
    """

    output_type: str | None = None
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    expected_items: int | None = None
    filters: tuple[str, ...] = ()
    delimiters: tuple[str, ...] = (_DELIMITER,)
    custom_scoring: bool = False


@dataclass(frozen=True, kw_only=True)
class SampleFile:
    """The log of one task.

    Attributes:
        path: The file.
        task: Name of the task.
        facts: What the results file says of it.
        notes: What a reader has to know.
    """

    path: Path
    task: str
    facts: TaskFacts
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Found:
    path: Path
    task: str
    stamp: str
    results: Mapping[str, Any] | None


def has_samples(path: Path) -> bool:
    """Whether a folder holds files named samples_*.jsonl, or a file is one or begins as one does."""
    if path.is_dir():
        return any(_SAMPLES.fullmatch(file.name) for file in path.rglob("samples_*") if file.is_file())
    if _SAMPLES.fullmatch(path.name):
        return True
    if not path.name.lower().endswith(SUFFIXES):
        return False
    try:
        with open_records(path) as stream:
            line = stream.readline(_FIRST_LINE_BYTES)
    except (EOFError, OSError, zlib.error):
        return False
    return b'"filtered_resps"' in line and b'"resps"' in line


def find_sample_files(path: Path, tasks: Sequence[str]) -> list[SampleFile]:
    """The newest log of each task, sorted by task.

    Args:
        path: A folder, whose logs may lie at any depth, or one log.
        tasks: Only these, names or shell patterns.

    Raises:
        InputError: There is no log, the folder holds several models, or a results file is no JSON.
    """
    found = _found_files(path)
    if not found:
        hint = "has results but no samples; run lm_eval again with --log_samples"
        bare = path.is_dir() and any(path.rglob("results*.json"))
        raise InputError(f"{path}: {hint if bare else 'holds no samples_*.jsonl; give the folder of a run'}")
    _refuse_several_models(path, found)
    chosen = select_names(sorted({one.task for one in found}), tasks, option="--task", where=path)
    files = []
    for task in chosen:
        runs = sorted((one for one in found if one.task == task), key=lambda one: (one.stamp, str(one.path)))
        newest, notes = runs[-1], []
        if len(runs) > 1:
            stamp = newest.stamp or newest.path.name
            notes.append(f"{len(runs)} runs of the task are in the folder; the newest is read ({stamp})")
        if newest.results is None:
            notes.append("no results file lies beside the samples, so the number of documents is unchecked")
        facts = _facts(newest.results or {}, task)
        files.append(SampleFile(path=newest.path, task=task, facts=facts, notes=tuple(notes)))
    return files


def _found_files(path: Path) -> list[_Found]:
    if path.is_dir():
        files = [file for file in sorted(path.rglob("samples_*")) if file.is_file()]
        files = [file for file in files if _SAMPLES.fullmatch(file.name)]
    else:
        files = [path]
    read: dict[Path, Mapping[str, Any]] = {}
    found = []
    for file in files:
        match = _SAMPLES.fullmatch(file.name)
        task, stamp = (match["task"], match["stamp"] or "") if match else (file.name.split(".")[0], "")
        found.append(_Found(file, task, stamp, _results_beside(file, stamp, read)))
    return found


def _results_beside(file: Path, stamp: str, read: dict[Path, Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The results of the same moment, from the same folder."""
    if not stamp:
        return None
    for candidate in sorted(file.parent.glob("*.json")):
        if candidate.name.endswith(f"_{stamp}.json"):
            if candidate not in read:
                read[candidate] = _read_results(candidate)
            return read[candidate]
    return None


def _read_results(path: Path) -> Mapping[str, Any]:
    # NaN is no JSON, but the harness writes it for metrics that are undefined
    try:
        value = json.loads(path.read_bytes().decode("utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; check the file") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: no JSON: {error}; mend the file, or remove it to go without") from None
    if not isinstance(value, dict):
        raise InputError(f"{path}: no JSON object; mend the file, or remove it to go without")
    return value


def _refuse_several_models(path: Path, found: Sequence[_Found]) -> None:
    names: dict[Path, set[str]] = {}
    for one in found:
        told = names.setdefault(one.path.parent, set())
        results = one.results or {}
        name = results.get("model_name_sanitized") or results.get("model_name")
        if isinstance(name, str) and name:
            told.add(name)
    models = sorted({name for folder, told in names.items() for name in told or {folder.name}})
    if len(models) > 1:
        shown = ", ".join(models[:6]) + (f" and {len(models) - 6} more" if len(models) > 6 else "")
        raise InputError(f"{path}: holds runs of {len(models)} models ({shown}); give the folder of one")


def _facts(results: Mapping[str, Any], task: str) -> TaskFacts:
    def of_task(section: str) -> Mapping[str, Any]:
        whole = results.get(section)
        part = whole.get(task) if isinstance(whole, dict) else None
        return part if isinstance(part, dict) else {}

    configuration = of_task("configs")
    effective = of_task("n-samples").get("effective")
    output_type = configuration.get("output_type")
    names = [name.split(",", 1)[1] for name in of_task("results") if "," in name]
    return TaskFacts(
        output_type=output_type if isinstance(output_type, str) else None,
        higher_is_better={
            name: value for name, value in of_task("higher_is_better").items() if isinstance(value, bool)
        },
        expected_items=effective if isinstance(effective, int) and not isinstance(effective, bool) else None,
        filters=tuple(dict.fromkeys(names)),
        delimiters=_delimiters(configuration, has_template=bool(results.get("chat_template"))),
        custom_scoring=bool(configuration.get("process_results")),
    )


def _delimiters(configuration: Mapping[str, Any], *, has_template: bool) -> tuple[str, ...]:
    """What may stand before a choice.

    Under a chat template releases differ: newer ones leave the delimiter out, unless the turn of the model
    begins with a prefix that does not end in space.
    """
    given = configuration.get("target_delimiter")
    delimiter = given if isinstance(given, str) else _DELIMITER
    if not has_template or not delimiter:
        return (delimiter,)
    prefix = configuration.get("gen_prefix")
    kept = isinstance(prefix, str) and prefix != "" and not prefix[-1].isspace()
    return (delimiter, "") if kept else ("", delimiter)
