"""The outcomes of one model on one task: what every reader gives, and every comparison takes."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llm_compat.settings.reading import ColumnSettings

KEY_BYTES = 16
CODE_BYTES = 8
Keys = npt.NDArray[np.bytes_]  # "S16": 128 bits of a digest; compared whole, so zero bytes are no trouble
Codes = npt.NDArray[np.uint64]

NO_FILTER = "none"
NO_ANSWER = 0
"""The code of an answer that is missing: a run whose answer could not be extracted said nothing."""


@dataclass(frozen=True, kw_only=True)
class Slices:
    """To which slice each item belongs, by the values of one field.

    Attributes:
        codes: int32 [items], index into `names`.
        names: The values as text, sorted; the empty text where the field is missing.
    """

    codes: npt.NDArray[np.int32]
    names: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What one model scored on every item of one task, under one filter of its answers.

    All arrays have one entry an item, in the order of the log. About 60 bytes an item: texts stay in the log,
    and are read again for the items that are shown (`data.runs.read_details`).

    Attributes:
        task: Name of the task.
        filter: Name of the harness's answer filter; `none` where there is none.
        source: The file, for messages and for reading items again.
        format: Name of the format, which knows how to read `places`.
        keys: S16 [items], unique; equal for the same document in another run, whatever its position.
        places: int64 [items]; where the item is in `source`, as the format counts.
        scores: By metric, float64 [items]; NaN for an item without a score.
        answers: By metric, uint64 [items]: codes of the predicted answers (`answer_code`), equal when the
            answers are; NO_ANSWER where there is none. A metric whose answers are not known is absent.
        higher_is_better: By metric.
        prompts: uint64 [items], digests of the prompts, or None when the format has none.
        targets: uint64 [items], digests of the expected answers, or None.
        slices: By field, for the fields that were asked for.
        notes: What a reader has to know, one sentence each: metrics that were left out, missing fields.
        columns: Of a table, the column map that it was read with, for reading items again.
        expected_items: Items that the run says it has evaluated, or None when it does not say.
    """

    task: str
    filter: str = NO_FILTER
    source: Path
    format: str
    keys: Keys
    places: npt.NDArray[np.int64]
    scores: Mapping[str, npt.NDArray[np.float64]]
    answers: Mapping[str, Codes] = field(default_factory=dict)
    higher_is_better: Mapping[str, bool] = field(default_factory=dict)
    prompts: Codes | None = None
    targets: Codes | None = None
    slices: Mapping[str, Slices] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    columns: ColumnSettings | None = None
    expected_items: int | None = None

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def name(self) -> str:
        """The task, with its filter where that is not `none`."""
        return self.task if self.filter == NO_FILTER else f"{self.task} ({self.filter})"


@dataclass(frozen=True, kw_only=True)
class Detail:
    """One item as a person reads it.

    Attributes:
        id: As the log names it, such as `17` or `id123`.
        question: The document's question, or the prompt where the document has no field that is one.
        target: The expected answer.
        answer: What the model answered under the filter; None when nothing could be extracted.
        raw: The model's whole output where that differs from the answer, else None.
        fields: Other plain fields of the document, as text.
    """

    id: str
    question: str
    target: str
    answer: str | None
    raw: str | None = None
    fields: Mapping[str, str] = field(default_factory=dict)


def key_of(text: str | bytes) -> bytes:
    """The 16-byte key of a document, from any text that names it in all runs."""
    data = text.encode() if isinstance(text, str) else text
    return hashlib.blake2b(data, digest_size=KEY_BYTES).digest()


def code_of(text: str | bytes) -> int:
    """A 64-bit code of a text, never NO_ANSWER: equal texts have equal codes, others in practice do not."""
    data = text.encode() if isinstance(text, str) else text
    return int.from_bytes(hashlib.blake2b(data, digest_size=CODE_BYTES).digest(), "little") or 1


def keys_array(keys: Sequence[bytes] | bytes) -> Keys:
    """Keys of 16 bytes each, or their concatenation, as an array."""
    joined = keys if isinstance(keys, bytes) else b"".join(keys)
    return np.frombuffer(joined, dtype=f"S{KEY_BYTES}")
