"""Generated runs of lm-evaluation-harness, with known outcomes, in the files that it writes."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

import numpy as np
from toolkit_shared.artifacts import atomic_path

TaskKind = Literal["choice", "generation", "loglikelihood", "summary"]

STRICT, FLEXIBLE = "strict-match", "flexible-extract"
_WORDS = (
    "river stone garden window market paper winter engine music letter bridge candle forest silver morning "
    "teacher village harbor simple narrow bright quiet heavy early broken open carry follow answer measure "
    "number basket seven eleven twenty costs gives takes walks builds paints counts sells left right after"
).split()
_DEFAULT_TIME = datetime(2026, 3, 1, 12, 0, 0, 250000)


@dataclass(frozen=True, kw_only=True)
class GeneratedTask:
    """One task of a generated run: what is asked is told by name and seed, what is answered by `answers`.

    Attributes:
        name: Name of the task; equal names and seeds have equal documents.
        kind: `choice`: log-probabilities of some choices (acc, acc_norm). `generation`: arithmetic with a
            solution, under the two filters of GSM8K (exact_match). `loglikelihood`: one continuation (acc,
            and perplexity, of which less is better). `summary`: a text with a continuous score (rouge1).
        answers: What the model does on each document. `choice`: the index of the choice that it takes.
            `generation`: the number that it gives, or None for a text without one. `loglikelihood`: 1 for a
            greedy continuation, 0 for another. `summary`: how many of the ten words of the reference it has.
        choices: Number of choices.
        context_characters: About so many characters has every prompt; sets the length of the lines.
        unmarked: Documents of a `generation` whose answer is not after `#### `, so only the flexible filter
            finds it.
        seed: Seed of the documents.
    """

    name: str
    kind: TaskKind
    answers: Sequence[int | None]
    choices: int = 4
    context_characters: int = 200
    unmarked: frozenset[int] = frozenset()
    seed: int = 0


@dataclass(frozen=True, kw_only=True)
class GeneratedDocument:
    """A document of a task, and what is right.

    Attributes:
        doc: As the data set holds it.
        prompt: What the model is given.
        gold: Index of the right choice, or the right number.
        options: Choices, or the continuation, or the reference.
    """

    doc: Mapping[str, Any]
    prompt: str
    gold: int
    options: tuple[str, ...]


def documents_of(task: GeneratedTask) -> Iterator[GeneratedDocument]:
    """The documents of a task, in order; the same for every model.

    Right is the choice `gold`, which falls on all choices in turn, or the number `gold`.
    """
    digest = hashlib.blake2b(task.name.encode(), digest_size=8).digest()
    generator = np.random.default_rng(np.random.SeedSequence([task.seed, int.from_bytes(digest, "little")]))
    words = np.array(_WORDS)
    length = max(3, task.context_characters // 7)
    # one long text, of which every document takes a piece of its own
    pool = words[generator.integers(len(words), size=length + 997)].tolist()
    for number in range(len(task.answers)):
        start = number % 997
        context = " ".join(pool[start : start + length]) + f", number {number}?"
        picks = words[generator.integers(len(words), size=task.choices * 4)].tolist()
        subject = ("algebra", "biology", "history")[number % 3]
        if task.kind == "choice":
            options = tuple(
                " ".join(picks[4 * place : 4 * place + 2 + (number + place) % 3]) + f" {place}"
                for place in range(task.choices)
            )
            gold = int(generator.integers(task.choices))
            doc = {"query": context, "choices": list(options), "gold": gold, "subject": subject}
            yield GeneratedDocument(
                doc=doc, prompt=f"Question: {context}\nAnswer:", gold=gold, options=options
            )
        elif task.kind == "generation":
            gold = 1000 + int(generator.integers(9000))
            solution = f"{context}\nSo it is <<{gold - 7}+7={gold}>>{gold}.\n#### {gold:,}"
            doc = {"question": context, "answer": solution, "subject": subject}
            yield GeneratedDocument(
                doc=doc, prompt=f"Question: {context}\nAnswer:", gold=gold, options=(solution,)
            )
        else:
            reference = " ".join(f"{word}{place}" for place, word in enumerate((picks * 3)[:10]))
            doc = {"text": context, "reference": reference, "subject": subject}
            yield GeneratedDocument(doc=doc, prompt=context, gold=1, options=(reference,))


def records_of(task: GeneratedTask) -> Iterator[dict[str, Any]]:
    """The lines of a task's log as objects: all documents under the first filter, then under the next."""
    filters = (STRICT, FLEXIBLE) if task.kind == "generation" else ("none",)
    for filter_name in filters:
        for number, document in enumerate(documents_of(task)):
            yield _record(task, number, document, filter_name)


def write_harness_run(
    folder: str | Path,
    *,
    model: str,
    tasks: Sequence[GeneratedTask],
    time: datetime = _DEFAULT_TIME,
) -> Path:
    """Write the results and samples of a run as lm-evaluation-harness 0.4.13 names and writes them.

    Args:
        folder: Its output path; the files go into a folder of the model's name in it.
        model: Name of the model.
        tasks: What was evaluated.
        time: End of the run, which is in the names of the files.

    Returns:
        The folder of the files.
    """
    name = re.sub(r"[\"<>:/\\|?*\[\]]+", "__", model)
    place = Path(folder) / name
    place.mkdir(parents=True, exist_ok=True)
    stamp = time.isoformat().replace(":", "-")
    summaries = []
    for task in tasks:
        summary = _Summary(task)
        with atomic_path(place / f"samples_{task.name}_{stamp}.jsonl") as path, open(path, "w") as stream:
            for record in records_of(task):
                summary.add(record)
                stream.write(json.dumps(record, ensure_ascii=False) + "\n")
        summaries.append(summary)
    results = _results(model, name, summaries)
    with atomic_path(place / f"results_{stamp}.json") as path:
        path.write_text(json.dumps(results, indent=2, ensure_ascii=False))
    return place


