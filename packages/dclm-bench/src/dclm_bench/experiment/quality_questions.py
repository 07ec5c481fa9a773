"""Scores against human labels, always beside the length of the page, which alone explains most of it."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from toolkit_shared.claims import Answer, Question, Run, Runs, answer
from toolkit_shared.results import Verdict

LENGTH = "length"
EXPECTED = {
    "classifier": "unknown: gold articles are not what the labels ask for; length alone has 0.763",
    "supervised": "above length alone: 0.83 against 0.763 in the pilot",
}
Found = Mapping[str, Any]


def area(run: Run, _: Runs) -> float | None:
    """The area under the curve of a split."""
    return float(run["auc"])


def quality_question(score: str) -> Question:
    """Whether a score tells good pages from bad ones better than their length does."""
    return Question(
        name=f"quality-{score}-against-length",
        metric="AUC against human labels",
        unit="",
        value=area,
        first=score,
        second=LENGTH,
        form="difference",
        expected=EXPECTED[score],
        direction="higher",
        higher_is_better=True,
    )


def answer_quality(splits: Mapping[int, Found]) -> list[Answer]:
    """The answers for the scores that two or more splits have.

    The labelled pages are the same in all splits, so an interval over splits would say nothing of other
    pages: it is that of DeLong for the gain over length, for one classifier on a sample of pages, its mean
    over the splits.
    """
    answers = []
    for score in EXPECTED:
        runs: dict[tuple[str, int], Found] = {}
        gains: list[Found] = []
        for split, found in sorted(splits.items()):
            if score in found["quality"]:
                entry = found["quality"][score]
                runs[LENGTH, split] = {"auc": entry["length"]["area"]}
                runs[score, split] = {"auc": entry["score"]["area"]}
                gains.append(entry["gain"])
        if len(gains) < 2:
            continue
        plain = answer(quality_question(score), runs)
        assert plain is not None
        effect, low, high = (_mean(gains, key) for key in ("area", "low", "high"))
        verdict: Verdict = "holds" if low > 0 else "fails" if high < 0 else "inconclusive"
        answers.append(replace(plain, effect=effect, low=low, high=high, verdict=verdict))
    return answers


def quality_table(splits: Mapping[int, Found]) -> list[dict[str, Any]]:
    """One entry a score: mean area, that of length, and that among pages of about one length."""
    table = []
    for score in EXPECTED:
        entries = [found["quality"][score] for found in splits.values() if score in found["quality"]]
        if entries:
            table.append(
                {
                    "score": score,
                    "splits": len(entries),
                    "auc": float(np.mean([entry["score"]["area"] for entry in entries])),
                    "length_auc": float(np.mean([entry["length"]["area"] for entry in entries])),
                    "within_length_auc": _finite_mean([entry["within_length"] for entry in entries]),
                    "pages": entries[0]["num_good"] + entries[0]["num_bad"],
                }
            )
    return table


def _mean(entries: Sequence[Found], key: str) -> float:
    return float(np.mean([entry[key] for entry in entries]))


def _finite_mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None and np.isfinite(value)]
    return float(np.mean(known)) if known else None
