"""Shards of contexts: tars of JSON lists, as the official trainer reads them, and their manifest."""

import io
import json
import struct
import tarfile
import uuid
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path, write_text
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

SHARD_CONTEXTS = 8192
MANIFEST_LINES = "manifest.jsonl"
MEMBER_SUFFIX = ".json.gz"
_PLAIN_SUFFIX = ".json"
# An id of ten digits and a comma; a context of a million tokens is none.
_MAX_CONTEXT_TOKENS = 1 << 20
_MAX_MEMBER_BYTES = 11 * _MAX_CONTEXT_TOKENS
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"  # no name, no time, no system


@dataclass(frozen=True)
class Shard:
    """A line of the manifest.

    Attributes:
        path: The tar.
        num_sequences: Contexts in it.
    """

    path: Path
    num_sequences: int


def shard_name(index: int) -> str:
    """The official name of shard number `index`."""
    return f"shard_{index:08d}.tar"


def pack_context(ids: npt.NDArray[np.integer[Any]]) -> bytes:
    """A context as it stands in a shard: a JSON list of integers, gzip; equal ids give equal bytes."""
    text = ("[" + ",".join(map(str, ids.tolist())) + "]").encode()
    packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
    body = packer.compress(text) + packer.flush()
    return _GZIP_HEADER + body + struct.pack("<II", zlib.crc32(text), len(text))


def member_names(num_members: int, *, seed: int, shard: int) -> list[str]:
    """`<uuid>.json.gz` for each member of a shard; the UUIDs (version 4) depend on seed and shard alone."""
    drawn = stream(seed, "tokenization: names", shard).bytes(16 * num_members)
    pieces = (drawn[16 * i : 16 * i + 16] for i in range(num_members))
    return [f"{uuid.UUID(bytes=piece, version=4)}{MEMBER_SUFFIX}" for piece in pieces]


