"""The command that evaluates a model."""

from pathlib import Path
from typing import Literal

from seqdecomp.settings import EvaluationProtocolSettings


def evaluate(
    model: Path,
    /,
    *,
    data: tuple[str, ...] = (),
    store: Path | None = None,
    tasks: tuple[str, ...] = (),
    tokenizer: str | None = None,
    bands: str | None = None,
    limit: int | None = None,
    max_length: int | None = None,
    protocol: EvaluationProtocolSettings = EvaluationProtocolSettings(),
    device: str = "auto",
    precision: Literal["float32", "bfloat16"] = "float32",
    batch_tokens: int = 16_384,
    seed: int = 0,
    out: Path | None = None,
    json: bool = False,
) -> None:
    """Evaluate a model: loss of documents by position, in-context tasks, long-context questions.

    The JSON document has model, tokenizer, max_length, precision, seed and limit, and what was evaluated:
    perplexity (by store or file: loss, perplexity, document_loss, loss_sum, tokens, documents, cut_tokens,
    bands), tasks (score, accuracy, interval, questions, answer_loss, num_fewshot), regular (present, missing,
    groups, average or partial_average), mdqa, key_value and closed_ended.

    Args:
        model: Folder of a model, such as a run of seqdecomp train, or an open_lm checkpoint.
        data: Evaluation files, folders or globs; each is recognised by its name and fields.
        store: Store whose documents are evaluated.
        tasks: Evaluate only these; in-context tasks by name, mdqa, key-value, toefl, quality, perplexity.
        tokenizer: "bytes", a tokenizer.json or a hub name; unset: the store's, or the one beside the model.
        bands: Borders of the position bands, such as 0:64:256:1024.
        limit: Questions or documents of each file, from the first on.
        max_length: Context in tokens; unset: the model's.
        protocol: How questions are put.
        device: auto, cpu, cuda or cuda:N.
        precision: bfloat16 needs CUDA.
        batch_tokens: Most tokens of a batch.
        seed: Seed of solved examples and distractors.
        out: JSON file to write as well.
        json: Print one JSON document.
    """
    from toolkit_shared.artifacts import require_place, write_json
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import require
    from toolkit_shared.progress import progress_bar

    require("torch", toolkit="seqdecomp", extra="train")
    from seqdecomp.evaluation.evaluate import evaluate_model
    from seqdecomp.evaluation.report import evaluation_text

    if out is not None:
        require_place(out)
    with progress_bar(None, "eval", "rows") as progress:
        report = evaluate_model(
            model,
            data=data,
            store=store,
            tasks=tasks,
            tokenizer=tokenizer,
            bands=bands,
            limit=limit,
            max_length=max_length,
            protocol=protocol,
            device=device,
            precision=precision,
            batch_tokens=batch_tokens,
            seed=seed,
            progress=progress,
        )
    if out is not None:
        write_json(out, report)
    emit(report, evaluation_text(report), as_json=json)
