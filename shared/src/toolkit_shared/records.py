"""Records of one JSON object a line, plain, gzip or zstd: read past what is corrupt, written whole."""

import contextlib
import glob
import gzip
import io
import json
import math
import os
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, cast

from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError, require

MAX_LINE_BYTES = 1 << 28
_SKIPPED_AT_ONCE = 1 << 20
# Four packed bytes can hold 128 KiB: what is unpacked at once is bounded by giving in little at once.
_PACKED_AT_ONCE = (1 << 6, 1 << 13)
_UNPACKED_AT_ONCE = 1 << 18
_GZIP, _ZSTD = ".gz", (".zst", ".zstd")


@dataclass(frozen=True)
class BadRecord:
    """A record that cannot be used.

    Attributes:
        path: the file.
        place: `line 12` (from 1), or `byte 3400` (of the line's start) when a byte range is read.
        reason: what is wrong, without a full stop.
    """

    path: Path
    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.path}, {self.place}: {self.reason}"


def open_records(path: str | Path) -> BinaryIO:
    """A stream of the bytes in a file, unpacked when its name ends in .gz, .zst or .zstd.

    Several members or frames in one file are read one after the other. Reading packed data that ends early
    raises EOFError, never a silent end; corrupt data raises an error that `read_jsonl` knows.

    Raises:
        InputError: there is no such file, or it cannot be opened.
        MissingExtra: the file is zstd and `zstandard` is not installed.
    """
    path = Path(path)
    try:
        if path.name.endswith(_GZIP):
            return cast(BinaryIO, gzip.GzipFile(path, "rb"))
        if path.name.endswith(_ZSTD):
            return io.BufferedReader(_ZstdStream(path), 1 << 17)
        return open(path, "rb", buffering=1 << 20)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None


