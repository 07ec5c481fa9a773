"""Generated logs of lm-evaluation-harness, and ways to change and compare them, for several test files."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from llm_compat.data.generate import GeneratedTask, documents_of, write_harness_run
from llm_compat.data.outcomes import Outcomes

Record = dict[str, Any]


def choice_task(items: int = 12, **more: Any) -> GeneratedTask:
    """Right on every document but each third, where the next choice is taken."""
    task = GeneratedTask(name="pick", kind="choice", answers=[0] * items, **more)
    golds = [document.gold for document in documents_of(task)]
    answers = [gold if place % 3 else (gold + 1) % task.choices for place, gold in enumerate(golds)]
    return GeneratedTask(name="pick", kind="choice", answers=answers, **more)


def arithmetic_task(items: int = 12, unmarked: frozenset[int] = frozenset({1, 2})) -> GeneratedTask:
    """Right on even documents; each fifth has no number; some are not marked as the strict filter wants."""
    task = GeneratedTask(name="sums", kind="generation", answers=[0] * items)
    golds = [document.gold for document in documents_of(task)]
    answers = [None if place % 5 == 4 else gold + place % 2 for place, gold in enumerate(golds)]
    return GeneratedTask(name="sums", kind="generation", answers=answers, unmarked=unmarked)


def log_of(folder: Path, *tasks: GeneratedTask) -> Path:
    """The log of the first task of a new run."""
    place = write_harness_run(folder, model="org/model", tasks=tasks)
    return next(place.glob(f"samples_{tasks[0].name}_*.jsonl"))


def rewrite(log: Path, change: Callable[[list[Record]], list[Record] | None]) -> None:
    records = [json.loads(line) for line in log.read_text().splitlines()]
    changed = change(records)
    kept = records if changed is None else changed
    log.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in kept))


def only(outcomes: list[Outcomes]) -> Outcomes:
    (one,) = outcomes
    return one


def by_key(one: Outcomes) -> dict[bytes, tuple[Any, ...]]:
    keys = np.ascontiguousarray(one.keys).tobytes()
    rows = zip(*one.scores.values(), *one.answers.values(), one.targets, strict=True)
    return {keys[16 * place : 16 * place + 16]: row for place, row in enumerate(rows)}
