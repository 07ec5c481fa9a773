"""The files of one HELM run, gathered by (instance, perturbation, trial).

Each metric class writes rows of its own to the statistics, so the scores of an instance are in several rows.
Answers come from `display_predictions.json`, documents from `instances.json`; `scenario_state.json`, which is
far larger, is read only where one of those is missing.

Source: the dataclasses PerInstanceStats, Stat, Instance, DisplayPrediction, DisplayRequest and RequestState
of crfm-helm 0.5.16; inputs and outputs that are plain strings are those of 0.1.0.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from toolkit_shared.errors import InputError

from llm_compat.data.typed_json import read_json_as

STATS, PREDICTIONS, INSTANCES = "per_instance_stats.json", "display_predictions.json", "instances.json"
REQUESTS, STATE, RUN_SPEC = "display_requests.json", "scenario_state.json", "run_spec.json"
PREDICTED_INDEX = "predicted_index"


class Key(NamedTuple):
    """One answer: which instance, its perturbation as JSON (empty for none), and the trial."""

    instance: str
    perturbation: str
    trial: int


@dataclass(frozen=True, kw_only=True)
class Document:
    """An instance.

    Attributes:
        text: The input as a person reads it.
        name: All of the input and the references, as one text that is equal for equal instances.
        references: The texts of the references, in their order.
        targets: Those that are correct.
        fields: Split, sub-split, perturbation, and what the scenario adds.
    """

    text: str
    name: str
    references: tuple[str, ...]
    targets: tuple[str, ...]
    fields: dict[str, Any]


@dataclass
class RunFiles:
    """What the files say, by key; documents by (instance, perturbation).

    Attributes:
        scores: By key, the mean of every statistic.
        documents: Empty when no file has them.
        answers: What the model chose or wrote; None where it could not be mapped to a choice. Without an
            entry where it is not known.
        choices: Whether the answers are choices, and not all that the model wrote.
        raw: What the model wrote.
        prompts: What the model was given, where there is one prompt a key.
    """

    scores: dict[Key, dict[str, float]]
    documents: dict[tuple[str, str], Document] = field(default_factory=dict)
    answers: dict[Key, str | None] = field(default_factory=dict)
    choices: bool = False
    raw: dict[Key, str] = field(default_factory=dict)
    prompts: dict[Key, str] = field(default_factory=dict)


class _Keyed(msgspec.Struct):
    instance_id: str
    train_trial_index: int
    perturbation: dict[str, Any] | None = None

    @property
    def key(self) -> Key:
        return Key(self.instance_id, _as_text(self.perturbation), self.train_trial_index)


class _Name(msgspec.Struct):
    name: str


class _Stat(msgspec.Struct):
    name: _Name
    mean: float | None = None


class _Row(_Keyed, kw_only=True):
    stats: list[_Stat]


class _Text(msgspec.Struct):
    text: str = ""
    multimedia_content: Any = None
    messages: Any = None


class _Reference(msgspec.Struct):
    output: _Text | str
    tags: list[str] = []


class _Instance(msgspec.Struct):
    input: _Text | str
    references: list[_Reference]
    id: str | None = None
    split: str | None = None
    sub_split: str | None = None
    perturbation: dict[str, Any] | None = None
    extra_data: dict[str, Any] | None = None


class _Prediction(_Keyed, kw_only=True):
    predicted_text: str
    truncated_predicted_text: str | None = None
    mapped_output: str | None = None
    reference_index: int | None = None


class _Request(msgspec.Struct):
    prompt: str = ""
    messages: Any = None

    @property
    def text(self) -> str:
        return self.prompt or json.dumps(self.messages)


class _DisplayRequest(_Keyed, kw_only=True):
    request: _Request


class _Completion(msgspec.Struct):
    text: str


class _Result(msgspec.Struct):
    completions: list[_Completion]


class _State(msgspec.Struct):
    instance: _Instance
    request: _Request
    train_trial_index: int
    reference_index: int | None = None
    request_mode: str | None = None
    output_mapping: dict[str, str] | None = None
    result: _Result | None = None


class _Adapter(msgspec.Struct):
    output_mapping_pattern: str | None = None


class _ScenarioState(msgspec.Struct):
    adapter_spec: _Adapter
    request_states: list[_State]


class _RunSpec(msgspec.Struct):
    name: str


def run_name(folder: Path) -> str:
    """The name of the run in a folder: what `run_spec.json` says, else the folder's name."""
    spec = folder / RUN_SPEC
    return read_json_as(spec, _RunSpec).name if spec.is_file() else folder.resolve().name


def read_run_files(folder: Path, wanted: Callable[[str], bool]) -> RunFiles:
    """Scores, documents and answers of a run.

    Args:
        folder: Has at least the statistics.
        wanted: Which statistics are read.

    Raises:
        InputError: A file is no JSON or holds something else, or an instance has two values of a statistic.
    """
    rows = read_json_as(folder / STATS, list[_Row])
    run = RunFiles(scores=_scores(rows, wanted, folder / STATS))
    has_instances, has_predictions = (folder / INSTANCES).is_file(), (folder / PREDICTIONS).is_file()
    if has_instances:
        for instance in read_json_as(folder / INSTANCES, list[_Instance]):
            _add_document(run, instance)
    if has_predictions:
        written = _add_predictions(run, read_json_as(folder / PREDICTIONS, list[_Prediction]))
        if written and (folder / REQUESTS).is_file():
            for request in read_json_as(folder / REQUESTS, list[_DisplayRequest]):
                if request.key in written:
                    run.prompts[request.key] = request.request.text
    if not (has_instances and has_predictions) and (folder / STATE).is_file():
        state = read_json_as(folder / STATE, _ScenarioState)
        if not has_instances:
            for one in state.request_states:
                _add_document(run, one.instance)
        if not has_predictions and state.adapter_spec.output_mapping_pattern is None:
            # a pattern of the log would have to be run on its texts; such answers stay unknown
            chosen = _scores(rows, lambda name: name == PREDICTED_INDEX, folder / STATS)
            _add_states(run, state.request_states, chosen)
    return run


