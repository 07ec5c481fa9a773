"""Rows written in blocks: a run that is killed at any moment goes on, and ends with the same bytes."""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import (
    atomic_path,
    claim_folder,
    read_json,
    require_place,
    sha256_file,
    write_json,
)
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.records import write_jsonl

from mobileclip.embedding.files import KIND, manifest_path, sidecar_path

Dtype = Literal["float32", "float16"]
# What each row of a block is of, and the rows; what could not be used is counted in the losses.
EncodeBlock = Callable[[range, Losses], tuple[Sequence[Mapping[str, Any]], npt.NDArray[np.floating]]]


@dataclass(frozen=True)
class EmbeddingReport:
    """What was written.

    Attributes:
        path: the `.npy` file.
        manifest: the content of its manifest.
        was_complete: an earlier run had done it all.
    """

    path: Path
    manifest: dict[str, Any]
    was_complete: bool

    def to_text(self) -> str:
        """Two lines: what is where, and what was left out."""
        losses = Losses()
        losses.add(self.manifest["losses"])
        done = " (was there already)" if self.was_complete else ""
        lines = [
            f"{self.path}: {self.manifest['rows']:,} rows of {self.manifest['width']}, "
            f"{self.manifest['config']['dtype']}{done}",
            f"{sidecar_path(self.path)}: what each row is of",
            losses.to_text(),
        ]
        lines += [f"  {one['place']}: {one['reason']} {one['detail']}".rstrip() for one in losses.examples]
        return "\n".join(lines)


