"""One call for a model folder and evaluation files: what the eval command does."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Progress, ScoringPrecision

from seqdecomp.data.store import Store
from seqdecomp.evaluation.model_folder import find_tokenizer, load_scorer, require_vocabulary
from seqdecomp.evaluation.perplexity import parse_bands
from seqdecomp.evaluation.sources import find_sources
from seqdecomp.evaluation.suite import Suite, choose_sources
from seqdecomp.settings import EvaluationProtocolSettings


def evaluate_model(
    model: str | Path,
    *,
    data: Sequence[str | Path] = (),
    store: str | Path | None = None,
    tasks: Sequence[str] = (),
    tokenizer: str | None = None,
    bands: str | None = None,
    limit: int | None = None,
    max_length: int | None = None,
    protocol: EvaluationProtocolSettings | None = None,
    device: str = "auto",
    precision: ScoringPrecision = "float32",
    batch_tokens: int = 16_384,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """The report of `Suite.run`, with model, tokenizer, max_length, precision, seed and limit before it.

    The arguments are the options of the eval command. Everything that can be checked without the model is
    checked before it is loaded.

    Raises:
        InputError: an argument, a file or the model is unusable.
    """
    if not data and store is None:
        raise InputError("nothing to evaluate: give files with --data or a store with --store")
    for name, value in (("limit", limit), ("max-length", max_length), ("batch-tokens", batch_tokens)):
        if value is not None and value < 1:
            raise InputError(f"--{name} {value}: is not positive; give 1 or more")
    if seed < 0:
        raise InputError(f"--seed {seed}: is negative; give 0 or more")
    borders = None if bands is None else parse_bands(bands)
    sources = choose_sources(find_sources(data) if data else [], tasks, has_store=store is not None)
    opened = Store.open(store) if store is not None else None
    scorer, vocab_size = load_scorer(
        model, device=device, precision=precision, batch_tokens=batch_tokens, max_length=max_length
    )
    used = find_tokenizer(tokenizer, model, opened) if sources else None
    require_vocabulary(model, vocab_size, used, opened)
    suite = Suite(
        scorer=scorer,
        tokenizer=used,
        protocol=protocol or EvaluationProtocolSettings(),
        bands=borders,
        limit=limit,
        seed=seed,
        progress=progress,
    )
    return {
        "model": str(model),
        "tokenizer": used.spec if used is not None else None,
        "max_length": scorer.max_length,
        "precision": precision,
        "seed": seed,
        "limit": limit,
        **suite.run(sources, opened if not tasks or "perplexity" in tasks else None),
    }
