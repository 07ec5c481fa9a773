"""How fast is the whole heuristic part of the DCLM-Baseline recipe, against the official Python pipeline?

`python -m benchmarks.dclm_bench.filter_pipeline --official CHECKOUT [--data FOLDER]`: CHECKOUT is a folder
with github.com/mlfoundations/dclm, of which nothing is in this repository; without it only ours is timed.
Both run the steps of its own `dclm_baseline_refinedweb.yaml` but for language identification and the list of
domains, which need files that are not here; a page leaves at the first step that drops it. On each page that
the official pipeline was given, both have to drop it at the same step or leave the same text.
"""

import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dclm_bench.data.page import Page
from dclm_bench.pipeline.passes import page_step
from dclm_bench.recipe import Recipe, build_steps, load_recipe
from dclm_bench.repetition.steps import massive_web_repetition_filters
from dclm_bench.steps.step import Step, keeps_all
from toolkit_shared.randomness import stream

from benchmarks.dclm_bench.dedup_pages import real_pages
from benchmarks.dclm_bench.workers.official import REQUIREMENTS
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import Peer
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, ALL_RULES, PEER = "ours", "ours, every rule on every page", "official pipeline"
WORKER = Path(__file__).parent / "workers" / "serve_official_filters.py"
RECIPE = Path("baselines") / "baselines_configs" / "dclm_baseline_refinedweb.yaml"
LISTS = Path("baselines") / "mappers" / "banlists"
LEFT_OUT = ("detect_lang_whole_page_enricher", "language_filter")
SMOKE_PAGES, FULL_PAGES = 60, 499
# The official pipeline does some twenty pages a second.
SMOKE_PART, FULL_PART = 8, 60
WORDS = (
    "the to of and that have with be a river stone autumn we walk along slow water light falls on green "
    "hills then small birds sing while children read old letters from distant towns market bread "
    "salt music window"
).split()
LINES = (
    "3 likes|12|EVERYTHING LOUD HERE|* an item|wait for it...|Two items in cart|Read more...|Sign-in|x|"
    "Visit www.example.com now|at https://foo.example.org/bar?x=1 there|10.0.0.1:8080/x||###|Privacy"
).split("|")
ADDRESSES = (
    "https://www.example.org/a-b|http://example.com/1|http://sexy.example/nude|https://gang-bang.example"
).split("|")

QUESTION = Question(
    name="filter-pipeline",
    toolkit="dclm-bench",
    expected="at least 30 times the official pipeline's pages/s a core",
    holds=lambda ratio: ratio >= 30,
    packages=["dclm-bench", "numba", "numpy"],
    clock="cpu",
    unit="pages",
)