def write_embeddings(
    out: str | Path,
    *,
    num_items: int,
    block_items: int,
    encode_block: EncodeBlock,
    config: Mapping[str, Any],
    notes: Mapping[str, Any],
    width: int,
    dtype: Dtype = "float32",
    losses: Losses | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> EmbeddingReport:
    """Encode items block by block and write `out`, its sidecar and its manifest.

    Finished blocks are kept in the folder `OUT.partial` until all is done, so a run that was killed loses one
    block at most. The result depends neither on that nor on anything but the arguments.

    Args:
        out: the `.npy` file.
        num_items: how many there are.
        block_items: items of a block; a multiple of the batch size, for results depend on batches by
            rounding.
        encode_block: called with the numbers of a block's items.
        config: all that the rows depend on; a run of another configuration is refused.
        notes: further entries of the manifest.
        width: numbers of a row.
        dtype: of the file.
        losses: what was lost before; strict or not.
        resume: go on with what an earlier run left, and accept what it finished.
        overwrite: replace what is there.
        progress: told the number of items done.

    Raises:
        InputError: `out` is no `.npy` name or in use by something else; no item could be used; or something
            is lost and `losses` is strict.
    """
    out = Path(out)
    total = losses if losses is not None else Losses()
    config = {**config, "dtype": dtype, "block_items": block_items}
    done = _earlier(out, config, resume, overwrite)
    if done is not None:
        return EmbeddingReport(out, done, was_complete=True)
    partial = out.with_name(out.name + ".partial")
    claim_folder(partial, kind=KIND, config=config, resume=resume, overwrite=overwrite)
    starts = range(0, num_items, block_items)
    for number, start in enumerate(starts):
        block = range(start, min(start + block_items, num_items))
        if not _rows_path(partial, number).exists():
            _write_block(partial, number, block, encode_block, dtype, width, total.strict)
        if progress is not None:
            progress(len(block))
    counts = []
    for number in range(len(starts)):
        note = read_json(_note_path(partial, number))
        total.add(note["losses"])
        counts.append(len(note["rows"]))
    _require_rows(out, partial, total, num_items, sum(counts))
    write_jsonl(sidecar_path(out), _notes(partial, len(starts)))
    _write_rows(out, partial, len(starts), (sum(counts), width), dtype)
    manifest = {
        "schema": 1,
        "kind": KIND,
        **notes,
        "config": config,
        "rows": sum(counts),
        "width": width,
        "items": num_items,
        "losses": total.to_json(),
        "sha256": {path.name: sha256_file(path) for path in (out, sidecar_path(out))},
    }
    write_json(manifest_path(out), manifest)
    shutil.rmtree(partial)
    return EmbeddingReport(out, manifest, was_complete=False)


def _earlier(out: Path, config: Mapping[str, Any], resume: bool, overwrite: bool) -> dict[str, Any] | None:
    """The manifest of a run that had finished with this configuration; makes room for a new one."""
    if out.suffix != ".npy":
        raise InputError(f"--out {out}: is no .npy name; write {out.with_suffix('.npy')}")
    require_place(out)
    manifest = manifest_path(out)
    files = [path for path in (manifest, sidecar_path(out), out) if path.exists()]
    found = read_json(manifest) if manifest.exists() else None
    ours = isinstance(found, dict) and found.get("kind") == KIND
    unfinished = out.with_name(out.name + ".partial").is_dir() and found is None
    if ours and not overwrite:
        assert isinstance(found, dict)
        changed = [name for name in config if found["config"].get(name) != config[name]]
        if changed:
            shown = ", ".join(
                f"{name} {found['config'].get(name)} there, {config[name]} here" for name in changed
            )
            raise InputError(
                f"{out}: was made otherwise ({shown}); choose another --out, or pass --overwrite"
            )
        if not resume:
            raise InputError(f"{out}: is there; drop --no-resume to keep it, or pass --overwrite")
        if out.exists():
            return found
    if files and not (ours or unfinished):
        raise InputError(f"{files[0]}: is there and belongs to something else; choose another --out")
    for path in files:  # the manifest first, so that it never speaks for files that are gone
        path.unlink()
    return None


def _write_block(
    partial: Path,
    number: int,
    block: range,
    encode_block: EncodeBlock,
    dtype: Dtype,
    width: int,
    strict: bool,
) -> None:
    losses = Losses(strict=strict)
    notes, rows = encode_block(block, losses)
    if rows.shape != (len(notes), width):
        raise ValueError(f"rows of shape {rows.shape} for {len(notes)} items of width {width}")
    write_json(_note_path(partial, number), {"rows": list(notes), "losses": losses.to_json()})
    with atomic_path(_rows_path(partial, number)) as temporary, open(temporary, "wb") as file:
        np.save(file, rows.astype(dtype), allow_pickle=False)  # last: where it is, the block is done


def _require_rows(out: Path, partial: Path, total: Losses, num_items: int, rows: int) -> None:
    if total.strict and total.num_lost:
        first = total.examples[0]
        raise InputError(f"{first['place']}: {first['reason']}; mend or remove it, or leave out --strict")
    if not rows:
        shutil.rmtree(partial)
        detail = f"; the first is {total.examples[0]['place']}" if total.examples else ""
        raise InputError(f"{out}: none of {num_items:,} items could be used: {total.to_text()}{detail}")


def _notes(partial: Path, num_blocks: int) -> Iterator[dict[str, Any]]:
    for number in range(num_blocks):
        yield from read_json(_note_path(partial, number))["rows"]


def _write_rows(out: Path, partial: Path, num_blocks: int, shape: tuple[int, int], dtype: Dtype) -> None:
    header = {
        "descr": np.lib.format.dtype_to_descr(np.dtype(dtype)),
        "fortran_order": False,
        "shape": shape,
    }
    with atomic_path(out) as temporary, open(temporary, "wb") as file:
        np.lib.format.write_array_header_1_0(file, header)
        for number in range(num_blocks):
            file.write(np.load(_rows_path(partial, number), allow_pickle=False).tobytes())


def _rows_path(partial: Path, number: int) -> Path:
    return partial / f"block-{number:06d}.npy"


def _note_path(partial: Path, number: int) -> Path:
    return partial / f"block-{number:06d}.json"
