"""The questions that the experiment puts to its runs, with what was expected before they were run.

Three are gated, for the pilot of this experiment says that they must come out at p < 0.01 even at this size:
extraction, the English filter, and deduplication of planted copies. All others are told as they fall.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from toolkit_shared.claims import Answer, Question, Run, Runs, answer
from toolkit_shared.results import Verdict

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
    experiment_of_share,
    selection_arm,
)
from dclm_bench.experiment.intervals import TwoWay, two_way_interval

GATED_P, P = 0.01, 0.05
METRIC, UNIT = "bits per byte of held-out articles", "bits/byte"
Found = Mapping[str, Any]


@dataclass(frozen=True)
class Asked:
    """A question of one experiment.

    Attributes:
        experiment: Whose arms are compared.
        question: What is asked.
        witness: Whether the transformer answers it; else the byte model.
    """

    experiment: str
    question: Question
    witness: bool = False


@dataclass(frozen=True)
class Answered:
    """An answer with an interval for samples of splits and of pages.

    Attributes:
        asked: The question.
        answer: Values of every arm by split; the interval and the verdict are those of `interval`.
        interval: Of the paired differences of single pages.
    """

    asked: Asked
    answer: Answer
    interval: TwoWay


def mean_bits(run: Run, _: Runs) -> float | None:
    """Mean over the held-out pages of a split."""
    return float(np.mean(list(run["bits"].values())))


def _ask(
    experiment: str,
    name: str,
    first: str,
    second: str,
    expected: str,
    *,
    gated: bool = False,
    witness: bool = False,
) -> Asked:
    metric = f"{METRIC}, transformer" if witness else METRIC
    question = Question(
        name=name,
        metric=metric,
        unit=UNIT,
        value=mean_bits,
        first=first,
        second=second,
        form="difference",
        expected=expected,
        direction="lower",
        gated=gated,
    )
    return Asked(experiment, question, witness)


def _share_questions(percent: int) -> tuple[Asked, ...]:
    experiment = experiment_of_share(percent)
    first = selection_arm("classifier", percent)
    expected = {
        "random": "unknown at this size: lower in the paper, 0.037 +- 0.058 in the pilot",
        "length": "lower: the pilot found that sorting by length does harm",
        "perplexity": "lower: in the paper fastText beats the perplexity of a model",
    }
    return tuple(
        _ask(experiment, f"classifier-{percent}-against-{control}", first, f"{control}-{percent}", text)
        for control, text in expected.items()
    )


QUESTIONS: tuple[Asked, ...] = (
    _ask(
        "extraction",
        "main-content-against-all-text",
        MAIN,
        ALL_TEXT,
        "main content is worth more than all text, p < 0.01; the pilot found 0.107 +- 0.027",
        gated=True,
    ),
    _ask(
        "extraction",
        "trafilatura-against-main-content",
        TRAFILATURA,
        MAIN,
        "about equal: 0.002 lower in the pilot; the paper has them equal too",
    ),
    _ask("extraction", "gold-against-main-content", GOLD, MAIN, "gold text is at least as good"),
    _ask(
        "language",
        "english-against-main-content",
        ENGLISH,
        MAIN,
        "the English filter gains on a multilingual pool, p < 0.01; the pilot found 0.481 +- 0.051",
        gated=True,
    ),
    _ask(
        "language",
        "multilingual-main-content-against-all-text",
        MAIN,
        ALL_TEXT,
        "lower: 0.188 in the pilot",
    ),
    _ask(
        "heuristics",
        "heuristics-against-english",
        HEURISTICS,
        ENGLISH,
        "no effect at this size: 0.003 higher in the pilot",
    ),
    _ask(
        "dedup",
        "deduplicated-against-copies",
        DEDUPLICATED,
        COPIES,
        "deduplication gains on a pool with planted copies, p < 0.01; the pilot found 0.023 +- 0.007",
        gated=True,
    ),
    _ask(
        "dedup",
        "deduplicated-against-no-copies",
        DEDUPLICATED,
        UNIQUE,
        "not above the pool that never had copies: nothing of worth is lost with them",
    ),
    *(asked for percent in (10, 20, 50) for asked in _share_questions(percent)),
    _ask(
        "extraction",
        "witness-main-content-against-all-text",
        MAIN,
        ALL_TEXT,
        "a transformer agrees that main content is worth more",
        witness=True,
    ),
    _ask(
        "language",
        "witness-english-against-main-content",
        ENGLISH,
        MAIN,
        "a transformer agrees that the English filter gains",
        witness=True,
    ),
)


def answer_all(splits: Mapping[int, Found], witnesses: Mapping[int, Found]) -> list[Answered]:
    """The answers of all questions for which there are runs.

    Args:
        splits: What `run_split` found, by split.
        witnesses: What `run_witness` found, by split.
    """
    found = []
    for asked in QUESTIONS:
        one = answer_one(asked, witnesses if asked.witness else splits)
        if one is not None:
            found.append(one)
    return found


def answer_one(asked: Asked, found: Mapping[int, Found]) -> Answered | None:
    """The answer of a question; None when fewer than two splits have both of its arms.

    The verdict is by the interval of `two_way_interval`, at 99 % for a gated question and at 95 % else:
    "holds" where all of it lies on the expected side, "fails" where all lies on the other.
    """
    question = asked.question
    runs: dict[tuple[str, int], Found] = {}
    for split, run in sorted(found.items()):
        bits = run["experiments"].get(asked.experiment, {}).get("bits", {})
        if question.first in bits and question.second in bits:
            runs.update({(arm, split): {"bits": values} for arm, values in bits.items()})
    splits = sorted({split for _, split in runs})
    if len(splits) < 2:
        return None
    pages = sorted({page for run in runs.values() for page in run["bits"]})
    places = {page: index for index, page in enumerate(pages)}
    differences = np.full((len(splits), len(pages)), np.nan)
    for row, split in enumerate(splits):
        first, second = (runs[arm, split]["bits"] for arm in (question.first, question.second))
        for page in first:
            differences[row, places[page]] = first[page] - second[page]
    interval = two_way_interval(differences, 1 - (GATED_P if question.gated else P))
    plain = answer(question, runs)
    assert plain is not None
    verdict: Verdict = "holds" if interval.high < 0 else "fails" if interval.low > 0 else "inconclusive"
    of_pages = replace(plain, effect=interval.mean, low=interval.low, high=interval.high, verdict=verdict)
    return Answered(asked, of_pages, interval)


def skipped(found: Mapping[int, Found]) -> dict[str, str]:
    """Experiments without an answer, and why."""
    reasons = {}
    for asked in QUESTIONS:
        entries = [run["experiments"].get(asked.experiment) for run in found.values()]
        if not asked.witness and not any(entries):
            reasons[asked.experiment] = "the data have no pages for it"
        elif not asked.witness and all(entry and "skipped" in entry for entry in entries):
            reasons[asked.experiment] = str(entries[0]["skipped"]) if entries[0] else ""
    return reasons
