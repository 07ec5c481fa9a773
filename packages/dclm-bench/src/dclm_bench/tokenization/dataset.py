"""Tokenise and shuffle: files of pages in, a folder of training shards with its manifests out."""

import dataclasses
import logging
import shutil
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import (
    JOB,
    atomic_path,
    claim_folder,
    fingerprint,
    finish_folder,
    read_json,
    sha256_file,
)
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.losses import Losses

import dclm_bench
from dclm_bench.data.inputs import InputFile, find_inputs
from dclm_bench.data.reading import require_text_field
from dclm_bench.references import DatasetReference
from dclm_bench.tokenization.contexts import (
    CONTEXT_LENGTH,
    FileContexts,
    FileJob,
    contexts_path,
    tokenize_file,
)
from dclm_bench.tokenization.shards import (
    MANIFEST_LINES,
    SHARD_CONTEXTS,
    member_names,
    pack_context,
    shard_name,
    write_manifest,
    write_shard,
)
from dclm_bench.tokenization.shuffle import ShuffledOrder
from dclm_bench.tokenization.tokenizers import load_tokenizer

KIND = "dclm-bench tokenised dataset"
CELLS, CELL_COUNTS = "cells", "cells.npy"
NUM_CELLS = 512
REFERENCE = "dataset.json"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TokenizationReport:
    """What became of the pages.

    Attributes:
        out: The folder.
        status: "new", "resumed", or "complete" when there was nothing left to do.
        documents: Pages that were tokenised.
        tokens: Real tokens, the end of text after each page included.
        pads: Fill of the last context of each input file, which counts as no token.
        contexts: Contexts in all shards.
        shards: Number of shards.
        lost: Reason -> number of records that could not be used.
    """

    out: Path
    status: str
    documents: int
    tokens: int
    pads: int
    contexts: int
    shards: int
    lost: dict[str, int]

    def to_text(self) -> str:
        """Two lines for a reader, and one for each reason of a loss."""
        lines = [
            f"{self.out}: {self.documents:,} pages, {self.tokens:,} tokens ({self.pads:,} pads beside them)",
            f"{self.contexts:,} contexts in {self.shards:,} shards",
            *(f"left out: {count:,} x {reason}" for reason, count in self.lost.items()),
        ]
        return "\n".join(lines)


