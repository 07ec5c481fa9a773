"""Task files put to a model, and the score file that comes of it."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.task_files import SUFFIXES, read_task_file, task_name
from toolkit_shared.records import expand_inputs

from dclm_bench.evaluation.aggregates import Scores, summary_fields
from dclm_bench.evaluation.in_context import TaskResult, ask_task
from dclm_bench.evaluation.tasks import Task, core_names, tasks
from dclm_bench.tokenization.tokenizers import Tokenizer

if TYPE_CHECKING:
    from toolkit_shared.evaluation.scorer import Scorer


def find_tasks(paths: Sequence[str | Path], names: Sequence[str] = ()) -> list[tuple[Task, Path]]:
    """The tasks that the files allow, each with its file, in the official order.

    A file is known by its name (`hellaswag.jsonl` is that of both hellaswag tasks), or by a task's own.

    Args:
        paths: Files, folders or patterns.
        names: Only these tasks; "core" is the 22.

    Raises:
        InputError: a file given by name belongs to no task, a name is unknown, or no file is left.
    """
    if not paths:
        raise InputError("--tasks: none given; name a task file or a folder of them")
    found: dict[str, Path] = {}
    by_file = {task.file for task in tasks().values()} | set(tasks())
    for path in expand_inputs(paths, SUFFIXES):
        name = task_name(path)
        if name in by_file:
            found[name] = path
        elif str(path) in {str(given) for given in paths}:
            raise InputError(
                f"{path}: '{name}' is the file of no task; known are {', '.join(sorted(by_file))}"
            )
    wanted = {part for name in names for part in (core_names() if name == "core" else (name,))}
    unknown = sorted(wanted - set(tasks()))
    if unknown:
        from toolkit_shared.cli import nearest_name

        near = nearest_name(unknown[0], tasks())
        hint = f"did you mean '{near}'?" if near else "see the names in `dclm-bench score --json`"
        raise InputError(f"--only: unknown task '{unknown[0]}'; {hint}")
    chosen = [
        (task, found[task.name if task.name in found else task.file])
        for task in tasks().values()
        if (not wanted or task.name in wanted) and (task.name in found or task.file in found)
    ]
    if not chosen:
        raise InputError(
            "--tasks: no file of a task that is asked for; task files are named as in LLM-Foundry"
        )
    return chosen


def ask_all(
    scorer: "Scorer",
    tokenizer: Tokenizer,
    chosen: Sequence[tuple[Task, Path]],
    *,
    told: Callable[[TaskResult], None] | None = None,
    **settings: Any,
) -> list[TaskResult]:
    """The answers to each task, asked one after the other.

    Args:
        scorer: The model.
        tokenizer: Its tokenizer.
        chosen: What `find_tasks` gives.
        told: Called with each result.
        settings: Of `ask_task`.
    """
    results = []
    for task, path in chosen:
        result = ask_task(scorer, tokenizer, task, read_task_file(path), **settings)
        results.append(result)
        if told is not None:
            told(result)
    return results


def score_document(
    scores: Scores, *, model: str, backend: str, settings: dict[str, Any], asked: dict[str, Any]
) -> dict[str, Any]:
    """A score file with the leaderboard's keys, named for its set of tasks as there.

    The uuid is made of the content, so the same results give the same file.

    Args:
        scores: By task.
        model: What was measured.
        backend: What asked the questions.
        settings: How.
        asked: By task what else is to be kept (questions asked, prompts cut).

    Source: official eval/eval_openlm_ckpt.py and eval/aggregated_metrics.py.
    """
    icl = {task: scores[task] for task in tasks() if task in scores}
    content = repr((model, backend, sorted(settings.items()), sorted(icl.items())))
    digits = hashlib.sha256(content.encode()).hexdigest()
    return {
        "name": "heavy",
        "uuid": "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:32])),
        "model": model,
        "backend": backend,
        "settings": settings,
        "asked": asked,
        "eval_metrics": {"icl": icl},
        **summary_fields(scores),
    }


def asked_fields(results: Sequence[TaskResult]) -> dict[str, Any]:
    """By task: questions asked and in the file, those right, prompts cut, and the score of each group."""
    return {
        result.task.name: {
            "num_asked": len(result.is_right),
            "num_in_file": result.num_in_file,
            "num_right": sum(result.is_right),
            "num_cut": result.num_cut,
            **(
                {"groups": {group: sum(flags) / len(flags) for group, flags in result.by_group.items()}}
                if result.task.group_sizes
                else {}
            ),
        }
        for result in results
    }
