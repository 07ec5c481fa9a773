"""What both teachers say of the training data, on disk: their final hidden states and output heads.

One row of a matrix for each trained token, in the order of the rows: `old.bin` and `new.bin`,
little-endian, of float32, float16 or bfloat16, mapped into memory when read. Beside them the heads, and a
manifest that says of which models, adapters, tokenizer and data they are. Final hidden states are some
eight times smaller than logits, and the heads give the logits back.
"""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import MANIFEST, claim_folder, finish_folder, read_json, sha256_file, write_json
from toolkit_shared.errors import InputError

from llm_compat.data.token_rows import TokenRows

KIND = "llm-compat cache"
Precision = Literal["float32", "float16", "bfloat16"]
Words = npt.NDArray[Any]

# bfloat16 has no numpy type: its 16 bits travel as uint16
_WORDS: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}
_PROGRESS = "progress.json"
TEACHERS = ("old", "new")


class TeacherCache:
    """A finished cache, mapped into memory.

    Args:
        folder: Made by `fill_cache`.

    Raises:
        InputError: the folder holds no finished cache, or files of another size than the manifest says.
    """

    def __init__(self, folder: str | Path) -> None:
        self.folder = Path(folder)
        self.manifest = _read_manifest(self.folder)
        config = self.manifest["config"]
        self.precision: Precision = config["precision"]
        self.widths: dict[str, int] = dict(config["widths"])
        self.tokens: int = config["trained_tokens"]
        self._states = {name: self._mapped(name) for name in self.widths}

    def states(self, teacher: str, rows: TokenRows, indices: npt.NDArray[np.int64]) -> Words:
        """Words [trained tokens of the rows, width] of one teacher, row after row as in `indices`.

        float32 or float16, or uint16 with the bits of bfloat16.
        """
        offsets = rows.trained_offsets
        parts = [
            self._states[teacher][offsets[row] : offsets[row + 1]] for row in indices.tolist() if row >= 0
        ]
        empty = np.empty((0, self.widths[teacher]), _WORDS[self.precision])
        return np.concatenate([empty, *parts])

    def head_path(self, teacher: str) -> Path:
        """The file with a teacher's output head."""
        return self.folder / f"{teacher}-head.safetensors"

    def check_fits(self, expected: Mapping[str, Any], *, teachers: tuple[str, ...]) -> None:
        """Make sure that the cache is of this run's models and data.

        Args:
            expected: What the run is about, as it was given to `fill_cache`.
            teachers: Those that the run reads.

        Raises:
            InputError: a teacher is missing, or something differs; the first difference is named.
        """
        for name in teachers:
            if name not in self.widths:
                raise InputError(
                    f"{self.folder}: has no states of the {name} model; make a cache with both teachers"
                )
        held = self.manifest["config"]["of"]
        for name in sorted(expected):
            if held.get(name) != expected[name]:
                raise InputError(
                    f"{self.folder}: was made for another run: {name} is {held.get(name)} there and "
                    f"{expected[name]} here; make a cache with this run's models and data"
                )

    def _mapped(self, name: str) -> Words:
        path, width = self.folder / f"{name}.bin", self.widths[name]
        kind = _WORDS[self.precision]
        size = self.tokens * width * kind.itemsize
        if not path.is_file() or path.stat().st_size != size:
            raise InputError(f"{path}: is missing or not {size:,} bytes long; make the cache anew")
        if size == 0:
            return np.empty((0, width), kind)
        return np.memmap(path, kind, mode="r", shape=(self.tokens, width))


def fill_cache(
    folder: str | Path,
    rows: TokenRows,
    teachers: Mapping[str, Callable[[TokenRows, list[int]], Words]],
    *,
    widths: Mapping[str, int],
    precision: Precision,
    of: Mapping[str, Any],
    write_heads: Callable[[Path, str], None],
    batch_size: int = 8,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TeacherCache:
    """Run the teachers over all rows and keep their states in `folder`; a killed run goes on where it was.

    Args:
        folder: The cache.
        rows: Training data.
        teachers: By name, "old" or "new": words [trained tokens, width] of some rows, as
            `TeacherCache.states` gives them back.
        widths: Sizes of their hidden states.
        precision: Of what is stored.
        of: Fingerprints of models, adapters, tokenizer and data.
        write_heads: Writes the head of a teacher to a path.
        batch_size: Rows that a teacher gets at a time; a resumed run takes the same batches.
        resume: Go on with an unfinished cache, and accept a finished one.
        overwrite: Start anew.
        progress: Called with the number of rows done since the last call.

    Raises:
        InputError: the folder holds something else, or a cache of other models or data.
    """
    folder = Path(folder)
    config = {
        "precision": precision,
        "widths": dict(widths),
        "of": dict(of),
        "rows": len(rows),
        "trained_tokens": rows.trained_tokens,
        "batch_size": batch_size,
    }
    if claim_folder(folder, kind=KIND, config=config, resume=resume, overwrite=overwrite) == "complete":
        if progress is not None:
            progress(len(rows))
        return TeacherCache(folder)
    marker = folder / _PROGRESS
    done = int(read_json(marker)["rows"]) if marker.exists() else 0
    if progress is not None and done:
        progress(done)
    files = {name: open(folder / f"{name}.bin", "r+b" if done else "w+b") for name in teachers}
    try:
        for start in range(done, len(rows), batch_size):
            taken = list(range(start, min(start + batch_size, len(rows))))
            for name, teacher in teachers.items():
                width = widths[name] * _WORDS[precision].itemsize
                files[name].seek(int(rows.trained_offsets[start]) * width)
                files[name].write(np.ascontiguousarray(teacher(rows, taken), _WORDS[precision]).tobytes())
            _mark(
                files,
                marker,
                taken[-1] + 1,
                every=64,
                of=start // batch_size,
                last=taken[-1] + 1 == len(rows),
            )
            if progress is not None:
                progress(len(taken))
        for file in files.values():
            file.truncate()
    finally:
        for file in files.values():
            file.close()
    names = [f"{name}.bin" for name in teachers]
    for name in teachers:
        write_heads(folder / f"{name}-head.safetensors", name)
        names.append(f"{name}-head.safetensors")
    marker.unlink(missing_ok=True)
    hashes = {name: sha256_file(folder / name) for name in sorted(names)}
    finish_folder(folder, {"schema": 1, "hashes": hashes})
    return TeacherCache(folder)


def _mark(files: Mapping[str, Any], marker: Path, rows: int, *, every: int, of: int, last: bool) -> None:
    """Note how many rows are on the disk, now and then."""
    if (of + 1) % every and not last:
        return
    for file in files.values():
        file.flush()
        os.fsync(file.fileno())
    write_json(marker, {"rows": rows})


def _read_manifest(folder: Path) -> dict[str, Any]:
    path = folder / MANIFEST
    if not path.is_file():
        raise InputError(f"{folder}: holds no finished cache; make one with 'llm-compat cache'")
    manifest = read_json(path)
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise InputError(f"{folder}: holds something else than a cache; make one with 'llm-compat cache'")
    return manifest
