"""How fast is the built-in language identifier, against langdetect in Python?

Both name the language of the same pages. They must agree on which pages are English (above 0.65) but for one
in fifty; and langdetect's own method, compiled here, must give langdetect's figures on each page. With
`--data FOLDER` the pages are those of `FOLDER/quality/majority_data.jsonl` and the gold texts of
`FOLDER/articles/ground-truth.json`; without it they are generated.
"""

import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import langdetect
from dclm_bench.data.generated.crawl import pages_jsonl
from dclm_bench.data.reading import read_pages
from dclm_bench.language.built_in import identify_language
from dclm_bench.language.langdetect_method import detect_languages
from langdetect.lang_detect_exception import LangDetectException

from benchmarks.measurement import Sample, alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

BUILT_IN, METHOD, PEER = "built-in identifier", "langdetect's method, compiled", "langdetect"
SMOKE_PAGES, FULL_PAGES = 48, 768
THRESHOLD, DISAGREEMENT = 0.65, 0.02

QUESTION = Question(
    name="language-identification",
    toolkit="dclm-bench",
    expected="at least 20 times the pages/s of langdetect, and above 2,000",
    holds=lambda ratio: ratio >= 20,
    packages=["dclm-bench", "langdetect", "numba", "numpy"],
    clock="cpu",
    unit="pages",
)

Languages = dict[str, float]


def peer(text: str) -> Languages:
    """What langdetect says under seed 0; nothing where it finds no letters."""
    try:
        return {found.lang: found.prob for found in langdetect.detect_langs(text)}
    except LangDetectException:
        return {}


def measure(options: Options) -> Finding:
    """Time the arms in turn on the same pages, and compare what they found."""
    langdetect.DetectorFactory.seed = 0
    texts, what = pages_of(options)
    found: dict[str, list[Languages]] = {}

    def arm(which: str, identify: Callable[[str], Languages]) -> Callable[[], Sample]:
        def run() -> float:
            found[which] = [identify(text) for text in texts]
            return float(len(texts))

        return lambda: timed(run)

    samples = alternate(
        {
            BUILT_IN: arm(BUILT_IN, identify_language),
            METHOD: arm(METHOD, detect_languages),
            PEER: arm(PEER, peer),
        },
        repeats=options.repeats,
        progress=report_round,
    )
    worst = require_same(found[METHOD], found[PEER])
    differing = sum(
        (ours.get("en", 0.0) > THRESHOLD) != (theirs.get("en", 0.0) > THRESHOLD)
        for ours, theirs in zip(found[BUILT_IN], found[PEER], strict=True)
    )
    assert differing <= max(1, DISAGREEMENT * len(texts)), f"English to one only: {differing} pages"
    characters = sum(map(len, texts)) / len(texts)
    rate = max(sample.work / sample.cpu_seconds for sample in samples[BUILT_IN])
    note = (
        f"{len(texts):,} {what}, {characters:,.0f} characters each; English to one of the two only: "
        f"{differing}; largest difference of a probability between the compiled method and langdetect: "
        f"{worst:.1e}"
    )
    bound = f"fetching rows of 55 scores for each n-gram of at most 2,400 characters, {rate:,.0f} pages/CPU s"
    return Finding(samples, BUILT_IN, PEER, bound, note=note)


def pages_of(options: Options) -> tuple[list[str], str]:
    """The texts, and what they are."""
    if options.data is None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "pages.jsonl"
            pages_jsonl(path, pages=options.pick(SMOKE_PAGES, FULL_PAGES))
            return [page.text for page in read_pages(path)], "generated pages"
    texts = [page.text for page in read_pages(options.data / "quality" / "majority_data.jsonl")]
    gold = json.loads((options.data / "articles" / "ground-truth.json").read_text(encoding="utf-8"))
    texts += [gold[key]["articleBody"] for key in sorted(gold)]
    return texts[: options.pick(SMOKE_PAGES, len(texts))], "real pages and articles"


def require_same(mine: list[Languages], theirs: list[Languages]) -> float:
    """Hold the compiled method against langdetect; the largest difference of a probability.

    Raises:
        AssertionError: a page has other languages, or a probability is off by more than rounding.
    """
    worst = 0.0
    for one, other in zip(mine, theirs, strict=True):
        assert list(one) == list(other), f"{one} where langdetect has {other}"
        worst = max([worst, *(abs(one[code] - other[code]) for code in one)])
    assert worst < 1e-9, f"a probability is {worst:.1e} off"
    return worst


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
