"""The lengths of all documents of a corpus, without writing a store."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from toolkit_shared.execution import map_shards

from seqdecomp.data.encoding import (
    MAX_EXAMPLES,
    Skipped,
    describe_tokenizer,
    encode_unit,
    id_limit,
    load_cached,
    require_documents,
    require_tokenizer,
)
from seqdecomp.data.formats.detect import find_inputs, is_store
from seqdecomp.data.formats.open import open_flat, plan_units, store_dtype
from seqdecomp.data.formats.units import FLAT_FORMATS, Unit
from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import Tokenizer, load_tokenizer
from seqdecomp.data.unit_writer import count_without_eos
from seqdecomp.settings import ReadSettings


class DocumentLengths(NamedTuple):
    """What is known of a corpus before any store is written.

    `lengths` int64 [documents], in tokens with EOS; `sources` int32 [documents], index into `source_names`;
    `documents_without_eos` counts those whose last token is not EOS; `examples` are the first corrupt records
    as (place, reason).
    """

    lengths: npt.NDArray[np.int64]
    documents_without_eos: int
    sources: npt.NDArray[np.int32]
    source_names: tuple[str, ...]
    skipped_records: int
    empty_documents: int
    examples: tuple[tuple[str, str], ...]


def read_document_lengths(
    inputs: Sequence[str | Path],
    *,
    tokenizer: str | Path | Tokenizer | None = None,
    read: ReadSettings | None = None,
    sources: Mapping[str, str | Path] | None = None,
    workers: int = 1,
    engine: str = "local",
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> DocumentLengths:
    """The length of every document in the order in which a build would store them; writes nothing.

    Text is tokenised and forgotten; of Megatron and datatrove files only the index is read, of other flat
    token files the EOS places. A finished store gives the lengths that it holds. The arguments are those of
    `seqdecomp.build.build_store`.

    Raises:
        InputError: an input or the tokenizer is unusable, or a record is corrupt under `strict`.
    """
    read = read or ReadSettings()
    if len(inputs) == 1 and not sources and is_store(Path(inputs[0])):
        return _of_store(Store.open(inputs[0]))
    found = find_inputs(inputs, format=read.format, sources=sources)
    loaded = load_tokenizer(tokenizer, eos=read.eos) if isinstance(tokenizer, str | Path) else tokenizer
    require_tokenizer(found.files, loaded)
    described = describe_tokenizer(loaded, read)
    spec = None if loaded is None else loaded.to_json() or "bytes"
    tasks = [
        LengthsTask(
            unit=unit,
            read=read,
            strict=strict,
            tokenizer=spec,
            eos_text=loaded.eos_text if loaded is not None else "",
            eos_id=described["eos_id"],
            vocab_size=described["vocab_size"],
        )
        for unit in plan_units(found.files, read)
    ]
    parts = list(map_shards(measure_unit, tasks, workers=workers, engine=engine, progress=progress))
    examples = tuple((e["place"], e["reason"]) for part in parts for e in part[2].examples)[:MAX_EXAMPLES]
    require_documents(sum(len(part[0]) for part in parts), found.files, examples)
    return DocumentLengths(
        lengths=np.concatenate([np.zeros(0, np.int64), *(part[0] for part in parts)]),
        documents_without_eos=sum(part[1] for part in parts),
        sources=np.concatenate(
            [np.zeros(0, np.int32)]
            + [
                np.full(len(part[0]), task.unit.source, np.int32)
                for part, task in zip(parts, tasks, strict=True)
            ]
        ),
        source_names=found.sources,
        skipped_records=sum(part[2].records for part in parts),
        empty_documents=sum(part[2].empty_documents for part in parts),
        examples=examples,
    )


@dataclass(frozen=True, kw_only=True)
class LengthsTask:
    """All that a worker needs to measure one unit; `tokenizer` is "bytes" or the text of a tokenizer.json."""

    unit: Unit
    read: ReadSettings
    strict: bool
    tokenizer: str | None
    eos_text: str
    eos_id: int | None
    vocab_size: int | None


def measure_unit(task: LengthsTask) -> tuple[npt.NDArray[np.int64], int, Skipped]:
    """Document lengths of one unit, how many lack EOS, and what was skipped."""
    skipped = Skipped(task.strict)
    if task.unit.format in FLAT_FORMATS:
        flat = open_flat(task.unit, task.read, eos_id=task.eos_id, vocab_size=task.vocab_size)
        return np.diff(flat.boundaries), count_without_eos(flat, task.eos_id), skipped
    documents = encode_unit(
        task.unit,
        load_cached(task.tokenizer, task.eos_text) if task.tokenizer else None,
        task.read,
        eos_id=task.eos_id,
        id_limit=id_limit(task.vocab_size, store_dtype(task.read.dtype, task.vocab_size)),
        skipped=skipped,
    )
    lengths: list[int] = []
    without_eos = 0
    for ids in documents:
        lengths.append(len(ids))
        without_eos += int(ids[-1]) != task.eos_id
    return np.array(lengths, dtype=np.int64), without_eos, skipped


def _of_store(store: Store) -> DocumentLengths:
    skipped = store.manifest["skipped"]
    return DocumentLengths(
        lengths=store.document_lengths,
        documents_without_eos=store.manifest["counts"]["documents_without_eos"],
        sources=store.document_sources,
        source_names=tuple(store.sources),
        skipped_records=skipped["records"],
        empty_documents=skipped["empty_documents"],
        examples=tuple((e["place"], e["reason"]) for e in skipped["examples"]),
    )
