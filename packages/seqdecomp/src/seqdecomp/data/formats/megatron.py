"""Megatron indexed datasets: NAME.bin with flat ids and NAME.idx with sizes, places and documents."""

import struct
from pathlib import Path

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.formats.units import FlatTokens

MAGIC = b"MMIDIDX\x00\x00"
HEADER = struct.Struct("<9sQBQQ")
DTYPES = {1: "uint8", 2: "int8", 3: "int16", 4: "int32", 5: "int64", 6: "float64", 7: "float32", 8: "uint16"}


def open_megatron(path: str, name: str) -> FlatTokens:
    """The tokens of NAME.bin in place, with document boundaries from NAME.idx; nothing of the .bin is read.

    A document may consist of several sequences. Documents without tokens are left out.

    Raises:
        InputError: the index is missing, damaged, of an unknown version or dtype, or its sequences do not
            lie one after the other in the .bin.
    """
    index_path = Path(path).with_suffix(".idx")
    index_name = str(Path(name).with_suffix(".idx"))
    if not index_path.exists():
        raise InputError(f"{index_name}: this index of {name} is missing; put it beside the .bin")
    size = index_path.stat().st_size
    with open(index_path, "rb") as stream:
        head = stream.read(HEADER.size)
        if len(head) < HEADER.size or not head.startswith(MAGIC):
            raise InputError(
                f"{index_name}: does not begin with MMIDIDX; only Megatron's memory-mapped index is read"
            )
        _, version, code, sequences, documents = HEADER.unpack(head)
        if version != 1:
            raise InputError(
                f"{index_name}: version {version} of the index is not known; write it as version 1"
            )
        dtype = DTYPES.get(code)
        if dtype is None or dtype.startswith("float"):
            raise InputError(
                f"{index_name}: dtype code {code} is not of whole numbers; expected one of 1, 2, 3, 4, 5, 8"
            )
        needed = HEADER.size + 12 * sequences + 8 * documents
        if size < needed:
            raise InputError(f"{index_name}: is cut off ({size} bytes of at least {needed}); copy it again")
        sizes = np.fromfile(stream, "<i4", sequences).astype(np.int64)
        pointers = np.fromfile(stream, "<i8", sequences)
        document_indices = np.fromfile(stream, "<i8", documents)
    ends = np.cumsum(sizes)
    _check_index(
        index_name, name, Path(path), np.dtype(dtype).itemsize, sizes, ends, pointers, document_indices
    )
    boundaries = np.concatenate([np.zeros(1, np.int64), ends])[document_indices]
    total = int(ends[-1]) if sequences else 0
    return FlatTokens(path, dtype, 0, total, np.unique(np.append(boundaries, 0)))


def _check_index(
    index_name: str,
    name: str,
    path: Path,
    itemsize: int,
    sizes: np.ndarray,
    ends: np.ndarray,
    pointers: np.ndarray,
    document_indices: np.ndarray,
) -> None:
    if (sizes < 0).any():
        raise InputError(
            f"{index_name}: sequence {int(np.argmax(sizes < 0))} has a negative size; write it again"
        )
    wrong = np.flatnonzero(pointers != (ends - sizes) * itemsize)
    if len(wrong):
        k = int(wrong[0])
        expected = int(ends[k] - sizes[k]) * itemsize
        raise InputError(
            f"{index_name}: sequence {k} begins at byte {int(pointers[k])}, not at {expected}, so the tokens "
            "are not one contiguous array; write the dataset again"
        )
    indices = document_indices
    ordered = (
        len(indices) > 0 and indices[0] == 0 and indices[-1] == len(sizes) and (np.diff(indices) >= 0).all()
    )
    if not ordered and len(sizes):
        raise InputError(
            f"{index_name}: its document index does not run from 0 to {len(sizes)} in order; write it again"
        )
    total = int(ends[-1]) * itemsize if len(ends) else 0
    if path.stat().st_size != total:
        raise InputError(
            f"{name}: has {path.stat().st_size} bytes, but its index tells {total}; copy it again"
        )


def write_megatron_index(path: Path, lengths: npt.NDArray[np.int64], dtype: str) -> None:
    """Write NAME.idx for documents of one sequence each with these `lengths` in tokens, int64 [documents].

    Raises:
        ValueError: a document is longer than the format's int32 can tell, or the dtype is not of the format.
    """
    if len(lengths) and int(lengths.max()) >= 1 << 31:
        raise ValueError(f"a document of {int(lengths.max())} tokens does not fit the index's int32")
    code = next(code for code, name in DTYPES.items() if name == dtype)
    ends = np.cumsum(lengths)
    with open(path, "wb") as stream:
        stream.write(HEADER.pack(MAGIC, 1, code, len(lengths), len(lengths) + 1))
        stream.write(lengths.astype("<i4").tobytes())
        stream.write(((ends - lengths) * np.dtype(dtype).itemsize).astype("<i8").tobytes())
        stream.write(np.arange(len(lengths) + 1, dtype="<i8").tobytes())