def perturbation_label(perturbation: str, *, in_full: bool) -> str:
    """The name of a perturbation, in full with what it was called with, such as `typos (prob=0.1)`."""
    fields = json.loads(perturbation)
    name = str(fields.pop("name", "perturbation"))
    left_out = ("robustness", "fairness", "computed_on")
    arguments = [f"{key}={value}" for key, value in sorted(fields.items()) if key not in left_out]
    return f"{name} ({', '.join(arguments)})" if in_full and arguments else name


def _scores(rows: list[_Row], wanted: Callable[[str], bool], path: Path) -> dict[Key, dict[str, float]]:
    scores: dict[Key, dict[str, float]] = {}
    for row in rows:
        found = scores.setdefault(row.key, {})
        for stat in row.stats:
            name = stat.name.name
            if stat.mean is None or not wanted(name):
                continue
            if found.setdefault(name, stat.mean) != stat.mean:
                raise InputError(
                    f"{path}: instance {row.instance_id} has two values of {name}, {found[name]:g} and "
                    f"{stat.mean:g}; run HELM again, or leave the metric out with --metric"
                )
    return scores


def _add_document(run: RunFiles, instance: _Instance) -> None:
    if instance.id is None or instance.split == "train":
        return
    perturbation = _as_text(instance.perturbation)
    if (instance.id, perturbation) in run.documents:
        return
    references = [(_text_of(one.output), "correct" in one.tags) for one in instance.references]
    whole = instance.input
    more = None if isinstance(whole, str) else [whole.multimedia_content, whole.messages]
    run.documents[instance.id, perturbation] = Document(
        text=_text_of(whole) or ("" if more is None else json.dumps(more[1] or more[0])),
        name=json.dumps([_text_of(whole), more if more and any(more) else None, sorted(references)]),
        references=tuple(text for text, _ in references),
        targets=tuple(text for text, correct in references if correct),
        fields={
            "split": instance.split,
            "sub_split": instance.sub_split,
            "perturbation": perturbation_label(perturbation, in_full=False) if perturbation else None,
            **(instance.extra_data or {}),
        },
    )


def _add_predictions(run: RunFiles, predictions: list[_Prediction]) -> set[Key]:
    """Add the answers; the keys of those that were written, and not chosen among references.

    The request of a chosen reference holds the choice, so it differs because the answer does.
    """
    written = set()
    # a mapping that knows one answer of the run has been asked for all: what is not in it is no answer
    mapped = any(one.mapped_output is not None for one in predictions)
    run.choices = mapped
    for one in _once(predictions):
        key = one.key
        text = one.truncated_predicted_text or one.predicted_text
        run.raw[key] = text
        if one.reference_index is not None:
            _add_choice(run, key, one.reference_index)
        else:
            written.add(key)
            run.answers[key] = one.mapped_output if mapped else text.strip() or None
    return written


def _add_states(run: RunFiles, states: list[_State], chosen: dict[Key, dict[str, float]]) -> None:
    """Answers and prompts of states: one a key, or one for each reference, of which one was chosen."""
    for one in states:
        if one.instance.id is None or one.request_mode == "calibration" or one.result is None:
            continue
        key = Key(one.instance.id, _as_text(one.instance.perturbation), one.train_trial_index)
        if one.reference_index is not None:
            if chosen.get(key, {}).get(PREDICTED_INDEX) == one.reference_index:
                _add_choice(run, key, one.reference_index)
        elif len(one.result.completions) == 1:
            text = one.result.completions[0].text
            run.raw[key] = text
            mapping = one.output_mapping
            run.choices = run.choices or mapping is not None
            run.answers[key] = text.strip() or None if mapping is None else mapping.get(text.strip())
            run.prompts[key] = one.request.text


def _add_choice(run: RunFiles, key: Key, index: int) -> None:
    run.choices = True
    document = run.documents.get((key.instance, key.perturbation))
    if document is None:
        run.answers[key] = f"reference {index}"
    elif 0 <= index < len(document.references):
        run.answers[key] = document.references[index]


def _once(keyed: list[Any]) -> Iterator[Any]:
    """Those whose key occurs once: of several, which one was scored is not known."""
    counts: dict[Key, int] = {}
    for one in keyed:
        counts[one.key] = counts.get(one.key, 0) + 1
    return (one for one in keyed if counts[one.key] == 1)


def _text_of(value: _Text | str) -> str:
    return value if isinstance(value, str) else value.text


def _as_text(perturbation: dict[str, Any] | None) -> str:
    if perturbation is None:
        return ""
    return json.dumps(
        {key: value for key, value in perturbation.items() if value is not None}, sort_keys=True
    )
