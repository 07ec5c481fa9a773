"""Small WARC files for tests, sound and damaged, written byte by byte."""

import gzip

HTML = (
    b"<html><head><title>T</title></head><body><nav><a href=/>Home</a> <a href=/b>Blog</a></nav>"
    b"<article><h1>Ships</h1><p>The ship left the harbour at dawn, and nobody saw it again.</p>"
    b"<p>A second paragraph tells what the keeper of the lighthouse had heard that night.</p></article>"
    b"<footer>Imprint</footer></body></html>"
)
FIRST_LINE = "The ship left the harbour at dawn, and nobody saw it again."


def record(
    body=HTML,
    *,
    kind="response",
    number=0,
    http=True,
    media=b"text/html; charset=utf-8",
    http_headers=(),
    headers=(),
    content_length=None,
):
    """The bytes of one WARC record; `content_length` is what it claims, where that is not the truth."""
    block = body
    if http:
        lines = [b"HTTP/1.1 200 OK", b"Content-Type: " + media, *http_headers]
        block = b"\r\n".join(lines) + b"\r\n\r\n" + body
    content = b"application/http; msgtype=response" if http or kind == "response" else b"text/plain"
    length = str(len(block) if content_length is None else content_length).encode()
    lines = [
        b"WARC/1.0",
        b"WARC-Type: " + kind.encode(),
        b"WARC-Record-ID: <urn:uuid:%d>" % number,
        b"WARC-Date: 2022-01-01T00:00:00Z",
        b"WARC-Target-URI: http://example.org/%d" % number,
        b"Content-Type: " + content,
        *headers,
        b"Content-Length: " + length,
    ]
    return b"\r\n".join(lines) + b"\r\n\r\n" + block + b"\r\n\r\n"


def warcinfo(text=b"software: a crawler\r\n"):
    """The record that tells about the file."""
    return record(text, kind="warcinfo", http=False)


def packed(*records):
    """Each record as a gzip member, as crawlers pack them."""
    return b"".join(gzip.compress(one, mtime=0) for one in records)
