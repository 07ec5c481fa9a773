"""The records of a WARC or WET file that can give a page, past what is damaged."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses

from dclm_bench.extraction.members import MAGIC, MemberStream, record_streams

# The largest page that Common Crawl keeps is 1 MiB; above this a record is an attack or no page.
MAX_BODY_BYTES = 64 << 20
MAX_HEADER_BYTES = 1 << 16
BODY_HEADERS = ("content-type", "transfer-encoding", "content-encoding")

TOO_LARGE = "body above the limit"
BROKEN_GZIP = "broken gzip data"
BROKEN_RECORD = "broken WARC record"
CUT_OFF_BODY = "body shorter than its Content-Length"
CUT_OFF_FILE = "file ends early"


@dataclass(slots=True)
class CrawlRecord:
    """A `response` or `conversion` record.

    Attributes:
        headers: The WARC headers; of a repeated one, in whatever case, the first value.
        http_headers: The HTTP headers as the parser gives them; None where there are none.
        body: What follows the headers, as it was recorded.
        warcinfo: The text of the last `warcinfo` record before this one.
        place: File and record, for messages.
    """

    headers: dict[str, str]
    http_headers: Any
    body: bytes
    warcinfo: str | None
    place: str

    @property
    def http(self) -> dict[str, str]:
        """What the HTTP headers say of the body's type and encodings, by names in lower case."""
        # looked up when it is asked for, since most pages do not need it
        if (found := self.http_headers) is None:  # missing even in some records that should have them
            return {}
        return {name: value for name in BODY_HEADERS if (value := found.get(name)) is not None}


