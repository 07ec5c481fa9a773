"""All runs of the experiment: which are missing, in which order they run, and where they are kept."""

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import (
    atomic_path,
    claim_folder,
    finish_folder,
    read_json,
    sha256_file,
    write_json,
)
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards

from seqdecomp import __version__
from seqdecomp.data.corpus import Document
from seqdecomp.experiment.configuration import ArmSettings, ExperimentSettings
from seqdecomp.experiment.documents import load_corpus, read_documents, save_corpus, tokenize_corpus
from seqdecomp.experiment.verdicts import Runs

log = logging.getLogger(__name__)

KIND = "seqdecomp-claims"


@dataclass(frozen=True)
class RunTask:
    """One run to do, as a worker process receives it."""

    arm: ArmSettings
    seed: int
    settings: ExperimentSettings
    out: str


def run_claims(
    out: str | Path,
    *,
    arms: Sequence[ArmSettings],
    seeds: Sequence[int],
    settings: ExperimentSettings,
    workers: int = 1,
    resume: bool = True,
    overwrite: bool = False,
    documents: Sequence[Document] | None = None,
    progress: Callable[[int], None] | None = None,
) -> Runs:
    """Every run of `arms` x `seeds`, those that the folder `out` has already not done again.

    A run is written, whole, when it ends, so an interrupted call loses at most the runs under way. Within a
    seed the arms run one after the other, each seed starting with another arm, so that a machine that slows
    down favours none.

    Args:
        out: The folder: corpus.npz, runs/ARM-seedN.json, and manifest.json in the end.
        arms: What to compare.
        seeds: What to repeat over; a seed chooses documents, weights and order for all arms.
        settings: Sizes.
        workers: Processes, each on one thread; 1 runs in this process.
        resume: Go on in a folder that has runs already.
        overwrite: Empty a folder of other settings first.
        documents: The text; default: what `settings.documents` says.
        progress: Called with the number of runs done since the last call.

    Raises:
        InputError: the folder holds something else, or the text is too little.
    """
    out = Path(out)
    if workers > 1 and settings.device != "cpu":
        raise InputError(f"--workers: {workers} runs cannot share one {settings.device} device; give 1")
    config = {
        "settings": settings.as_dict(),
        "arms": [arm.name for arm in arms],
        "seeds": list(seeds),
        "python": platform.python_version(),
    }
    state = claim_folder(out, kind=KIND, config=config, resume=resume, overwrite=overwrite)
    log.info("%d arms x %d seeds, folder %s", len(arms), len(seeds), out)
    _prepare_corpus(out, settings, documents)
    (out / "runs").mkdir(exist_ok=True)
    tasks = [
        RunTask(arm, seed, settings, str(out))
        for seed in seeds
        for arm in _rotated(arms, seed)
        if not run_path(out, arm.name, seed).exists()
    ]
    done = len(arms) * len(seeds) - len(tasks)
    if done:
        log.info("resumed with %d of %d runs done", done, len(arms) * len(seeds))
    for _ in map_shards(run_task, tasks, workers=workers, progress=progress):
        pass
    runs = {(arm.name, seed): read_json(run_path(out, arm.name, seed)) for arm in arms for seed in seeds}
    if state != "complete":
        hashes = {path.name: sha256_file(path) for path in sorted((out / "runs").glob("*.json"))}
        finish_folder(out, {"schema": 1, "toolkit_version": __version__, "runs": hashes})
    return runs


def run_task(task: RunTask) -> str:
    """Do one run and write its file; the file's path."""
    from seqdecomp.experiment.runs import run_arm  # here, so that who only reads results needs no torch

    out = Path(task.out)
    result = run_arm(task.arm, task.seed, load_corpus(out / "corpus.npz"), task.settings)
    path = run_path(out, task.arm.name, task.seed)
    write_json(path, result)
    log.info(
        "%s, seed %d: %.1f s, validation loss %.3f",
        task.arm.name,
        task.seed,
        result["seconds"],
        result["validation"]["loss"],
    )
    return str(path)


def run_path(out: Path, arm: str, seed: int) -> Path:
    """The file of a run."""
    return out / "runs" / f"{arm}-seed{seed}.json"


def _rotated(arms: Sequence[ArmSettings], seed: int) -> list[ArmSettings]:
    turn = seed % len(arms)
    return [*arms[turn:], *arms[:turn]]


def _prepare_corpus(out: Path, settings: ExperimentSettings, documents: Any) -> None:
    path = out / "corpus.npz"
    if path.exists():
        return
    log.info("reading and tokenising the documents")
    texts = read_documents(settings.documents) if documents is None else documents
    corpus = tokenize_corpus(texts, settings.vocab_size)
    log.info(
        "%s training documents with %s tokens, %s validation documents with %s",
        *(
            f"{len(part):,}"
            for half in (corpus.train, corpus.validation)
            for part in (half.lengths, half.tokens)
        ),
    )
    with atomic_path(path) as temporary:
        save_corpus(corpus, temporary)
