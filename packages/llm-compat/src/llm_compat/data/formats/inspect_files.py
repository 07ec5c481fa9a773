"""The files of Inspect AI logs: `.eval`, a zip archive of JSON, and `.json`, one JSON document.

An archive comes from outside, so nothing in it is believed: names that leave the archive, members that grow
beyond what they say, archives that grow beyond measure and encrypted or overlapping members are refused.
Members are packed by deflate or zstd; the latter in several frames.

Source: EvalLog, EvalSpec, EvalSample and Score of inspect-ai 0.3.285, its recorders `eval` and `json`, and
the chunked form of samples (`log/_recorders/chunked/format.py`).
"""

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO

import msgspec
from toolkit_shared.errors import InputError, require

from llm_compat.data.typed_json import decode_json_as, read_json_as

HEADER, START, SAMPLES = "header.json", "_journal/start.json", "samples/"
CHUNKED_SAMPLE = "/sample.json"
ZSTANDARD = 93

MAX_MEMBER_BYTES = 1 << 30
# Histories of long conversations repeat themselves: a hundredfold is common, thousands are an attack.
MAX_GROWTH = 2_000
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")


class Score(msgspec.Struct):
    """What one scorer found; `value` is a letter, text, number, truth value, list or mapping."""

    value: Any
    answer: str | None = None


class Completion(msgspec.Struct):
    """The model's last message: text, or parts of it."""

    content: Any = ""


class Choice(msgspec.Struct):
    """One of the model's outputs."""

    message: Completion


class Output(msgspec.Struct):
    """What the model gave back."""

    choices: list[Choice] = []
    completion: str | None = None


class Sample(msgspec.Struct):
    """One sample in one epoch; events and messages are skipped."""

    id: int | str
    epoch: int
    input: Any
    target: str | list[str]
    choices: list[str] | None = None
    scores: dict[str, Score] | None = None
    score: Score | None = None
    output: Output = msgspec.field(default_factory=Output)
    metadata: dict[str, Any] = {}
    attachments: dict[str, str] = {}
    error: Any = None
    invalidation: Any = None


class _Config(msgspec.Struct):
    epochs: int | None = None
    epochs_reducer: list[str] | None = None


class Spec(msgspec.Struct):
    """What was evaluated."""

    task: str
    model: str
    created: str = ""
    task_args: dict[str, Any] = {}
    config: _Config = msgspec.field(default_factory=_Config)


class _Scorer(msgspec.Struct):
    name: str


class _Results(msgspec.Struct):
    total_samples: int = 0
    scores: list[_Scorer] = []


class Header(msgspec.Struct):
    """A log without its samples."""

    eval: Spec
    status: str = "started"
    results: _Results | None = None


class _Whole(Header):
    samples: list[Sample] | None = None


@dataclass(frozen=True, kw_only=True)
class Member:
    """One member of an archive: where its packed bytes are, and how many it unpacks to."""

    name: str
    offset: int
    packed: int
    size: int
    method: int
    crc: int


def read_header(path: Path) -> Header:
    """The log without its samples.

    Raises:
        InputError: The file is no log of Inspect AI, damaged, or hostile.
    """
    if path.suffix != ".eval":
        return read_json_as(path, Header, allow_nan=True)
    with _opened(path) as stream:
        members = _members(path, stream)
        for name in (HEADER, START):
            if name in members:
                return decode_json_as(
                    _unpacked(path, stream, members[name]), Header, where=f"{path}, {name}", allow_nan=True
                )
    raise InputError(f"{path}: holds no {HEADER}; give a log of Inspect AI")


def read_samples(path: Path) -> Iterator[Sample]:
    """The samples of a log, in the order in which they are in it; one at a time for an archive.

    Raises:
        InputError: The file is no log of Inspect AI, damaged, or hostile.
    """
    if path.suffix != ".eval":
        yield from read_json_as(path, _Whole, allow_nan=True).samples or []
        return
    with _opened(path) as stream:
        for name, member in _members(path, stream).items():
            if not name.startswith(SAMPLES) or not _is_sample(name):
                continue
            data = _unpacked(path, stream, member)
            yield decode_json_as(data, Sample, where=f"{path}, {name}", allow_nan=True)


