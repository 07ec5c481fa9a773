"""A data-update task from its files: old and updated requests, one test part, and a word vocabulary."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.records import read_jsonl

from llm_compat.data.token_rows import TokenRows
from llm_compat.experiment.configuration import LossOn

VERSIONS = ("old", "updated")
PARTS = ("train", "dev", "test")
PADDING, UNKNOWN, SEPARATOR = 0, 1, 2
NUM_MARKS = 3
MAX_WORDS = 30
Ids = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Requests:
    """Requests of one part.

    Attributes:
        ids: Their names.
        texts: What was said.
        labels: Index of each one's intent in `Task.labels`, int64 [requests].
    """

    ids: tuple[str, ...]
    texts: tuple[str, ...]
    labels: Ids

    def __len__(self) -> int:
        return len(self.ids)


@dataclass(frozen=True)
class Task:
    """The whole task.

    Attributes:
        parts: Requests by version ("old", "updated") and part ("train", "dev", "test").
        labels: Names of the intents, sorted.
        words: The vocabulary: frequent words of the updated training part, sorted.
    """

    parts: dict[tuple[str, str], Requests]
    labels: tuple[str, ...]
    words: tuple[str, ...]

    @property
    def vocab_size(self) -> int:
        """Marks, intents and words."""
        return NUM_MARKS + len(self.labels) + len(self.words)

    @property
    def test(self) -> Requests:
        """The test part, which both versions share."""
        return self.parts["updated", "test"]

    def encode(self, version: str, part: str, loss_on: LossOn = "answer") -> TokenRows:
        """The rows `words SEP intent` of a part.

        Ids: padding, unknown, SEP, then the intents, then the words.

        Args:
            version: "old" or "updated".
            part: "train", "dev" or "test".
            loss_on: Which positions are trained: "answer", that of SEP alone, or "all" with a successor.
        """
        requests = self.parts[version, part]
        first = NUM_MARKS + len(self.labels)
        numbers = {word: first + index for index, word in enumerate(self.words)}
        rows = []
        for text, label in zip(requests.texts, requests.labels.tolist(), strict=True):
            words = [numbers.get(word, UNKNOWN) for word in text.split()[:MAX_WORDS]]
            tokens = np.array([*words, SEPARATOR, NUM_MARKS + label], np.int32)
            trained = np.full(len(tokens), loss_on == "all")
            trained[-2:] = True, False
            rows.append((tokens, trained))
        return TokenRows.from_rows(rows)


def read_task(folder: str | Path, *, min_count: int = 3) -> Task:
    """The task in FOLDER/{old,updated}/{train,dev,test}.jsonl; each line has `id`, `text` and `label_name`.

    Args:
        folder: Where the two versions are.
        min_count: How often a word must occur in the updated training part to have a token of its own.

    Raises:
        InputError: a file or field is missing; the test parts differ; a test request is in another part; or
            an intent occurs in no updated training request.
    """
    folder = Path(folder)
    raw = {
        (version, part): _read(folder / version / f"{part}.jsonl") for version in VERSIONS for part in PARTS
    }
    labels = tuple(sorted({label for rows in raw.values() for _, _, label in rows}))
    numbers = {label: index for index, label in enumerate(labels)}
    parts = {
        key: Requests(
            tuple(name for name, _, _ in rows),
            tuple(text for _, text, _ in rows),
            np.array([numbers[label] for _, _, label in rows], np.int64),
        )
        for key, rows in raw.items()
    }
    _check(folder, raw)
    counts = Counter(word for text in parts["updated", "train"].texts for word in text.split())
    words = tuple(sorted(word for word, number in counts.items() if number >= min_count))
    return Task(parts, labels, words)


def fingerprint_task(folder: str | Path) -> dict[str, str]:
    """SHA-256 of the six files, by their names within the folder.

    Raises:
        InputError: a file is missing.
    """
    found = {}
    for version in VERSIONS:
        for part in PARTS:
            path = Path(folder) / version / f"{part}.jsonl"
            if not path.is_file():
                raise InputError(
                    f"{path}: no such file; --data wants old/ and updated/, each with train, dev and test"
                )
            found[f"{version}/{part}"] = sha256_file(path)
    return found


def _read(path: Path) -> list[tuple[str, str, str]]:
    if not path.is_file():
        raise InputError(
            f"{path}: no such file; --data wants old/ and updated/, each with train, dev and test"
        )
    rows = []
    for place, record in read_jsonl(path):
        for field in ("id", "text", "label_name"):
            if not _is_text(record.get(field)):
                raise InputError(f"{path}, {place}: field '{field}' is no text; give id, text and label_name")
        rows.append((str(record["id"]), record["text"].lower(), record["label_name"]))
    if not rows:
        raise InputError(f"{path}: holds no request; give at least one")
    return rows


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check(folder: Path, raw: dict[tuple[str, str], list[tuple[str, str, str]]]) -> None:
    if raw["old", "test"] != raw["updated", "test"]:
        raise InputError(
            f"{folder}: the test parts of old and updated differ; models are compared on one test part"
        )
    test = [name for name, _, _ in raw["updated", "test"]]
    if len(set(test)) != len(test):
        raise InputError(f"{folder}: ids of the test part repeat; give each request one of its own")
    for version in VERSIONS:
        for part in ("train", "dev"):
            common = _first_common(test, [name for name, _, _ in raw[version, part]])
            if common is not None:
                raise InputError(
                    f"{folder}: request '{common}' of test is in {version}/{part} too; leave it out there"
                )
    known = {label for _, _, label in raw["updated", "train"]}
    unknown = sorted({label for rows in raw.values() for _, _, label in rows} - known)
    if unknown:
        raise InputError(
            f"{folder}: intent '{unknown[0]}' is in no request of updated/train; no model can learn it"
        )


def _first_common(test: Sequence[str], others: Sequence[str]) -> str | None:
    known = set(test)
    return next((name for name in others if name in known), None)
