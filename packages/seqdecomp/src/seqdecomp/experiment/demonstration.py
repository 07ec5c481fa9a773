"""The whole road once, on text that is there anyway: documents, store, plan, two trainings, a comparison."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.artifacts import claim_folder, finish_folder, write_text
from toolkit_shared.evaluation.scorer import Scorer
from toolkit_shared.language_model import build_model
from toolkit_shared.records import write_jsonl
from toolkit_shared.threads import one_thread

from seqdecomp import __version__
from seqdecomp.build import build_store
from seqdecomp.corpus_statistics import CorpusStatistics, corpus_statistics
from seqdecomp.data.corpus import split_by_file, standard_library_functions
from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import load_tokenizer, train_bpe
from seqdecomp.documents import Documents
from seqdecomp.evaluation.perplexity import PerplexityResult, StoreDocuments, evaluate_perplexity
from seqdecomp.plan import Plan
from seqdecomp.planning import plan_for
from seqdecomp.settings import DecompositionSettings, ExecutionSettings, ModelSettings
from seqdecomp.training import fit, model_arguments
from seqdecomp.verify import Audit, verify_store

KIND = "seqdecomp-demo"
ARMS = {"concat": "concatenate and chunk", "dd": "dataset decomposition"}
SETTINGS = DecompositionSettings(min_length=32, max_length=1024, tail="anchor-end")
VALIDATION_DOCUMENTS = 400
# The first steps of a training also pay for what is set up on the way.
UNTIMED_STEPS = 2


@dataclass(frozen=True, kw_only=True)
class TrainedArm:
    """One training of the demonstration.

    Attributes:
        plan: Its steps.
        seconds: CPU time of its steps; the first two are taken to cost as much as the mean of the others.
        curve: (step, loss) of every step, in nats a token.
        perplexity: Loss of the validation documents.
    """

    plan: Plan
    seconds: float
    curve: list[tuple[float, float]]
    perplexity: PerplexityResult


@dataclass(frozen=True, kw_only=True)
class Demonstration:
    """What the demonstration found; the figures of the report.

    Attributes:
        out: Its folder.
        statistics: Corpus statistics by tail policy.
        audit: Of the store.
        arms: The two trainings.
        steps: Steps of each.
        batch_tokens: Tokens of a step.
    """

    out: Path
    statistics: dict[str, CorpusStatistics]
    audit: Audit
    arms: dict[str, TrainedArm]
    steps: int
    batch_tokens: int


def demonstrate(
    out: str | Path,
    *,
    steps: int = 40,
    batch_tokens: int = 4096,
    limit: int | None = None,
    overwrite: bool = False,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> Demonstration:
    """Run the demonstration in the folder `out`; nothing is downloaded.

    Args:
        out: Folder to fill: data/, tokenizer.json, store/, runs/.
        steps: Optimizer steps of each of the two trainings.
        batch_tokens: Tokens of a step.
        limit: Functions of the standard library to read; None: all.
        overwrite: Begin anew in the folder of an earlier demonstration.
        seed: Of weights, order and curriculum.
        progress: Called with the number of training steps done since the last call.

    Raises:
        InputError: the folder holds something else.
    """
    out = Path(out)
    config = {"steps": steps, "batch_tokens": batch_tokens, "limit": limit, "seed": seed}
    claim_folder(out, kind=KIND, config=config, overwrite=overwrite)
    write_documents(out, limit)
    store = _store(out, "train")
    validation = _store(out, "validation")
    documents = Documents.of(store)
    statistics = {
        tail: corpus_statistics(
            documents,
            min_length=SETTINGS.min_length,
            max_length=SETTINGS.max_length,
            tail=tail,
            arms=("concat", "best-fit+mask"),
            models={"tiny": {"width": 96, "num_layers": 2, "vocab_size": store.vocab_size}},
        )
        for tail in ("drop", "anchor-end")
    }
    arms = {
        arm: train_arm(
            arm,
            store,
            validation,
            out / "runs" / arm,
            steps=steps,
            batch_tokens=batch_tokens,
            seed=seed,
            progress=progress,
        )
        for arm in ARMS
    }
    assert store.path is not None
    found = Demonstration(
        out=out,
        statistics=statistics,
        audit=verify_store(store.path),
        arms=arms,
        steps=steps,
        batch_tokens=batch_tokens,
    )
    return found


def finish(found: Demonstration, page: str) -> Path:
    """Write the report's page and seal the folder; the page's path."""
    path = found.out / "index.html"
    write_text(path, page)
    if (found.out / "job.json").exists():
        finish_folder(found.out, {"schema": 1, "toolkit_version": __version__})
    return path


def write_documents(out: Path, limit: int | None = None) -> None:
    """Write the standard library's functions as jsonl in `out`/data, and a tokenizer trained on some of them.

    Training and validation part are train.jsonl.zst and validation.jsonl.zst, split by source file.
    """
    train, validation = split_by_file(islice(standard_library_functions(), limit))
    for name, documents in (("train", train), ("validation", validation)):
        path = out / "data" / f"{name}.jsonl.zst"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_jsonl(path, ({"text": d.text, "path": d.path_in_library} for d in documents))
    # Every seventh function is enough for a thousand merges, and takes a seventh of the time.
    tokenizer = train_bpe((document.text for document in train[::7]), 1024)
    text = tokenizer.to_json()
    assert text is not None
    write_text(out / "tokenizer.json", text)


def train_arm(
    arm: str,
    store: Store,
    validation: Store,
    out: Path,
    *,
    steps: int,
    batch_tokens: int,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> TrainedArm:
    """Train a tiny model on one arm with the toolkit's own training, and evaluate it by position."""
    plan = plan_for(
        store,
        arm=arm,
        batch_tokens=batch_tokens,
        tokens=steps * batch_tokens,
        mixture=whole_batches(store, steps) if arm == "dd" else "natural",
        curriculum="grow-p2",
        cycles=4,
        leftovers="drop",
        seed=seed,
    )
    model = build_model(model_arguments(ModelSettings(name="tiny"), store, plan), seed=seed)
    times: list[float] = []

    def advance(done: int) -> None:
        times.append(time.process_time())
        if progress is not None:
            progress(done)

    with one_thread("cpu"):
        fit(
            model,
            plan,
            store,
            out,
            execution=ExecutionSettings(checkpoint_steps=max(steps, 1)),
            device="cpu",
            progress=advance,
        )
        model.eval()
        scorer = Scorer(model=model, max_length=SETTINGS.max_length, batch_tokens=8192)
        documents = StoreDocuments(validation, max_tokens=SETTINGS.max_length + 1, limit=VALIDATION_DOCUMENTS)
        perplexity = evaluate_perplexity(scorer, documents, lengths=documents.lengths)
    curve = [(float(row["step"]), float(row["loss"])) for row in _metrics(out)]
    return TrainedArm(plan=plan, seconds=_step_seconds(times), curve=curve, perplexity=perplexity)


