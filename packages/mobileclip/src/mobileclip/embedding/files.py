"""Embeddings on disk, mapped into memory."""

import itertools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError

KIND = "mobileclip embeddings"


@dataclass(frozen=True)
class Embeddings:
    """Rows on disk, and what is known of them.

    Attributes:
        path: the `.npy` file.
        rows: float32 or float16, (rows, width), mapped and not loaded.
        manifest: what `write_embeddings` noted, or None for a file of another origin.
    """

    path: Path
    rows: npt.NDArray[np.floating]
    manifest: dict[str, Any] | None

    def describe(self, numbers: Iterable[int]) -> dict[int, dict[str, Any]]:
        """For each row number what the sidecar says of it: key and path, or text; empty without a sidecar.

        Raises:
            InputError: the sidecar has too few lines, or one that is no JSON object.
        """
        wanted = sorted(set(numbers))
        sidecar = sidecar_path(self.path)
        if not sidecar.exists():
            return {number: {} for number in wanted}
        found: dict[int, dict[str, Any]] = {}
        with open(sidecar, "rb") as lines:
            at = 0
            for number in wanted:
                line = next(itertools.islice(lines, number - at, None), b"")
                at = number + 1
                try:
                    value = json.loads(line)
                except ValueError:
                    value = None
                if not isinstance(value, dict):
                    raise InputError(
                        f"{sidecar}, line {number + 1}: no JSON object for row {number}; "
                        "write the embeddings again"
                    )
                found[number] = value
        return found


def open_embeddings(path: str | Path) -> Embeddings:
    """The embeddings in a `.npy` file, of `mobileclip embed` or of anything else.

    Raises:
        InputError: no such file, or it holds no matrix of numbers.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; name the .npy file of 'mobileclip embed'")
    if not path.is_file():
        raise InputError(f"{path}: no such file; make it by 'mobileclip embed IMAGES --out {path.name}'")
    try:
        rows = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, OSError, EOFError) as error:
        # what does not begin like a .npy file NumPy takes for pickled objects, and advises to load them
        reason = "it does not begin like one" if "pickle" in str(error) else str(error).splitlines()[0][:120]
        raise InputError(f"{path}: is no .npy file that can be read ({reason}); write it again") from None
    if isinstance(rows, np.lib.npyio.NpzFile):
        rows.close()
    if not isinstance(rows, np.ndarray) or rows.ndim != 2 or rows.dtype not in (np.float32, np.float16):
        found = f"{rows.dtype} of shape {rows.shape}" if isinstance(rows, np.ndarray) else "an archive"
        raise InputError(f"{path}: holds {found}; embeddings are float32 or float16, (rows, width)")
    manifest = manifest_path(path)
    value = read_json(manifest) if manifest.is_file() else None
    if not isinstance(value, dict) or value.get("kind") != KIND:
        value = None
    if value is not None and [value.get("rows"), value.get("width")] != list(rows.shape):
        raise InputError(
            f"{path}: has shape {rows.shape}, {manifest.name} says ({value.get('rows')}, "
            f"{value.get('width')}); the files do not belong together"
        )
    return Embeddings(path, rows, value)


def sidecar_path(path: Path) -> Path:
    """The file that says what each row is of."""
    return path.with_suffix(".jsonl")


def manifest_path(path: Path) -> Path:
    """The file that says where all rows come from."""
    return path.with_suffix(".json")
