"""Token streams of files to contexts of equal length: one input file at a time."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, read_json, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.randomness import stream

from dclm_bench.data.reading import read_pages
from dclm_bench.tokenization.tokenizers import Tokenizer, cached_tokenizer

CONTEXT_LENGTH = 2049


@dataclass(frozen=True, kw_only=True)
class FileJob:
    """One input file to be tokenised.

    Attributes:
        index: Number of the file among the sorted inputs.
        path: The file.
        folder: Where its contexts go.
        tokenizer: As given to `load_tokenizer`.
        text_field: Field that holds the text.
        context_length: Tokens of a context.
        num_cells: Cells of the coarse shuffle.
        seed: Of the shuffle.
        strict: Stop at the first bad record.
    """

    index: int
    path: Path
    folder: Path
    tokenizer: str
    text_field: str
    context_length: int
    num_cells: int
    seed: int
    strict: bool


@dataclass(frozen=True, kw_only=True)
class FileContexts:
    """What became of one input file.

    Attributes:
        documents: Pages that were tokenised, empty ones among them.
        tokens: Real tokens, the end of text after each document included.
        pads: Fill of the last context.
        cells: Number of contexts in each cell, [cells].
        pad_row: Row of the padded context in the file of contexts; -1: none is padded.
        losses: Records that could not be used.
    """

    documents: int
    tokens: int
    pads: int
    cells: tuple[int, ...]
    pad_row: int
    losses: dict[str, Any]


def cut_contexts(
    documents: Iterable[npt.NDArray[np.integer[Any]]],
    *,
    context_length: int,
    eot_id: int,
    pad_id: int,
    dtype: npt.DTypeLike = np.uint32,
) -> Iterator[npt.NDArray[Any]]:
    """The documents end to end, each followed by `eot_id`, in blocks of contexts [contexts, context_length].

    The last context is filled with `pad_id`. Where the tokens end with a context there is no other: the
    official code then adds one of nothing but pads, of which nothing can be learned. Without any document
    there is no context.

    Source: section 2.5 of the specification; `tokshuf-rs` of the official code.
    """
    waiting: list[npt.NDArray[Any]] = []
    length = 0
    end = np.array([eot_id], dtype)
    for ids in documents:
        waiting += [ids.astype(dtype), end]
        length += len(ids) + 1
        if length >= 64 * context_length:
            joined = np.concatenate(waiting)
            whole = length // context_length * context_length
            yield joined[:whole].reshape(-1, context_length)
            waiting, length = [joined[whole:]], length - whole
    if length:
        pads = -length % context_length
        yield np.concatenate([*waiting, np.full(pads, pad_id, dtype)]).reshape(-1, context_length)


def assign_cells(num_contexts: int, *, num_cells: int, seed: int, file: int) -> npt.NDArray[np.int64]:
    """The cell of each context of file number `file`, int64 [contexts], each cell as likely as another.

    Source: the coarse half of the two-stage shuffle, section 2.5 of the specification.
    """
    return stream(seed, "tokenization: cells", file).integers(num_cells, size=num_contexts)


def tokenize_file(job: FileJob) -> FileContexts:
    """Write the contexts of one input file, sorted by cell, and say what they are; done once.

    `contexts-NNNNNNNN.npy` holds [contexts, context_length], `contexts-NNNNNNNN.json` what is returned. The
    tokens of the whole file are in memory at once.

    Raises:
        InputError: the file cannot be read, or has a bad record and the job is strict.
    """
    described = job.folder / f"contexts-{job.index:08d}.json"
    if described.exists():
        return _read(described)
    tokenizer = cached_tokenizer(job.tokenizer)
    losses, counts = Losses(), [0, 0]
    dtype = np.uint16 if tokenizer.vocab_size <= 1 << 16 else np.uint32
    blocks = cut_contexts(
        _documents(job, tokenizer, losses, counts),
        context_length=job.context_length,
        eot_id=tokenizer.eot_id,
        pad_id=tokenizer.pad_id,
        dtype=dtype,
    )
    empty = np.empty((0, job.context_length), dtype)
    contexts = np.concatenate([empty, *blocks])
    documents, tokens = counts
    cells = assign_cells(len(contexts), num_cells=job.num_cells, seed=job.seed, file=job.index)
    order = np.argsort(cells, kind="stable")
    pads = contexts.size - tokens
    outcome = FileContexts(
        documents=documents,
        tokens=tokens,
        pads=pads,
        cells=tuple(np.bincount(cells, minlength=job.num_cells).tolist()),
        pad_row=int(np.flatnonzero(order == len(contexts) - 1)[0]) if pads else -1,
        losses=losses.to_json(),
    )
    with atomic_path(contexts_path(job.folder, job.index)) as temporary, open(temporary, "wb") as file:
        np.save(file, contexts[order])
    write_json(described, vars(outcome))
    return outcome


def contexts_path(folder: Path, index: int) -> Path:
    """The file of contexts of input file number `index`."""
    return folder / f"contexts-{index:08d}.npy"


def _documents(
    job: FileJob, tokenizer: Tokenizer, losses: Losses, counts: list[int]
) -> Iterator[npt.NDArray[np.uint32]]:
    """Ids of each page, counted in `counts` as documents and tokens."""
    for page in read_pages(job.path, text_field=job.text_field, on_bad=None if job.strict else losses.on_bad):
        ids = tokenizer.encode(page.text)
        counts[0] += 1
        counts[1] += len(ids) + 1
        yield ids


def _read(described: Path) -> FileContexts:
    values = read_json(described)
    try:
        return FileContexts(**{**values, "cells": tuple(values["cells"])})
    except (TypeError, KeyError):
        raise InputError(f"{described}: not written by this version; pass --overwrite") from None
