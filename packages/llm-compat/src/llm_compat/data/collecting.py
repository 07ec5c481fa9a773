"""Items of a log, one object each, as the arrays of outcomes: for formats that are read item by item."""

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from llm_compat.data.answers import answer_code
from llm_compat.data.outcomes import (
    NO_FILTER,
    Codes,
    Detail,
    Outcomes,
    Slices,
    code_of,
    key_of,
    keys_array,
)
from llm_compat.data.selection import unknown_name
from llm_compat.data.similarity import best_similarity, scorer
from llm_compat.settings.reading import ReadSettings

Logged = TypeVar("Logged")


@dataclass(frozen=True, kw_only=True)
class LoggedItem:
    """One answer of the model to one document.

    Attributes:
        id: As the log names the document.
        document: Text that is the same for the document in all runs, whatever its id and place.
        place: Where it is in the source.
        scores: By metric; NaN or absent where there is none.
        answers: By metric, for metrics whose answers are known; None where nothing could be extracted.
        output: The model's answer as text, for similarities; None where the log has none.
        targets: The expected answers, any of which is right; None where the log has none.
        prompt: What the model was given, or None.
        fields: Fields of the document, for slices and for a person to read.
        repetition: Which of several tries at the document, such as the epoch.
    """

    id: str
    document: str
    place: int
    scores: Mapping[str, float]
    answers: Mapping[str, str | None] = field(default_factory=dict)
    output: str | None = None
    targets: tuple[str, ...] | None = None
    prompt: str | None = None
    fields: Mapping[str, Any] = field(default_factory=dict)
    repetition: int = 0


def collect(
    items: Iterable[LoggedItem],
    settings: ReadSettings,
    *,
    task: str,
    source: Path,
    format: str,
    filter: str = NO_FILTER,
    higher_is_better: Mapping[str, bool] | None = None,
    repeated: str = "repetitions",
    notes: Sequence[str] = (),
    expected_items: int | None = None,
) -> Outcomes:
    """The outcomes of one task: one entry a document, in the order in which the documents come.

    Several tries at a document are one entry with the mean of their scores and no answers, for they are no
    independent items. Equal documents are told apart by expected answers and ids, not by their places.

    Args:
        items: What the log holds.
        settings: Fields and similarities that are wanted.
        task: Name of the task.
        source: The file, for messages and for reading items again.
        format: Name of the format.
        filter: Name of the filter.
        higher_is_better: By metric, where the log tells.
        repeated: What several tries are called, for the note.
        notes: What a reader has to know.
        expected_items: As the log says.

    Raises:
        InputError: a try is there twice, or a field or an answer that was asked for is in no item.
    """
    groups = _grouped(items, source)
    firsts = [group[0] for group in groups]
    tries = max(map(len, groups), default=1)
    if tries > 1:
        notes = (*notes, f"scores are means over {_up_to(groups)} {repeated} of each document")
    scores = _scores(groups)
    higher = {name: better for name, better in (higher_is_better or {}).items() if name in scores}
    for name in settings.similarity:
        scores[name], higher[name] = _similarity(groups, name, source), True
    prompts = [item.prompt for item in firsts if item.prompt is not None]
    targets = [json.dumps(item.targets) for item in firsts if item.targets is not None]
    return Outcomes(
        task=task,
        filter=filter,
        source=source,
        format=format,
        keys=_keys(groups),
        places=np.array([item.place for item in firsts], np.int64),
        scores=scores,
        answers={} if tries > 1 else _answers(firsts, scores),
        higher_is_better=higher,
        prompts=_codes(prompts) if len(prompts) == len(firsts) else None,
        targets=_codes(targets) if len(targets) == len(firsts) else None,
        slices={name: _slices(firsts, name, source) for name in settings.fields},
        notes=tuple(notes),
        expected_items=expected_items,
    )


def plain_text(value: Any) -> str:
    """A field of a document as text: text as it is, nothing for None, JSON for the rest."""
    if value is None:
        return ""
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)


def field_of(fields: Mapping[str, Any], name: str) -> Any:
    """The field of that name, where dots may reach into nested objects; None where there is none."""
    if name in fields:
        return fields[name]
    value: Any = fields
    for part in name.split("."):
        if not isinstance(value, Mapping) or part not in value:
            return None
        value = value[part]
    return value


def _grouped(items: Iterable[LoggedItem], source: Path) -> list[list[LoggedItem]]:
    """The tries at each document, in order of their numbers."""
    groups: dict[tuple[str, str], dict[int, LoggedItem]] = {}
    for item in items:
        tries = groups.setdefault((item.document, item.id), {})
        if item.repetition in tries:
            which = f" (try {item.repetition})" if item.repetition else ""
            raise InputError(f"{source}: item {item.id}{which} is there twice; log each run to its own file")
        tries[item.repetition] = item
    return [[tries[number] for number in sorted(tries)] for tries in groups.values()]


