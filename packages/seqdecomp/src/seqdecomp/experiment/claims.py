"""All runs of the experiment: which are missing, in which order they run, and where they are kept."""

import logging
import platform
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import atomic_path
from toolkit_shared.claims import Runs, complete_runs, paired_order, run_name
from toolkit_shared.errors import InputError

from seqdecomp import __version__
from seqdecomp.data.corpus import Document
from seqdecomp.experiment.configuration import ArmSettings, ExperimentSettings
from seqdecomp.experiment.documents import load_corpus, read_documents, save_corpus, tokenize_corpus

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

    def prepare(folder: Path) -> None:
        log.info("%d arms x %d seeds, folder %s", len(arms), len(seeds), folder)
        _prepare_corpus(folder, settings, documents)

    found = complete_runs(
        out,
        kind=KIND,
        config={
            "settings": settings.as_dict(),
            "arms": [arm.name for arm in arms],
            "seeds": list(seeds),
            "python": platform.python_version(),
        },
        toolkit_version=__version__,
        tasks={
            run_name(arm.name, seed): RunTask(arm, seed, settings, str(out))
            for arm, seed in paired_order(arms, seeds)
        },
        run=run_task,
        prepare=prepare,
        workers=workers,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    return {(arm.name, seed): found[run_name(arm.name, seed)] for arm in arms for seed in seeds}


def run_task(task: RunTask) -> dict[str, Any]:
    """Do one run; what it measured."""
    from seqdecomp.experiment.runs import run_arm  # here, so that who only reads results needs no torch

    result = run_arm(task.arm, task.seed, load_corpus(Path(task.out) / "corpus.npz"), task.settings)
    log.info(
        "%s, seed %d: %.1f s, validation loss %.3f",
        task.arm.name,
        task.seed,
        result["seconds"],
        result["validation"]["loss"],
    )
    return result


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
