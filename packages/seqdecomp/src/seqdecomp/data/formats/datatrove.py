"""datatrove token files: NAME.ds with flat ids, NAME.ds.index with the document ends, NAME.ds.metadata."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.formats.units import FlatTokens


def open_datatrove(path: str, name: str) -> FlatTokens:
    """The tokens of NAME.ds in place, with the document ends of NAME.ds.index; nothing of the .ds is read.

    The size of an id is the file's size over the last document end: 2 bytes or 4.

    Raises:
        InputError: the index is missing or damaged, or does not fit the file.
    """
    index_path = Path(path + ".index")
    if not index_path.exists():
        raise InputError(f"{name}.index: the document ends of {name} are missing; write it with its index")
    if index_path.stat().st_size % 8:
        raise InputError(
            f"{name}.index: {index_path.stat().st_size} bytes are no whole number of uint64; copy it again"
        )
    ends = np.fromfile(index_path, "<u8").astype(np.int64)
    size = Path(path).stat().st_size
    if len(ends) == 0:
        if size:
            raise InputError(f"{name}.index: is empty, but {name} has {size} bytes; write it with its index")
        return FlatTokens(path, "uint16", 0, 0, np.zeros(1, np.int64))
    if (np.diff(ends) < 0).any() or ends[0] < 0:
        raise InputError(f"{name}.index: the document ends do not ascend; write it again")
    total = int(ends[-1])
    if total == 0 or size not in (2 * total, 4 * total):
        raise InputError(
            f"{name}: has {size} bytes, but its index tells {total} tokens of 2 or 4 bytes; copy it again"
        )
    boundaries = np.unique(np.concatenate([np.zeros(1, np.int64), ends]))
    return FlatTokens(path, "uint16" if size == 2 * total else "uint32", 0, total, boundaries)


def write_datatrove_index(
    path: Path, lengths: npt.NDArray[np.int64], *, tokenizer: str, item_bytes: int
) -> None:
    """Write NAME.ds.index and NAME.ds.metadata beside `path` (NAME.ds) for documents of these `lengths`.

    `lengths` is int64 [documents], in tokens; `item_bytes` is the size of one token.
    """
    ends = np.cumsum(lengths)
    total = int(ends[-1]) if len(ends) else 0
    Path(f"{path}.index").write_bytes(ends.astype("<u8").tobytes())
    Path(f"{path}.metadata").write_text(
        f"{tokenizer}|{item_bytes}\n{total}\n{total} tokens", encoding="utf-8"
    )