def pages_of(options: Options) -> list[dict[str, Any]]:
    """The pages of the run as records: real texts, or generated ones, with addresses in turn."""
    number = options.pick(SMOKE_PAGES, FULL_PAGES)
    texts = real_pages(options.data, number) if options.data else generated_texts(number)
    addresses = [ADDRESSES[0] if place % 8 else ADDRESSES[place // 8 % 4] for place in range(number)]
    return [
        {"text": text, "metadata": {"WARC-Target-URI": address}}
        for text, address in zip(texts, addresses, strict=True)
    ]


def generated_texts(number: int) -> list[str]:
    """Texts of common words, most with a few lines that one of the rules looks for."""
    texts = []
    for place in range(number):
        rng = stream(0, "filter pipeline pages", place)
        lines = [" ".join(rng.choice(WORDS, rng.integers(5, 40))) + "." for _ in range(rng.integers(2, 50))]
        for line in rng.choice(LINES, rng.integers(0, 4)).tolist():
            lines.insert(int(rng.integers(len(lines) + 1)), line)
        texts.append("\n".join(lines))
    return texts


def recipe_of(checkout: Path | None) -> Recipe:
    """The recipe's steps that both can run: those of the checkout, or the shipped ones."""
    recipe = load_recipe(str(checkout / RECIPE) if checkout else "heuristics")
    recipe = recipe.with_lists(checkout / LISTS if checkout else None)
    steps = [
        step
        for step in recipe.steps
        if step.func not in LEFT_OUT and not step.parameters.get("exact_domain_match")
    ]
    return Recipe(recipe.name, tuple(steps))


def outcome(steps: Sequence[Step], record: dict[str, Any], *, all_rules: bool) -> str:
    """The number of the step that drops the page, or the hash of the text that is left."""
    page = Page(record["text"], {"metadata": record["metadata"]})
    dropped = ""
    for number, step in enumerate(steps):
        if not keeps_all(step.rules, step.apply(page)) and not dropped:
            dropped = str(number)
            if not all_rules:
                break
    return dropped or hashlib.md5(page.text.encode("utf-8", "surrogatepass")).hexdigest()


def measure(options: Options) -> Finding:
    """Time the arms in turn, the official pipeline on another part of the pages each round; compare these."""
    pages, checkout = pages_of(options), options.official
    recipe = recipe_of(checkout)
    steps = [page_step(named) for named in build_steps(recipe)]
    found: dict[str, list[str]] = {}

    def running(arm: str) -> Callable[[], float]:
        def run() -> float:
            found[arm] = [outcome(steps, page, all_rules=arm == ALL_RULES) for page in pages]
            return float(len(pages))

        return run

    seconds = options.pick(0, 1)
    first, every = running(OURS), running(ALL_RULES)
    arms = {
        OURS: lambda: timed(first, at_least_seconds=seconds),
        ALL_RULES: lambda: timed(every, at_least_seconds=seconds),
    }
    mean = sum(len(page["text"].encode("utf-8", "surrogatepass")) for page in pages) / len(pages)
    kept = f"{len(pages):,} pages of {mean:.0f} bytes"
    if checkout is None or not options.peers:
        return Finding(alternate(arms, repeats=options.repeats, progress=report_round), OURS, None, note=kept)
    part = options.pick(SMOKE_PART, FULL_PART)
    compared: dict[int, str] = {}
    with tempfile.TemporaryDirectory() as name, Peer(REQUIREMENTS, WORKER) as peer:
        source = Path(name) / "pages.jsonl"
        source.write_text("".join(json.dumps(page) + "\n" for page in pages), encoding="utf-8")
        entries = [{"func": step.func, **step.parameters} for step in recipe.steps]
        peer.ask("open_pages", source=str(source), checkout=str(checkout.resolve()), steps=entries)
        turn = iter(range(1_000_000))

        def theirs() -> Sample:
            start = next(turn) * part % (len(pages) - part + 1)
            sample = peer.measure("run_steps", first=start, last=start + part)
            compared.update(enumerate(peer.ask("outcomes")["outcomes"], start=start))
            return sample

        arms[PEER] = theirs
        samples = alternate(arms, repeats=options.repeats, progress=report_round)
        versions = peer.versions
    for place, official in compared.items():
        for arm in (OURS, ALL_RULES):
            if (
                arm == OURS or official.isdigit()
            ):  # a page that was dropped is edited further when all rules run
                assert found[arm][place] == official, f"page {place}: {found[arm][place]} against {official}"
    survivors = sum(not result.isdigit() for result in found[OURS])
    note = (
        f"{kept}, of which ours keeps {survivors}; on all {len(compared)} that the official pipeline had, "
        "the same step drops the page, or the same text is left"
    )
    best = min(one.cpu_seconds / one.work for one in samples[ALL_RULES])
    bound = f"the repetition rules are {repetition_seconds(pages) / best:.0%} of the time with every rule"
    return Finding(samples, OURS, PEER, bound, versions, note)


def repetition_seconds(pages: Sequence[dict[str, Any]]) -> float:
    """Seconds of the processor a page that the repetition rules take on these texts: the best of five."""
    step = massive_web_repetition_filters(compat="official")
    times = []
    for _ in range(5):
        start = time.process_time()
        for page in pages:
            step.apply(Page(page["text"]))
        times.append(time.process_time() - start)
    return min(times) / len(pages)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
