"""How fast are paragraphs marked by a Bloom filter over 13-grams, against Dolma's program in Rust?

Both read the same JSON lines, mark paragraphs with (more than, or at least) 0.8 of their 13-grams in a filter
of the same size for a false-positive rate of 0.01, and write spans and filter; one thread each. The arms of
the ratio are processes that have started; "with start-up" is a new process each time. On generated pages,
whose planted copies are clear cases, both must mark the same paragraphs; with `--data` the timing is on
real pages, and the share of marks that they have in common is told. They may differ there: Dolma inserts
each n-gram as soon as it was looked up, also those of a paragraph that it removes, and so a text that
repeats itself is a copy of itself.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from dclm_bench.dedup.bff import BffOptions, collect_units
from dclm_bench.dedup.bloom_filter import filter_bytes

from benchmarks.dclm_bench.dedup_files import mark_paragraphs
from benchmarks.dclm_bench.dedup_pages import generated_pages, real_pages, write_documents
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import ROOT, Peer, PeerUnavailable
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PEER = "ours", "dolma"
OURS_STARTED, PEER_STARTED = "ours, with start-up", "dolma, with start-up"
RATE = 0.01
WORKER = Path(__file__).parent / "workers" / "serve_dolma.py"

QUESTION = Question(
    name="bloom-dedup",
    toolkit="dclm-bench",
    expected="at least as many bytes/s a core as Dolma's Rust; hoped for: 3 times as many",
    holds=lambda ratio: ratio >= 1,
    packages=["dclm-bench", "numba", "numpy"],
    clock="cpu",
    unit="bytes",
)

Marks = set[tuple[int, int]]


def marked(path: Path, pages: list[str], *, after_line_feed: bool) -> Marks:
    """(page, paragraph) of every span in a file; spans begin after the line feed before them, or with it."""
    found: Marks = set()
    with open(path, encoding="utf-8") as stream:
        for page, line in enumerate(stream):
            for start, *_ in json.loads(line)["attributes"].get("dup", []):
                found.add((page, pages[page].count("\n", 0, start if after_line_feed else start + 1)))
    return found


def ours_started(source: Path, target: Path, work: float, ngrams: int) -> Sample:
    """This repository in a new process, with its start."""
    before, wall = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    command = [sys.executable, "-m", "benchmarks.dclm_bench.workers.mark_paragraphs"]
    subprocess.run([*command, str(source), str(target), str(ngrams), str(RATE)], check=True, cwd=ROOT)
    wall, after = time.perf_counter() - wall, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Sample(work, wall, cpu)


def measure(options: Options) -> Finding:
    """Time both on the same file in turn, and compare what they mark."""
    number = options.pick(200, 20_000)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        planted = generated_pages(min(number, 2000), seed=1)
        pages = real_pages(options.data, number) if options.data else generated_pages(number)
        check, source = folder / "check" / "documents" / "a.jsonl", folder / "time" / "documents" / "a.jsonl"
        write_documents(check, planted)
        size = write_documents(source, pages)
        ngrams = len(collect_units(pages, BffOptions())["shingles"])
        bytes_in_filter = filter_bytes(ngrams, RATE)
        arms = {
            OURS: lambda: timed(lambda: _mark(source, folder / "ours.jsonl", ngrams, size)),
        }
        peer = None
        try:
            if options.peers:
                peer = Peer(["dolma==1.2.1"], WORKER)
                task = {"ngrams": ngrams, "rate": RATE, "size_in_bytes": bytes_in_filter}
                arms[OURS_STARTED] = lambda: ours_started(source, folder / "started.jsonl", size, ngrams)
                arms[PEER] = lambda: _peer(peer, "dedupe", source, size, task)
                arms[PEER_STARTED] = lambda: _peer(peer, "dedupe_process", source, size, task)
        except PeerUnavailable as error:
            print(f"{QUESTION.name}: only ours is timed, the peer cannot run here: {error}")
        try:
            note = _agreement(peer, check, planted, "generated pages") if peer else ""
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            if peer and options.data:
                ours = marked(folder / "ours.jsonl", pages, after_line_feed=False)
                theirs = marked(attributes(source), pages, after_line_feed=True)
                note += "; " + _shared(ours, theirs, "real pages")
            versions = peer.versions if peer else {}
        finally:
            if peer:
                peer.close()
    rate = max(sample.work / sample.cpu_seconds for sample in samples[OURS])
    per_ngram = 1e9 * size / rate / ngrams
    bound = f"{per_ngram:.0f} ns an n-gram, from JSON to spans; words, hashes and JSON take most of it"
    note = f"{number:,} pages, {size / 1e6:.1f} MB, {ngrams:,} n-grams, {bytes_in_filter:,} bytes; {note}"
    if peer:
        ratios = [a.work / a.cpu_seconds * b.cpu_seconds / b.work for a, b in _started(samples)]
        note += f"; with start-up the ratio is {sorted(ratios)[len(ratios) // 2]:.2f}"
    return Finding(samples, OURS, PEER if peer else None, bound, versions, note)


def attributes(source: Path) -> Path:
    """Where Dolma writes what it found in a file."""
    return source.parent.parent / "attributes" / "dup" / source.name


def _started(samples: dict[str, list[Sample]]) -> list[tuple[Sample, Sample]]:
    return list(zip(samples[OURS_STARTED], samples[PEER_STARTED], strict=True))


def _mark(source: Path, target: Path, ngrams: int, size: float) -> float:
    mark_paragraphs(source, target, ngrams, RATE)
    return size


def _peer(peer: Peer, task: str, source: Path, work: float, arguments: dict[str, float]) -> Sample:
    peer.ask("clean", source=str(source))
    return peer.measure(task, source=str(source), work=work, **arguments)


def _agreement(peer: Peer, source: Path, pages: list[str], what: str) -> str:
    """What both mark on the same pages, in words."""
    ngrams = len(collect_units(pages, BffOptions())["shingles"])
    task = {"ngrams": ngrams, "rate": RATE, "size_in_bytes": filter_bytes(ngrams, RATE)}
    _peer(peer, "dedupe", source, 1.0, task)
    target = source.parent.parent / "ours.jsonl"
    mark_paragraphs(source, target, ngrams, RATE)
    ours = marked(target, pages, after_line_feed=False)
    theirs = marked(attributes(source), pages, after_line_feed=True)
    assert ours, "no paragraph was marked"
    assert ours == theirs, f"the arms differ: {_shared(ours, theirs, what)}"
    return _shared(ours, theirs, what)


def _shared(ours: Marks, theirs: Marks, what: str) -> str:
    return (
        f"on {what} ours marks {len(ours):,} paragraphs, Dolma {len(theirs):,}, of which "
        f"{len(ours & theirs):,} are the same"
    )


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
