"""Do the rules and edits give the official Python pipeline's verdicts and texts, on real pages?

`python -m benchmarks.dclm_bench.rule_parity --official CHECKOUT --data FOLDER`: CHECKOUT is a folder with
github.com/mlfoundations/dclm, of which nothing is in this repository; FOLDER has `quality/*.jsonl`,
`articles/html/*.html.gz` and `warc/*.warc.gz`. Every step of its `dclm_baseline_refinedweb.yaml`, language
and the list of domains apart, meets every page by itself, and every page goes through the whole recipe.
Compared are verdict and text; of the recipe, which step drops the page. Some pages are also taken with their
lines doubled, in capitals, and without line ends, so that every rule both keeps and drops.
"""

import gzip
import hashlib
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dclm_bench.data.page import Page
from dclm_bench.extraction.html import extract_text
from dclm_bench.extraction.shard import extract_shard
from dclm_bench.pipeline.passes import page_step
from dclm_bench.recipe import build_steps
from dclm_bench.steps.step import Step, keeps_all
from toolkit_shared.results import Arm, Result, capture_environment, current_commit, timestamp, write_result

from benchmarks.dclm_bench.dedup_pages import real_pages
from benchmarks.dclm_bench.filter_pipeline import ADDRESSES, WORKER, generated_texts, outcome, recipe_of
from benchmarks.dclm_bench.workers.official import REQUIREMENTS
from benchmarks.peers import Peer, PeerUnavailable
from benchmarks.question import RESULTS, command_of, parse

NAME = "rule-parity"
EXPECTED = "the same verdict and the same text on every page, step by step and through the whole recipe"
SMOKE_PAGES, LABELLED_PAGES, CHANGED_PAGES = 12, 499, 150
DROPPED = "dropped"
ALL_STEPS = "whole recipe"


def main(argv: list[str] | None = None) -> int:
    """Compare, and write the result; 1 where a page differs."""
    options = parse(NAME, argv, repeats=1)
    if options.official is None or not options.peers:
        print(f"{NAME}: skipped, it needs --official CHECKOUT of mlfoundations/dclm, and peers")
        return 0
    if options.data is None and options.scale != "smoke":
        print(f"{NAME}: skipped, it needs --data FOLDER with quality/, articles/ and warc/")
        return 0
    started, clock = timestamp(), time.perf_counter()
    pages = [
        {"text": text, "metadata": {"WARC-Target-URI": ADDRESSES[place % 8 if place % 8 < 4 else 0]}}
        for place, text in enumerate(texts_of(options.data))
    ]
    recipe = recipe_of(options.official)
    names = [step.name for step in recipe.steps]
    steps = [page_step(named) for named in build_steps(recipe)]
    ours = {name: [alone(step, page) for page in pages] for name, step in zip(names, steps, strict=True)}
    ours[ALL_STEPS] = [outcome(steps, page, all_rules=False) for page in pages]
    try:
        theirs, versions = official_outcomes(pages, recipe.to_json(), options.official)
    except PeerUnavailable as error:
        print(f"{NAME}: skipped, the peer cannot run here: {error}")
        return 0
    different = report(ours, dict(zip([*names, ALL_STEPS], theirs, strict=True)))
    if options.out is not None:
        peers = {f"peer {name}": text for name, text in versions.items()}
        equal = [len(pages) - different[name] for name in ours]
        counts = {"pages compared": [len(pages)] * len(ours), "pages equal": equal}
        result = Result(
            toolkit="dclm-bench",
            question=NAME,
            kind="oracle",
            arms=tuple(
                Arm(name=name, metric="pages", unit="", higher_is_better=True, values=tuple(values))
                for name, values in counts.items()
            ),
            comparison=None,
            expected=EXPECTED,
            verdict="fails" if any(different.values()) else "holds",
            environment=capture_environment(["dclm-bench", "numba", "numpy"], threads=1, versions=peers),
            command=command_of(argv),
            commit=current_commit(RESULTS.parent),
            started=started,
            seconds=round(time.perf_counter() - clock, 1),
            note="values in the order of " + ", ".join(ours),
        )
        print(f"wrote {write_result(result, options.out)}")
    return 1 if any(different.values()) else 0


