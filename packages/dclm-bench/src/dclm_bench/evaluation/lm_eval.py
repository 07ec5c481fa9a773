"""Results of lm-evaluation-harness under the names of the 53 tasks, where there is a counterpart.

Its prompts, examples and normalisation are its own, so its numbers are near those of the leaderboard and not
the same. Each counterpart names the task, the metric that is nearest, and the number of shots.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from toolkit_shared.errors import InputError, require

from dclm_bench.evaluation.tasks import tasks


@dataclass(frozen=True)
class Counterpart:
    """A task of lm-evaluation-harness, and the metrics that may stand for the score, the nearest first."""

    task: str
    metrics: tuple[str, ...]


_NORMALISED, _PLAIN, _EXACT = ("acc_norm,none", "acc,none"), ("acc,none",), ("exact_match,none",)
# Choices are compared by mean token loss there only as acc_norm (per byte), the nearest to LLM-Foundry.
COUNTERPARTS: Mapping[str, Counterpart] = {
    "mmlu_zeroshot": Counterpart("mmlu", _PLAIN),
    "mmlu_fewshot": Counterpart("mmlu", _PLAIN),
    "hellaswag_zeroshot": Counterpart("hellaswag", _NORMALISED),
    "hellaswag": Counterpart("hellaswag", _NORMALISED),
    "arc_easy": Counterpart("arc_easy", _NORMALISED),
    "arc_challenge": Counterpart("arc_challenge", _NORMALISED),
    "copa": Counterpart("copa", _PLAIN),
    "siqa": Counterpart("social_iqa", _PLAIN),
    "commonsense_qa": Counterpart("commonsense_qa", _PLAIN),
    "piqa": Counterpart("piqa", _NORMALISED),
    "openbook_qa": Counterpart("openbookqa", _NORMALISED),
    "lambada_openai": Counterpart("lambada_openai", _PLAIN),
    "winograd": Counterpart("wsc273", _PLAIN),
    "winogrande": Counterpart("winogrande", _PLAIN),
    "boolq": Counterpart("boolq", _PLAIN),
    "coqa": Counterpart("coqa", ("em,none",)),
    "math_qa": Counterpart("mathqa", _NORMALISED),
    "logi_qa": Counterpart("logiqa", _NORMALISED),
    "pubmed_qa_labeled": Counterpart("pubmedqa", _PLAIN),
    "agi_eval_lsat_ar": Counterpart("agieval_lsat_ar", _NORMALISED),
    "agi_eval_lsat_rc": Counterpart("agieval_lsat_rc", _NORMALISED),
    "agi_eval_lsat_lr": Counterpart("agieval_lsat_lr", _NORMALISED),
    "agi_eval_sat_en": Counterpart("agieval_sat_en", _NORMALISED),
    "gpqa_main": Counterpart("gpqa_main_n_shot", _NORMALISED),
    "gpqa_diamond": Counterpart("gpqa_diamond_n_shot", _NORMALISED),
    "gsm8k_cot": Counterpart("gsm8k_cot", ("exact_match,strict-match", "exact_match,flexible-extract")),
}
_SHOTLESS = "mmlu_zeroshot", "hellaswag_zeroshot"


def scores_of_results(document: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
    """The scores under our names, and a line for each thing that a reader has to know.

    Tasks that are asked at two numbers of shots are told apart by the results' `n-shot`: 0 is the one without
    examples. MMLU is averaged anew over the 57 subjects, where the results have them, for the harness weighs
    questions.

    Args:
        document: What `lm_eval` writes as results JSON, or `simple_evaluate` returns.

    Raises:
        InputError: it has no `results`.
    """
    results = document.get("results")
    shots = document.get("n-shot", {})
    if not isinstance(results, Mapping):
        raise InputError(
            "lm-eval: the document has no 'results'; give the results JSON of lm-evaluation-harness"
        )
    scores: dict[str, float] = {}
    notes: list[str] = []
    for name, counterpart in COUNTERPARTS.items():
        entry: Any = results.get(counterpart.task)
        subjects = _mmlu_subjects(results) if counterpart.task == "mmlu" else []
        if not isinstance(entry, Mapping) and not subjects:
            continue
        num_shots = _shots(shots, counterpart.task)
        twice = [other for other, one in COUNTERPARTS.items() if one.task == counterpart.task]
        if len(twice) > 1 and (num_shots == 0) != (name in _SHOTLESS):
            continue
        if subjects:
            value: float | None = sum(subjects) / len(subjects)
        else:
            value = next(
                (entry[m] for m in counterpart.metrics if isinstance(entry.get(m), int | float)), None
            )
        if value is None:
            notes.append(f"{name}: {counterpart.task} has none of {', '.join(counterpart.metrics)}; missing")
            continue
        scores[name] = float(value)
        if num_shots is not None and num_shots != tasks()[name].num_fewshot:
            notes.append(
                f"{name}: with {num_shots} examples, where the leaderboard has {tasks()[name].num_fewshot}"
            )
    return scores, notes


def run_lm_eval(
    model: str, names: Sequence[str], *, limit: int | None = None, device: str = "auto", seed: int = 0
) -> tuple[dict[str, float], list[str]]:
    """Ask the counterparts of these tasks of a transformers model; scores and notes as above.

    It reads its data sets from the Hub or its cache. Tasks without a counterpart are named in the notes.

    Args:
        model: Folder or name on the Hub.
        names: Tasks; all 53 for none.
        limit: Questions of each task.
        device: As in `load_model`.
        seed: Of the examples.

    Raises:
        MissingExtra: lm-eval is not installed.
        InputError: no task has a counterpart, or a data set cannot be read.
    """
    harness = require("lm_eval", toolkit="dclm-bench", extra="eval")
    wanted = [name for name in (names or tasks()) if name in COUNTERPARTS]
    notes = [
        f"{name}: no counterpart in lm-eval; missing"
        for name in (names or tasks())
        if name not in COUNTERPARTS
    ]
    if not wanted:
        raise InputError(
            "--only: none of these tasks has a counterpart in lm-eval; leave out --backend lm-eval"
        )
    scores: dict[str, float] = {}
    for shots in sorted({tasks()[name].num_fewshot for name in wanted}):
        at_once = sorted({COUNTERPARTS[name].task for name in wanted if tasks()[name].num_fewshot == shots})
        try:
            document = harness.simple_evaluate(
                model="hf",
                model_args={"pretrained": model},
                tasks=at_once,
                num_fewshot=shots,
                limit=limit,
                device=None if device == "auto" else device,
                random_seed=seed,
                numpy_random_seed=seed,
                torch_random_seed=seed,
                fewshot_random_seed=seed,
            )
        except (OSError, KeyError, ConnectionError) as error:
            reason = " ".join(str(error).split())[:160]
            raise InputError(f"lm-eval: {', '.join(at_once)} cannot be run: {reason}") from None
        found, told = scores_of_results(document)
        scores.update(
            {name: found[name] for name in wanted if name in found and tasks()[name].num_fewshot == shots}
        )
        notes += told
    return scores, notes


def _mmlu_subjects(results: Mapping[str, Any]) -> list[float]:
    """The scores of the 57 subjects, when all are there."""
    names = [group for group, _ in tasks()["mmlu_fewshot"].group_sizes]
    entries = [results.get(f"mmlu_{name}") for name in names]
    values = [entry.get("acc,none") for entry in entries if isinstance(entry, Mapping)]
    return [float(v) for v in values if isinstance(v, int | float)] if len(values) == len(names) else []


def _shots(shots: Any, task: str) -> int | None:
    """Examples that were shown for a task, or for its first part."""
    if not isinstance(shots, Mapping):
        return None
    found = shots.get(task)
    if found is None:
        found = next((value for name, value in shots.items() if str(name).startswith(f"{task}_")), None)
    return found if isinstance(found, int) else None