def _keys(groups: Sequence[Sequence[LoggedItem]]) -> Any:
    twins: dict[str, list[int]] = {}
    for place, group in enumerate(groups):
        twins.setdefault(group[0].document, []).append(place)
    numbers = [0] * len(groups)
    for places in twins.values():
        if len(places) > 1:
            places.sort(key=lambda place: (groups[place][0].targets or (), groups[place][0].id))
            for number, place in enumerate(places):
                numbers[place] = number
    return keys_array(
        [
            key_of(_bytes(group[0].document if number == 0 else f"{group[0].document}\x00{number}"))
            for group, number in zip(groups, numbers, strict=True)
        ]
    )


def _scores(groups: Sequence[Sequence[LoggedItem]]) -> dict[str, npt.NDArray[np.float64]]:
    names = dict.fromkeys(name for group in groups for item in group for name in item.scores)
    missing = float("nan")
    return {
        name: np.array([_mean([item.scores.get(name, missing) for item in group]) for group in groups])
        for name in names
    }


def _mean(values: Sequence[float]) -> float:
    """The mean of those that are not NaN; NaN where there are none."""
    known = [value for value in values if value == value]
    return sum(known) / len(known) if known else float("nan")


def _answers(items: Sequence[LoggedItem], scores: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, Codes]:
    """Codes of the answers, for metrics that are right or wrong and whose answers are known everywhere."""
    found = {}
    for name in dict.fromkeys(name for item in items for name in item.answers):
        values = scores[name] if name in scores else np.full(len(items), np.nan)
        scored = ~np.isnan(values)
        if not scored.any() or not np.isin(values[scored], (0.0, 1.0)).all():
            continue
        known = all(name in item.answers for item, has in zip(items, scored, strict=True) if has)
        answers = [item.answers.get(name) for item in items]
        if known and any(answer is not None for answer in answers):
            found[name] = np.array([answer_code(answer) for answer in answers], np.uint64)
    return found


def _similarity(groups: Sequence[Sequence[LoggedItem]], name: str, source: Path) -> Any:
    if not any(item.output is not None and item.targets for group in groups for item in group):
        raise InputError(
            f"{source}: --read.similarity {name} needs answers and expected texts, which the log has not; "
            "leave it out"
        )
    score = scorer(name)
    return np.array(
        [
            _mean(
                [
                    best_similarity(score, item.output, item.targets)
                    for item in group
                    if item.output is not None and item.targets
                ]
            )
            for group in groups
        ]
    )


def _codes(texts: Sequence[str]) -> Codes:
    return np.array([code_of(_bytes(text)) for text in texts], np.uint64)


def _bytes(text: str) -> bytes:
    """UTF-8; half of a surrogate pair, which is no text but may stand in a log, keeps its own bytes."""
    return text.encode("utf-8", "surrogatepass")


def _slices(items: Sequence[LoggedItem], name: str, source: Path) -> Slices:
    values = [field_of(item.fields, name) for item in items]
    if items and all(value is None for value in values):
        raise unknown_name(
            name, (known for item in items for known in item.fields), option="--by", where=source
        )
    names = sorted({plain_text(value) for value in values})
    codes = {text: code for code, text in enumerate(names)}
    return Slices(
        codes=np.array([codes[plain_text(value)] for value in values], np.int32), names=tuple(names)
    )


def _up_to(groups: Sequence[Sequence[LoggedItem]]) -> str:
    counts = {len(group) for group in groups}
    return str(max(counts)) if len(counts) == 1 else f"up to {max(counts)}"


def details_among(
    outcomes: Outcomes,
    items: Sequence[int],
    logged: Iterable[Logged],
    detail: Callable[[Logged, int], Detail],
) -> list[Detail]:
    """The texts of some items, in the order of `items`, of a log whose places count what it holds from 0.

    Args:
        outcomes: What was read from the log.
        items: Positions in its arrays.
        logged: What the log holds, in its order.
        detail: From one of them and its place to its texts.

    Raises:
        InputError: The log holds fewer than when it was read.
    """
    wanted = {int(outcomes.places[item]) for item in items}
    found = {place: detail(one, place) for place, one in enumerate(logged) if place in wanted}
    if len(found) < len(wanted):
        raise InputError(f"{outcomes.source}: was changed while it was read; run again")
    return [found[int(outcomes.places[item])] for item in items]
