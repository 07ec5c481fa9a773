"""Pages for the benchmarks of deduplication: generated with planted copies, or variations of real ones."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from toolkit_shared.randomness import stream

VOCABULARY = 50_000
PARAGRAPHS = 8


def generated_pages(number: int, seed: int = 0) -> list[str]:
    """Pages of eight paragraphs of 30 to 80 words, of which some are copies of paragraphs before them.

    One in eight paragraphs is an exact copy, one in sixteen a copy with another first word, and one in
    sixteen shares its first half with one before; the others are new. So a fraction of shingles that was
    seen is near 0, near one half, or above 0.9, never near 0.8.
    """
    rng = stream(seed, "dedup pages")
    lengths = rng.integers(2, 11, VOCABULARY)
    letters = rng.integers(97, 123, int(lengths.sum()), dtype=np.uint8).tobytes().decode("ascii")
    ends = np.cumsum(lengths)
    words = np.array([letters[end - length : end] for end, length in zip(ends, lengths, strict=True)])
    weights = 1 / (np.arange(VOCABULARY) + 10)
    weights /= weights.sum()
    paragraphs: list[list[str]] = []
    for size in rng.integers(30, 81, number * PARAGRAPHS).tolist():
        fresh = words[rng.choice(VOCABULARY, size, p=weights)].tolist()
        fresh[-1] += "."
        kind = rng.random()
        if paragraphs and kind < 0.25:
            old = paragraphs[int(rng.integers(len(paragraphs)))]
            if kind < 0.125:
                fresh = old
            elif kind < 0.1875:
                fresh = ["changed", *old[1:]]
            else:
                fresh = [*old[: len(old) // 2], *fresh]
        paragraphs.append(fresh)
    lines = [" ".join(paragraph) for paragraph in paragraphs]
    return ["\n".join(lines[place : place + PARAGRAPHS]) for place in range(0, len(lines), PARAGRAPHS)]


def real_pages(data: Path, number: int, seed: int = 0) -> list[str]:
    """The pages with human quality labels in a folder of real data, and variations of them up to `number`.

    A variation has the words of each line in another order: the words and lengths of real pages, and new
    n-grams.
    """
    files = sorted((data / "quality").glob("*.jsonl"))
    if not files:
        raise FileNotFoundError(f"{data}: has no quality/*.jsonl")
    # the larger file holds the pages of the others
    lines = max(files, key=lambda path: path.stat().st_size).read_text(encoding="utf-8").splitlines()
    pages = [text for line in lines if (text := json.loads(line).get("text"))]
    found = list(pages)
    rng = stream(seed, "dedup variations")
    while len(found) < number:
        page = pages[len(found) % len(pages)]
        found.append("\n".join(" ".join(rng.permutation(line.split(" "))) for line in page.split("\n")))
    return found[:number]


def write_documents(path: Path, pages: Sequence[str]) -> int:
    """Write pages as JSON lines in the form that Dolma reads; the size in bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", encoding="utf-8") as stream_out:
        for number, text in enumerate(pages):
            stream_out.write(json.dumps({"id": str(number), "source": "benchmark", "text": text}) + "\n")
    return path.stat().st_size
