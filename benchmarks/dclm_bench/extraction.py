"""What do damage handling and accounting cost, against a bare loop of fastwarc and resiliparse?

Both arms turn the same WARC file into JSON lines in memory; the lines must be equal but for the `id` that
ours adds. The bare loop is the official one: each response, strict UTF-8, main content, a page that fails is
passed over. `python -m benchmarks.dclm_bench.extraction --data FOLDER` takes `FOLDER/articles/html/*.html.gz`
(and, where it is there, `FOLDER/articles/ground-truth.json`, whose score goes into the note) and
`FOLDER/warc/*.warc.gz`; without it a generated crawl is used, whose pages are small.
"""

import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dclm_bench.data.generated.crawl import write_crawl
from dclm_bench.extraction.article_score import score_articles
from dclm_bench.extraction.html import extract_text
from dclm_bench.extraction.shard import extract_shard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from toolkit_shared.losses import Losses

from benchmarks.measurement import Sample, alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, DETECT, BARE = "ours", "ours, encodings detected", "bare loop (fastwarc, resiliparse)"
SMOKE_PAGES, FULL_PAGES = 64, 4096
# a file of a crawl holds some ten thousand pages, so what is done once a file must not count for a hundred
ARTICLE_COPIES = 5
# the arms differ by a few hundredths, and single passes of 1.5 s by as much
ROUND_SECONDS = 5
# of resiliparse 2 on the 181 articles: F1 with main content, and with all text
KNOWN_SCORES = {"resiliparse": 0.898, "resiliparse-all": 0.653}

QUESTION = Question(
    name="extraction",
    toolkit="dclm-bench",
    expected="at least 0.9 times the pages per CPU second of the bare loop",
    holds=lambda ratio: ratio >= 0.9,
    packages=["dclm-bench", "fastwarc", "resiliparse"],
    clock="cpu",
    unit="pages",
)


def ours(paths: list[Path], encoding: str, losses: Losses) -> list[str]:
    """JSON lines by this repository."""
    return [
        _line(page.to_json())
        for path in paths
        for page in extract_shard(path, encoding=encoding, losses=losses)
    ]


