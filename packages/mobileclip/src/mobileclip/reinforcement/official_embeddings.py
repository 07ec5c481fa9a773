"""The two official containers of embeddings, `npz` and `pth.gz`, read from bytes that nobody vouches for."""

import gzip
import io
import zipfile
import zlib
from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.lib import format as npy
from toolkit_shared.errors import InputError

from mobileclip.reinforcement.precision import Precision, Stored

Form = Literal["npz", "pth.gz"]
FORMS: tuple[Form, ...] = ("npz", "pth.gz")  # the order of preference, that of the released loader
# 256 augmentations of four teachers in float32 are 3 MiB
MAX_UNPACKED_BYTES = 1 << 27
MAX_ARRAYS = 64


def read_embeddings(data: bytes, form: Form) -> tuple[dict[str, Stored], Precision]:
    """The arrays of a container by name, in their stored precision; bfloat16 is in uint16.

    Nothing in it is executed, and no more than `MAX_UNPACKED_BYTES` are unpacked.

    Raises:
        InputError: the container is damaged, too large, or holds something else than two-dimensional arrays
            of one floating-point type.
    """
    arrays = _read_npz(data) if form == "npz" else _read_pth_gz(data)
    if not arrays:
        raise InputError(f"{form}: holds no array")
    found = {_PRECISIONS.get(kind, kind) for _, kind in arrays.values()}
    if len(found) > 1:
        raise InputError(f"{form}: holds arrays of several types ({', '.join(sorted(found))})")
    (precision,) = found
    if precision not in _PRECISIONS.values():
        raise InputError(f"{form}: holds {precision}; float32, float16 and bfloat16 can be read")
    return {name: array for name, (array, _) in arrays.items()}, precision  # type: ignore[return-value]


def write_embeddings(arrays: Mapping[str, Stored], precision: Precision, form: Form) -> bytes:
    """A container of the arrays; equal arrays give equal bytes.

    Raises:
        InputError: npz cannot hold bfloat16.
    """
    if form == "npz":
        if precision == "bfloat16":
            raise InputError("npz: cannot hold bfloat16; use --form pth.gz")
        stream = io.BytesIO()
        np.savez_compressed(stream, allow_pickle=False, **dict(arrays))
        return stream.getvalue()
    import torch

    tensors = {}
    for name, array in arrays.items():
        tensor = torch.from_numpy(np.array(array))  # a copy: torch refuses read-only memory
        tensors[name] = tensor.view(torch.bfloat16) if precision == "bfloat16" else tensor
    stream = io.BytesIO()
    torch.save(tensors, stream)
    return gzip.compress(stream.getvalue(), compresslevel=6, mtime=0)


_PRECISIONS: dict[str, Precision] = {
    "<f4": "float32",
    "<f2": "float16",
    "torch.float32": "float32",
    "torch.float16": "float16",
    "torch.bfloat16": "bfloat16",
}


def _read_npz(data: bytes) -> dict[str, tuple[Stored, str]]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            entries = archive.infolist()
            _check_sizes("npz", [entry.file_size for entry in entries])
            return {
                entry.filename.removesuffix(".npy"): _read_npy(archive, entry, entry.file_size)
                for entry in entries
            }
    except InputError:
        raise
    except Exception as error:  # zipfile raises nearly everything for hostile bytes, and runs none
        raise InputError(f"npz: damaged ({_words(error)})") from None


def _read_npy(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, size: int) -> tuple[Stored, str]:
    with archive.open(entry) as stream:
        content = stream.read(size)
    body = io.BytesIO(content)
    try:
        version = npy.read_magic(body)
        read_header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, fortran, dtype = read_header(body)
    except Exception as error:  # the header is a Python literal, whose parser has errors of many kinds
        raise InputError(f"npz: {entry.filename} is no array ({_words(error)})") from None
    # the shape is what a file says of itself, so it is compared with what is there before memory is taken
    count = 1
    for length in shape:
        count *= length
    negative = any(length < 0 for length in shape)
    if (
        dtype.kind != "f"
        or len(shape) != 2
        or negative
        or count * dtype.itemsize != len(content) - body.tell()
    ):
        raise InputError(
            f"npz: {entry.filename} is {dtype} {list(shape)} in {len(content) - body.tell():,} bytes, "
            "no table of numbers"
        )
    flat = np.frombuffer(content, dtype=dtype, offset=body.tell())
    array = flat.reshape(shape, order="F" if fortran else "C")
    little = dtype.newbyteorder("<")
    return np.ascontiguousarray(array.astype(little, copy=False)), little.str


def _read_pth_gz(data: bytes) -> dict[str, tuple[Stored, str]]:
    import torch

    try:
        with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream:
            content = stream.read(MAX_UNPACKED_BYTES + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise InputError(f"pth.gz: damaged ({_words(error)})") from None
    _check_sizes("pth.gz", [len(content)])
    try:
        if zipfile.is_zipfile(io.BytesIO(content)):  # else torch's old format, which cannot grow
            with zipfile.ZipFile(io.BytesIO(content)) as archive:
                _check_sizes("pth.gz", [entry.file_size for entry in archive.infolist()], None)
    except InputError:
        raise
    except Exception as error:  # as for npz
        raise InputError(f"pth.gz: damaged ({_words(error)})") from None
    try:
        loaded = torch.load(io.BytesIO(content), map_location="cpu", weights_only=True)
    except Exception as error:  # the unpickler raises nearly everything for hostile bytes, and runs none
        raise InputError(f"pth.gz: no tensors can be read from it ({_words(error)})") from None
    return _tensors(loaded)


def _tensors(loaded: Any) -> dict[str, tuple[Stored, str]]:
    """A mapping of names to tensors as arrays with the names of their types."""
    import torch

    if not isinstance(loaded, dict):
        raise InputError(f"pth.gz: holds a {type(loaded).__name__}, not a mapping of names to tensors")
    arrays: dict[str, tuple[Stored, str]] = {}
    sizes: list[int] = []
    for name, tensor in loaded.items():
        if not isinstance(name, str) or not isinstance(tensor, torch.Tensor) or tensor.ndim != 2:
            raise InputError(f"pth.gz: {str(name)[:80]} is no two-dimensional tensor")
        # a stride of 0 can make a huge table of few bytes, and many tables can share them
        sizes.append(tensor.numel() * tensor.element_size())
        _check_sizes("pth.gz", sizes)
        if str(tensor.dtype) not in _PRECISIONS or tensor.layout != torch.strided:
            raise InputError(
                f"pth.gz: {name} holds {tensor.dtype}; float32, float16 and bfloat16 can be read"
            )
        plain = tensor.detach().contiguous()
        bits = plain.view(torch.uint16) if tensor.dtype == torch.bfloat16 else plain
        arrays[name] = (bits.numpy(), str(tensor.dtype))
    return arrays


def _check_sizes(form: Form, sizes: list[int], most: int | None = MAX_ARRAYS) -> None:
    if (most is not None and len(sizes) > most) or sum(sizes) > MAX_UNPACKED_BYTES:
        raise InputError(
            f"{form}: unpacks to {len(sizes)} parts of {sum(sizes):,} bytes or more; the limit is "
            f"{MAX_UNPACKED_BYTES:,}"
        )


def _words(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())[:120]}"