def read_warc(
    path: str | Path,
    *,
    kind: Literal["response", "conversion"] = "response",
    losses: Losses | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Iterator[CrawlRecord]:
    """The records of one kind in order.

    A file that is packed record by record is read on behind damage; in any other the records before the
    damage are given out. A body that is shorter than its record claims is given out as it is.

    Args:
        path: A WARC or WET file, plain, gzip or zstd, told by its first bytes.
        kind: "response" (WARC) or "conversion" (WET).
        losses: Counts what is lost, and what is kept though damaged.
        max_body_bytes: Larger bodies are lost, and are never held in memory.

    Raises:
        InputError: there is no such file, or it cannot be opened.

    Source: the official tools/commoncrawl/process_common_crawl_w_ray.py reads the same records.
    """
    path = Path(path)
    reader = _Reader(path, kind, Losses() if losses is None else losses, max_body_bytes)
    if _is_gzip(path):
        yield from reader.sound_records()
        yield from reader.remaining_records()
    else:
        with open(path, "rb") as file:
            yield from reader.records(file)


@dataclass(slots=True)
class _Held:
    """A record that was read and does not count yet; `missing` bytes of its body are not there."""

    record: CrawlRecord
    missing: int
    too_large: bool


class _Reader:
    """Reads a gzip file fast as far as it is sound, and from there on with care.

    The parser unpacks several times as fast as Python's zlib, but it ends in silence where a file is cut off,
    and takes a record that claims too many bytes to contain its successor. So a record counts only once a
    header was found behind it. The last one before the end, or before anything odd, is read again, and what
    follows it, member by member.
    """

    def __init__(self, path: Path, kind: str, losses: Losses, max_body_bytes: int) -> None:
        from fastwarc.warc import ArchiveIterator, WarcRecordType

        self.path, self.name = path, str(path)
        self.losses, self.max_body_bytes = losses, max_body_bytes
        self.iterator: Any = ArchiveIterator
        self.warcinfo_type = WarcRecordType.warcinfo
        self.types = getattr(WarcRecordType, kind) | WarcRecordType.warcinfo
        self.warcinfo: str | None = None
        self.number = 0
        self.last_byte, self.last_headers = 0, dict[str, str]()

    def sound_records(self) -> Iterator[CrawlRecord]:
        """The records before the last one that was found, which `remaining_records` gives."""
        held: _Held | None = None
        try:
            for record in self._iterate(str(self.path.absolute())):
                if held is not None and (found := self._settled(held)) is not None:
                    yield found
                held = None
                self.last_byte, self.last_headers = record.stream_pos, _headers_of(record)
                if record.record_type == self.warcinfo_type:
                    self._take_warcinfo(record)
                    continue
                held = self._read(record, self.last_headers)
        except OSError:
            return  # `remaining_records` meets the same damage, and counts it

    def remaining_records(self) -> Iterator[CrawlRecord]:
        """The records that were not given yet, and an account of all damage."""
        skipped = 0
        if not self._is_where_it_was_found():
            skipped, self.last_byte, self.number = self.number, 0, 0
        for stream in record_streams(self.path, self._on_damage, start_byte=self.last_byte):
            yield from self.records(stream, skipped)

    def records(self, stream: Any, skipped: int = 0) -> Iterator[CrawlRecord]:
        """The records of a stream from that number on; ends at the first that cannot be parsed.

        Behind such a one there is no telling where the next begins.
        """
        try:
            for record in self._iterate(stream):
                if record.record_type == self.warcinfo_type:
                    self._take_warcinfo(record)
                    continue
                if self.number < skipped:
                    self.number += 1
                    continue
                held = self._read(record, _headers_of(record))
                if held.missing:
                    if getattr(stream, "corrupt", False):
                        continue  # counted when it was found, as is a file that ends
                    if not _is_damaged(stream):
                        there = f"{len(held.record.body):,} bytes, {held.missing:,} are missing"
                        self.losses.note(CUT_OFF_BODY, held.record.place, there, damaged=True)
                if (found := self._settled(held)) is not None:
                    yield found
        except OSError as error:
            if not _is_damaged(stream):
                self.losses.lose(BROKEN_RECORD, f"{self.path}, after record {self.number}", str(error))

    def _iterate(self, stream: Any) -> Any:
        return self.iterator(
            stream,
            record_types=self.types,
            max_header_len=MAX_HEADER_BYTES,
            fsspec_args=False,
            stream_detect=not isinstance(stream, MemberStream),
        )

    def _read(self, record: Any, headers: dict[str, str]) -> _Held:
        """Read a record without counting it."""
        uri = headers.get("WARC-Target-URI", "no WARC-Target-URI")
        place = f"{self.name}, record {self.number + 1} ({uri})"
        length = record.content_length
        too_large = length > self.max_body_bytes
        body = b"" if too_large else record.reader.read()
        crawled = CrawlRecord(headers, record.http_headers, body, self.warcinfo, place)
        return _Held(crawled, 0 if too_large else max(length - len(body), 0), too_large)

    def _settled(self, held: _Held) -> CrawlRecord | None:
        """Count a record; None where it is lost."""
        self.number += 1
        if not held.too_large:
            return held.record
        self.losses.lose(TOO_LARGE, held.record.place, f"more than {self.max_body_bytes:,} bytes")
        return None

    def _take_warcinfo(self, record: Any) -> None:
        size = min(record.content_length, self.max_body_bytes)
        self.warcinfo = record.reader.read(size).decode("utf-8", "replace").strip()

    def _is_where_it_was_found(self) -> bool:
        """Whether the last record begins at the member that the parser named: not so where one holds many."""
        if not self.last_headers:
            return True
        streams = record_streams(self.path, lambda what, byte: None, start_byte=self.last_byte)
        with contextlib.closing(streams), contextlib.suppress(OSError, StopIteration):
            return dict(next(iter(self._iterate(next(streams)))).headers) == self.last_headers
        return False

    def _on_damage(self, what: str, byte: int) -> None:
        place = f"{self.path}, byte {byte}"
        if what.startswith("the file ends"):
            self.losses.note(CUT_OFF_FILE, place, damaged=True)
        else:
            self.losses.lose(BROKEN_GZIP, place, what)


def _headers_of(record: Any) -> dict[str, str]:
    """The WARC headers as `dict(record.headers)` has them, which takes the parser five times as long."""
    pairs = list(record.headers.items())
    if len({name.lower() for name, _ in pairs}) == len(pairs):
        return dict(pairs)
    return dict(record.headers)


def _is_damaged(stream: Any) -> bool:
    return isinstance(stream, MemberStream) and (stream.corrupt or stream.cut_off)


def _is_gzip(path: Path) -> bool:
    try:
        with open(path, "rb") as file:
            return file.read(len(MAGIC)) == MAGIC
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
