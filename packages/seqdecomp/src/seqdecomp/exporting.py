"""A store written in the formats of other tools: whole documents, or sequences in the released layout."""

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, claim_folder, finish_folder, write_text
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.randomness import stream
from toolkit_shared.records import write_jsonl

from seqdecomp import __version__
from seqdecomp.data.fingerprints import hash_file
from seqdecomp.data.formats.datatrove import write_datatrove_index
from seqdecomp.data.formats.huggingface import write_parquet
from seqdecomp.data.formats.megatron import write_megatron_index
from seqdecomp.data.formats.nanogpt import nanogpt_header
from seqdecomp.data.formats.olmo import SCAN_TOKENS, write_flat
from seqdecomp.data.formats.released import shard_sequences, write_shard
from seqdecomp.data.store import Store

ExportFormat = Literal["released", "olmo", "megatron", "datatrove", "nanogpt", "parquet", "jsonl"]
EXPORT_KIND = "seqdecomp-export"
FILE_TOKENS = 1 << 30


@dataclass(frozen=True, kw_only=True)
class ExportReport:
    """What an export wrote: documents or, in the released layout, sequences; tokens; and files by name."""

    out: Path
    format: str
    items: int
    tokens: int
    files: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class ExportTask:
    """One output file: documents `first` to `end`, or such sequences of the bucket of `length`."""

    store: str
    out: str
    format: str
    name: str
    first: int
    end: int
    length: int
    seed: int | None


