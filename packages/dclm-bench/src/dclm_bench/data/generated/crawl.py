"""WARC files and JSON lines of generated pages, and the table of what is true of each."""

import base64
import gzip
import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.artifacts import atomic_path, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream
from toolkit_shared.records import write_jsonl

from dclm_bench.data.generated.pages import (
    KINDS,
    NUM_SITES,
    Content,
    near_duplicate,
    site_name,
    to_html,
)

FIRST_DATE = datetime(2022, 6, 1, tzinfo=UTC)
# a word of the published list that bans a URL where it is a whole word
BANNED_WORD = "jackpots"
# how often each kind is among so many pages
BLOCK = {
    "article": 8,
    "boilerplate": 2,
    "counters": 1,
    "latin-1": 1,
    "foreign": 4,
    "duplicate": 2,
    "near-duplicate": 1,
    "repetitive": 2,
    "short": 2,
    "listicle": 1,
    "ellipsis": 1,
    "symbols": 1,
    "keywords": 1,
    "numbers": 1,
    "banned-url": 1,
    "not-html": 1,
}


@dataclass(frozen=True)
class PageTruth:
    """What is true of a generated page.

    Attributes:
        page: Number, in the order of the crawl.
        file: Name of the WARC or JSONL file that holds it.
        url: Its address.
        record_id: The WARC-Record-ID.
        kind: "article", "boilerplate" and "counters" are good pages; "latin-1" is good, but its bytes are not
            UTF-8; every other kind is named for its one defect.
        language: Of its text.
        text: The main text, without what the site puts around it.
        duplicate_of: Number of the page whose text it copies, wholly or nearly; None for an original.
        lost: Why no reader of UTF-8 HTML can give its text: "not-utf8", "not-html", "truncated"; else "".
    """

    page: int
    file: str
    url: str
    record_id: str
    kind: str
    language: str
    text: str
    duplicate_of: int | None
    lost: str

    @property
    def good(self) -> bool:
        """Whether a filter should keep it, if it can be read."""
        return self.kind in ("article", "boilerplate", "counters", "latin-1")


