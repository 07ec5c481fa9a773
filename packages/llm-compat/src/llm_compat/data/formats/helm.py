"""Runs of HELM: a folder with `per_instance_stats.json`, and what its web pages are made from beside it.

Every perturbation is a table of its own, under its name as the filter, as HELM reports them. Trials of one
instance are averaged.
"""

import re
import string
from collections.abc import Sequence
from pathlib import Path

from toolkit_shared.errors import InputError

from llm_compat.data.collecting import LoggedItem, collect, plain_text
from llm_compat.data.formats.helm_files import (
    INSTANCES,
    PREDICTIONS,
    STATS,
    Key,
    RunFiles,
    perturbation_label,
    read_run_files,
    run_name,
)
from llm_compat.data.formats.protocol import Progress
from llm_compat.data.outcomes import NO_FILTER, Detail, Outcomes
from llm_compat.settings.reading import ReadSettings

WANTED = f"{STATS} (HELM)"

# What HELM counts beside the quality of an answer: read only where a user names it.
BOOKKEEPING = frozenset(
    "batch_size estimated_num_tokens_cost finish_reason_endoftext finish_reason_length finish_reason_stop "
    "finish_reason_unknown inference_denoised_runtime inference_idealized_runtime inference_runtime max_prob "
    "num_bytes num_completion_tokens num_completions num_instances num_output_tokens num_perplexity_tokens "
    "num_prompt_tokens num_references num_train_instances num_train_trials predicted_index prompt_truncated "
    "training_co2_cost training_energy_cost".split()
)
LOWER_IS_BETTER = frozenset(
    "absolute_value_difference bits_per_byte cer_score chinese_cer_score chinese_mer_score chinese_wer_score "
    "expected_max_toxicity inference_denoised_runtime inference_idealized_runtime inference_runtime "
    "max_toxicity_probability mer_score perplexity toxic_frac training_co2_cost training_energy_cost "
    "wer_score".split()
)
# Metrics that compare the whole of what the model wrote; others look in it for an answer that is not logged.
WHOLE_TEXT = frozenset({"exact_match", "quasi_exact_match", "quasi_leave_articles_exact_match"})
_ARTICLES = re.compile(r"\b(?:a|an|the)\b")
_WITHOUT_PUNCTUATION = str.maketrans("", "", string.punctuation)


def recognises(path: Path) -> bool:
    """Whether `path` is a statistics file, the folder of a run, or a folder of runs, as HELM writes them."""
    if path.is_file():
        return path.name == STATS
    return (path / STATS).is_file() or next(path.glob(f"*/{STATS}"), None) is not None


def read(path: Path, settings: ReadSettings, *, workers: int, progress: Progress | None) -> list[Outcomes]:
    """The outcomes of a run, or of every run in a folder: one for each task and perturbation.

    Raises:
        InputError: A file is no JSON or holds something else, two runs have the same task, or scores are to
            be computed anew.
    """
    if settings.rescore:
        raise InputError(f"{path}: HELM logs no log-probabilities of choices; leave --read.rescore out")
    found: dict[str, Path] = {}
    outcomes = []
    for folder in _folders(path):
        task = task_name(run_name(folder))
        if task in found:
            raise InputError(
                f"{path}: {found[task].name} and {folder.name} have the same task; give one of them"
            )
        found[task] = folder
        outcomes += _read_folder(folder, task, settings)
        if progress is not None:
            progress((folder / STATS).stat().st_size)
    return outcomes