def texts_of(data: Path | None) -> list[str]:
    """Real texts and changed ones; generated ones without a folder."""
    if data is None:
        return generated_texts(SMOKE_PAGES)
    texts = real_pages(data, LABELLED_PAGES)
    for path in sorted((data / "articles" / "html").glob("*.html.gz")):
        html = gzip.decompress(path.read_bytes()).decode("utf-8", "replace")
        texts += [extract_text(html), extract_text(html, main_content=False)]
    for path in sorted((data / "warc").glob("*.warc.gz")):
        texts += [page.text for page in extract_shard(path, encoding="detect")]
    return texts + list(changed(texts[:: max(1, len(texts) // CHANGED_PAGES)]))


def changed(texts: list[str]) -> Iterator[str]:
    """The texts, each changed in one of four ways in turn."""
    for place, text in enumerate(texts):
        lines = text.split("\n")
        ways = (
            "\n".join(lines + lines[: len(lines) // 2]),
            "\n".join(line.upper() if number % 3 == 0 else line for number, line in enumerate(lines)),
            " ".join(lines),
            "\n".join(["12", "3 likes", *lines[:9], "Read more...", "Sign-in here", "wait for it..."] * 2),
        )
        yield ways[place % 4]


def alone(step: Step, record: dict[str, Any]) -> str:
    """What one step does to a page, after its address has been copied: the hash of the text, or "dropped"."""
    url = record["metadata"]["WARC-Target-URI"]
    page = Page(record["text"], {"metadata": record["metadata"], "url": url, "previous_word_count": 100})
    if step.func == "word_counter_enricher":
        del page.record["previous_word_count"]
    if not keeps_all(step.rules, step.apply(page)):
        return DROPPED
    counted = page.record["previous_word_count"] if step.func == "word_counter_enricher" else ""
    return hashlib.md5(page.text.encode("utf-8", "surrogatepass")).hexdigest() + str(counted)


def official_outcomes(
    pages: list[dict[str, Any]], entries: list[dict[str, Any]], checkout: Path
) -> tuple[list[list[str]], dict[str, str]]:
    """The same of the official code, a list a step and one for the recipe; and the versions of its peers."""
    entries = [{key: value for key, value in entry.items() if key != "name"} for entry in entries]
    with tempfile.TemporaryDirectory() as name, Peer(REQUIREMENTS, WORKER) as peer:
        source = Path(name) / "pages.jsonl"
        source.write_text("".join(json.dumps(page) + "\n" for page in pages), encoding="utf-8")
        peer.ask("open_pages", source=str(source), checkout=str(checkout.resolve()), steps=entries)
        found = [peer.ask("run_alone", number=number)["outcomes"] for number in range(len(entries))]
        peer.ask("run_steps", first=0, last=len(pages))
        return [*found, peer.ask("outcomes")["outcomes"]], peer.versions


def report(ours: dict[str, list[str]], theirs: dict[str, list[str]]) -> dict[str, int]:
    """Print a line a step; how many pages differ."""
    different = {}
    for name, mine in ours.items():
        unequal = [
            place for place, pair in enumerate(zip(mine, theirs[name], strict=True)) if len({*pair}) > 1
        ]
        different[name] = len(unequal)
        dropped = sum(result == DROPPED or (result.isdigit() and len(result) < 4) for result in mine)
        tail = f"; first at page {unequal[0]}" if unequal else ""
        print(f"{name}: {len(mine):,} pages, {dropped:,} dropped, {len(unequal):,} differ{tail}")
    total = sum(len(values) for values in ours.values())
    print(f"{NAME}: {total:,} comparisons, {sum(different.values()):,} differ")
    return different


if __name__ == "__main__":
    sys.exit(main())
