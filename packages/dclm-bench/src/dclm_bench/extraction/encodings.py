"""From a recorded HTTP body to the text of a page: transfer and content encodings, then the characters."""

import io
import re
import zlib
from collections.abc import Mapping
from typing import Any

STRICT, DETECT = "strict", "detect"
ENCODINGS = (STRICT, DETECT)

_GZIP_START = b"\x1f\x8b"
_CHUNK_SIZE = re.compile(rb"([0-9a-fA-F]{1,15})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s\"';,]+)", re.IGNORECASE)
_BYTE_ORDER_MARKS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16-le"), (b"\xfe\xff", "utf-16-be"))


class BodyError(Exception):
    """A body cannot be undone or decoded; the message is the reason."""


def decode_strict(body: bytes) -> str:
    """The body as UTF-8, as it was recorded.

    Raises:
        BodyError: it is no UTF-8.

    Source: the official extraction decodes so, and loses the page in silence where that fails.
    """
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError as error:
        raise BodyError(f"byte {error.start} of {len(body):,}: {error.reason}") from None


def decode_detected(body: bytes, http: Mapping[str, str]) -> str:
    """The body in the first encoding that fits: byte order mark, HTTP charset, meta tag, UTF-8, a guess.

    A declared encoding in which the body cannot be read is not believed. What no encoding can read is
    replaced by U+FFFD under the guess, so nothing is lost here.

    Args:
        body: The body, with transfer and content encodings undone.
        http: HTTP headers by lower-case name.

    Source: the order of the HTML standard's "determining the character encoding", with UTF-8 tried before
    the guess, as a wrong text that is valid UTF-8 by chance hardly exists.
    """
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    for mark, encoding in _BYTE_ORDER_MARKS:
        if body.startswith(mark):
            return body[len(mark) :].decode(encoding, "replace")
    for declared in (_http_charset(http), detect_encoding(body, from_html_meta=True), "utf-8"):
        if declared:
            try:
                return body.decode(declared)
            except (UnicodeDecodeError, LookupError):
                continue
    text: str = bytes_to_str(body, detect_encoding(body) or "utf-8")
    return text


def undo_encodings(body: bytes, http: Mapping[str, str], max_bytes: int) -> bytes:
    """The body without its transfer and content encodings (chunked, gzip, deflate, br, zstd).

    A body that is declared to be encoded and is not is given back as it is: crawlers often undo an encoding
    and keep the header.

    Raises:
        BodyError: an encoding is not known, its data are corrupt or cut off, or there are more than
            `max_bytes`.
    """
    for header in ("transfer-encoding", "content-encoding"):
        names = [name.strip().lower() for name in http.get(header, "").split(",")]
        for name in reversed(names):
            body = _undo(name, body, max_bytes)
    return body


def looks_encoded(body: bytes) -> bool:
    """Whether the body begins as a chunked or a gzipped one does; text may begin so, too."""
    return body.startswith(_GZIP_START) or _CHUNK_SIZE.match(body) is not None


def is_encoded(body: bytes, http: Mapping[str, str]) -> bool:
    """Whether the body still has a transfer or content encoding that its headers declare."""
    transfer, content = http.get("transfer-encoding", ""), http.get("content-encoding", "")
    if not transfer and not content:
        return False
    return ("chunked" in transfer.lower() and _CHUNK_SIZE.match(body) is not None) or (
        "gzip" in content.lower() and body.startswith(_GZIP_START)
    )


def media_type(http: Mapping[str, str]) -> str:
    """The media type that the HTTP headers declare, in lower case, such as `text/html`; "" for none."""
    return http.get("content-type", "").partition(";")[0].strip().lower()


def _undo(name: str, body: bytes, max_bytes: int) -> bytes:
    if name in ("", "identity") or not body:
        return body
    if name == "chunked":
        return _join_chunks(body) if _CHUNK_SIZE.match(body) else body
    if name in ("gzip", "x-gzip"):
        return _inflate(body, 31, max_bytes) if body.startswith(_GZIP_START) else body
    if name == "deflate":
        # by the standard zlib's format, by the habit of some servers bare
        if body[0] & 0x0F == 8 and int.from_bytes(body[:2], "big") % 31 == 0:
            return _inflate(body, 15, max_bytes)
        return body if body.lstrip()[:1] == b"<" else _inflate(body, -15, max_bytes)
    if name in ("br", "zstd"):
        return body if body.lstrip()[:1] == b"<" else _unpack(name, body, max_bytes)
    raise BodyError(f"unknown encoding '{name[:40]}'")


def _join_chunks(body: bytes) -> bytes:
    parts: list[bytes] = []
    at = 0
    while head := _CHUNK_SIZE.match(body, at):
        size = int(head[1], 16)
        if size == 0:
            return b"".join(parts)
        part = body[head.end() : head.end() + size]
        parts.append(part)
        if len(part) < size:
            raise BodyError("the last chunk is cut off")
        at = head.end() + size
        at += 2 if body[at : at + 2] == b"\r\n" else body[at : at + 1] == b"\n"
    if at < len(body):
        raise BodyError(f"no size of a chunk at byte {at:,}")
    return b"".join(parts)


def _inflate(body: bytes, window: int, max_bytes: int) -> bytes:
    decoder = zlib.decompressobj(window)
    try:
        data = decoder.decompress(body, max_bytes + 1)
    except zlib.error as error:
        raise BodyError(f"corrupt data: {str(error).rpartition(':')[2].strip()}") from None
    return _checked(data, max_bytes, decoder.eof)


def _unpack(name: str, body: bytes, max_bytes: int) -> bytes:
    from fastwarc.stream_io import BrotliReader, ZstdReader

    reader: Any = (BrotliReader if name == "br" else ZstdReader)(io.BytesIO(body))
    parts, held = [], 0
    try:
        while held <= max_bytes and (part := reader.read(1 << 16)):
            parts.append(part)
            held += len(part)
    except OSError as error:
        raise BodyError(f"corrupt data: {error}") from None
    return _checked(b"".join(parts), max_bytes, True)


def _checked(data: bytes, max_bytes: int, whole: bool) -> bytes:
    if len(data) > max_bytes:
        raise BodyError(f"more than {max_bytes:,} bytes when unpacked")
    if not whole:
        raise BodyError("the compressed data end early")
    return data


def _http_charset(http: Mapping[str, str]) -> str | None:
    """The declared charset by its HTML name (latin1 means windows-1252); None for none or an unknown one."""
    from resiliparse.parse.encoding import map_encoding_to_html5

    found = _CHARSET.search(http.get("content-type", ""))
    if found is None:
        return None
    # an unknown name is mapped to UTF-8, which is tried anyway
    name: str | None = map_encoding_to_html5(found[1].strip())
    return name
