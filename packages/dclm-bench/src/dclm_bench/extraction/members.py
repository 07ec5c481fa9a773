"""A crawl file as streams of whole records, one for each sound piece of it.

A WARC file is packed record by record, a gzip member each, so damage in one place need not cost what follows.
A reader that sees one long stream loses the rest of the file at the first broken byte, and takes a record
that claims too many bytes to contain its successor. So each member is a stream of its own, unless a record
goes on in the next one (files packed in blocks, or as a whole).
"""

import io
import zlib
from collections.abc import Callable, Generator
from pathlib import Path
from typing import BinaryIO

from toolkit_shared.errors import InputError

MAGIC = b"\x1f\x8b\x08"
RECORD_START = b"WARC/"
_PACKED_BYTES = 1 << 16
_UNPACKED_BYTES = 1 << 18
_GZIP_WINDOW = 31

OnDamage = Callable[[str, int], None]
"""Told what is wrong, and at which byte of the packed file."""


def record_streams(
    path: str | Path, on_damage: OnDamage, *, start_byte: int = 0
) -> Generator["MemberStream"]:
    """For each run of records in a gzip file a stream of its unpacked bytes; take each before the next.

    A stream ends where the next member begins with a record of its own. What a consumer leaves unread is
    passed over.

    Args:
        path: A gzip file.
        on_damage: Told of members that are broken (reading goes on at the next that can be found) and of a
            file that ends early.
        start_byte: Where to begin in the packed file.

    Raises:
        InputError: the file cannot be opened.
    """
    try:
        file = open(path, "rb", buffering=0)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    with file:
        packed = _Packed(file, start_byte)
        while packed.find_member(on_damage):
            stream = MemberStream(packed, on_damage)
            yield stream
            stream.drain()


class MemberStream:
    """The unpacked bytes of one run of records: what a WARC parser wants of a file, `read` and `tell`.

    Attributes:
        corrupt: Whether the stream ended at data that cannot be unpacked.
        cut_off: Whether it ended because the file did.
    """

    def __init__(self, packed: "_Packed", on_damage: OnDamage) -> None:
        self._packed = packed
        self._on_damage = on_damage
        self._member = zlib.decompressobj(_GZIP_WINDOW)
        self._start = packed.place
        self._ready = b""
        self._given = 0
        self._ended = False
        self.corrupt = self.cut_off = False

    def read(self, size: int = -1) -> bytes:
        """Up to `size` bytes, at least one of them unless the stream has ended."""
        while not self._ready and not self._ended:
            self._ready = self._unpack()
        if size < 0 or size >= len(self._ready):
            part, self._ready = self._ready, b""
        else:
            part, self._ready = self._ready[:size], self._ready[size:]
        self._given += len(part)
        return part

    def tell(self) -> int:
        """How many bytes were read."""
        return self._given

    def drain(self) -> None:
        """Pass over what was not read."""
        self._ready = b""
        while not self._ended:
            self._unpack()

    def _unpack(self) -> bytes:
        """The next piece of the member, or of its continuation; ends the stream at its end or at damage."""
        if self._member.eof:
            return self._continue()
        data = self._member.unconsumed_tail or self._packed.take()
        if not data:
            self._ended = self.cut_off = True
            self._on_damage("the file ends early", self._packed.place)
            return b""
        try:
            piece = self._member.decompress(data, _UNPACKED_BYTES)
        except zlib.error as error:
            self._ended = self.corrupt = True
            self._packed.go_behind_damage(self._start + 1)
            self._on_damage(f"broken gzip data ({_reason(error)})", self._start)
            return b""
        if self._member.eof:
            self._packed.put_back(self._member.unused_data)
        return piece

    def _continue(self) -> bytes:
        """The first piece of the next member where that begins with no record, else the end of the stream."""
        if not self._packed.starts_with(MAGIC):
            self._ended = True
            return b""
        following = zlib.decompressobj(_GZIP_WINDOW)
        start, data = self._packed.place, self._packed.peek()
        try:
            head = following.decompress(data, len(RECORD_START))
        except zlib.error:
            head = b""
        # a head that cannot be seen yet is left to the next stream, which will say what is wrong with it
        if len(head) < len(RECORD_START) or head == RECORD_START:
            self._ended = True
            return b""
        self._member, self._start = zlib.decompressobj(_GZIP_WINDOW), start
        return b""


class _Packed:
    """The packed bytes of a file, with a way back to what was taken too much."""

    def __init__(self, file: BinaryIO | io.FileIO, start: int) -> None:
        file.seek(start)
        self._file = file
        self._held = b""
        self._told = False
        self.place = start

    def take(self) -> bytes:
        data = self.peek()
        self._held = b""
        self.place += len(data)
        return data

    def peek(self, at_least: int = 1) -> bytes:
        while len(self._held) < at_least:
            more = self._file.read(_PACKED_BYTES)
            if not more:
                break
            self._held += more
        return self._held

    def put_back(self, data: bytes) -> None:
        self._held = data + self._held
        self.place -= len(data)

    def go_behind_damage(self, place: int) -> None:
        """Go on looking for a member at `place`; the damage itself was told."""
        self._file.seek(place)
        self._held, self.place, self._told = b"", place, True

    def starts_with(self, prefix: bytes) -> bool:
        return self.peek(len(prefix)).startswith(prefix)

    def find_member(self, on_damage: OnDamage) -> bool:
        """Go to the next member; False at the end of the file. Bytes that are passed over are damage."""
        if self.starts_with(MAGIC):
            self._told = False
            return True
        start, skipped = self.place, b""
        while data := self.peek(len(MAGIC)):
            at = data.find(MAGIC)
            step = at if at >= 0 else max(len(data) - len(MAGIC) + 1, 1)
            skipped = skipped or data[:step].strip(b"\0")
            self._held = data[step:]
            self.place += step
            if at >= 0:
                break
        if skipped and not self._told:
            on_damage("bytes that are no gzip data", start)
        self._told = False
        return bool(self._held)


def _reason(error: zlib.error) -> str:
    return str(error).rpartition(":")[2].strip() or "corrupt"
