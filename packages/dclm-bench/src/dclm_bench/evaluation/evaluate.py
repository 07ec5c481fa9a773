"""One call for a model and task files: what the command `evaluate` does."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError

from dclm_bench.evaluation.answers import Match
from dclm_bench.evaluation.harness import ask_all, asked_fields, find_tasks, score_document
from dclm_bench.evaluation.lm_eval import run_lm_eval, scores_of_results
from dclm_bench.evaluation.tasks import core_names, tasks


def evaluate_local(
    model: str | Path,
    paths: Sequence[str | Path],
    only: Sequence[str] = (),
    *,
    tokenizer: str | None = None,
    device: str = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    batch_tokens: int = 16_384,
    max_length: int | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
    max_new_tokens: int | None = None,
    match: Match = "prefix",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """The score file of a model on the tasks that the files allow.

    The arguments are the options of the command; see `load_model`, `find_tasks` and `ask_task`. The files are
    looked for before the model is loaded.

    Raises:
        InputError: a file, the model or the tokenizer is unusable.
    """
    from dclm_bench.evaluation.causal_lm import load_model

    chosen = find_tasks(paths, only)
    scorer, used = load_model(
        model,
        tokenizer=tokenizer,
        device=device,
        precision=precision,
        batch_tokens=batch_tokens,
        max_length=max_length,
    )
    asking: dict[str, Any] = {
        "limit": limit,
        "num_fewshot": num_fewshot,
        "max_new_tokens": max_new_tokens,
        "match": match,
        "seed": seed,
    }
    results = ask_all(scorer, used, chosen, **asking, progress=progress)
    of_the_model = {
        "tokenizer": used.name,
        "max_length": scorer.max_length,
        "precision": precision,
    }
    document = score_document(
        {result.task.name: result.score for result in results},
        model=str(model),
        backend="dclm-bench",
        settings={**of_the_model, **asking},
        asked=asked_fields(results),
    )
    notes = [
        f"{r.task.name}: {r.num_cut} prompts did not fit the model and lost their beginning"
        for r in results
        if r.num_cut
    ]
    if limit is not None:
        notes.append(f"only the first {limit} questions of each task were asked")
    return {**document, "notes": notes}


def evaluate_with_lm_eval(
    model: str,
    only: Sequence[str] = (),
    *,
    limit: int | None = None,
    device: str = "auto",
    seed: int = 0,
) -> dict[str, Any]:
    """The score file of lm-evaluation-harness's results: those of a results JSON, or asked here.

    Raises:
        InputError: the file is none of that kind, a task is unknown, or the harness cannot run.
        MissingExtra: lm-eval is not installed.
    """
    wanted = tuple(
        dict.fromkeys(n for given in only for n in (core_names() if given == "core" else (given,)))
    )
    if unknown := sorted(set(wanted) - set(tasks())):
        raise InputError(f"--only: unknown task '{unknown[0]}'; known are {', '.join(tasks())}")
    if Path(model).is_file():
        scores, notes = scores_of_results(read_json(model))
        scores = {task: value for task, value in scores.items() if not wanted or task in wanted}
        if not scores:
            raise InputError(f"{model}: has no result of a task that is asked for; give another file")
    else:
        scores, notes = run_lm_eval(model, wanted, limit=limit, device=device, seed=seed)
    notes.append(
        "lm-eval asks in its own words: near the leaderboard's numbers, and not comparable with them"
    )
    document = score_document(
        scores, model=model, backend="lm-eval", settings={"limit": limit, "seed": seed}, asked={}
    )
    return {**document, "notes": notes}