def is_log(path: Path) -> bool:
    """Whether a file looks like a log of Inspect AI: by its suffix, or as JSON that begins as one."""
    if path.suffix == ".eval":
        return True
    with open(path, "rb") as stream:
        head = b"".join(stream.read(2000).split())
    return head.startswith(b'{"version":') and b'"eval":{' in head


def _is_sample(name: str) -> bool:
    inner = name.removeprefix(SAMPLES)
    return ("/" not in inner or inner.endswith(CHUNKED_SAMPLE) or "_epoch_" in inner.rsplit("/", 1)[1]) and (
        inner.endswith(".json")
    )


def _opened(path: Path) -> BinaryIO:
    try:
        return open(path, "rb")
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; check the path") from None


def _members(path: Path, stream: BinaryIO) -> dict[str, Member]:
    """The members by name, the last of those with one name, for that one is the newest."""
    try:
        with zipfile.ZipFile(stream) as archive:
            infos = archive.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, OSError, struct.error) as error:
        raise InputError(f"{path}: damaged zip archive ({error}); copy the log again") from None
    length = stream.seek(0, io.SEEK_END)
    members: dict[str, Member] = {}
    for info in infos:
        name = info.filename
        if (
            name.startswith(("/", "\\"))
            or ".." in PurePosixPath(name.replace("\\", "/")).parts
            or ":" in name[:3]
        ):
            raise InputError(
                f"{path}: member '{name[:80]}' has a path that leaves the archive; do not use this file"
            )
        if info.flag_bits & 1:
            raise InputError(f"{path}: member '{name[:80]}' is encrypted; give a log that is not")
        if info.file_size > MAX_MEMBER_BYTES:
            raise InputError(
                f"{path}: member '{name[:80]}' unpacks to {info.file_size:,} bytes; at most "
                f"{MAX_MEMBER_BYTES:,} are read"
            )
        members[name] = Member(
            name=name,
            offset=info.header_offset,
            packed=info.compress_size,
            size=info.file_size,
            method=info.compress_type,
            crc=info.CRC,
        )
    if sum(info.compress_size for info in infos) > length:
        raise InputError(f"{path}: members overlap; do not use this file")
    if sum(info.file_size for info in infos) > MAX_GROWTH * max(length, 1):
        raise InputError(f"{path}: unpacks to more than {MAX_GROWTH:,} times its size; do not use this file")
    return members


def _unpacked(path: Path, stream: BinaryIO, member: Member) -> bytes:
    """The bytes of a member, checked against its size and checksum."""
    damaged = f"{path}: member '{member.name[:80]}' is damaged"
    stream.seek(member.offset)
    head = stream.read(_LOCAL_HEADER.size)
    if len(head) < _LOCAL_HEADER.size or not head.startswith(b"PK\x03\x04"):
        raise InputError(f"{damaged} (no local header); copy the log again")
    *_, name_length, extra_length = _LOCAL_HEADER.unpack(head)
    stream.seek(name_length + extra_length, io.SEEK_CUR)
    packed = stream.read(member.packed)
    if len(packed) < member.packed:
        raise InputError(f"{damaged} (cut off); copy the log again")
    # one byte more than it says would be too many
    limit = member.size + 1
    try:
        data = _unpack(packed, member.method, limit)
    except (zlib.error, OSError, ValueError) as error:
        raise InputError(f"{damaged} ({error}); copy the log again") from None
    if data is None:
        raise InputError(
            f"{path}: member '{member.name[:80]}' is packed by method {member.method}; "
            "deflate and zstd are read"
        )
    if len(data) != member.size or zlib.crc32(data) != member.crc:
        raise InputError(f"{damaged} (size or checksum differ); copy the log again")
    return data


def _unpack(packed: bytes, method: int, limit: int) -> bytes | None:
    """At most `limit` bytes; None for a method that is not known."""
    if method == zipfile.ZIP_STORED:
        return packed
    if method == zipfile.ZIP_DEFLATED:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(packed, limit)
    if method == ZSTANDARD:
        zstandard: Any = require("zstandard", toolkit="llm-compat", extra="all")
        reader = zstandard.ZstdDecompressor(max_window_size=1 << 31).stream_reader(
            packed, read_across_frames=True
        )
        try:
            return bytes(reader.read(limit))
        except zstandard.ZstdError as error:
            raise OSError(str(error)) from None
    return None