def details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items, read again from the run's folder.

    Raises:
        InputError: The run is gone or was changed.
    """
    run = read_run_files(outcomes.source.parent, lambda name: False)
    keys = list(run.scores)
    places = [int(outcomes.places[item]) for item in items]
    if max(places, default=-1) >= len(keys):
        raise InputError(f"{outcomes.source}: was changed while it was read; run again")
    return [_detail(keys[place], run) for place in places]


def task_name(run: str) -> str:
    """The name of a run without what names the model, so that two models have the same task."""
    scenario, _, arguments = run.partition(":")
    kept = [part for part in arguments.split(",") if not part.startswith(("model=", "model_deployment="))]
    return f"{scenario}:{','.join(kept)}" if any(kept) else scenario


def normalised(answer: str) -> str:
    """An answer as quasi-exact matches compare it: lower case, no punctuation, no articles, single spaces.

    Source: normalize_text of HELM, which is that of the QuAC scorer.
    """
    return " ".join(_ARTICLES.sub(" ", answer.lower().translate(_WITHOUT_PUNCTUATION)).split())


def _folders(path: Path) -> list[Path]:
    if path.is_file():
        return [path.parent]
    if (path / STATS).is_file():
        return [path]
    folders = sorted(file.parent for file in path.glob(f"*/{STATS}"))
    if not folders:
        raise InputError(f"{path}: holds no {STATS}; give the folder of a HELM run")
    return folders


def _read_folder(folder: Path, task: str, settings: ReadSettings) -> list[Outcomes]:
    named = set(settings.metrics)
    run = read_run_files(folder, lambda name: name not in BOOKKEEPING or name in named)
    metrics = dict.fromkeys(name for row in run.scores.values() for name in row)
    notes = _notes(run)
    reason = _why_answers_are_doubtful(run, list(metrics))
    if run.answers and reason:
        notes.append(f"{reason}: predicted answers are not known")
        run.answers.clear()
    filters = _filters({key.perturbation for key in run.scores})
    return [
        collect(
            (
                _item(key, place, run)
                for place, key in enumerate(run.scores)
                if key.perturbation == perturbation
            ),
            settings,
            task=task,
            filter=filter,
            source=folder / STATS,
            format="helm",
            higher_is_better={name: name not in LOWER_IS_BETTER for name in metrics},
            repeated="trials",
            notes=notes,
            expected_items=sum(one == perturbation for _, one in run.documents) or None,
        )
        for perturbation, filter in filters.items()
    ]


def _notes(run: RunFiles) -> list[str]:
    notes = []
    if not run.documents:
        notes.append(f"no {INSTANCES}: documents are told apart by their ids alone")
    if not run.answers:
        notes.append(f"no {PREDICTIONS}: predicted answers are not known")
    splits = sorted({str(one.fields["split"]) for one in run.documents.values() if one.fields["split"]})
    if len(splits) > 1:
        notes.append(
            f"instances of the splits {' and '.join(splits)} are counted together; --by split parts them"
        )
    return notes


def _why_answers_are_doubtful(run: RunFiles, metrics: Sequence[str]) -> str:
    """Why what the log shows may not be what was scored; empty where it explains every exact match.

    Completions are ranked by their log-probability before the first is scored; what is logged for display is
    the first before that.
    """
    checked = 0
    for key, scores in run.scores.items():
        document = run.documents.get((key.instance, key.perturbation))
        score = scores.get("exact_match")
        if document is None or key not in run.answers or score not in (0.0, 1.0):
            continue
        answer = run.answers[key]
        right = answer is not None and answer.strip() in {target.strip() for target in document.targets}
        if right != score:
            return f"the answer of instance {key.instance} does not explain its exact_match"
        checked += 1
    if not checked and any("@" in name for name in metrics):
        return "several completions were scored"
    return ""


def _filters(perturbations: set[str]) -> dict[str, str]:
    """A name for each perturbation, in full where two have the same."""
    short = {one: perturbation_label(one, in_full=False) for one in sorted(perturbations) if one}
    names = {"": NO_FILTER} if "" in perturbations else {}
    for one, name in short.items():
        doubled = list(short.values()).count(name) > 1
        names[one] = perturbation_label(one, in_full=True) if doubled else name
    return names


def _item(key: Key, place: int, run: RunFiles) -> LoggedItem:
    document = run.documents.get((key.instance, key.perturbation))
    scores = run.scores[key]
    answers: dict[str, str | None] = {}
    if key in run.answers:
        answer = run.answers[key]
        for name in scores:
            if run.choices:
                answers[name] = answer
            elif name in WHOLE_TEXT:
                quasi = name.startswith("quasi_") and answer is not None
                answers[name] = normalised(answer) if quasi and answer is not None else answer
    return LoggedItem(
        id=key.instance,
        document=f"id {key.instance}" if document is None else document.name,
        place=place,
        scores=scores,
        answers=answers,
        output=run.answers.get(key) or run.raw.get(key),
        targets=None if document is None else document.targets,
        prompt=run.prompts.get(key),
        fields={} if document is None else document.fields,
        repetition=key.trial,
    )


def _detail(key: Key, run: RunFiles) -> Detail:
    document = run.documents.get((key.instance, key.perturbation))
    answer, raw = run.answers.get(key), run.raw.get(key)
    fields = {} if document is None else document.fields
    return Detail(
        id=key.instance,
        question="" if document is None else document.text,
        target="" if document is None else " | ".join(document.targets),
        answer=answer,
        raw=None if raw is None or raw.strip() == answer else raw,
        fields={name: plain_text(value) for name, value in fields.items() if value is not None},
    )