def bare(paths: list[Path]) -> list[str]:
    """JSON lines by the loop that the paper describes."""
    lines = []
    for path in paths:
        info = None
        for record in ArchiveIterator(
            str(path), record_types=WarcRecordType.response | WarcRecordType.warcinfo
        ):
            if record.record_type == WarcRecordType.warcinfo:
                info = record.reader.read().decode().strip()
                continue
            try:
                html = record.reader.read().decode("utf-8")
            except UnicodeDecodeError:
                continue
            found = {"text": extract_plain_text(html, main_content=True), "metadata": dict(record.headers)}
            if info:
                found["warcinfo"] = info
            lines.append(_line(found))
    return lines


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same files, and compare what they wrote."""
    with tempfile.TemporaryDirectory() as name:
        paths, note = crawl_files(options, Path(name))
        pages = len(bare(paths))
        written: dict[str, list[str]] = {}
        losses: dict[str, Losses] = {}

        def arm(which: str, work: Callable[[Losses], list[str]]) -> Callable[[], Sample]:
            def run() -> float:
                losses[which] = Losses()
                written[which] = work(losses[which])
                return float(pages)

            return lambda: timed(run, at_least_seconds=options.pick(0, ROUND_SECONDS))

        samples = alternate(
            {
                OURS: arm(OURS, lambda counter: ours(paths, "strict", counter)),
                BARE: arm(BARE, lambda counter: bare(paths)),
                DETECT: arm(DETECT, lambda counter: ours(paths, "detect", counter)),
            },
            repeats=options.repeats,
            progress=report_round,
        )
        require_same(written[OURS], written[BARE])
        limit = extraction_fraction(paths, samples[OURS])
    found, saved = losses[OURS], len(written[DETECT]) - len(written[OURS])
    note += (
        f"; {len(paths)} files, {pages:,} pages; counted as lost: {found.lost or 'none'}; "
        f"pages more with encodings detected: {saved}"
    )
    return Finding(samples, OURS, BARE, f"resiliparse: {limit:.0%} of the time of ours", note=note)


def crawl_files(options: Options, folder: Path) -> tuple[list[Path], str]:
    """The WARC files of the run, and what they are."""
    if options.data is None:
        write_crawl(folder, pages=options.pick(SMOKE_PAGES, FULL_PAGES), files=1)
        return sorted(folder.glob("*.warc.gz")), "a generated crawl"
    real = sorted((options.data / "warc").glob("*.warc.gz"))
    articles = {
        path.name.removesuffix(".html.gz"): gzip.decompress(path.read_bytes())
        for path in sorted((options.data / "articles" / "html").glob("*.html.gz"))
    }
    if options.scale == "smoke":
        articles = dict(list(articles.items())[:20])
    if articles:
        bodies = list(articles.values()) * options.pick(1, ARTICLE_COPIES)
        records = [_record(number, body) for number, body in enumerate(bodies)]
        packed = folder / "articles.warc.gz"
        packed.write_bytes(b"".join(gzip.compress(one, 6, mtime=0) for one in records))
        real.insert(0, packed)
    assert real, f"{options.data}: holds neither articles/html/*.html.gz nor warc/*.warc.gz"
    copies = options.pick(1, ARTICLE_COPIES)
    what = f"{len(articles)} real article pages, {copies} times over in one file, and small real WARC files"
    return real, what + score_note(options, articles)


def score_note(options: Options, articles: dict[str, bytes]) -> str:
    """The score against the gold texts, for all of the articles."""
    assert options.data is not None
    truth = options.data / "articles" / "ground-truth.json"
    if not truth.is_file() or options.scale == "smoke":
        return ""
    gold: dict[str, Any] = json.loads(truth.read_text(encoding="utf-8"))
    parts = []
    for extractor, known in KNOWN_SCORES.items():
        score = score_articles(
            (gold[key]["articleBody"], extract_text(articles[key].decode("utf-8"), extractor=extractor))
            for key in gold
        )
        assert abs(score.f1 - known) < 0.003, f"{extractor} has F1 {score.f1:.3f}, where {known} is known"
        parts.append(f"{extractor} F1 {score.f1:.3f} (P {score.precision:.3f}, R {score.recall:.3f})")
    return f", gold text: {'; '.join(parts)}"


def require_same(mine: list[str], theirs: list[str]) -> None:
    """Hold our lines against the bare loop's.

    Raises:
        AssertionError: they differ in more than our `id`.
    """
    assert len(mine) == len(theirs), f"{len(mine)} pages, where the bare loop has {len(theirs)}"
    for line, other in zip(mine, theirs, strict=True):
        record = json.loads(line)
        record.pop("id", None)
        assert record == json.loads(other), f"a page differs: {line[:200]}"


def extraction_fraction(paths: list[Path], samples: list[Sample]) -> float:
    """The share of our time that resiliparse needs for the same pages; the best of three."""
    htmls = []
    for path in paths:
        for record in ArchiveIterator(str(path), record_types=WarcRecordType.response):
            try:
                htmls.append(record.reader.read().decode("utf-8"))
            except UnicodeDecodeError:
                continue
    times = []
    for _ in range(3):
        start = time.process_time()
        for html in htmls:
            extract_plain_text(html, main_content=True)
        times.append(time.process_time() - start)
    return min(times) / len(htmls) / min(sample.cpu_seconds / sample.work for sample in samples)


def _line(record: dict[str, Any]) -> str:
    return json.dumps(record, ensure_ascii=False, separators=(",", ":"))


def _record(number: int, body: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n" + body
    head = (
        f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:{number}>\r\n"
        f"WARC-Target-URI: http://example.org/{number}\r\nWARC-Date: 2022-01-01T00:00:00Z\r\n"
        f"Content-Type: application/http; msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    return head.encode() + block + b"\r\n\r\n"


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
