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
        model: Folder of a model, or of a run of seqdecomp train.
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
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    if not data and store is None:
        raise InputError("nothing to evaluate: give files with --data or a store with --store")
    for name, value in (("limit", limit), ("max-length", max_length), ("batch-tokens", batch_tokens)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: is not positive; give 1 or more")
    if seed < 0:
        raise InputError(f"--seed {seed}: is negative; give 0 or more")
    require("torch", toolkit="seqdecomp", extra="train")
    from toolkit_shared.artifacts import write_json

    from seqdecomp.data.store import Store
    from seqdecomp.evaluation.model_folder import find_tokenizer, load_scorer, require_vocabulary
    from seqdecomp.evaluation.perplexity import parse_bands
    from seqdecomp.evaluation.report import evaluation_text
    from seqdecomp.evaluation.sources import find_sources
    from seqdecomp.evaluation.suite import Suite, choose_sources

    borders = None if bands is None else parse_bands(bands)
    sources = choose_sources(find_sources(data) if data else [], tasks, has_store=store is not None)
    opened = None
    if store is not None and (not tasks or "perplexity" in tasks):
        opened = Store.open(store)
    scorer, vocab_size = load_scorer(
        model, device=device, precision=precision, batch_tokens=batch_tokens, max_length=max_length
    )
    used = find_tokenizer(tokenizer, model, opened) if sources else None
    require_vocabulary(model, vocab_size, used, opened)
    with progress_bar(None, "eval", "rows") as progress:
        suite = Suite(
            scorer=scorer,
            tokenizer=used,
            protocol=protocol,
            bands=borders,
            limit=limit,
            seed=seed,
            progress=progress,
        )
        report = suite.run(sources, opened)
    document = {
        "model": str(model),
        "tokenizer": used.spec if used is not None else None,
        "max_length": scorer.max_length,
        "precision": precision,
        "seed": seed,
        "limit": limit,
        **report,
    }
    if out is not None:
        write_json(out, document)
    emit(document, evaluation_text(report), as_json=json)
