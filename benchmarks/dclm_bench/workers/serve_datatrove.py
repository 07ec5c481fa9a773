"""datatrove's MinHash at work on the pages of a benchmark; runs in datatrove's own environment."""

import json
from typing import Any

from datatrove.pipeline.dedup.minhash import MinhashConfig, MinhashDedupSignature
from datatrove.utils.hashing import HashConfig
from datatrove.utils.text import TextNormConfig
from serving import serve

State: dict[str, Any] = {}


def open_pages(source: str, bands: int, rows: int, ngram: int, folder: str) -> dict[str, int]:
    """Keep the pages and make the signature step, without normalisation; words are datatrove's."""
    with open(source, encoding="utf-8") as stream:
        State["pages"] = [json.loads(line)["text"] for line in stream]
    plain = TextNormConfig(
        lowercase=False,
        norm_whitespace=False,
        remove_punctuation=False,
        norm_unicode_diacritics=False,
        norm_numbers=False,
        norm_weekdays=False,
        norm_monthnames=False,
    )
    config = MinhashConfig(
        n_grams=ngram,
        num_buckets=bands,
        hashes_per_bucket=rows,
        seed=1,
        norm_config=plain,
        hash_config=HashConfig(precision=64),
    )
    State["step"] = MinhashDedupSignature(output_folder=folder, config=config)
    return {"pages": len(State["pages"])}


def sign(first: int, last: int) -> float:
    """Signatures of some pages, held in memory; the work is the number of pages."""
    step = State["step"]
    found = []
    for text in State["pages"][first:last]:
        shingles = step.get_shingles(text)
        found.append(step.get_signature(shingles) if shingles.size else None)
    State["signatures"] = found
    return float(last - first)


def detected() -> dict[str, Any]:
    """For each page and the next: whether they agree in a band, and the share of equal minima."""
    bands, shares = [], []
    for a, b in zip(State["signatures"][::2], State["signatures"][1::2], strict=True):
        equal = [x == y for one, other in zip(a, b, strict=True) for x, y in zip(one, other, strict=True)]
        bands.append(any(list(one) == list(other) for one, other in zip(a, b, strict=True)))
        shares.append(sum(equal) / len(equal))
    return {"bands": bands, "shares": shares}


if __name__ == "__main__":
    serve({"open_pages": open_pages, "sign": sign, "detected": detected}, ["datatrove"])
