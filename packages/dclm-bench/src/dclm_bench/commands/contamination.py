"""The command that looks for evaluation questions in training text."""

from pathlib import Path
from typing import Literal


def contamination(
    *tasks: Path,
    training: tuple[str, ...],
    ngram: int = 13,
    min_tokens: int = 5,
    threshold: float = 0.8,
    scores: Path | None = None,
    control: Path | None = None,
    version: Literal["v1", "v2"] = "v2",
    text_field: str = "text",
    strict: bool = False,
    workers: int = 1,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Show how many questions of each task stand in training text.

    A question is contaminated when more than a share of its words lies within n-grams that stand in the
    text. With the scores of a model and of a control the gain on each task stands beside it.

    Args:
        tasks: Task files (JSON lines), folders or patterns.
        training: Pages that were trained on: files, folders or patterns; may be repeated.
        ngram: Words of an n-gram.
        min_tokens: Questions of fewer words are not judged.
        threshold: Share of its words above which a question is contaminated.
        scores: Evaluation file of the model that was trained on the text.
        control: Evaluation file of a model that was not.
        version: Baselines of the centred scores.
        text_field: Field that holds the text.
        strict: Stop at a record that cannot be used.
        workers: Processes.
        out: JSON file to write as well, with the share found of every question.
        json: Print one JSON document.
    """
    from toolkit_shared.artifacts import require_place, write_json
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError
    from toolkit_shared.progress import progress_bar

    from dclm_bench.contamination.searching import read_task_files, search
    from dclm_bench.evaluation.contamination_reports import contamination_document, contamination_text
    from dclm_bench.evaluation.score_file import read_score_file

    for name, number in (("--ngram", ngram), ("--min-tokens", min_tokens)):
        if number < 1:
            raise InputError(f"{name}: {number} is not positive; give 1 or more")
    if not 0 <= threshold < 1:
        raise InputError(f"--threshold: {threshold:g} is not from 0 to 1; give a share such as 0.8")
    if (scores is None) != (control is None):
        raise InputError("--scores and --control: one is missing; give both, or neither")
    if out is not None:
        require_place(out)
    files = read_task_files(tasks)
    pair = None if scores is None or control is None else (read_score_file(scores), read_score_file(control))
    with progress_bar(None, "contamination", "files") as progress:
        found = search(
            files,
            training,
            ngram=ngram,
            min_tokens=min_tokens,
            threshold=threshold,
            text_field=text_field,
            strict=strict,
            workers=workers,
            progress=progress,
        )
    settings = {"ngram": ngram, "min_tokens": min_tokens, "threshold": threshold}
    document = contamination_document(found, pair, version, settings)
    if out is not None:
        by_question = {
            task.task: [None if share != share else round(float(share), 6) for share in shares]
            for task, shares in zip(found.tasks, found.shares, strict=True)
        }
        write_json(out, {**document, "questions": by_question})
    emit(document, contamination_text(found, pair, version), as_json=json)
