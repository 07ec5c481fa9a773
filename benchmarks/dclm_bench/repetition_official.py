"""How fast are the 13 repetition rules, against the official Python function?

`python -m benchmarks.dclm_bench.repetition_official --official CHECKOUT [--data FOLDER]`: CHECKOUT is a
folder with github.com/mlfoundations/dclm, of which nothing is in this repository; without it the question is
skipped. Both give a verdict on each page, in one thread, and it has to be the same on all of them.
"""

import sys
import tempfile
from pathlib import Path

from dclm_bench.data.page import Page
from dclm_bench.repetition.steps import massive_web_repetition_filters

from benchmarks.dclm_bench.dedup_pages import write_documents
from benchmarks.dclm_bench.repetition import bound_by, first_failing, pages_of
from benchmarks.dclm_bench.workers.official import REQUIREMENTS
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PEER = "ours", "official function"
WORKER = Path(__file__).parent / "workers" / "serve_official_repetition.py"
# It does some ten pages a second.
SMOKE_PART, FULL_PART = 5, 40

QUESTION = Question(
    name="repetition-official",
    toolkit="dclm-bench",
    expected="at least 200 times the official function's pages/s a core",
    holds=lambda ratio: ratio >= 200,
    packages=["dclm-bench", "numba", "numpy"],
    clock="cpu",
    unit="pages",
)


def measure(options: Options) -> Finding | None:
    """Time both in turn, the official function on another part of the pages each round; compare these."""
    if options.official is None or not options.peers:
        print(f"{QUESTION.name}: skipped, it needs --official CHECKOUT of github.com/mlfoundations/dclm")
        return None
    pages = pages_of(options)
    part = options.pick(SMOKE_PART, FULL_PART)
    step = massive_web_repetition_filters(compat="official")
    found: list[str] = []

    def ours() -> float:
        found[:] = [first_failing(step.rules, step.apply(Page(text))) for text in pages]
        return float(len(pages))

    compared: dict[int, bool] = {}
    with tempfile.TemporaryDirectory() as name, Peer(REQUIREMENTS, WORKER) as peer:
        source = Path(name) / "pages.jsonl"
        write_documents(source, pages)
        peer.ask("open_pages", source=str(source), checkout=str(options.official.resolve()))
        turn = iter(range(1_000_000))

        def theirs() -> Sample:
            first = next(turn) * part % (len(pages) - part + 1)
            sample = peer.measure("judge", first=first, last=first + part)
            compared.update(enumerate(peer.ask("kept")["kept"], start=first))
            return sample

        arms = {OURS: lambda: timed(ours, at_least_seconds=options.pick(0, 1)), PEER: theirs}
        samples = alternate(arms, repeats=options.repeats, progress=report_round)
        versions = peer.versions
    for place, kept in compared.items():
        assert kept == (found[place] == ""), f"page {place}: another verdict than the official one"
    note = f"the same verdict on all {len(compared)} pages that the official function was given"
    return Finding(samples, OURS, PEER, bound_by(samples[OURS], pages), versions, note)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