def write_crawl(
    out: str | Path, *, pages: int = 128, files: int = 2, seed: int = 0, truncated: bool = False
) -> tuple[PageTruth, ...]:
    """Write OUT/crawl-00000.warc.gz and so on, and OUT/truth.json; what is true of each page.

    Every record is a gzip member of its own, as in Common Crawl: one `warcinfo` a file, then a `request` and
    a `response` a page. Equal arguments give equal bytes.

    Args:
        out: Folder; it is made.
        pages: How many; 32 and more hold every kind.
        files: How many WARC files they are dealt to, in order.
        seed: Of all texts.
        truncated: Cut the last file within its last member, as an interrupted download is.

    Raises:
        InputError: `pages` or `files` is below 1, or there are more files than pages.
    """
    out = Path(out)
    truths, contents = generate_pages(pages=pages, files=files, seed=seed, suffix="warc.gz")
    if truncated:
        last = truths[-1]
        truths = (*truths[:-1], PageTruth(**{**asdict(last), "lost": "truncated"}))
    names = list(dict.fromkeys(truth.file for truth in truths))
    for name in names:
        own = [truth for truth in truths if truth.file == name]
        members = [_warcinfo(name, seed)]
        for truth in own:
            members += _page_members(truth, contents[truth.page], seed)
        packed = b"".join(members)
        if truncated and name == names[-1]:
            packed = packed[: len(packed) - len(members[-1]) // 2]
        with atomic_path(out / name) as temporary:
            temporary.write_bytes(packed)
    write_json(out / "truth.json", [asdict(truth) for truth in truths])
    return truths


def pages_jsonl(path: str | Path, *, pages: int = 128, seed: int = 0) -> tuple[PageTruth, ...]:
    """Write the main texts of a crawl as JSON lines in the layout of the released pool; the truth of each.

    Pages that hold no HTML are left out, for an extractor would have left them out; pages in another encoding
    than UTF-8 are in.

    Args:
        path: File, packed by its suffix: .jsonl, .jsonl.gz or .jsonl.zst.
        pages: How many the crawl has.
        seed: As in `write_crawl`, which writes the same texts.

    Raises:
        InputError: `pages` is below 1.
    """
    path = Path(path)
    truths, _ = generate_pages(pages=pages, files=1, seed=seed, suffix="warc.gz")
    kept = tuple(
        PageTruth(**{**asdict(truth), "file": path.name, "lost": ""})
        for truth in truths
        if truth.lost != "not-html"
    )
    write_jsonl(path, map(_record, kept))
    return kept


def generate_pages(
    *, pages: int, files: int, seed: int, suffix: str
) -> tuple[tuple[PageTruth, ...], tuple[Content, ...]]:
    """The truth and the content of each page, without writing anything.

    Raises:
        InputError: `pages` or `files` is below 1, or there are more files than pages.
    """
    if pages < 1 or not 1 <= files <= pages:
        raise InputError(f"{pages} pages in {files} files cannot be made; give 1 or more, and no more files")
    truths: list[PageTruth] = []
    contents: list[Content] = []
    articles: list[int] = []
    for page, kind in enumerate(_kinds(pages, seed)):
        rng = stream(seed, "generated page", page)
        original = None
        if kind in ("duplicate", "near-duplicate"):
            original = articles[int(rng.integers(len(articles)))]
            of = contents[original]
            content = of if kind == "duplicate" else near_duplicate(rng, of)
        else:
            content = KINDS[kind](rng)
        if kind == "article":
            articles.append(page)
        contents.append(content)
        slug = "-".join(content.title.lower().replace("'", " ").split()[:6])
        word = f"{BANNED_WORD}/" if kind == "banned-url" else ""
        truths.append(
            PageTruth(
                page=page,
                file=f"crawl-{page * files // pages:05d}.{suffix}",
                url=f"https://{site_name(page % NUM_SITES)}/{word}{page}/{slug}",
                record_id=f"<urn:uuid:{uuid.UUID(bytes=rng.bytes(16), version=4)}>",
                kind=kind,
                language=content.language,
                text=content.text,
                duplicate_of=original,
                lost={"latin-1": "not-utf8", "not-html": "not-html"}.get(kind, ""),
            )
        )
    return tuple(truths), tuple(contents)


def _kinds(pages: int, seed: int) -> Iterator[str]:
    """The kind of each page: shuffled blocks with fixed numbers of each, and an article first."""
    block = [kind for kind, number in BLOCK.items() for _ in range(number)]
    for start in range(0, pages, len(block)):
        order = [block[index] for index in stream(seed, "generated kinds", start).permutation(len(block))]
        if start == 0:
            place = order.index("article")
            order[0], order[place] = order[place], order[0]
        yield from order[: pages - start]


def _record(truth: PageTruth) -> dict[str, Any]:
    return {
        "text": truth.text,
        "url": truth.url,
        "metadata": {"WARC-Target-URI": truth.url, "WARC-Record-ID": truth.record_id},
    }


def _warcinfo(name: str, seed: int) -> bytes:
    body = "software: dclm-bench generated crawl\r\nformat: WARC File Format 1.0\r\nisPartOf: generated\r\n"
    identity = uuid.UUID(bytes=stream(seed, f"warcinfo {name}").bytes(16), version=4)
    return _member(
        {
            "WARC-Type": "warcinfo",
            "WARC-Record-ID": f"<urn:uuid:{identity}>",
            "WARC-Date": _date(0),
            "WARC-Filename": name,
            "Content-Type": "application/warc-fields",
        },
        body.encode(),
    )


def _page_members(truth: PageTruth, content: Content, seed: int) -> list[bytes]:
    """The request and the response of a page."""
    host, path = truth.url.removeprefix("https://").split("/", 1)
    rng = stream(seed, "generated html", truth.page)
    request = f"GET /{path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: generated\r\n\r\n".encode()
    kind, body = _body(truth, content, rng)
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\nServer: none\r\n\r\n"
    response = head.encode() + body
    shared = {"WARC-Date": _date(truth.page), "WARC-Target-URI": truth.url}
    asked = uuid.UUID(bytes=rng.bytes(16), version=4)
    digest = base64.b32encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode()
    return [
        _member(
            {
                "WARC-Type": "request",
                "WARC-Record-ID": f"<urn:uuid:{asked}>",
                **shared,
                "Content-Type": "application/http; msgtype=request",
            },
            request,
        ),
        _member(
            {
                "WARC-Type": "response",
                "WARC-Record-ID": truth.record_id,
                **shared,
                "WARC-Payload-Digest": f"sha1:{digest}",
                "Content-Type": "application/http; msgtype=response",
            },
            response,
        ),
    ]


def _body(truth: PageTruth, content: Content, rng: np.random.Generator) -> tuple[str, bytes]:
    """Content type and bytes of what the server sent."""
    site = truth.page % NUM_SITES
    if truth.kind == "not-html":
        return "application/pdf", b"%PDF-1.4\n%\xe2\xe3\xcf\xd3\n" + rng.bytes(2000) + b"\n%%EOF\n"
    if truth.kind == "latin-1":
        html = to_html(content, site, rng, heavy=False, charset="iso-8859-1")
        return "text/html; charset=ISO-8859-1", html.encode("latin-1")
    html = to_html(content, site, rng, heavy=truth.kind == "boilerplate", charset="utf-8")
    return "text/html; charset=UTF-8", html.encode()


def _member(headers: dict[str, str], body: bytes) -> bytes:
    """A WARC record as a gzip member; no time stands in it, so equal records have equal bytes."""
    head = "WARC/1.0\r\n" + "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    record = f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body + b"\r\n\r\n"
    return gzip.compress(record, 6, mtime=0)


def _date(seconds: int) -> str:
    return (FIRST_DATE + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")
