"""OLMo token files: flat ids with the ending .npy but no header, documents ended by EOS."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.formats.units import FlatTokens

NPY_MAGIC = b"\x93NUMPY"
# 8M ids a block: the block and its comparison stay in a few tens of MB.
SCAN_TOKENS = 1 << 23


def open_olmo(path: str, name: str, *, dtype: str | None, eos_id: int | None) -> FlatTokens:
    """The tokens of an OLMo file in place, with boundaries found by one scan for EOS.

    A file that does have a NumPy header is read by that header. Tokens after the last EOS are a document
    too.

    Raises:
        InputError: dtype or EOS are not known, or the size is no multiple of the dtype's.
    """
    if eos_id is None:
        raise InputError(
            f"{name}: flat token files are split at EOS, and its id is not known; pass --read.eos-id N"
        )
    offset = 0
    with open(path, "rb") as stream:
        if stream.read(len(NPY_MAGIC)) == NPY_MAGIC:
            dtype, offset = _npy_header(path, name)
    if dtype is None:
        raise InputError(
            f"{name}: a headerless token file does not tell its dtype; "
            "pass --read.dtype uint16|uint32 or --read.vocab-size N"
        )
    tokens = map_flat(path, name, dtype, offset)
    return FlatTokens(path, dtype, offset, len(tokens), boundaries_at_eos(tokens, eos_id))


def boundaries_at_eos(
    tokens: npt.NDArray[np.integer], eos_id: int, progress: Callable[[int], None] | None = None
) -> npt.NDArray[np.int64]:
    """Where the documents of a flat array begin and end if each ends with `eos_id`, int64 [documents + 1].

    Bound by memory: one comparison and one search of the resulting mask a block, no loop over documents.
    """
    parts = [np.zeros(1, np.int64)]
    for start in range(0, len(tokens), SCAN_TOKENS):
        block = tokens[start : start + SCAN_TOKENS]
        parts.append(np.flatnonzero(block == eos_id) + (start + 1))
        if progress is not None:
            progress(len(block))
    boundaries = np.concatenate(parts)
    if boundaries[-1] != len(tokens):
        boundaries = np.append(boundaries, len(tokens))
    return boundaries


def map_flat(path: str, name: str, dtype: str, offset_bytes: int) -> npt.NDArray[np.integer]:
    """The ids of a flat file from `offset_bytes` on: [tokens], mapped and read-only.

    Raises:
        InputError: the rest of the file is no whole number of ids.
    """
    size = Path(path).stat().st_size - offset_bytes
    item = np.dtype(dtype).itemsize
    if size % item:
        raise InputError(
            f"{name}: {size} bytes are no whole number of {dtype} ids; check --read.dtype and the file"
        )
    if size == 0:
        return np.zeros(0, dtype=dtype)
    mapped: Any = np.memmap(path, dtype=dtype, mode="r", offset=offset_bytes, shape=(size // item,))
    return mapped.view(np.ndarray)  # type: ignore[no-any-return]


def _npy_header(path: str, name: str) -> tuple[str, int]:
    """Dtype and header size of a true .npy file."""
    with open(path, "rb") as stream:
        try:
            version = np.lib.format.read_magic(stream)
            read = (
                np.lib.format.read_array_header_1_0
                if version == (1, 0)
                else np.lib.format.read_array_header_2_0
            )
            shape, _, dtype = read(stream)
        except Exception:  # NumPy lets the tokenizer's and parser's own errors through
            raise InputError(f"{name}: its NumPy header is broken; write it again with numpy.save") from None
        offset = stream.tell()
    if len(shape) != 1 or dtype.kind not in "ui" or dtype.byteorder == ">":
        raise InputError(
            f"{name}: holds a {dtype} array of shape {shape}; "
            "flat token files hold one row of little-endian integers"
        )
    return dtype.name, offset


def write_flat(path: Path, blocks: Iterable[npt.NDArray[np.integer]], dtype: str, header: bytes = b"") -> int:
    """Write `header` and the blocks ([tokens] each) as little-endian `dtype`; the number of tokens."""
    tokens = 0
    with open(path, "wb") as stream:
        stream.write(header)
        for block in blocks:
            stream.write(np.ascontiguousarray(block, dtype=np.dtype(dtype).newbyteorder("<")).tobytes())
            tokens += len(block)
    return tokens
