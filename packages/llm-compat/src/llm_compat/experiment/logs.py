"""The answers of a run of the experiment as a log of lm-evaluation-harness, which every command reads."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import write_json
from toolkit_shared.records import write_jsonl

from llm_compat.experiment.task import Task

STAMP = "2026-01-01T00-00-00.000000"
TASK_NAME = "requests"


def write_log(folder: Path, model: str, task: Task, answers: npt.NDArray[np.integer]) -> Path:
    """Write samples and results of a model's answers to the test part; the folder of the files.

    The task is logged as a generated label with `exact_match`, one line a request: with 60 intents the
    log-probabilities of a choice task would be most of the file.

    Args:
        folder: Where to; the files lie in a folder of the model's name in it.
        model: Its name.
        task: What was answered.
        answers: Index of the label of each test request, int [requests].
    """
    place = folder / model
    place.mkdir(parents=True, exist_ok=True)
    right = float(np.mean(answers == task.test.labels))
    write_jsonl(place / f"samples_{TASK_NAME}_{STAMP}.jsonl", _records(task, answers))
    write_json(
        place / f"results_{STAMP}.json",
        {
            "results": {TASK_NAME: {"alias": TASK_NAME, "exact_match,none": right}},
            "configs": {TASK_NAME: {"task": TASK_NAME, "output_type": "generate_until", "num_fewshot": 0}},
            "versions": {TASK_NAME: 1.0},
            "higher_is_better": {TASK_NAME: {"exact_match": True}},
            "n-samples": {TASK_NAME: {"original": len(answers), "effective": len(answers)}},
            "model_name": model,
        },
    )
    return place


def _records(task: Task, answers: npt.NDArray[np.integer]) -> Iterator[dict[str, Any]]:
    test = task.test
    rows = zip(test.ids, test.texts, test.labels.tolist(), answers.tolist(), strict=True)
    for number, (name, text, label, answer) in enumerate(rows):
        target, said = task.labels[label], task.labels[answer]
        prompt = f"{text} =>"
        yield {
            "doc_id": number,
            "doc": {"id": name, "question": text, "domain": target.split("_")[0]},
            "target": target,
            "arguments": {"gen_args_0": {"arg_0": prompt, "arg_1": {"until": ["\n"]}}},
            "resps": [[said]],
            "filtered_resps": [said],
            "filter": "none",
            "metrics": ["exact_match"],
            "doc_hash": _sha256(f"{name}\n{text}"),
            "prompt_hash": _sha256(prompt),
            "target_hash": _sha256(target),
            "exact_match": float(label == answer),
        }


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
