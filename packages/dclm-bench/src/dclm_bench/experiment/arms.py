"""The training pages of every arm of a split, experiment by experiment."""

from collections.abc import Mapping, Sequence
from typing import cast

import numpy as np
from toolkit_shared.randomness import stream

from dclm_bench.data.page import Page
from dclm_bench.experiment.applying import keep_of_corpus
from dclm_bench.experiment.configuration import (
    ALL_TEXT,
    COPIES,
    DEDUPLICATED,
    ENGLISH,
    GOLD,
    HEURISTICS,
    MAIN,
    TRAFILATURA,
    UNIQUE,
    ExperimentSettings,
)
from dclm_bench.experiment.splits import Split
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import CorpusStep

Arms = dict[str, list[str]]


def extraction_arms(split: Split) -> Arms:
    """The same English articles by what is taken as their text; gold is the ceiling."""
    pool = [page for page in split.pool if page.source == "article" and page.english]
    arms = {
        ALL_TEXT: [page.all_text for page in pool],
        MAIN: [page.main for page in pool],
        GOLD: [page.gold or "" for page in pool],
    }
    if all(page.trafilatura is not None for page in pool):
        arms[TRAFILATURA] = [page.trafilatura or "" for page in pool]
    return arms


def language_arms(split: Split) -> Arms:
    """A pool in many languages: all text, main content, and the English pages of the latter.

    Labelled texts are not in it, for they come without HTML and are English already.
    """
    pool = [page for page in split.pool if page.source != "labelled"]
    return {
        ALL_TEXT: [page.all_text for page in pool],
        MAIN: [page.main for page in pool],
        ENGLISH: [page.main for page in pool if page.english],
    }


def heuristics_arms(split: Split) -> Arms:
    """The English pool, before and after the heuristic filters with their edits."""
    pool = [page for page in split.pool if page.english]
    return {
        ENGLISH: [page.main for page in pool],
        HEURISTICS: [page.filtered for page in pool if page.filtered is not None],
    }


def dedup_arms(split: Split, settings: ExperimentSettings) -> Arms:
    """An English pool with exact copies planted in it, what BFF leaves of it, and the pool without copies."""
    unique: list[str] = []
    size = 0
    for page in split.pool:
        if page.english and size < settings.unique_bytes:
            unique.append(page.main)
            size += len(page.main.encode("utf-8", "replace"))
    rng = stream(split.number, "copies")
    copied = rng.choice(len(unique), size=round(len(unique) * settings.copied_fraction), replace=False)
    planted = [*unique, *(unique[index] for index in copied.tolist() for _ in range(settings.num_copies))]
    planted = [planted[index] for index in rng.permutation(len(planted)).tolist()]
    return {
        COPIES: planted,
        DEDUPLICATED: [text for text in bff_texts(planted) if text],
        UNIQUE: unique,
    }


def bff_texts(texts: Sequence[str]) -> list[str | None]:
    """What BFF leaves of each text when these are all there are; None where it drops the page.

    Source: the Bloom filter as DCLM-Baseline uses it: mode old-both, 13-grams, threshold 0.8.
    """
    pages = [Page(text) for text in texts]
    step = make_step(
        "bff_dedup",
        {"remove_type": "old-both", "min_ngram_size": 13, "max_ngram_size": 13}
        | {"filtering_threshold": 0.8, "fp_rate": 0.01},
    )
    kept = keep_of_corpus(cast(CorpusStep, step), pages)
    return [page.text if keep else None for page, keep in zip(pages, kept, strict=True)]


def require_text(arms: Mapping[str, Sequence[str]]) -> str:
    """Why these arms cannot be compared, or "": an arm without any text."""
    empty = [arm for arm, pages in arms.items() if not any(pages)]
    return f"no text for {', '.join(empty)}" if empty else ""


def lengths_of(pages: Sequence[str]) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """Characters of each page: the control that any measure of quality has to beat."""
    return np.array([len(page) for page in pages], np.float64)