@dataclass
class _Summary:
    task: GeneratedTask
    sums: dict[str, float] = field(default_factory=dict)
    records: int = 0

    def add(self, record: Mapping[str, Any]) -> None:
        self.records += record["filter"] != FLEXIBLE
        for metric in record["metrics"]:
            key = f"{metric},{record['filter']}"
            self.sums[key] = self.sums.get(key, 0.0) + float(record[metric])


_OUTPUT_TYPES: Mapping[TaskKind, str] = {
    "choice": "multiple_choice",
    "generation": "generate_until",
    "loglikelihood": "loglikelihood",
    "summary": "generate_until",
}


def _results(model: str, name: str, summaries: Sequence[_Summary]) -> dict[str, Any]:
    def by_task(value_of: Any) -> dict[str, Any]:
        return {summary.task.name: value_of(summary) for summary in summaries}

    return {
        "results": by_task(
            lambda one: {
                "alias": one.task.name,
                **{key: total / max(one.records, 1) for key, total in one.sums.items()},
            }
        ),
        "group_subtasks": by_task(lambda _: []),
        "configs": by_task(
            lambda one: {
                "task": one.task.name,
                "output_type": _OUTPUT_TYPES[one.task.kind],
                "target_delimiter": " ",
                "num_fewshot": 0,
            }
        ),
        "versions": by_task(lambda _: 1.0),
        "n-shot": by_task(lambda _: 0),
        "higher_is_better": by_task(
            lambda one: {key.split(",")[0]: not key.startswith("perplexity") for key in one.sums}
        ),
        "n-samples": by_task(lambda one: {"original": one.records, "effective": one.records}),
        "config": {"model": "hf", "model_args": f"pretrained={model}", "batch_size": 8, "limit": None},
        "model_source": "hf",
        "model_name": model,
        "model_name_sanitized": name,
        "chat_template": None,
    }


def _record(
    task: GeneratedTask, number: int, document: GeneratedDocument, filter_name: str
) -> dict[str, Any]:
    answer = task.answers[number]
    target: Any = document.options[0]
    if task.kind == "choice":
        target = document.gold
        continuations, responses, scores = _choice_parts(document, answer)
    elif task.kind == "generation":
        continuations, responses, scores = _generation_parts(task, number, document, filter_name)
    elif task.kind == "loglikelihood":
        value = -1.25 - number % 7
        continuations = [" " + document.options[0]]
        responses = ([[[str(value), str(bool(answer))]]], [[str(value), str(bool(answer))]])
        scores = {"perplexity": value, "acc": int(bool(answer))}
    else:
        text = " ".join(document.options[0].split()[: int(answer or 0)]) or "nothing"
        continuations = [{"until": ["\n"]}]
        responses = ([[text]], [text])
        words = len(text.split()) if answer else 0
        scores = {"rouge1": 100.0 * 2 * words / (10 + len(text.split())) if words else 0.0}
    digest = json.dumps(document.doc, indent=2, ensure_ascii=False)
    return {
        "doc_id": number,
        "doc": document.doc,
        "target": str(target),
        "arguments": {
            f"gen_args_{place}": {"arg_0": document.prompt, "arg_1": continuation}
            for place, continuation in enumerate(continuations)
        },
        "resps": responses[0],
        "filtered_resps": responses[1],
        "filter": filter_name,
        "metrics": list(scores),
        "doc_hash": _sha256(digest),
        "prompt_hash": _sha256(document.prompt),
        "target_hash": _sha256(str(target)),
        **scores,
    }


_Parts = tuple[list[Any], tuple[list[Any], list[Any]], dict[str, float]]


def _choice_parts(document: GeneratedDocument, answer: int | None) -> _Parts:
    """Log-probabilities that make the answer win; acc_norm goes to the greatest mean over the characters."""
    taken = int(answer or 0)
    values = [-12.5 - 0.125 * place for place in range(len(document.options))]
    values[taken] = -10.0625
    means = [value / len(text) for value, text in zip(values, document.options, strict=True)]
    norm = means.index(max(means))
    pairs = [[str(value), "False"] for value in values]
    scores = {"acc": float(taken == document.gold), "acc_norm": float(norm == document.gold)}
    return [f" {text}" for text in document.options], ([[pair] for pair in pairs], pairs), scores


def _generation_parts(
    task: GeneratedTask, number: int, document: GeneratedDocument, filter_name: str
) -> _Parts:
    answer = task.answers[number]
    is_marked = answer is not None and number not in task.unmarked
    if answer is None:
        text = "It cannot be told."
    else:
        text = f"Counting gives {answer}." + (f"\n#### {answer}" if is_marked else "")
    extracted = "[invalid]"
    if answer is not None and (is_marked or filter_name == FLEXIBLE):
        # the flexible pattern takes the full stop along
        extracted = str(answer) if is_marked else f"{answer}."
    score = float(extracted.removesuffix(".") == str(document.gold))
    arguments = [{"until": ["Question:"], "do_sample": False, "temperature": 0.0}]
    return arguments, ([[text]], [extracted]), {"exact_match": score}


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8")).hexdigest()
