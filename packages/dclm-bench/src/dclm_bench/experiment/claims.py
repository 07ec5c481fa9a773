"""All runs of the experiment: the texts made once, then split by split, each a file that is kept."""

import functools
import logging
import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.claims import complete_runs
from toolkit_shared.errors import InputError

from dclm_bench import __version__
from dclm_bench.experiment.collection import Collection, read_collection
from dclm_bench.experiment.configuration import ExperimentSettings
from dclm_bench.experiment.texts import PageTexts, has_trafilatura, prepare_texts, read_texts, write_texts

log = logging.getLogger(__name__)

KIND = "dclm-bench claims"
TEXTS, COUNTS = "texts.jsonl", "counts.json"
Found = dict[str, Any]


@dataclass(frozen=True)
class RunTask:
    """One run to do, as a worker process receives it."""

    witness: bool
    split: int
    settings: ExperimentSettings
    out: str


@dataclass(frozen=True)
class ClaimRuns:
    """All runs.

    Attributes:
        splits: What the byte model found, by split.
        witnesses: What the transformer found, by split.
        counts: Pages of the data by kind, and those left out, by reason.
    """

    splits: dict[int, Found]
    witnesses: dict[int, Found]
    counts: dict[str, Any]


def run_claims(
    out: str | Path,
    *,
    data: str | Path,
    splits: int,
    settings: ExperimentSettings,
    workers: int = 1,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ClaimRuns:
    """Every split by the byte model, and the first ones by the transformer.

    Runs that are there already are not done again. The numbers depend neither on `workers` nor on where a
    call was interrupted; those of the transformer depend on the machine in their last digits.

    Args:
        out: The folder: texts.jsonl, counts.json, runs/NAME.json, manifest.json.
        data: The folder that `read_collection` describes.
        splits: How many.
        settings: Sizes.
        workers: Processes, each on one thread; 1 runs in this process.
        resume: Go on in a folder that has runs already.
        overwrite: Empty a folder of other settings first.
        progress: Called with the number of runs done since the last call.

    Raises:
        InputError: the data or the folder cannot be used, or held-out text is in training text.
    """
    out = Path(out)
    collection = read_collection(data)
    trafilatura = has_trafilatura()
    tasks = {f"split-{split:03d}": RunTask(False, split, settings, str(out)) for split in range(splits)}
    for split in range(min(splits, settings.witness_splits)):
        tasks[f"witness-{split:03d}"] = RunTask(True, split, settings, str(out))
    found = complete_runs(
        out,
        kind=KIND,
        config={
            "settings": settings.as_dict(),
            "splits": splits,
            "data": collection.fingerprint,
            "trafilatura": trafilatura,
            "python": platform.python_version(),
        },
        toolkit_version=__version__,
        tasks=tasks,
        run=run_task,
        prepare=functools.partial(_prepare, collection, settings, trafilatura),
        workers=workers,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )
    by_kind: dict[bool, dict[int, Found]] = {False: {}, True: {}}
    for name, task in tasks.items():
        by_kind[task.witness][task.split] = found[name]
    return ClaimRuns(by_kind[False], by_kind[True], read_json(out / COUNTS))


def run_task(task: RunTask) -> Found:
    """Do one run, from the kept texts."""
    texts = _cached_texts(Path(task.out) / TEXTS)
    if task.witness:
        from toolkit_shared.threads import one_thread

        from dclm_bench.experiment.witness import run_witness

        with one_thread():
            return run_witness(texts, task.split, task.settings)
    from dclm_bench.experiment.runs import run_split

    return run_split(texts, task.split, task.settings)


def count_tasks(splits: int, settings: ExperimentSettings) -> int:
    """How many runs there are."""
    return splits + min(splits, settings.witness_splits)


@functools.lru_cache(maxsize=1)
def _cached_texts(path: Path) -> list[PageTexts]:
    return read_texts(path)


def _prepare(collection: Collection, settings: ExperimentSettings, trafilatura: bool, out: Path) -> None:
    """Make the texts, unless an earlier call did; counts.json, written last, says that they are whole."""
    if (out / COUNTS).exists():
        return
    log.info("extracting %d pages", len(collection.articles) + len(collection.pages))
    texts, lost = prepare_texts(
        collection,
        min_language_probability=settings.min_language_probability,
        trafilatura=trafilatura,
    )
    if not any(page.source == "article" for page in texts):
        raise InputError("--data: no article could be read; check articles/html")
    write_texts(texts, out / TEXTS)
    write_json(out / COUNTS, {"lost": lost, **count_texts(texts)})


def count_texts(texts: list[PageTexts]) -> dict[str, Any]:
    """Pages by source, those that are English and pass the heuristics, and bytes of English main content."""
    english = [page for page in texts if page.english]
    return {
        "pages": {
            source: sum(page.source == source for page in texts) for source in ("article", "page", "labelled")
        },
        "english": {
            source: sum(page.source == source for page in english)
            for source in ("article", "page", "labelled")
        },
        "english_after_heuristics": sum(page.filtered is not None for page in english),
        "english_bytes": sum(len(page.main.encode("utf-8", "replace")) for page in english),
        "bytes": sum(len(page.main.encode("utf-8", "replace")) for page in texts),
        "sharing_text_with_an_article": sum(bool(set(page.shares) - {page.id}) for page in texts),
    }
