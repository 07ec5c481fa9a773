"""The command that measures a model on task files."""

from pathlib import Path
from typing import Literal


def evaluate(
    model: str,
    /,
    *,
    tasks: tuple[Path, ...] = (),
    only: tuple[str, ...] = (),
    out: Path,
    backend: Literal["local", "lm-eval"] = "local",
    tokenizer: str | None = None,
    limit: int | None = None,
    num_fewshot: int | None = None,
    max_length: int | None = None,
    max_new_tokens: int | None = None,
    match: Literal["prefix", "exact"] = "prefix",
    device: str = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    batch_tokens: int = 16_384,
    seed: int = 0,
    json: bool = False,
) -> None:
    """Measure a model on task files, and write a score file that `score` and `compare` read.

    Tasks without a file are missing, and named; a mean that lacks one is a sentence in their place.

    Args:
        model: Folder of OpenLM or of the transformers library, an open_lm checkpoint, or (with lm-eval) a
            name on the Hub or a results JSON of lm-evaluation-harness.
        tasks: Task files in the format of LLM-Foundry, folders or patterns.
        only: Only these tasks; `core` is the 22. May be repeated.
        out: Score file that is written.
        backend: Ask the questions here, or take those of lm-evaluation-harness, whose prompts differ.
        tokenizer: bytes, a .tiktoken file or a tokenizer.json; unset: the one beside the model.
        limit: Questions of each task, from the first on.
        num_fewshot: Solved examples; unset: each task's own number.
        max_length: Use less of the model's context.
        max_new_tokens: Of a generated answer; unset: the longest of the file and ten.
        match: A generated answer must begin with an accepted one, or equal it.
        device: auto, cpu, cuda or cuda:N.
        precision: bfloat16 needs CUDA.
        batch_tokens: Most tokens of a batch.
        seed: Of the choice of solved examples.
        json: Print the score file.
    """
    from toolkit_shared.artifacts import require_place, write_json
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    from dclm_bench.evaluation.evaluate import evaluate_local, evaluate_with_lm_eval
    from dclm_bench.evaluation.reports import scores_text
    from dclm_bench.evaluation.score_file import read_score_file

    numbers = {"limit": limit, "max-length": max_length, "max-new-tokens": max_new_tokens}
    for option, value in (*numbers.items(), ("batch-tokens", batch_tokens)):
        if value is not None and value < 1:
            raise InputError(f"--{option}: {value} is not positive; give 1 or more")
    for option, value in (("num-fewshot", num_fewshot), ("seed", seed)):
        if value is not None and value < 0:
            raise InputError(f"--{option}: {value} is negative; give 0 or more")
    require_place(out)
    if backend == "lm-eval":
        document = evaluate_with_lm_eval(model, only, limit=limit, device=device, seed=seed)
    else:
        require("torch", toolkit="dclm-bench", extra="train")
        with progress_bar(None, "evaluate", "rows") as progress:
            document = evaluate_local(
                model,
                tasks,
                only,
                tokenizer=tokenizer,
                device=device,
                precision=precision,
                batch_tokens=batch_tokens,
                max_length=max_length,
                limit=limit,
                num_fewshot=num_fewshot,
                max_new_tokens=max_new_tokens,
                match=match,
                seed=seed,
                progress=progress,
            )
    write_json(out, document)
    by_task = [f"{task}: {100 * value:.2f}" for task, value in document["eval_metrics"]["icl"].items()]
    lines = [*by_task, *document["notes"], scores_text([read_score_file(out)], "v2"), f"wrote {out}"]
    emit(document, "\n".join(lines), as_json=json)
