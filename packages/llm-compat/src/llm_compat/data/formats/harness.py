"""Runs of lm-evaluation-harness: the samples that `lm_eval --log_samples` writes."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards

from llm_compat.data.formats import harness_choices
from llm_compat.data.formats.harness_columns import Columns, join_columns
from llm_compat.data.formats.harness_details import harness_details
from llm_compat.data.formats.harness_files import PACKED, SampleFile, find_sample_files, has_samples
from llm_compat.data.formats.harness_lines import read_lines
from llm_compat.data.formats.harness_options import LineOptions, options_of
from llm_compat.data.formats.harness_outcomes import outcomes_of_log
from llm_compat.data.formats.protocol import Progress
from llm_compat.data.outcomes import Detail, Outcomes
from llm_compat.settings.reading import ReadSettings

WANTED = "samples_*.jsonl (lm-evaluation-harness)"

# Starting a process takes about as long as reading this many bytes, so less is not worth one.
BYTES_PER_PART = 1 << 28


def recognises(path: Path) -> bool:
    """Whether there are samples_*.jsonl files, or the file begins as one does."""
    return has_samples(path)


def read(
    path: Path, settings: ReadSettings, *, workers: int = 1, progress: Progress | None = None
) -> list[Outcomes]:
    """The outcomes of the run, one for each task and filter; see `protocol.Format`."""
    files = find_sample_files(path, settings.tasks)
    options = [options_of(file, settings) for file in files]
    _refuse_unsuited(path, settings, options)
    outcomes: list[Outcomes] = []
    for file, option, columns in zip(files, options, _columns(options, workers, progress), strict=True):
        columns = _in_agreement(file, option, columns, workers)
        outcomes += outcomes_of_log(file, option, columns, trust_logged=settings.trust_logged)
    return outcomes


def details(outcomes: Outcomes, items: Sequence[int]) -> list[Detail]:
    """The texts of some items; see `protocol.Format`."""
    return harness_details(outcomes, items)


def _refuse_unsuited(path: Path, settings: ReadSettings, options: Sequence[LineOptions]) -> None:
    """Refuse to compute a score that none of the tasks can have."""
    for wanted in settings.rescore:
        if not any(wanted in option.rescore for option in options):
            raise InputError(f"{path}: --read.rescore {wanted} suits none of the tasks; leave it out")
    for name in settings.similarity:
        if not any(name in option.similarity for option in options):
            raise InputError(
                f"{path}: --read.similarity {name} needs generated text, which no task has; leave it out"
            )


def _columns(options: Sequence[LineOptions], workers: int, progress: Progress | None) -> Iterator[Columns]:
    """The columns of each log, in order."""
    jobs = [(part, option) for option in options for part in _parts(option.path, workers)]
    # an idle process is waste: as many as there are parts
    workers = min(workers, len(jobs))
    small = sum(option.path.stat().st_size for option in options) < BYTES_PER_PART
    if workers <= 1 or small:
        for option in options:
            yield join_columns([read_lines(part, option, progress) for part in _parts(option.path, 1)])
        return
    results = map_shards(_read_job, jobs, workers=workers)
    for option in options:
        gathered = []
        for start, end in _parts(option.path, workers):
            gathered.append(next(results))
            if progress is not None:
                progress((option.path.stat().st_size if end is None else end) - start)
        yield join_columns(gathered)


def _read_job(job: tuple[tuple[int, int | None], LineOptions]) -> Columns:
    return read_lines(*job)


def _parts(path: Path, workers: int) -> list[tuple[int, int | None]]:
    """Ranges of bytes to be read by one process each; packed files are whole."""
    size = path.stat().st_size
    if workers == 1 or path.name.endswith(PACKED) or size < 2 * BYTES_PER_PART:
        return [(0, None)]
    count = max(workers, size // BYTES_PER_PART)
    bounds = [size * part // count for part in range(count + 1)]
    return list(pairwise(bounds))


def _in_agreement(file: SampleFile, option: LineOptions, columns: Columns, workers: int) -> Columns:
    """The columns under the first way of reading that agrees with all logged accuracies, if there is one."""
    if not set(columns.mismatches) - columns.unlike_accuracy:
        return columns
    for reading in harness_choices.readings(file.facts.delimiters)[1:]:
        (other,) = _columns([replace(option, reading=reading)], workers, None)
        if not set(other.mismatches) - other.unlike_accuracy:
            return other
    return columns
