"""The two kinds of step: on one page at a time, and on the whole corpus.

A step never says "drop". It gives a value for each of its rules, and a rule compares the value with its
limit. So the values can be kept, the margin of each verdict shown, and a limit moved without reading a page
again (`explain`, `what-if`).
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from dclm_bench.data.page import Page

Comparison = Literal["<=", "<", ">=", ">"]
Arrays = dict[str, np.ndarray[Any, Any]]
Compat = Literal["official", "fixed", "datatrove"]


@dataclass(frozen=True)
class Rule:
    """One comparison that a page must pass: it is kept where `value keep limit` holds.

    Attributes:
        name: The official parameter that holds the limit (`min_length`), or what is measured where one
            parameter stands for several; unique in its step.
        keep: How the value must compare with the limit.
        limit: The limit.
    """

    name: str
    keep: Comparison
    limit: float

    def keeps(self, value: float) -> bool:
        """Whether a page with this value is kept; NaN says that the rule does not apply, and keeps."""
        return math.isnan(value) or self.margin(value) > 0 or (value == self.limit and "=" in self.keep)

    def keeps_array(self, values: NDArray[np.float64]) -> NDArray[np.bool_]:
        """`keeps` for an array of values."""
        compare = {"<=": np.less_equal, "<": np.less, ">=": np.greater_equal, ">": np.greater}[self.keep]
        kept: NDArray[np.bool_] = compare(values, self.limit) | np.isnan(values)
        return kept

    def margin(self, value: float) -> float:
        """How far the value is on the side that is kept; negative where the page is dropped."""
        if value == self.limit:
            return 0.0
        return self.limit - value if self.keep in ("<=", "<") else value - self.limit


@dataclass(frozen=True)
class Step:
    """A step on one page at a time.

    Attributes:
        func: The official name of the function.
        apply: Edits the page in place, where the step edits, and gives a value for each rule. It must be
            total: with `--audit full` it also meets pages that an earlier rule has dropped, and empty texts.
            A value of infinity (or minus infinity) on the wrong side of the limit drops at any limit.
        rules: The comparisons, in the order in which they are made.
        edits: Whether `apply` may change the text; then the effect of its own parameters cannot be told
            without running again.
        note: What a user has to know of this step before a run of it starts; empty for most.
    """

    func: str
    apply: Callable[[Page], Sequence[float]]
    rules: tuple[Rule, ...] = ()
    edits: bool = False
    note: str = ""


class CorpusStep(Protocol):
    """A step for which the other pages matter: deduplication, a cut at a percentile.

    It runs in three parts, of which the first and the last run shard by shard in parallel, and the second in
    one process over the shards in order. Hence the result depends neither on workers nor on the engine.
    The object itself is pickled for the workers; it holds parameters, no results.

    Attributes:
        func: The name of the function.
        rules: The comparisons, as in `Step`.
        edits: As in `Step`.
    """

    func: str
    rules: tuple[Rule, ...]
    edits: bool

    def collect(self, pages: Sequence[Page]) -> Arrays:
        """What the decision needs of a shard's pages (hashes, scores), as arrays without objects."""
        ...

    def decide(self, collected: Callable[[], Iterator[Arrays]]) -> Iterator[Arrays]:
        """For each shard in order what `apply` needs.

        `collected()` goes over the collected arrays of all shards in order, and may be called more than once.
        """
        ...

    def apply(self, pages: Sequence[Page], decided: Arrays) -> list[Sequence[float]]:
        """Edit the pages of a shard in place, and give for each page a value for each rule."""
        ...


AnyStep = Step | CorpusStep
Factory = Callable[..., AnyStep]
"""Makes a step out of the parameters of its recipe entry; raises InputError for one that is unusable."""

StepTable = Mapping[str, str]
"""A room's steps: official function name -> "module:factory"."""


def keeps_all(rules: Iterable[Rule], values: Iterable[float]) -> bool:
    """Whether every rule keeps its value."""
    return all(rule.keeps(value) for rule, value in zip(rules, values, strict=True))
