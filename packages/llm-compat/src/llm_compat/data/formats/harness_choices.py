"""Which choice a model took, rebuilt from its log-probabilities, and whether the log agrees."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import repeat

import numpy as np
import numpy.typing as npt

from llm_compat.data.answers import choice_code
from llm_compat.data.outcomes import Codes

METRICS = ("acc", "acc_norm", "acc_bytes", "acc_mutual_info")
"""The metrics that say whether the choice with the greatest log-probability is right, after their scaling."""

Reading = tuple[str, bool]
"""What stands before a choice, and whether a target that is a number names the choice with that text."""

_INDEX = re.compile(r"-?\d{1,9}")
_INDICES = re.compile(r"\[\s*(-?\d{1,9}(?:\s*,\s*-?\d{1,9})*)\s*\]")
_UNKNOWN = -2  # the gold of a document whose target names no choice; no choice has this index
_SEVERAL = -3  # the golds of a document with several are looked at one by one

Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Mismatch:
    """Documents on which a logged accuracy is not the rebuilt one.

    Attributes:
        count: How many.
        row: Position of the first.
        logged: Its logged score.
        rebuilt: Its rebuilt score.
    """

    count: int
    row: int
    logged: float
    rebuilt: float

    def moved(self, rows: int) -> "Mismatch":
        """The same, with its position counted from `rows` before."""
        return replace(self, row=self.row + rows)


@dataclass(frozen=True, kw_only=True)
class Choices:
    """The documents of one block of a log, as the requests that each of them made.

    Attributes:
        log_probabilities: float64 [documents, requests], filled up with -inf.
        counts: int64 [documents], requests of each.
        continuations: What was scored after the prompt, request after request; None when it is not known.
        targets: The expected answers as they are logged, one a document.
        same_continuations: The choices are in the prompts, and all continuations of a document are equal.
    """

    log_probabilities: npt.NDArray[np.float64]
    counts: Indices
    continuations: Sequence[str] | None
    targets: Sequence[str]
    same_continuations: bool

    def predictions(self, metric: str, delimiter: str) -> Indices | None:
        """The index of the choice that a metric takes, int64 [documents]; None when it cannot be told.

        Equal log-probabilities go to the first choice. `acc_norm` divides by characters and `acc_bytes` by
        UTF-8 bytes of the choice, without what stands before it.

        Source: process_results of ConfigurableTask in lm-evaluation-harness 0.4.13.
        """
        scores = self.log_probabilities
        if metric == "acc_mutual_info":
            halves = self.counts // 2
            places = np.arange(scores.shape[1])[None, :]
            unconditional = np.take_along_axis(scores, (places + halves[:, None]) % scores.shape[1], axis=1)
            with np.errstate(invalid="ignore"):
                scores = np.where(places < halves[:, None], scores - unconditional, -np.inf)
        elif metric != "acc":
            lengths = self._lengths(metric, delimiter)
            if lengths is None:
                return None
            with np.errstate(divide="ignore", invalid="ignore"):  # an empty choice gives -inf, as there
                scores = np.where(lengths < 0, -np.inf, scores / lengths)
        taken: Indices = np.argmax(scores, axis=1)
        return taken

    def golds(self, reading: Reading) -> tuple[Indices, dict[int, frozenset[int]]]:
        """The index of the right choice, int64 [documents], and the right ones where there are several.

        -2 where the target names no choice.
        """
        if self.same_continuations:
            # the target is then the continuation, and the index is in the document only
            return np.full(len(self.targets), _UNKNOWN), {}
        delimiter, by_text = reading
        known = {target: _gold_of(target) for target in set(self.targets)}
        if not by_text and all(type(gold) is int for gold in known.values()):
            return np.array([known[target] for target in self.targets], np.int64), {}
        starts = self._starts().tolist()
        golds: list[int] = []
        several: dict[int, frozenset[int]] = {}
        for row, target in enumerate(self.targets):
            gold = known[target]
            if gold is None or by_text:
                named = self._choice_named(starts[row], int(self.counts[row]), target, delimiter)
                gold = named if named is not None else gold
            if isinstance(gold, frozenset):
                several[row] = gold
                gold = _SEVERAL
            golds.append(_UNKNOWN if gold is None else gold)
        return np.array(golds, np.int64), several

    def correct(
        self, predictions: Indices, golds: tuple[Indices, Mapping[int, frozenset[int]]]
    ) -> npt.NDArray[np.float64]:
        """Whether the prediction is right, float64 [documents]; NaN where the right choice is not known."""
        single, several = golds
        correct: npt.NDArray[np.float64] = (predictions == single).astype(np.float64)
        correct[single == _UNKNOWN] = np.nan
        for row, indices in several.items():
            correct[row] = float(int(predictions[row]) in indices)
        return correct

    def first_half(self) -> "Choices":
        """The requests with the prompt, of documents whose second half repeats the choices without it."""
        halves = self.counts // 2
        kept: list[str] | None = None
        if self.continuations is not None:
            pairs = zip(self._starts().tolist(), halves.tolist(), strict=True)
            kept = [text for start, half in pairs for text in self.continuations[start : start + half]]
        places = np.arange(self.log_probabilities.shape[1])[None, :]
        scores = np.where(places < halves[:, None], self.log_probabilities, -np.inf)
        return replace(self, log_probabilities=scores, counts=halves, continuations=kept)

    def _starts(self) -> Indices:
        """Where the requests of each document begin."""
        starts: Indices = np.cumsum(self.counts) - self.counts
        return starts

    def _choice_named(self, first: int, count: int, target: str, delimiter: str) -> int | None:
        if self.continuations is None:
            return None
        choices = list(self.continuations[first : first + count])
        if all(choice.startswith(delimiter) for choice in choices):
            choices = [choice[len(delimiter) :] for choice in choices]
        return choices.index(target) if target in choices else None

    def _lengths(self, metric: str, delimiter: str) -> npt.NDArray[np.float64] | None:
        """Lengths of the choices, float64 [documents, requests], -1 where there is none."""
        if self.continuations is None or self.same_continuations:
            return None
        flat = self.continuations
        starts = self._starts()
        if metric == "acc_norm":
            sizes = np.fromiter(map(len, flat), np.int64, len(flat))
        else:
            sizes = np.array([len(text.encode("utf-8", "surrogatepass")) for text in flat], np.int64)
        if delimiter:
            size = len(delimiter) if metric == "acc_norm" else len(delimiter.encode())
            has = list(map(str.startswith, flat, repeat(delimiter)))
            if all(has):
                sizes = sizes - size
            else:  # it belongs to the choices of a document where it does not stand before all of them
                cut = np.minimum.reduceat(np.array(has, np.int64), starts)
                sizes = sizes - size * np.repeat(cut, self.counts)
        lengths: npt.NDArray[np.float64] = np.full(self.log_probabilities.shape, -1.0)
        lengths[np.arange(self.log_probabilities.shape[1])[None, :] < self.counts[:, None]] = sizes
        return lengths


def choice_codes(predictions: Indices) -> Codes:
    """The codes of predicted choices, uint64 [documents]."""
    return _codes_up_to(int(predictions.max(initial=0)))[predictions]


@lru_cache
def _codes_up_to(most: int) -> Codes:
    return np.array([choice_code(index) for index in range(most + 1)], np.uint64)


def mismatch(logged: npt.NDArray[np.float64], rebuilt: npt.NDArray[np.float64]) -> Mismatch | None:
    """Where logged and rebuilt scores differ; where either is NaN nothing is compared."""
    rows = np.flatnonzero((logged != rebuilt) & ~np.isnan(logged) & ~np.isnan(rebuilt))
    if not len(rows):
        return None
    row = int(rows[0])
    return Mismatch(count=len(rows), row=row, logged=float(logged[row]), rebuilt=float(rebuilt[row]))


def readings(delimiters: Sequence[str]) -> list[Reading]:
    """The ways to read a log, the likeliest first.

    A target `2` names the choice at index 2, but in a data set that holds labels as text it names the choice
    whose text is `2`: the log does not tell which.
    """
    return [(delimiter, by_text) for by_text in (False, True) for delimiter in delimiters]


def join_mismatches(parts: Sequence[Mapping[str, Mismatch]]) -> dict[str, Mismatch]:
    """The mismatches of all parts by metric, with the first of each."""
    joined: dict[str, Mismatch] = {}
    for part in parts:
        for metric, found in part.items():
            earlier = joined.get(metric)
            joined[metric] = found if earlier is None else replace(earlier, count=earlier.count + found.count)
    return joined


def _gold_of(target: str) -> int | frozenset[int] | None:
    if _INDEX.fullmatch(target):
        # an index that no choice has makes every prediction wrong, in the harness as here
        return -1 if target.startswith("-") else int(target)
    match = _INDICES.fullmatch(target)
    return frozenset(int(number) for number in match[1].split(",")) if match else None
