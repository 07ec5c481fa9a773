"""What each evaluation file is, told by its name and its first record."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.task_files import kind_of
from toolkit_shared.records import expand_inputs, read_jsonl

from seqdecomp.evaluation.closed_ended import SETS
from seqdecomp.evaluation.tasks import Task, task_of_file

Protocol = Literal["in-context", "mdqa", "key-value", "closed-ended", "perplexity"]
RECORD_SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst", ".ndjson")
TEXT_SUFFIXES = (".txt", ".md", ".text")


@dataclass(frozen=True)
class Source:
    """One evaluation file.

    Attributes:
        path: The file.
        protocol: How it is evaluated.
        name: Name of the task: one of the fourteen, toefl, quality, mdqa, key-value, perplexity, or the
            file's own.
        task: The in-context task; None for the other protocols.
    """

    path: Path
    protocol: Protocol
    name: str
    task: Task | None = None


def find_sources(inputs: Sequence[str | Path]) -> list[Source]:
    """What each file in `inputs` (files, folders, globs) is, in the order of the paths.

    Raises:
        InputError: an input does not exist, a file is none of the known kinds, or two are the same task.
    """
    paths = expand_inputs(inputs, (*RECORD_SUFFIXES, *TEXT_SUFFIXES))
    sources = [recognize(path) for path in paths]
    seen: dict[str, Path] = {}
    for source in sources:
        if source.protocol in ("in-context", "closed-ended") and source.name in seen:
            raise InputError(
                f"{source.path}: task '{source.name}' is also {seen[source.name]}; give one of them"
            )
        seen[source.name] = source.path
    return sources


def recognize(path: Path) -> Source:
    """What the file `path` is.

    Raises:
        InputError: it is empty, or its first record has the fields of no known kind.
    """
    if path.name.endswith(TEXT_SUFFIXES):
        return Source(path, "perplexity", "perplexity")
    record = next((record for _, record in read_jsonl(path)), None)
    if record is None:
        raise InputError(f"{path}: holds no record; give a file with one object a line")
    stem = path.name.split(".")[0]
    if "ctxs" in record and "question" in record:
        return Source(path, "mdqa", "mdqa")
    if "ordered_kv_records" in record:
        return Source(path, "key-value", "key-value")
    if "instructions" in record and "outputs" in record:
        source = str(record.get("source", stem))
        return Source(path, "closed-ended", SETS.get(source, source))
    if kind_of(record) is not None:
        task = task_of_file(stem) or Task(name=stem)
        return Source(path, "in-context", task.name, task)
    if isinstance(record.get("text"), str):
        return Source(path, "perplexity", "perplexity")
    raise InputError(
        f"{path}: first record has the fields {', '.join(sorted(record)) or 'none'}; expected text, "
        "query/choices/gold, context/continuation, context/answer, context_options/continuation/gold, "
        "question/answers/ctxs, ordered_kv_records/key/value or input/instructions/outputs"
    )
