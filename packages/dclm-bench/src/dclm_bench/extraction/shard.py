"""The pages of one crawl file: a WARC is extracted, a WET holds text already."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses

from dclm_bench.data.inputs import format_of
from dclm_bench.data.page import Page
from dclm_bench.extraction import encodings
from dclm_bench.extraction.html import EXTRACTORS, ExtractionError, TextOf, count_tags, text_extractor
from dclm_bench.extraction.warc import MAX_BODY_BYTES, CrawlRecord, read_warc

Encoding = Literal["strict", "detect"]

NOT_UTF8 = "not UTF-8"
NOT_UNDONE = "encoded body that cannot be undone"
NOT_HTML = "not HTML"
NOT_EXTRACTED = "HTML that cannot be extracted"
EMPTY_TEXT = "page without text"
STILL_ENCODED = "body still chunked or gzipped"
NO_RECORD = "file without a page's record"
HTML_TYPES = ("text/html", "application/xhtml+xml", "application/xml", "text/xml", "")


def extract_shard(
    path: str | Path,
    *,
    extractor: str = "resiliparse",
    encoding: str = "strict",
    losses: Losses | None = None,
    max_body_bytes: int = MAX_BODY_BYTES,
) -> Iterator[Page]:
    """The pages of a WARC or WET file in order.

    A record has the keys `metadata` (all WARC headers), `warcinfo` (the text of that record, where the file
    has one) and `id` (the WARC-Record-ID). With "strict", pages are what the official extraction gives: each
    `response` record goes to the extractor whatever its media type (images fail to decode, JSON and plain
    text pass through), and bodies are taken as recorded; pages without text are kept. With "detect",
    transfer, content and character encodings are undone, and what is declared as no HTML is lost.

    Args:
        path: The file.
        extractor: What `text_extractor` takes, or "wet" for files of the WET kind.
        encoding: "strict" or "detect".
        losses: Counts the records that give no page, with the reason, and what is odd about the others.
        max_body_bytes: Larger bodies are lost.

    Raises:
        InputError: the file is missing or of another format, or an option is unusable.

    Source: the official tools/commoncrawl/process_common_crawl_w_ray.py; `id` is ours.
    """
    if encoding not in encodings.ENCODINGS:
        raise InputError(f"encoding: '{encoding}' is neither strict nor detect")
    if extractor not in EXTRACTORS:
        raise InputError(f"extractor: '{extractor}' is not known; known are {', '.join(EXTRACTORS)}")
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path}: {'is a folder' if path.is_dir() else 'no such file'}; check the path")
    kind = format_of(path)
    if kind not in ("warc", "wet"):
        raise InputError(f"{path}: holds {kind}, not WARC or WET records; its pages need no extraction")
    if (kind == "wet") != (extractor == "wet"):
        cure = "give --extractor wet" if kind == "wet" else "give an extractor of HTML, or the WET file"
        raise InputError(f"{path}: a {kind.upper()} file cannot be read by '{extractor}'; {cure}")
    counter = Losses() if losses is None else losses
    extract = None if kind == "wet" else text_extractor(extractor)
    return _pages(path, extract, encoding == encodings.DETECT, counter, max_body_bytes)


def _pages(
    path: Path,
    extract: TextOf | None,
    detect: bool,
    losses: Losses,
    max_body_bytes: int,
) -> Iterator[Page]:
    record: CrawlRecord | None = None
    kind: Literal["response", "conversion"] = "conversion" if extract is None else "response"
    lost_before = losses.num_lost
    for record in read_warc(path, kind=kind, losses=losses, max_body_bytes=max_body_bytes):
        text = _text(record, extract, detect, losses, max_body_bytes)
        if text is None:
            continue
        if not text:
            losses.note(EMPTY_TEXT, record.place)
        yield Page(text, _record(record))
    if record is None and losses.num_lost == lost_before:
        losses.note(NO_RECORD, str(path), f"no {kind} record")


def _text(
    record: CrawlRecord,
    extract: TextOf | None,
    detect: bool,
    losses: Losses,
    max_body_bytes: int,
) -> str | None:
    """The text of a record; None where it is lost, which is then counted."""
    body, reason = record.body, NOT_UTF8
    try:
        if not detect:
            html = encodings.decode_strict(body)
            if encodings.looks_encoded(body) and encodings.is_encoded(body, record.http):
                losses.note(STILL_ENCODED, record.place, "--encoding detect undoes it")
        else:
            if extract is not None and (media := encodings.media_type(record.http)) not in HTML_TYPES:
                losses.lose(NOT_HTML, record.place, media, damaged=False)
                return None
            reason = NOT_UNDONE
            body = encodings.undo_encodings(body, record.http, max_body_bytes)
            html = encodings.decode_detected(body, record.http)
        return html.strip() if extract is None else extract(html, count_tags(body))
    except encodings.BodyError as error:
        losses.lose(reason, record.place, str(error), damaged=reason == NOT_UNDONE)
    except ExtractionError as error:
        losses.lose(NOT_EXTRACTED, record.place, str(error), damaged=False)
    return None


def _record(record: CrawlRecord) -> dict[str, Any]:
    found: dict[str, Any] = {"metadata": record.headers}
    if record.warcinfo:
        found["warcinfo"] = record.warcinfo
    if "WARC-Record-ID" in record.headers:
        found["id"] = record.headers["WARC-Record-ID"]
    return found
