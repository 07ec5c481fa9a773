"""How fast are the 13 repetition rules, against datatrove's filter with spaCy's words?

Both give a verdict on each page by rules with the same 13 limits, in one thread, and each finds its own
words: ours Unicode's, datatrove spaCy's. Ours has the official counts and computes all fractions; datatrove
stops at the first rule that drops a page. In the same run our count of datatrove's rules, given the words
that datatrove found, has to name the same rule for each page. With `--data FOLDER` the pages are those of
`FOLDER/quality/*.jsonl`; without it they are generated.
"""

import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from dclm_bench.data.page import Page
from dclm_bench.repetition.datatrove import datatrove_repetition_fractions
from dclm_bench.repetition.steps import massive_web_repetition_filters
from dclm_bench.steps.step import Rule
from dclm_bench.text.code_points import code_points
from dclm_bench.text.word_breaks import word_bounds

from benchmarks.dclm_bench.dedup_pages import generated_pages, real_pages, write_documents
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PEER = "ours", "datatrove with spaCy"
DATATROVE = ["datatrove[processing]==0.10.0", "spacy==3.8.7"]
WORKER = Path(__file__).parent / "workers" / "serve_datatrove_repetition.py"
REASONS = {
    "dup_para_frac": "duplicate_paragraph_fraction",
    "dup_para_char_frac": "duplicate_paragraph_character_fraction",
    "dup_line_frac": "duplicate_line_fraction",
    "dup_line_char_frac": "duplicate_line_character_fraction",
    **{f"top_{n}_gram": f"top_{n}_gram_character_fraction" for n in (2, 3, 4)},
    **{f"duplicated_{n}_n_grams": f"duplicate_{n}_gram_character_fraction" for n in range(5, 11)},
}
SMOKE_PAGES, FULL_PAGES = 40, 499

QUESTION = Question(
    name="repetition",
    toolkit="dclm-bench",
    expected="at least 20 times datatrove's pages/s a core",
    holds=lambda ratio: ratio >= 20,
    packages=["dclm-bench", "numba", "numpy"],
    clock="cpu",
    unit="pages",
)


def pages_of(options: Options) -> list[str]:
    """The pages of the run: real ones, or generated ones of which a third says some of its lines again."""
    number = options.pick(SMOKE_PAGES, FULL_PAGES)
    if options.data:
        return [text for text in real_pages(options.data, number) if text]
    pages = []
    for place, text in enumerate(generated_pages(number)):
        lines = text.split("\n")
        pages.append("\n".join(lines + lines[: place % 8] if place % 3 == 0 else lines))
    return pages


def first_failing(rules: Sequence[Rule], values: Sequence[float]) -> str:
    """The first rule that drops the page; empty for one that is kept."""
    return next((rule.name for rule, value in zip(rules, values, strict=True) if not rule.keeps(value)), "")


def datatrove_reasons(pages: list[str], words: list[list[str]]) -> list[str]:
    """For each page the first of datatrove's rules that drops it, by our counts on the words given."""
    rules = {rule.name: rule for rule in massive_web_repetition_filters().rules}
    found = []
    for text, of_page in zip(pages, words, strict=True):
        fractions = datatrove_repetition_fractions(text, of_page)
        values = [getattr(fractions, name) for name in REASONS.values()]
        found.append(first_failing([rules[name] for name in REASONS.values()], values))
    return found


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same pages, and compare the verdicts."""
    pages = pages_of(options)
    step = massive_web_repetition_filters()
    found: list[str] = []

    def judge() -> float:
        found[:] = [first_failing(step.rules, step.apply(Page(text))) for text in pages]
        return float(len(pages))

    arms: dict[str, Callable[[], Sample]] = {OURS: lambda: timed(judge, at_least_seconds=options.pick(0, 1))}
    mean = sum(len(text.encode()) for text in pages) / len(pages)
    if not options.peers:
        samples = alternate(arms, repeats=options.repeats, progress=report_round)
        return Finding(samples, OURS, None)
    with tempfile.TemporaryDirectory() as name, Peer(DATATROVE, WORKER) as peer:
        source = Path(name) / "pages.jsonl"
        write_documents(source, pages)
        peer.ask("open_pages", source=str(source))
        arms[PEER] = lambda: peer.measure("judge")
        samples = alternate(arms, repeats=options.repeats, progress=report_round)
        theirs = [REASONS.get(reason, reason) for reason in peer.ask("reasons")["reasons"]]
        words = peer.ask("words")["words"]
        versions = peer.versions
    ours = datatrove_reasons(pages, words)
    different = [place for place, (a, b) in enumerate(zip(ours, theirs, strict=True)) if a != b]
    assert not different, f"page {different[0]}: another verdict than datatrove's"
    agree = sum((a == "") == (b == "") for a, b in zip(found, theirs, strict=True))
    note = (
        f"{len(pages):,} pages of {mean:.0f} bytes; our count of datatrove's rules, on its words, gives the "
        f"same verdict and reason on all of them; with the official rules the same verdict on {agree}"
    )
    return Finding(samples, OURS, PEER, bound_by(samples[OURS], pages), versions, note)


def bound_by(ours: Sequence[Sample], pages: list[str]) -> str:
    """What limits ours: the share of its time that the words take, by the best of five."""
    times = []
    for _ in range(5):
        start = time.process_time()
        for text in pages:
            word_bounds(code_points(text))
        times.append(time.process_time() - start)
    share = min(times) / len(pages) / min(one.cpu_seconds / one.work for one in ours)
    return f"words are {share:.0%} of the time, the rest is lines and n-grams"


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
