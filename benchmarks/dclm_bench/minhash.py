"""How fast are MinHash signatures of 93 bands of 15 rows made, against datatrove?

Both cut pages into words, hash word 5-grams and take the minima under 1,395 hash functions, in one thread. On
planted pairs of pages both have to find every near copy, no pair that has little in common, and estimate the
Jaccard similarity of each pair, which is known exactly, to within five standard errors.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
from dclm_bench.dedup.batches import text_batches
from dclm_bench.dedup.minhash import MinHashOptions, band_keys, page_shingles, signatures
from toolkit_shared.randomness import stream

from benchmarks.dclm_bench.dedup_pages import generated_pages, real_pages, write_documents
from benchmarks.measurement import Sample, alternate, timed
from benchmarks.peers import Peer, PeerUnavailable
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PEER = "ours", "datatrove"
MINHASH = MinHashOptions(bands=93, rows=15, ngram=5)
WORKER = Path(__file__).parent / "workers" / "serve_datatrove.py"
CHANGED = (0.0, 0.002, 0.01, 0.1, 0.5)
TOLERATED_ERRORS = 5.0

QUESTION = Question(
    name="minhash",
    toolkit="dclm-bench",
    expected="at least 20 times datatrove's pages/s a core",
    holds=lambda ratio: ratio >= 20,
    packages=["dclm-bench", "numba", "numpy"],
    clock="cpu",
    unit="pages",
)

Detected = tuple[list[bool], list[float]]


def planted_pairs(number: int) -> list[str]:
    """Pages, each followed by a copy in which some of its words were changed."""
    rng = stream(0, "minhash pairs")
    pages = []
    for place, text in enumerate(generated_pages(number, seed=2)):
        words = text.split(" ")
        changed = rng.random(len(words)) < CHANGED[place % len(CHANGED)]
        pages += [text, " ".join("other" if new else word for word, new in zip(words, changed, strict=True))]
    return pages


def true_similarities(pages: list[str]) -> list[float]:
    """The Jaccard similarity of each page and the next."""
    shingles, counts = page_shingles(pages, MINHASH)
    sets = [set(part.tolist()) for part in np.split(shingles, np.cumsum(counts)[:-1])]
    return [len(a & b) / len(a | b) for a, b in zip(sets[::2], sets[1::2], strict=True)]


def detected_by_ours(pages: list[str]) -> Detected:
    """For each page and the next: whether they agree in a band, and the share of equal minima."""
    found, _ = signatures(pages, MINHASH)
    keys = band_keys(found, MINHASH.bands)
    shares = (found[::2] == found[1::2]).mean(axis=1)
    return (keys[::2] == keys[1::2]).any(axis=1).tolist(), shares.tolist()


def require_detection(detected: Detected, similarities: list[float], who: str) -> str:
    """Hold what was found against the exact similarities; the largest error of an estimate, in words.

    Raises:
        AssertionError: a near copy was missed, a pair with little in common was found, or an estimate is off.
    """
    worst = 0.0
    for hit, share, similarity in zip(*detected, similarities, strict=True):
        assert hit or similarity < 0.9, f"{who} misses a pair of similarity {similarity:.3f}"
        assert not hit or similarity > 0.4, f"{who} takes a pair of similarity {similarity:.3f} for copies"
        spread = np.sqrt(max(similarity * (1 - similarity), 1e-3) / MINHASH.num_hashes)
        worst = max(worst, abs(share - similarity) / spread)
    assert worst < TOLERATED_ERRORS, f"{who}: an estimate is {worst:.1f} standard errors off"
    return f"{who} {sum(detected[0])} of {len(similarities)}, largest error {worst:.1f} standard errors"


def sign(pages: list[str]) -> float:
    """Signatures and band keys of all pages; how many there are."""
    for batch in text_batches(pages):
        found, _ = signatures(batch, MINHASH)
        band_keys(found, MINHASH.bands)
    return float(len(pages))


def measure(options: Options) -> Finding:
    """Time both in turn on the same pages, and hold both against the planted pairs."""
    number, theirs = options.pick(100, 4000), options.pick(10, 100)
    pages = real_pages(options.data, number) if options.data else generated_pages(number)
    pairs = planted_pairs(options.pick(20, 100))
    similarities = true_similarities(pairs)
    note = f"planted pairs found: {require_detection(detected_by_ours(pairs), similarities, OURS)}"
    arms = {OURS: lambda: timed(lambda: sign(pages), at_least_seconds=options.pick(0, 1))}
    with tempfile.TemporaryDirectory() as name:
        source, planted = Path(name) / "pages.jsonl", Path(name) / "pairs.jsonl"
        write_documents(source, pages)
        write_documents(planted, pairs)
        shape = {"bands": MINHASH.bands, "rows": MINHASH.rows, "ngram": MINHASH.ngram, "folder": name}
        peer = None
        try:
            if options.peers:
                peer = Peer(["datatrove[processing]==0.10.0", "spacy"], WORKER)
        except PeerUnavailable as error:
            print(f"{QUESTION.name}: only ours is timed, the peer cannot run here: {error}")
        try:
            if peer:
                peer.ask("open_pages", source=str(planted), **shape)
                peer.measure("sign", first=0, last=len(pairs))
                answered = peer.ask("detected")
                found = (answered["bands"], answered["shares"])
                note += f"; {require_detection(found, similarities, PEER)}"
                peer.ask("open_pages", source=str(source), **shape)
                turn = iter(range(1_000_000))
                arms[PEER] = lambda: _peer(peer, next(turn), theirs, number)
            samples = alternate(arms, repeats=options.repeats, progress=report_round)
            versions = peer.versions if peer else {}
        finally:
            if peer:
                peer.close()
    _, counts = page_shingles(pages, MINHASH)
    rate = max(sample.work / sample.cpu_seconds for sample in samples[OURS])
    minima = rate * counts.mean() * MINHASH.num_hashes
    bound = f"{minima / 1e9:.1f} billion hashes/s together with words and shingles, which take about half"
    note = f"{number:,} pages of {counts.mean():.0f} shingles; {note}"
    return Finding(samples, OURS, PEER if peer else None, bound, versions, note)


def _peer(peer: Peer, turn: int, size: int, number: int) -> Sample:
    first = turn * size % (number - size + 1)
    return peer.measure("sign", first=first, last=first + size)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
