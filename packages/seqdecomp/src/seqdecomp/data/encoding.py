"""Documents of a work unit to checked token ids, with a count of what had to be left out."""

import hashlib
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.formats.open import read_documents
from seqdecomp.data.formats.units import Document, Input, Unit
from seqdecomp.data.tokenizer import Tokenizer, load_tokenizer, tokenizer_from_json
from seqdecomp.settings import ReadSettings

# Texts are tokenised this many at a time: enough for the library's batching, little enough for memory.
BATCH_DOCUMENTS = 256
MAX_EXAMPLES = 20


class Skipped:
    """Counts what is left out, with the first places; stops at the first corrupt record under `strict`."""

    def __init__(self, strict: bool) -> None:
        self.strict = strict
        self.records = 0
        self.empty_documents = 0
        self.examples: list[dict[str, str]] = []

    def bad(self, place: str, reason: str) -> None:
        """Count a corrupt record.

        Raises:
            InputError: under `strict`.
        """
        if self.strict:
            raise InputError(f"{place}: {reason}; mend the record or leave out --strict")
        self.records += 1
        if len(self.examples) < MAX_EXAMPLES:
            self.examples.append({"place": place, "reason": reason})


def require_documents(documents: int, inputs: Sequence[Input], examples: Sequence[tuple[str, str]]) -> None:
    """Refuse inputs of which nothing could be read: they are empty, or most often a field has another name.

    Args:
        documents: How many documents were read.
        inputs: The files.
        examples: Place and reason of the first records that were left out.

    Raises:
        InputError: there is no document.
    """
    if documents:
        return
    if not examples:
        others = len(inputs) - 1
        more = f" and {others} more file{'s' * (others > 1)}" if others else ""
        raise InputError(f"{inputs[0].name}{more}: no document in it; give files that hold text or tokens")
    place, reason = examples[0]
    cure = "mend the input, or pass --format"
    if reason.startswith("field "):
        cure = "name the field that holds the text or the ids with --text-field or --read.ids-field"
    raise InputError(f"{place}: {reason}; no record can be used: {cure}")


def encode_unit(
    unit: Unit,
    tokenizer: Tokenizer | None,
    read: ReadSettings,
    *,
    eos_id: int | None,
    id_limit: int,
    skipped: Skipped,
) -> Iterator[npt.NDArray[np.integer]]:
    """Token ids of each document of the unit in order, one or more, all within 0 and `id_limit` - 1.

    Text gets EOS appended; token ids only where `read.append_eos` says so and they lack it. Documents
    without any token, and those with ids out of range, are counted in `skipped`.

    Raises:
        InputError: the unit is unusable, or a record is corrupt and `skipped` is strict.
    """
    documents = read_documents(unit, read, eos_id, skipped.bad)
    for number, (ids, is_text) in enumerate(_encode(documents, tokenizer, unit.names[0])):
        if len(ids) == 0:
            skipped.empty_documents += 1
            continue
        low, high = int(ids.min()), int(ids.max())
        if low < 0 or high >= id_limit:
            wrong = low if low < 0 else high
            skipped.bad(
                f"{unit.names[0]}, document {number} from byte or row group {unit.start}",
                f"id {wrong} is not within 0 and {id_limit - 1}",
            )
            continue
        if eos_id is not None and (is_text or (read.append_eos and ids[-1] != eos_id)):
            ids = np.append(ids, np.asarray(eos_id, dtype=ids.dtype))
        yield ids


def describe_tokenizer(tokenizer: Tokenizer | None, read: ReadSettings) -> dict[str, Any]:
    """What a store says of its tokenizer: name, EOS and number of ids, as far as they are known.

    `eos_id` and `vocab_size` of `read` go before the tokenizer's own.

    Raises:
        InputError: the EOS id is not below the number of ids.
    """
    eos_id = read.eos_id if read.eos_id is not None or tokenizer is None else tokenizer.eos_id
    vocab_size = read.vocab_size if read.vocab_size is not None or tokenizer is None else tokenizer.vocab_size
    if eos_id is not None and vocab_size is not None and eos_id >= vocab_size:
        raise InputError(
            f"--read.eos-id: {eos_id} is not below the {vocab_size} ids of the vocabulary; check both"
        )
    text = tokenizer.to_json() if tokenizer is not None else None
    return {
        "name": _shown_name(tokenizer.spec) if tokenizer is not None else None,
        "fingerprint": hashlib.sha256(text.encode()).hexdigest()[:16] if text is not None else None,
        "eos_id": eos_id,
        "eos_text": tokenizer.eos_text if tokenizer is not None else read.eos or None,
        "vocab_size": vocab_size,
    }


def require_tokenizer(inputs: Sequence[Input], tokenizer: Tokenizer | None) -> None:
    """Make sure that there is a tokenizer if a plain text file is among the inputs.

    Raises:
        InputError: there is none.
    """
    if tokenizer is None:
        for item in inputs:
            if item.format == "text":
                raise InputError(_NO_TOKENIZER.format(name=item.name))


_NO_TOKENIZER = "{name}: holds text, and there is no tokenizer; pass --tokenizer bytes|NAME|FILE"


def id_limit(vocab_size: int | None, dtype: str) -> int:
    """The number of ids that a store of this vocabulary and dtype can hold."""
    room = int(np.iinfo(dtype).max) + 1
    return min(vocab_size, room) if vocab_size is not None else room


@lru_cache(maxsize=2)
def load_cached(spec: str, eos_text: str) -> Tokenizer:
    """The tokenizer of a path or of the text of a tokenizer.json, loaded once a process."""
    return tokenizer_from_json(spec, eos_text) if spec.startswith("{") else load_tokenizer(spec, eos=eos_text)


def _shown_name(spec: str) -> str:
    """A file's own name, without the folders of this machine, or the name on the hub."""
    return Path(spec).name if Path(spec).exists() else spec


def _encode(
    documents: Iterator[Document], tokenizer: Tokenizer | None, name: str
) -> Iterator[tuple[npt.NDArray[np.integer], bool]]:
    """Ids of each document in order and whether it came as text."""
    while batch := list(islice(documents, BATCH_DOCUMENTS)):
        texts = [item for item in batch if isinstance(item, str)]
        if texts and tokenizer is None:
            raise InputError(_NO_TOKENIZER.format(name=name))
        encoded = iter(tokenizer.encode_batch(texts) if tokenizer is not None and texts else [])
        for item in batch:
            yield (next(encoded), True) if isinstance(item, str) else (item, False)