def write_shard(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """A tar of the members in their order, with neither times nor owners; whole or absent after a crash."""
    with atomic_path(path) as temporary, tarfile.open(temporary, "w", format=tarfile.GNU_FORMAT) as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size, info.mode = len(data), 0o644
            archive.addfile(info, io.BytesIO(data))


def write_manifest(folder: Path, shards: Sequence[tuple[str, int]]) -> Path:
    """`manifest.jsonl`, a line a shard with the official fields; its path."""
    lines = (json.dumps({"shard": Path(name).stem, "num_sequences": count}) for name, count in shards)
    write_text(folder / MANIFEST_LINES, "".join(f"{line}\n" for line in lines))
    return folder / MANIFEST_LINES


def read_manifest(path: str | Path) -> list[Shard]:
    """The shards of a manifest, or of the folder that holds one, in its order.

    Raises:
        InputError: there is none, a line is none of that kind, names a shard outside the folder or one that
            is missing, or the shards hold nothing.
    """
    path = Path(path)
    manifest = path / MANIFEST_LINES if path.is_dir() else path
    if not manifest.is_file():
        raise InputError(f"{path}: no {MANIFEST_LINES}; give a folder that dclm-bench tokenize or mix wrote")
    shards = []
    for number, line in enumerate(manifest.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if line.strip():
            shards.append(_shard(manifest, number, line))
    if not any(shard.num_sequences for shard in shards):
        raise InputError(f"{manifest}: no context in any shard; tokenise pages first")
    return shards


def read_shard(shard: Shard, *, context_length: int) -> npt.NDArray[np.int32]:
    """The contexts of a shard, int32 [contexts, context_length].

    Raises:
        InputError: the tar is cut off or hostile, a member is no such context, or their number is not that of
            the manifest.
    """
    out = np.empty((shard.num_sequences, context_length), np.int32)
    count = 0
    for name, data in read_members(shard.path):
        if count < shard.num_sequences:
            out[count] = unpack_context(data, f"{shard.path}: {name}", context_length=context_length)
        count += 1
    if count != shard.num_sequences:
        raise InputError(
            f"{shard.path}: holds {count} contexts and the manifest says {shard.num_sequences}; tokenise anew"
        )
    return out


def read_members(path: Path) -> Iterator[tuple[str, bytes]]:
    """Name and packed bytes of each context of a tar, in order.

    Raises:
        InputError: the file is no whole tar, or a member is no plain file of a context, leaves the folder by
            its name, or is larger than any context.
    """
    with _open_tar(path) as archive:
        try:
            for info in archive:
                yield info.name, _member(archive, info, path)
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"{path}: cannot be read as a tar ({error}); write it again") from None


def read_offsets(path: Path) -> npt.NDArray[np.int64]:
    """Where the contexts of a tar lie: offset and size in bytes, int64 [contexts, 2]; data is not read.

    Raises:
        InputError: as in `read_members`.
    """
    found: list[tuple[int, int]] = []
    with _open_tar(path) as archive:
        try:
            for info in archive:
                _check(info, path)
                found.append((info.offset_data, info.size))
        except (tarfile.TarError, EOFError, OSError) as error:
            raise InputError(f"{path}: cannot be read as a tar ({error}); write it again") from None
    return np.array(found, np.int64).reshape(-1, 2)


def unpack_context(data: bytes, where: str, *, context_length: int) -> npt.NDArray[np.int32]:
    """The ids of a packed context, int32 [context_length].

    Raises:
        InputError: it is no JSON list of that many ids.
    """
    ids = _numbers(data, where)
    if ids.ndim != 1 or ids.dtype.kind != "i":
        raise InputError(f"{where}: no JSON list of whole numbers; write the shard again")
    if len(ids) != context_length:
        raise InputError(
            f"{where}: {len(ids)} tokens where a context has {context_length}; "
            "set the sequence length to one less than the length of the contexts"
        )
    if ids.min() < 0 or ids.max() > np.iinfo(np.int32).max:
        raise InputError(f"{where}: an id is negative or above 2^31; write the shard again")
    return ids.astype(np.int32)


def context_length_of(shards: Sequence[Shard]) -> int:
    """Tokens of the first context.

    Raises:
        InputError: it is no JSON list.
    """
    first = next(shard for shard in shards if shard.num_sequences)
    for name, data in read_members(first.path):
        return _numbers(data, f"{first.path}: {name}").size
    raise InputError(f"{first.path}: holds no context; write the shard again")


def _numbers(data: bytes, where: str) -> npt.NDArray[Any]:
    text = data
    if data[:2] == b"\x1f\x8b":
        unpacker = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            text = unpacker.decompress(data, _MAX_MEMBER_BYTES)
        except zlib.error as error:
            raise InputError(f"{where}: corrupt gzip data ({error}); write the shard again") from None
        if not unpacker.eof:
            raise InputError(f"{where}: is cut off or larger than any context; write the shard again")
    try:
        return np.asarray(json.loads(text))
    except (ValueError, RecursionError):
        raise InputError(f"{where}: no JSON list of numbers; write the shard again") from None


def _shard(manifest: Path, number: int, line: str) -> Shard:
    where = f"{manifest}, line {number}"
    try:
        row = json.loads(line)
        name, count = row["shard"], row["num_sequences"]
    except (ValueError, KeyError, TypeError, RecursionError):
        raise InputError(
            f"{where}: no object with 'shard' and 'num_sequences'; write the manifest again"
        ) from None
    if not isinstance(name, str) or isinstance(count, bool) or not isinstance(count, int) or count < 0:
        raise InputError(f"{where}: shard {name!r} with {count!r} sequences; write the manifest again")
    if _leaves(name):
        raise InputError(f"{where}: shard {name!r} lies outside the folder of the manifest; refused")
    path = manifest.parent / (name if name.endswith(".tar") else f"{name}.tar")
    if not path.is_file():
        raise InputError(f"{where}: {path} is missing; write the shards again")
    return Shard(path, count)


def _open_tar(path: Path) -> tarfile.TarFile:
    try:
        return tarfile.open(path, "r:")
    except (tarfile.TarError, OSError, EOFError) as error:
        raise InputError(f"{path}: cannot be read as a tar ({error}); write it again") from None


def _member(archive: tarfile.TarFile, info: tarfile.TarInfo, path: Path) -> bytes:
    _check(info, path)
    file = archive.extractfile(info)
    assert file is not None
    data = file.read()
    if len(data) != info.size:
        raise InputError(f"{path}: {info.name} is cut off; write the shard again")
    return data


def _check(info: tarfile.TarInfo, path: Path) -> None:
    if _leaves(info.name) or not info.isreg():
        raise InputError(f"{path}: member {info.name!r} is no plain file within the archive; refused")
    if not info.name.endswith((MEMBER_SUFFIX, _PLAIN_SUFFIX)):
        raise InputError(
            f"{path}: member {info.name!r} is no {MEMBER_SUFFIX} context; give shards of contexts"
        )
    if info.size > _MAX_MEMBER_BYTES:
        raise InputError(f"{path}: member {info.name!r} has {info.size} bytes, more than a context; refused")


def _leaves(name: str) -> bool:
    """Whether a name points outside the folder it stands in."""
    return PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