def export_store(
    path: str | Path,
    out: str | Path,
    *,
    format: str,
    seed: int | None = 0,
    file_tokens: int = FILE_TOKENS,
    workers: int = 1,
    engine: str = "local",
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ExportReport:
    """Write the store at `path` to the folder `out` in another tool's format; nothing is left out.

    Args:
        path: The store.
        out: Folder to write; one folder for each source in it where the store has several.
        format: "released" writes the sequences of each bucket; the others write whole documents.
        seed: Order of the sequences in the released layout; None keeps the store's order.
        file_tokens: A file is closed once it holds this many tokens (not in the released layout).
        workers: Processes.
        engine: "local" or "ray".
        resume: Go on with an unfinished export of the same configuration.
        overwrite: Replace another export.
        progress: Called with the number of files done since the last call.

    Raises:
        InputError: the format is not known or cannot hold the store's documents.
    """
    if format not in get_args(ExportFormat):
        raise InputError(f"--format: '{format}' is not one of {', '.join(get_args(ExportFormat))}")
    store, out = Store.open(path), Path(out)
    if format in ("olmo", "nanogpt"):
        check_split_by_eos(store, format)
    config = {"store": store.fingerprint, "format": format, "seed": seed, "file_tokens": file_tokens}
    claimed = claim_folder(out, kind=EXPORT_KIND, config=config, resume=resume, overwrite=overwrite)
    plan = _plan_sequences if format == "released" else _plan_documents
    tasks = plan(store, str(path), out, format, seed, file_tokens)
    if claimed != "complete":
        for folder in {(out / task.name).parent for task in tasks}:
            folder.mkdir(parents=True, exist_ok=True)
        for _ in map_shards(write_export, tasks, workers=workers, engine=engine, progress=progress):
            pass
        if format == "released":
            _write_shard_manifests(out, tasks)
    files = sorted(p for p in out.rglob("*") if p.is_file() and p.name not in ("manifest.json", "job.json"))
    names = tuple(p.relative_to(out).as_posix() for p in files)
    if format == "released":
        items = sum(task.end - task.first for task in tasks)
        tokens = sum(entry["tokens"] for entry in store.manifest["buckets"].values())
    else:
        items, tokens = len(store.document_lengths), int(store.document_lengths.sum())
    if claimed != "complete":
        hashes = {name: hash_file(p) for name, p in zip(names, files, strict=True)}
        finish_folder(out, {"schema": 1, "toolkit_version": __version__, "files": hashes})
    return ExportReport(out=out, format=format, items=items, tokens=tokens, files=names)


def check_split_by_eos(store: Store, format: str) -> None:
    """Make sure that splitting at EOS gives back the documents: each ends with EOS and has no other.

    Raises:
        InputError: a document is otherwise, or EOS is not known.
    """
    if store.eos_id is None:
        raise InputError(
            f"{store.path}: EOS is not known, and {format} files have no other boundaries; {_OTHERS}"
        )
    for index, file in enumerate(store.files):
        boundaries = np.asarray(file.boundaries)
        tokens = store.tokens_of_file(index)[int(boundaries[0]) : int(boundaries[-1])]
        found = [
            np.flatnonzero(tokens[first : first + SCAN_TOKENS] == store.eos_id) + (first + 1)
            for first in range(0, len(tokens), SCAN_TOKENS)
        ]
        ends = np.concatenate(found) if found else np.zeros(0, np.int64)
        expected = boundaries[1:] - boundaries[0]
        if not np.array_equal(ends, expected):
            shared = min(len(ends), len(expected))
            differ = np.flatnonzero(ends[:shared] != expected[:shared])
            document = int(differ[0]) if len(differ) else shared
            before = sum(len(other.boundaries) - 1 for other in store.files[:index])
            raise InputError(
                f"{store.path}: document {before + document} does not hold EOS ({store.eos_id}) at its end "
                f"and nowhere else, so that {format} would cut it elsewhere; {_OTHERS}"
            )


_OTHERS = "export to megatron, datatrove, parquet or jsonl"


def write_export(task: ExportTask) -> str:
    """Write one file of an export, unless it is there; its name."""
    out = Path(task.out) / task.name
    if out.exists():
        return task.name
    store = _open_store(task.store)
    if task.format == "released":
        with atomic_path(out) as temporary:
            write_shard(temporary, _sequences(store, task), task.first, store.eos_id)
        return task.name
    lengths = store.document_lengths[task.first : task.end]
    documents = (store.document(index) for index in range(task.first, task.end))
    if task.format == "jsonl":
        write_jsonl(out, ({"input_ids": ids.tolist()} for ids in documents))
        return task.name
    dtype = flat_dtype(store, task.format)
    with atomic_path(out) as temporary:
        if task.format == "parquet":
            write_parquet(temporary, documents)
        else:
            header = nanogpt_header(int(lengths.sum()), dtype) if task.format == "nanogpt" else b""
            write_flat(temporary, _blocks(documents), dtype, header)
            # The index is written before the token file gets its name, which tells that the pair is whole.
            if task.format == "megatron":
                write_megatron_index(out.with_suffix(".idx"), lengths, dtype)
            elif task.format == "datatrove":
                name = str(store.manifest["tokenizer"]["name"] or "unknown")
                write_datatrove_index(out, lengths, tokenizer=name, item_bytes=np.dtype(dtype).itemsize)
    return task.name


def flat_dtype(store: Store, format: str) -> str:
    """The type of ids in a flat file: uint16 where the store's fit, else 4 bytes (int32 for Megatron)."""
    small = all(file.dtype in ("uint8", "uint16") for file in store.files) or 0 < store.vocab_size <= 65_535
    if small:
        return "uint16"
    return "int32" if format == "megatron" else "uint32"


_ENDINGS = {
    "olmo": ".npy",
    "megatron": ".bin",
    "datatrove": ".ds",
    "nanogpt": ".bin",
    "parquet": ".parquet",
    "jsonl": ".jsonl",
}


def _plan_documents(
    store: Store, path: str, out: Path, format: str, seed: int | None, file_tokens: int
) -> list[ExportTask]:
    """Runs of documents of one source with about `file_tokens` tokens each."""
    ends = np.cumsum(store.document_lengths)
    sources = store.document_sources
    folders = source_folders(store.sources)
    cuts = {0, len(ends), *(np.flatnonzero(np.diff(sources)) + 1).tolist()} if len(ends) else {0}
    edges = sorted(cuts)
    tasks: list[ExportTask] = []
    for start, end in pairwise(edges):
        first = start
        while first < end:
            before = int(ends[first - 1]) if first else 0
            last = min(end, max(first + 1, int(np.searchsorted(ends, before + file_tokens, side="right"))))
            folder = folders[int(sources[first])]
            tasks.append(
                ExportTask(
                    store=path,
                    out=str(out),
                    format=format,
                    name=f"{folder}part-{len(tasks):05d}{_ENDINGS[format]}",
                    first=first,
                    end=last,
                    length=0,
                    seed=seed,
                )
            )
            first = last
    return tasks


def source_folders(sources: Sequence[str]) -> list[str]:
    """A folder for each of several sources ("NAME/"), free of what a path could mean; "" for a single one."""
    if len(sources) == 1:
        return [""]
    names = [re.sub(r"[^\w.-]+", "_", source).lstrip(".") or "source" for source in sources]
    return [f"{name}/" if names.count(name) == 1 else f"{name}-{index}/" for index, name in enumerate(names)]


def _plan_sequences(
    store: Store, path: str, out: Path, format: str, seed: int | None, file_tokens: int
) -> list[ExportTask]:
    """Shards of every bucket that has sequences; the last one of a bucket may be partial."""
    tasks = []
    for length in store.lengths:
        count, size = len(store.bucket(length).starts), shard_sequences(length)
        for shard, first in enumerate(range(0, count, size)):
            name = f"D_{length.bit_length() - 1}/shard-{shard:07d}.tar"
            end = min(count, first + size)
            tasks.append(
                ExportTask(
                    store=path,
                    out=str(out),
                    format=format,
                    name=name,
                    first=first,
                    end=end,
                    length=length,
                    seed=seed,
                )
            )
    return tasks


def _write_shard_manifests(out: Path, tasks: list[ExportTask]) -> None:
    lines: dict[str, str] = {}
    for task in tasks:
        folder, shard = task.name.removesuffix(".tar").split("/")
        line = f'{{"shard": "{shard}", "num_sequences": {task.end - task.first}}}\n'
        lines[folder] = lines.get(folder, "") + line
    for folder, text in lines.items():
        write_text(out / folder / "manifest.jsonl", text)


def _sequences(store: Store, task: ExportTask) -> Iterator[npt.NDArray[Any]]:
    starts, spans = _ordered_bucket(task.store, task.length, task.seed)
    span = task.length + (store.settings.target == "plus1")
    for first in range(task.first, task.end, 1024):
        part = slice(first, min(first + 1024, task.end))
        if spans is None:
            yield from store.gather(starts[part], span)
        else:
            for start, held in zip(starts[part], spans[part].tolist(), strict=True):
                yield store.gather(np.array([start]), held)[0]


@lru_cache(maxsize=2)
def _ordered_bucket(
    path: str, length: int, seed: int | None
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.int32] | None]:
    """Starts and spans of a bucket in the order of the export."""
    bucket = _open_store(path).bucket(length)
    if seed is None:
        return bucket.starts, bucket.spans
    order = stream(seed, f"released-{length}").permutation(len(bucket.starts))
    return bucket.starts[order], None if bucket.spans is None else bucket.spans[order]


@lru_cache(maxsize=1)
def _open_store(path: str) -> Store:
    return Store.open(path)


def _blocks(documents: Iterator[npt.NDArray[Any]]) -> Iterator[npt.NDArray[Any]]:
    """Documents joined to blocks of about a million tokens, for fewer and larger writes."""
    held: list[npt.NDArray[Any]] = []
    tokens = 0
    for ids in documents:
        held.append(ids)
        tokens += len(ids)
        if tokens >= 1 << 20:
            yield np.concatenate(held)
            held, tokens = [], 0
    if held:
        yield np.concatenate(held)
