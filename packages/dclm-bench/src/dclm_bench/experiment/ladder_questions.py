"""The questions that the token-level ladder puts to its runs, with what was expected before they were run.

Imports nothing that the machine that trains lacks.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from toolkit_shared.claims import Question

from dclm_bench.experiment.configuration import (
    ALL_TEXT,
    DEDUPLICATED,
    ENGLISH,
    HEURISTICS,
    MAIN,
    experiment_of_share,
)
from dclm_bench.experiment.questions import Answered, Asked, answer_one, mean_bits
from dclm_bench.experiment.token_arms import ARTICLES, LADDER, RATED, UNSELECTED

DOMAINS = {ARTICLES: "gold articles", RATED: "pages that people called good"}
SAME_SOURCE = "the classifier's positives and these held-out pages are of one source"
BY_20, BY_10 = experiment_of_share(20), experiment_of_share(10)
Found = Mapping[str, Any]

# Experiment, first arm, second arm, what is expected; asked of gold articles.
_OF_ARTICLES = (
    (LADDER, MAIN, ALL_TEXT, "lower: main content is worth more than all text, as in the paper"),
    (LADDER, ENGLISH, MAIN, "lower: the English filter gains on a multilingual pool"),
    (LADDER, HEURISTICS, ENGLISH, "no effect at this size, as with the byte model; told as it falls"),
    (LADDER, DEDUPLICATED, HEURISTICS, "unknown: no copies were planted in this pool; told as it falls"),
    (BY_20, "classifier-20", "random-20", "lower: fastText beats chance at 20 %"),
    (BY_20, "classifier-20", "random-same-bytes-20", "lower: fastText beats chance at equal repetition"),
    (BY_20, "classifier-20", "length-20", "lower: fastText beats sorting by length"),
    (BY_20, "classifier-20", UNSELECTED, "unknown: it may lose through repetition on so small a pool"),
    (BY_10, "classifier-10", "random-10", "unknown: it may lose through repetition on so small a pool"),
    (BY_10, "classifier-10", "random-same-bytes-10", "lower: fastText beats chance at equal repetition"),
)
# What speaks of the classifier is asked of pages from elsewhere too.
_OF_RATED = tuple(row for row in _OF_ARTICLES if row[0] != LADDER)


def questions_of(model: str) -> list[tuple[str, Asked]]:
    """The questions to a model, each with the domain of its held-out pages."""
    asked = []
    for domain, rows in ((ARTICLES, _OF_ARTICLES), (RATED, _OF_RATED)):
        for experiment, first, second, expected in rows:
            ending = "" if domain == ARTICLES else f"-on-{domain}"
            question = Question(
                name=f"{model}-{_slug(first)}-against-{_slug(second)}{ending}",
                metric=f"bits per byte of held-out {DOMAINS[domain]}, OpenLM {model}",
                unit="bits/byte",
                value=mean_bits,
                first=first,
                second=second,
                form="difference",
                expected=expected,
                direction="lower",
            )
            asked.append((domain, Asked(experiment, question)))
    return asked


def answer_ladder(runs: Sequence[Found]) -> list[tuple[Answered, str]]:
    """The answers of all questions for which two or more seeds were run, each with its note.

    The verdict is by the interval for samples of seeds and of pages (`questions.answer_one`); the comparison
    in a result file is the paired t test over seeds.

    Args:
        runs: What `ladder_training.run_arms` found.
    """
    found = []
    for model in dict.fromkeys(run["model"] for run in runs):
        own = {run["seed"]: run for run in runs if run["model"] == model}
        for domain, asked in questions_of(model):
            one = answer_one(asked, {seed: _of_domain(run, domain) for seed, run in own.items()})
            if one is not None:
                found.append((one, _note(one, [own[seed] for seed in one.answer.seeds])))
    return found


def _of_domain(run: Found, domain: str) -> dict[str, Any]:
    """A run in the form of `runs.run_split`, with the pages of one domain."""
    return {
        "experiments": {
            name: {"bits": {arm: bits[domain] for arm, bits in entry["bits"].items() if domain in bits}}
            for name, entry in run["experiments"].items()
        }
    }


def _note(one: Answered, runs: Iterable[Found]) -> str:
    """The interval behind the verdict, and how much each of the two arms was trained on."""
    entries = [run["experiments"][one.asked.experiment] for run in runs]
    arms = [
        f"{arm} {np.mean([entry['pool_tokens'][arm] for entry in entries]):,.0f} tokens in the pool, "
        f"{np.mean([entry['epochs'][arm] for entry in entries]):.2f} epochs"
        for arm in (one.asked.question.first, one.asked.question.second)
    ]
    tokens, interval = np.mean([entry["tokens"] for entry in entries]), one.interval
    of_articles = not one.asked.question.name.endswith(RATED)
    caveat = f"; {SAME_SOURCE}" if one.asked.experiment != LADDER and of_articles else ""
    return (
        f"verdict by {interval.mean:+.4f}, 95 % interval {interval.low:+.4f} to {interval.high:+.4f}, "
        f"p {interval.p:.2g}, two-way over {interval.splits} seeds and {interval.pages} held-out pages; "
        f"{tokens:,.0f} tokens trained on in each arm; {'; '.join(arms)}{caveat}"
    )


def _slug(arm: str) -> str:
    return arm.replace("+", "-")