def whole_batches(store: Store, steps: int) -> str:
    """The store's natural mixture rounded to whole batches, so that `steps` batches are exactly filled.

    Batches go to the buckets in proportion to their tokens, the largest remainders rounded up.
    """
    tokens = np.array([len(store.bucket(length).starts) * length for length in store.lengths], np.float64)
    exact = steps * tokens / tokens.sum()
    batches = np.floor(exact).astype(np.int64)
    batches[np.argsort(batches - exact, kind="stable")[: steps - int(batches.sum())]] += 1
    parts = zip(store.lengths, batches.tolist(), strict=True)
    return ",".join(f"{length}:{number}" for length, number in parts if number)


def _step_seconds(times: list[float]) -> float:
    """Seconds of all steps, from the clock after each one."""
    timed = len(times) - UNTIMED_STEPS
    if timed < 1:
        return 0.0
    return (times[-1] - times[UNTIMED_STEPS - 1]) / timed * len(times)


def _metrics(out: Path) -> list[dict[str, Any]]:
    from toolkit_shared.training.next_token import read_metrics

    return list(read_metrics(out))


def _store(out: Path, name: str) -> Store:
    folder = out / "store" if name == "train" else out / f"{name}-store"
    tokenizer = load_tokenizer(out / "tokenizer.json")
    build_store([out / "data" / f"{name}.jsonl.zst"], folder, tokenizer=tokenizer, settings=SETTINGS)
    return Store.open(folder)
