"""One work unit to its token file and its document boundaries, atomically, with a marker written last."""

import hashlib
import os
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, read_json, write_json

from seqdecomp.data.encoding import Skipped, encode_unit, id_limit, load_cached
from seqdecomp.data.fingerprints import hash_file
from seqdecomp.data.formats.open import open_flat
from seqdecomp.data.formats.units import FLAT_FORMATS, FlatTokens, Unit
from seqdecomp.settings import ReadSettings


@dataclass(frozen=True, kw_only=True)
class UnitTask:
    """All that a worker needs to turn one unit into files of the store `out`."""

    index: int
    unit: Unit
    out: str
    tokenizer: str | None
    eos_text: str
    eos_id: int | None
    vocab_size: int | None
    dtype: str
    read: ReadSettings
    strict: bool
    in_worker: bool


def write_unit(task: UnitTask) -> dict[str, Any]:
    """Write tokens/N.bin (unless the input's own file serves), documents/N.npy and the marker units/N.json.

    Returns the marker: the manifest's entry of the token file, and what was left out. A unit whose marker is
    there is not done again.

    Raises:
        InputError: the input is unusable, or has a bad record under `strict`.
    """
    if task.in_worker:
        # Many processes with one thread each; a Rust thread pool in every one would only contend.
        os.environ["TOKENIZERS_PARALLELISM"] = "false"
    out = Path(task.out)
    marker_path = out / f"units/{task.index:05d}.json"
    if not marker_path.exists():
        marker = _refer(task, out) if task.unit.format in FLAT_FORMATS else _tokenize(task, out)
        write_json(marker_path, marker)
        return marker
    marker = read_json(marker_path)
    assert isinstance(marker, dict)
    return marker


def _tokenize(task: UnitTask, out: Path) -> dict[str, Any]:
    name = f"tokens/{task.index:05d}.bin"
    skipped = Skipped(task.strict)
    documents = encode_unit(
        task.unit,
        load_cached(task.tokenizer, task.eos_text) if task.tokenizer else None,
        task.read,
        eos_id=task.eos_id,
        id_limit=id_limit(task.vocab_size, task.dtype),
        skipped=skipped,
    )
    little_endian = np.dtype(task.dtype).newbyteorder("<")
    digest = hashlib.sha256()
    ends = [0]
    without_eos = 0
    with atomic_path(out / name) as temporary, open(temporary, "wb") as stream:
        for ids in documents:
            data = ids.astype(little_endian).tobytes()
            stream.write(data)
            digest.update(data)
            ends.append(ends[-1] + len(ids))
            without_eos += int(ids[-1]) != task.eos_id
    boundaries = np.array(ends, dtype=np.int64)
    entry = {
        "path": name,
        "referenced": False,
        "dtype": task.dtype,
        "offset_bytes": 0,
        "tokens": ends[-1],
        "bytes": ends[-1] * np.dtype(task.dtype).itemsize,
        "source": task.unit.source,
        "hash": f"sha256:{digest.hexdigest()}",
    }
    return _marker(task, out, entry, boundaries, without_eos, skipped)


def _refer(task: UnitTask, out: Path) -> dict[str, Any]:
    flat = open_flat(task.unit, task.read, eos_id=task.eos_id, vocab_size=task.vocab_size)
    path = Path(flat.path)
    entry = {
        "path": flat.path,
        "relative_path": Path(os.path.relpath(flat.path, out)).as_posix(),
        "referenced": True,
        "dtype": flat.dtype,
        "offset_bytes": flat.offset_bytes,
        "tokens": flat.tokens,
        "bytes": path.stat().st_size,
        "source": task.unit.source,
        "hash": hash_file(path),
    }
    return _marker(
        task, out, entry, flat.boundaries, count_without_eos(flat, task.eos_id), Skipped(task.strict)
    )


def count_without_eos(flat: FlatTokens, eos_id: int | None) -> int:
    """Documents of a flat file whose last token is not EOS; all of them where EOS is not known."""
    if eos_id is None:
        return len(flat.boundaries) - 1
    if flat.tokens == 0 or len(flat.boundaries) < 2:
        return 0
    tokens = np.memmap(flat.path, dtype=flat.dtype, mode="r", offset=flat.offset_bytes, shape=(flat.tokens,))
    return int((tokens[flat.boundaries[1:] - 1] != eos_id).sum())


def _marker(
    task: UnitTask,
    out: Path,
    entry: dict[str, Any],
    boundaries: npt.NDArray[np.int64],
    without_eos: int,
    skipped: Skipped,
) -> dict[str, Any]:
    documents_path = f"documents/{task.index:05d}.npy"
    with atomic_path(out / documents_path) as temporary, open(temporary, "wb") as stream:
        np.save(stream, boundaries, allow_pickle=False)
    return {
        "unit": {k: v for k, v in asdict(task.unit).items() if k in ("format", "names", "start", "end")},
        "file": entry
        | {
            "documents": len(boundaries) - 1,
            "documents_path": documents_path,
            "documents_hash": hash_file(out / documents_path, whole=True),
        },
        "documents_without_eos": without_eos,
        "skipped_records": skipped.records,
        "empty_documents": skipped.empty_documents,
        "examples": skipped.examples,
    }