def tokenize_dataset(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    tokenizer: str | Path,
    text_field: str = "text",
    context_length: int = CONTEXT_LENGTH,
    shard_contexts: int = SHARD_CONTEXTS,
    num_cells: int = NUM_CELLS,
    seed: int = 0,
    name: str = "",
    strict: bool = False,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TokenizationReport:
    """Write the pages of the inputs as shuffled contexts into the folder `out`.

    It holds `shard_NNNNNNNN.tar`, `manifest.jsonl` (as the official trainer reads it), `manifest.json`
    (configuration, counts, hashes of the inputs) and `dataset.json` (the reference). All but the `uuid` and
    the `creation_date` of the reference are the same bytes for any number of workers and after any restart.

    Args:
        inputs: JSON lines or Parquet files, folders or patterns.
        out: The folder.
        tokenizer: The ranks of GPT-NeoX (.tiktoken), a tokenizer.json, or "bytes".
        text_field: Field that holds the text.
        context_length: Tokens of a context: one more than the sequence that is trained on.
        shard_contexts: Contexts of a shard; the last has what is left.
        num_cells: Cells of the coarse shuffle.
        seed: Of the shuffle and of the members' names.
        name: Of the dataset in its reference; empty: the folder's.
        strict: Stop at the first record that cannot be used.
        workers: Processes.
        engine: Where they run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        progress: Called with the number of files and shards done since the last call.

    Raises:
        InputError: an input or setting is unusable, or the folder holds something else.

    Source: section 2.5 of the specification.
    """
    out = Path(out)
    for option, value in (("context-length", context_length), ("shard-contexts", shard_contexts)):
        if value < 2:
            raise InputError(f"--{option}: {value} is below 2; give 2 or more")
    if num_cells < 1 or seed < 0:
        raise InputError(f"--num-cells {num_cells}, --seed {seed}: give 1 or more cells and a seed from 0")
    require_text_field(text_field)
    files = _page_files(inputs)
    loaded = load_tokenizer(tokenizer)
    config = {
        "tokenizer": {"name": loaded.name, "sha256": loaded.fingerprint, "vocab_size": loaded.vocab_size},
        "eot_id": loaded.eot_id,
        "pad_id": loaded.pad_id,
        "text_field": text_field,
        "context_length": context_length,
        "shard_contexts": shard_contexts,
        "num_cells": num_cells,
        "seed": seed,
        "strict": strict,
        "inputs": [{"name": file.path.name, "sha256": sha256_file(file.path)} for file in files],
    }
    status = claim_folder(out, kind=KIND, config=config, resume=resume, overwrite=overwrite)
    if status != "complete":
        (out / CELLS).mkdir(exist_ok=True)
        jobs = [
            FileJob(
                index=index,
                path=file.path,
                folder=out / CELLS,
                tokenizer=str(tokenizer),
                text_field=text_field,
                context_length=context_length,
                num_cells=num_cells,
                seed=seed,
                strict=strict,
            )
            for index, file in enumerate(files)
        ]
        try:
            made = list(map_shards(tokenize_file, jobs, workers=workers, engine=engine, progress=progress))
            _save_cells(out, made)
        except InputError:
            if status == "new":  # nothing to go on with: the same folder takes mended settings
                shutil.rmtree(out / CELLS)
                (out / JOB).unlink()
            raise
        write = partial(_write_shard, folder=out, seed=seed, shard_contexts=shard_contexts)
        num_shards = -(-sum(sum(one.cells) for one in made) // shard_contexts)
        sizes = list(map_shards(write, range(num_shards), workers=workers, engine=engine, progress=progress))
        _finish(out, config, made, sizes, name or out.resolve().name)
    shutil.rmtree(out / CELLS, ignore_errors=True)  # a run killed between the two leaves them to the next
    return _report(out, status)


def _page_files(inputs: Sequence[str | Path]) -> list[InputFile]:
    # a folder of `dclm-bench run` holds its audit beside its pages
    runs = [Path(item) / "pages" for item in inputs]
    files = find_inputs([run if run.is_dir() else item for run, item in zip(runs, inputs, strict=True)])
    for file in files:
        if file.format not in ("jsonl", "parquet"):
            raise InputError(
                f"{file.path}: a {file.format.upper()} file has to be extracted first; "
                "run `dclm-bench extract`"
            )
    return files


def _save_cells(out: Path, made: Sequence[FileContexts]) -> None:
    """Write how many contexts of each file are in each cell; workers read it once, not with every shard."""
    cells = np.array([one.cells for one in made], np.int64)
    if not cells.sum():
        lost = sum(sum(one.losses["lost"].values()) for one in made)
        raise InputError(
            f"inputs: no page in {len(made):,} files ({lost:,} unusable records); check --text-field"
        )
    with atomic_path(out / CELLS / CELL_COUNTS) as temporary, open(temporary, "wb") as file:
        np.save(file, cells)


@lru_cache(maxsize=1)
def _order(folder: Path, seed: int) -> ShuffledOrder:
    return ShuffledOrder(np.load(folder / CELLS / CELL_COUNTS, allow_pickle=False), seed=seed)


def _write_shard(shard: int, *, folder: Path, seed: int, shard_contexts: int) -> tuple[int, int]:
    """Write one shard unless it is there; its number of contexts and its bytes."""
    path, order = folder / shard_name(shard), _order(folder, seed)
    start = shard * shard_contexts
    num_contexts = min(shard_contexts, order.num_contexts - start)
    if not path.exists():
        contexts = _gather(folder / CELLS, order, start, start + num_contexts)
        names = member_names(num_contexts, seed=seed, shard=shard)
        write_shard(path, ((name, pack_context(ids)) for name, ids in zip(names, contexts, strict=True)))
    return num_contexts, path.stat().st_size


def _gather(cells: Path, order: ShuffledOrder, start: int, end: int) -> Iterator[npt.NDArray[Any]]:
    """The contexts number `start` to `end`, read file by file, given out in order."""
    rows = order.rows(start, end)
    by_file = np.argsort(rows.file, kind="stable")
    held: list[npt.NDArray[Any]] = []
    for group in np.split(by_file, np.flatnonzero(np.diff(rows.file[by_file])) + 1):
        stored = np.load(contexts_path(cells, int(rows.file[group[0]])), mmap_mode="r", allow_pickle=False)
        held.append(stored[rows.row[group]])
    gathered = np.concatenate(held)
    place = np.empty(len(by_file), np.int64)
    place[by_file] = np.arange(len(by_file))
    return (gathered[index] for index in place)


def _finish(
    out: Path,
    config: dict[str, Any],
    made: Sequence[FileContexts],
    sizes: Sequence[tuple[int, int]],
    name: str,
) -> None:
    losses = Losses()
    for one in made:
        losses.add(one.losses)
    tokens, pads = sum(one.tokens for one in made), sum(one.pads for one in made)
    lines = [(shard_name(index), count) for index, (count, _) in enumerate(sizes)]
    write_manifest(out, lines)
    reference = DatasetReference(
        name=name,
        dataset_url=f"{out.resolve()}/",
        manifest_url=str(out.resolve() / MANIFEST_LINES),
        sources=[],
        tokenized=True,
        num_tokens=tokens,
        size=sum(size for _, size in sizes),
        tokenizer=config["tokenizer"]["name"],
    )
    reference.write(out / REFERENCE)
    manifest = {
        "schema": 1,
        "toolkit_version": dclm_bench.__version__,
        "kind": KIND,
        "config": config,
        "counts": {
            "documents": sum(one.documents for one in made),
            "tokens": tokens,
            "pads": pads,
            "contexts": sum(count for count, _ in sizes),
            "shards": len(sizes),
        },
        "losses": losses.to_json(),
        "shards": {line: sha256_file(out / line) for line, _ in lines},
    }
    manifest["fingerprint"] = fingerprint(manifest["shards"])
    finish_folder(out, manifest)


def _report(out: Path, status: str) -> TokenizationReport:
    manifest = read_json(out / "manifest.json")
    counts = manifest["counts"]
    log.info("%s: tokens %d, pads %d, contexts %d", out, counts["tokens"], counts["pads"], counts["contexts"])
    return TokenizationReport(out=out, status=status, lost=manifest["losses"]["lost"], **counts)
