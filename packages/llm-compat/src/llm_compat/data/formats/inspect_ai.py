"""Logs of Inspect AI: `.eval` archives and `.json` files, one for each task and model.

Every scorer is a metric; where its value is a mapping, each entry is one, `scorer/entry`. C is 1, I and N are
0, P is 0.5, as in Inspect's own metrics. Epochs of one sample are averaged, which is Inspect's default too.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError

from llm_compat.data.collecting import LoggedItem, collect, details_among, plain_text
from llm_compat.data.formats.inspect_files import Header, Sample, Score, is_log, read_header, read_samples
from llm_compat.data.formats.protocol import Progress
from llm_compat.data.outcomes import Detail, Outcomes
from llm_compat.settings.reading import ReadSettings

WANTED = "*.eval or its JSON form (Inspect AI)"

_LETTERS = {"C": 1.0, "I": 0.0, "P": 0.5, "N": 0.0}
_WORDS = {"yes": 1.0, "true": 1.0, "no": 0.0, "false": 0.0}
_ATTACHMENT = "attachment://"
# What is new in every run, or says nothing of what the model reads.
_PASSING_FIELDS = frozenset({"id", "source", "internal", "citations", "metadata", "cache_breakpoint"})


@dataclass
class _Tally:
    """What is told of the samples of a log beside their scores."""

    failed: int = 0
    invalid: int = 0
    no_scores: dict[str, Any] = field(default_factory=dict)


def recognises(path: Path) -> bool:
    """Whether `path` is a log of Inspect AI, or a folder with at least one."""
    if path.is_file():
        return path.suffix in (".eval", ".json") and is_log(path)
    return next(_logs(path), None) is not None


def read(path: Path, settings: ReadSettings, *, workers: int, progress: Progress | None) -> list[Outcomes]:
    """The outcomes of a log, or of the newest log of every task in a folder.

    Raises:
        InputError: A log is damaged or hostile, a folder has logs of several models for a task, or scores are
            to be computed anew.
    """
    if settings.rescore:
        raise InputError(f"{path}: Inspect AI logs no log-probabilities of choices; leave --read.rescore out")
    outcomes = []
    for log, header, task, notes in _chosen(path):
        outcomes.append(_read_log(log, header, task, notes, settings))
        if progress is not None:
            progress(log.stat().st_size)
    return outcomes


def details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items, read again from the log.

    Raises:
        InputError: The log is gone or was changed.
    """
    samples = read_samples(outcomes.source)
    return details_among(outcomes, items, samples, lambda sample, _: _detail(sample))


def score_value(value: Any) -> float | None:
    """A value of a score as a number, NaN where the scorer gave none; None for what is no score.

    Source: value_to_float of inspect-ai, but that it makes 0 of what it does not know.
    """
    if value is None:
        return math.nan
    if isinstance(value, bool | int | float):
        return float(value)
    if not isinstance(value, str):
        return None
    if value in _LETTERS:
        return _LETTERS[value]
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    try:
        number = float(value)
    except ValueError:
        return None
    return number if math.isfinite(number) else None


def _logs(folder: Path) -> Iterator[Path]:
    yield from sorted(folder.rglob("*.eval"))
    yield from (path for path in sorted(folder.glob("*.json")) if path.is_file() and is_log(path))


def _chosen(path: Path) -> list[tuple[Path, Header, str, list[str]]]:
    """The logs that are read: with their headers, the names of their tasks, and notes."""
    logs = [path] if path.is_file() else list(_logs(path))
    if not logs:
        raise InputError(f"{path}: holds no log of Inspect AI; give a folder with .eval files")
    by_task: dict[str, list[tuple[Path, Header]]] = {}
    for log in logs:
        header = read_header(log)
        by_task.setdefault(header.eval.task, []).append((log, header))
    chosen = []
    for task, found in by_task.items():
        models = sorted({header.eval.model for _, header in found})
        if len(models) > 1:
            raise InputError(
                f"{path}: has logs of task {task} for several models ({', '.join(models)}); give one log, or "
                "a folder for each model"
            )
        by_arguments: dict[str, list[tuple[Path, Header]]] = {}
        for log, header in found:
            arguments = json.dumps(header.eval.task_args, sort_keys=True) if len(found) > 1 else ""
            by_arguments.setdefault(arguments, []).append((log, header))
        for arguments, same in by_arguments.items():
            log, header = max(
                same, key=lambda one: (one[1].status == "success", one[1].eval.created, one[0].name)
            )
            notes = [f"{len(same) - 1} older logs of this task were left out"] if len(same) > 1 else []
            name = f"{task} {arguments}" if len(by_arguments) > 1 else task
            chosen.append((log, header, name, notes))
    return chosen