def read_jsonl(
    path: str | Path,
    *,
    start_byte: int = 0,
    end_byte: int | None = None,
    on_bad: Callable[[BadRecord], None] | None = None,
    max_line_bytes: int = MAX_LINE_BYTES,
) -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON objects of a file in order, each with its place in the file.

    A range of bytes gives the lines that begin in it, so ranges that cover a file give each of its records
    once. Empty lines are passed over, and numbers that are not finite are null (`parse_json`). Corrupt lines
    go to `on_bad` and are skipped; where packed data breaks off, the records before the break are given out
    and the break goes to `on_bad`.

    Args:
        path: the file; unpacked by its suffix, as in `open_records`.
        start_byte: first byte of the range; for plain files only.
        end_byte: end of the range, that byte not included; None is the end of the file.
        on_bad: told of every record that cannot be used; without it the first one raises.
        max_line_bytes: longer lines are bad records, and are never held in memory.

    Raises:
        InputError: no such file, or a bad record without `on_bad`.
        ValueError: a range of a packed file.
    """
    path = Path(path)
    ranged = start_byte > 0 or end_byte is not None
    if ranged and path.name.endswith((_GZIP, *_ZSTD)):
        raise ValueError(f"{path} is compressed and has no byte ranges")
    return _records(path, start_byte, end_byte, on_bad or _refuse, max_line_bytes, ranged)


def write_jsonl(path: str | Path, rows: Iterable[Mapping[str, Any]]) -> int:
    """Write one JSON object a line, packed by the name's suffix; the number of rows.

    The file is whole or absent after a crash. Equal rows give equal bytes; keys stay in their order.

    Raises:
        ValueError: a NaN or an infinity is in a row.
        MissingExtra: the name ends in .zst or .zstd and `zstandard` is not installed.
    """
    path = Path(path)
    count = 0
    with atomic_path(path) as temporary, open(temporary, "wb") as file, _packer(path.name, file) as stream:
        for row in rows:
            line = json.dumps(row, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            stream.write(line.encode() + b"\n")
            count += 1
    return count


def expand_inputs(inputs: Sequence[str | Path], suffixes: Sequence[str]) -> list[Path]:
    """The files that the inputs name, sorted, each once.

    An input is a file (of any suffix), a folder (its files of the given suffixes, at any depth, hidden ones
    left out) or a pattern with `*`, `?`, `[...]` or `**`. Names of the same file, through links, are one.

    Args:
        inputs: what the user gave.
        suffixes: as in `(".jsonl", ".jsonl.gz")`; upper and lower case are the same.

    Raises:
        InputError: an input gives no file.
    """
    found: dict[str, Path] = {}
    for item in inputs:
        # a file may have a pattern's signs in its name
        names = [str(item)] if os.path.exists(item) else glob.glob(str(item), recursive=True)
        files = [file for name in names for file in _files(Path(name), suffixes)]
        if not files:
            raise InputError(f"{item}: {_nothing(Path(item), names, suffixes)}")
        for file in files:
            real = os.path.realpath(file)
            found[real] = min(file, found.get(real, file))
    return sorted(found.values())


def skip_line(stream: BinaryIO) -> int:
    """Pass over the rest of a line, in little memory; how many bytes that was."""
    skipped = 0
    while part := stream.readline(_SKIPPED_AT_ONCE):
        skipped += len(part)
        if part.endswith(b"\n"):
            break
    return skipped


def _records(
    path: Path,
    start_byte: int,
    end_byte: int | None,
    on_bad: Callable[[BadRecord], None],
    max_line_bytes: int,
    ranged: bool,
) -> Iterator[tuple[str, dict[str, Any]]]:
    number, offset = 0, start_byte
    with open_records(path) as stream:
        if start_byte > 0:
            # the line that holds the byte before the range belongs to an earlier range
            stream.seek(start_byte - 1)
            offset += skip_line(stream) - 1
        while end_byte is None or offset < end_byte:
            number += 1
            place = f"byte {offset}" if ranged else f"line {number}"
            try:
                line = stream.readline(max_line_bytes + 1)
                length = len(line)
                if length > max_line_bytes and not line.endswith(b"\n"):
                    length += skip_line(stream)
                    on_bad(BadRecord(path, place, f"the line has more than {max_line_bytes:,} bytes"))
                    line = b"\n"
            except (EOFError, OSError, zlib.error) as error:
                on_bad(BadRecord(path, place, _broken(error)))
                return
            if not line:
                return
            at, offset = offset, offset + length
            if at == 0:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if line.isspace():
                continue
            record = _parse(line.rstrip(b"\r\n"))
            if isinstance(record, str):
                on_bad(BadRecord(path, place, record))
            else:
                yield place, record


def parse_json(text: str) -> Any:
    """The value of a JSON text, with null for NaN, infinities and numbers beyond all floats (1e999).

    Python writes them though JSON has none, and no file that this package writes may hold one.

    Raises:
        ValueError: it is no JSON.
        RecursionError: it is nested too deeply.
    """
    return _DECODER.decode(text)


def _finite(text: str) -> float | None:
    value = float(text)
    return value if math.isfinite(value) else None


_DECODER = json.JSONDecoder(parse_float=_finite, parse_constant=lambda name: None)


def _parse(line: bytes) -> dict[str, Any] | str:
    """The object in a line, or what is wrong with it."""
    try:
        record = parse_json(line.decode("utf-8"))
        if b"\\ud" in line or b"\\uD" in line:
            # half of a surrogate pair is JSON, but no text: every later encoding would fail
            json.dumps(record, ensure_ascii=False).encode()
    except UnicodeDecodeError as error:
        return f"not UTF-8 at byte {error.start} of the line"
    except UnicodeEncodeError:
        return "half of a surrogate pair, which is no text"
    except json.JSONDecodeError as error:
        return f"no JSON: {error.msg.removesuffix(' at')} at column {error.colno}"
    except (ValueError, RecursionError) as error:
        return f"no usable JSON: {error}"
    if not isinstance(record, dict):
        kind = {"list": "a list", "str": "text", "NoneType": "null", "bool": "true or false"}
        return f"{kind.get(type(record).__name__, 'a number')} where an object is wanted"
    return record


def _refuse(bad: BadRecord) -> None:
    raise InputError(f"{bad}; mend or remove it")


def _broken(error: Exception) -> str:
    if isinstance(error, EOFError):
        return "the compressed data ends early, so the file is cut off"
    return f"the data cannot be read: {error}"


class _ZstdStream(io.RawIOBase):
    """Unpacked bytes of a zstd file; unlike the library's own reader it notices a file that is cut off."""

    def __init__(self, path: Path) -> None:
        self.zstandard = require("zstandard", toolkit="toolkit-shared", extra="records")
        self.file = open(path, "rb")
        self.frame: Any = None
        self.packed = self.unpacked = b""
        self.taken = 0
        self.least, self.most = _PACKED_AT_ONCE
        self.amount = self.least

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while self.taken == len(self.unpacked):
            if not self._unpack():
                return 0
        part = memoryview(self.unpacked)[self.taken : self.taken + len(buffer)]
        buffer[: len(part)] = part
        self.taken += len(part)
        return len(part)

    def _unpack(self) -> bool:
        """Replace what was given out by the next piece; False at the end of the file."""
        packed = self.packed or self.file.read(self.amount)
        if not packed:
            if self.frame is not None:
                raise EOFError
            return False
        if self.frame is None:
            # windows up to 2 GiB: what `zstd --long=31` writes
            self.frame = self.zstandard.ZstdDecompressor(max_window_size=1 << 31).decompressobj()
        try:
            self.unpacked, self.taken = self.frame.decompress(packed), 0
        except self.zstandard.ZstdError as error:
            raise OSError(f"corrupt zstd data ({error})") from None
        self.packed = b""
        if len(self.unpacked) > _UNPACKED_AT_ONCE:
            self.amount = max(self.least, self.amount // 4)
        else:
            self.amount = min(self.most, self.amount * 2)
        if self.frame.eof:
            self.packed, self.frame = self.frame.unused_data, None
        return True

    def close(self) -> None:
        self.file.close()
        super().close()


@contextlib.contextmanager
def _packer(name: str, file: BinaryIO) -> Iterator[Any]:
    if name.endswith(_GZIP):
        # neither time nor name in the header, so that equal rows are equal bytes
        with gzip.GzipFile(filename="", mode="wb", fileobj=file, compresslevel=6, mtime=0) as stream:
            yield stream
    elif name.endswith(_ZSTD):
        zstandard = require("zstandard", toolkit="toolkit-shared", extra="records")
        with zstandard.ZstdCompressor(level=3).stream_writer(file, closefd=False) as stream:
            yield stream
    else:
        yield file


def _files(path: Path, suffixes: Sequence[str]) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    endings = tuple(suffix.lower() for suffix in suffixes)
    for folder, folders, names in os.walk(path):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if name.lower().endswith(endings) and not name.startswith("."):
                yield Path(folder, name)


def _nothing(path: Path, names: Sequence[str], suffixes: Sequence[str]) -> str:
    wanted = ", ".join(suffixes)
    if path.is_dir():
        return f"holds no {wanted} file; give files by name, or another folder"
    if names:
        return f"matches only folders without a {wanted} file; give files by name, or another pattern"
    if glob.has_magic(str(path)):
        return "matches no file; check the pattern"
    return "no such file or folder; check the path"
