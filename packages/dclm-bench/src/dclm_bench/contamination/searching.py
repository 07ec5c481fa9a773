"""Task files searched for in files of training text, file by file."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.task_files import SUFFIXES, TaskFile, read_task_file
from toolkit_shared.execution import map_shards
from toolkit_shared.records import BadRecord, expand_inputs

from dclm_bench.contamination.overlap import (
    MIN_TOKENS,
    NGRAM,
    THRESHOLD,
    QuestionGrams,
    TaskContamination,
    judge,
    question_text,
)
from dclm_bench.data.inputs import find_inputs
from dclm_bench.data.reading import read_pages, require_text_field

Found = dict[int, npt.NDArray[np.bool_]]


@dataclass(frozen=True)
class Search:
    """What was found of the questions.

    Attributes:
        tasks: By task, in the order of their files.
        shares: For each task the share found of each question, NaN where it is too short.
        num_pages: Pages read.
        num_bad_records: Records that could not be used.
        num_files: Files of training text.
    """

    tasks: tuple[TaskContamination, ...]
    shares: tuple[npt.NDArray[np.float64], ...]
    num_pages: int
    num_bad_records: int
    num_files: int


def read_task_files(paths: Sequence[str | Path]) -> list[TaskFile]:
    """The task files that are named (files, folders, patterns), by path.

    Raises:
        InputError: none is named, one is unusable, or two have the same name.
    """
    if not paths:
        raise InputError("tasks: none given; name a task file or a folder of them")
    files = [read_task_file(path) for path in expand_inputs(paths, SUFFIXES)]
    names = [file.name for file in files]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"tasks: two files are named '{name}'; rename one or leave one out")
    return files


def search(
    files: Sequence[TaskFile],
    training: Sequence[str | Path],
    *,
    ngram: int = NGRAM,
    min_tokens: int = MIN_TOKENS,
    threshold: float = THRESHOLD,
    text_field: str = "text",
    strict: bool = False,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Search:
    """What of the questions stands in the training text; the same for any number of workers.

    Args:
        files: The questions.
        training: Files of pages (JSON lines, Parquet), folders, patterns.
        ngram: Words of an n-gram.
        min_tokens: Questions of fewer words are not judged.
        threshold: Above this share of its words a question is contaminated, 0..1.
        text_field: Field that holds the text.
        strict: Stop at a record that cannot be used, rather than count it.
        workers: Processes.
        progress: Called with the number of files done.

    Raises:
        InputError: an input cannot be read.
    """
    require_text_field(text_field)
    grams = QuestionGrams.of(
        [question_text(question) for file in files for question in file.questions],
        ngram=ngram,
        min_tokens=min_tokens,
    )
    found = grams.nothing_found()
    pages = bad = 0
    paths = [file.path for file in find_inputs(training)]
    one = partial(search_file, grams=grams, text_field=text_field, strict=strict)
    for part, num_pages, num_bad in map_shards(one, paths, workers=workers, progress=progress):
        for n, flags in part.items():
            found[n] |= flags
        pages, bad = pages + num_pages, bad + num_bad
    ends = np.cumsum([len(file.questions) for file in files])[:-1]
    shares = tuple(np.split(grams.shares(found), ends))
    judged = tuple(judge(file.name, part, threshold) for file, part in zip(files, shares, strict=True))
    return Search(judged, shares, pages, bad, len(paths))


def search_file(
    path: Path, *, grams: QuestionGrams, text_field: str = "text", strict: bool = False
) -> tuple[Found, int, int]:
    """What of the questions stands in one file, its pages, and its records that could not be used."""
    found = grams.nothing_found()
    bad: list[BadRecord] = []
    pages = 0
    for page in read_pages(path, text_field=text_field, on_bad=None if strict else bad.append):
        grams.find(page.text, found)
        pages += 1
    return found, pages, len(bad)