def _read_log(path: Path, header: Header, task: str, notes: list[str], settings: ReadSettings) -> Outcomes:
    tally = _Tally()
    legacy = header.results.scores[0].name if header.results and header.results.scores else "score"
    items = [_item(path, place, sample, legacy, tally) for place, sample in enumerate(read_samples(path))]
    if tally.no_scores:
        items = [
            replace(
                item, scores={name: one for name, one in item.scores.items() if name not in tally.no_scores}
            )
            for item in items
        ]
    epochs = header.eval.config.epochs or 1
    reducers = header.eval.config.epochs_reducer or ["mean"]
    notes = [*notes, *_notes(header, tally)]
    if epochs > 1 and reducers != ["mean"]:
        notes.append(f"the run's own summary reduces epochs by {', '.join(reducers)}")
    total = header.results.total_samples if header.results else 0
    return collect(
        items,
        settings,
        task=task,
        source=path,
        format="inspect",
        repeated="epochs",
        notes=notes,
        expected_items=total // epochs or None,
    )


def _notes(header: Header, tally: _Tally) -> list[str]:
    notes = []
    if header.status != "success":
        notes.append(f"the run did not finish: its status is {header.status}")
    if tally.failed:
        notes.append(f"{tally.failed:,} samples ended with an error and without a score")
    if tally.invalid:
        notes.append(f"{tally.invalid:,} samples were marked invalid and have no score")
    notes += [
        f"metric {name} was left out: {plain_text(value)[:40]!r} is no score"
        for name, value in tally.no_scores.items()
    ]
    return notes


def _item(path: Path, place: int, sample: Sample, legacy: str, tally: _Tally) -> LoggedItem:
    scores: dict[str, float] = {}
    answers: dict[str, str | None] = {}
    found = sample.scores or ({} if sample.score is None else {legacy: sample.score})
    for name, value, answer in _values(found):
        number = score_value(value)
        if number is None:
            tally.no_scores.setdefault(name, value)
            number = math.nan
        scores[name] = math.nan if sample.invalidation is not None else number
        answers[name] = answer
    tally.invalid += sample.invalidation is not None
    tally.failed += sample.error is not None and not scores
    targets = (sample.target,) if isinstance(sample.target, str) else tuple(sample.target)
    return LoggedItem(
        id=str(sample.id),
        document=json.dumps([_input(path, sample), sorted(sample.choices or [])]),
        place=place,
        scores=scores,
        answers=answers,
        output=_output(sample),
        targets=targets,
        fields=sample.metadata,
        repetition=sample.epoch,
    )


def _values(scores: Mapping[str, Score]) -> Iterator[tuple[str, Any, str | None]]:
    """Name, value and answer of every metric."""
    for name, score in scores.items():
        if isinstance(score.value, Mapping):
            for entry, value in score.value.items():
                yield f"{name}/{entry}", value, score.answer
        else:
            yield name, score.value, score.answer


def _input(path: Path, sample: Sample) -> Any:
    """The input without what is new in every run, attachments put back in their places."""

    def cleaned(value: Any) -> Any:
        if isinstance(value, str):
            if not value.startswith(_ATTACHMENT):
                return value
            name = value.removeprefix(_ATTACHMENT)
            if name not in sample.attachments:
                raise InputError(
                    f"{path}: sample {sample.id}: its input is the attachment {name[:40]}, which is not in "
                    "it; write the log with its attachments"
                )
            return sample.attachments[name]
        if isinstance(value, Mapping):
            return {
                key: cleaned(one)
                for key, one in sorted(value.items())
                if key not in _PASSING_FIELDS and one is not None
            }
        return [cleaned(one) for one in value] if isinstance(value, list) else value

    return cleaned(sample.input)


def _detail(sample: Sample) -> Detail:
    answer = next((one for _, _, one in _values(sample.scores or {}) if one is not None), None)
    output = _output(sample)
    return Detail(
        id=str(sample.id),
        question=_text(sample.input),
        target=sample.target if isinstance(sample.target, str) else " | ".join(sample.target),
        answer=answer,
        raw=None if output is None or output.strip() == answer else output,
        fields={name: plain_text(value) for name, value in sample.metadata.items() if value is not None},
    )


def _output(sample: Sample) -> str | None:
    """What the model wrote, or None where it wrote nothing."""
    if sample.output.choices:
        return _text(sample.output.choices[0].message.content)
    return sample.output.completion


def _text(content: Any) -> str:
    """The text of a message's content, or of several messages."""
    if isinstance(content, str):
        return content
    if isinstance(content, Mapping):
        text = _text(content.get("content", content.get("text", "")))
        return f"{content['role']}: {text}" if "role" in content else text
    if isinstance(content, list):
        return "\n".join(text for one in content if (text := _text(one)))
    return ""
