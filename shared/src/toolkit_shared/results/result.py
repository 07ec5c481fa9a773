"""What a benchmark or a claim found: arms with raw values, how they compare, and the verdict."""

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from toolkit_shared.results.environment import Environment
from toolkit_shared.statistics import paired_difference, ratio_of_pairs

Verdict = Literal["holds", "fails", "inconclusive"]

_SLUG = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")
_COMMIT = re.compile(r"[0-9a-f]{7,40}(-dirty)?|unknown")
_STARTED = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the things compared.

    Attributes:
        name: as the report shows it, with the version for a peer.
        metric: what was measured.
        unit: unit of the values; "" for counts and fractions.
        higher_is_better: which way is good.
        values: one for each repeat or seed, in their order.
    """

    name: str
    metric: str
    unit: str
    higher_is_better: bool
    values: tuple[float, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(map(float, self.values)))
        if not self.name or not self.metric:
            raise ValueError("an arm needs a name and a metric")
        if not self.values:
            raise ValueError(f"arm '{self.name}' has no values")
        _check_finite(f"a value of arm '{self.name}'", self.values)


@dataclass(frozen=True, kw_only=True)
class RatioComparison:
    """Ratios of two arms, repeat by repeat: for performance.

    Attributes:
        numerator: name of the arm above the line.
        denominator: name of the arm below it.
        ratio_median: median of the ratios.
        ratio_range: lowest and highest of them.
    """

    numerator: str
    denominator: str
    ratio_median: float
    ratio_range: tuple[float, float]

    def __post_init__(self) -> None:
        _check_finite("the ratio", (self.ratio_median, *self.ratio_range))


@dataclass(frozen=True, kw_only=True)
class PairedComparison:
    """Two arms over the same seeds: for claims.

    Attributes:
        numerator: name of the first arm.
        denominator: name of the arm that it is compared with.
        form: "difference": numerator minus denominator; "ratio": their ratio, through its logarithm.
        estimate: mean difference in the arms' unit, or geometric mean of the ratios.
        interval: lower and upper end of its confidence interval (Student's t).
        confidence: coverage of the interval, 0..1.
        p: two-sided, of no difference.
    """

    numerator: str
    denominator: str
    form: Literal["difference", "ratio"]
    estimate: float
    interval: tuple[float, float]
    confidence: float
    p: float

    def __post_init__(self) -> None:
        _check_finite("the paired comparison", (self.estimate, *self.interval, self.confidence, self.p))


Comparison = RatioComparison | PairedComparison


@dataclass(frozen=True, kw_only=True)
class Result:
    """One run of one question.

    Attributes:
        toolkit: distribution whose question it is.
        question: short name in lower case with dashes.
        kind: "performance", "claim" of a paper, or "oracle" (an exact answer is known).
        arms: what was compared, names unique; in the same unit where a comparison names them.
        comparison: how two of the arms compare, or None.
        expected: what was expected, written before the run.
        verdict: whether it came so.
        environment: where it was measured.
        command: what repeats it.
        commit: short hash, `-dirty` after it where files differed.
        started: UTC, such as 2026-01-31T00:00:00Z.
        seconds: duration of the run by the clock.
        bound_by: what limits the figure, and how far from that limit it is.
        note: what a reader has to know besides.
        schema: version of this schema.
    """

    toolkit: str
    question: str
    kind: Literal["performance", "claim", "oracle"]
    arms: tuple[Arm, ...]
    comparison: Comparison | None
    expected: str
    verdict: Verdict
    environment: Environment
    command: str
    commit: str
    started: str
    seconds: float
    bound_by: str = ""
    note: str = ""
    schema: Literal[1] = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "arms", tuple(self.arms))
        for field, pattern in (
            ("toolkit", _SLUG),
            ("question", _SLUG),
            ("commit", _COMMIT),
            ("started", _STARTED),
        ):
            if not pattern.fullmatch(getattr(self, field)):
                raise ValueError(f"{field} is {getattr(self, field)!r}; it has the form {pattern.pattern}")
        _check_finite("seconds", (self.seconds,))
        if not self.arms:
            raise ValueError("a result has at least one arm")
        if not self.expected:
            raise ValueError("a result says what was expected")
        names = [arm.name for arm in self.arms]
        if len(set(names)) < len(names):
            raise ValueError(f"two arms have the same name: {', '.join(names)}")
        if self.comparison is not None:
            for name in (self.comparison.numerator, self.comparison.denominator):
                if name not in names:
                    raise ValueError(f"the comparison names '{name}'; the arms are {', '.join(names)}")

    def arm(self, name: str) -> Arm:
        """The arm of that name; KeyError when there is none."""
        for arm in self.arms:
            if arm.name == name:
                return arm
        raise KeyError(name)


def ratio_comparison(numerator: Arm, denominator: Arm) -> RatioComparison:
    """Median and range of numerator / denominator, repeat by repeat.

    Raises:
        ValueError: the arms differ in unit or number of values, or a denominator is not above 0.
    """
    _check_comparable(numerator, denominator)
    ratio = ratio_of_pairs(numerator.values, denominator.values)
    return RatioComparison(
        numerator=numerator.name,
        denominator=denominator.name,
        ratio_median=ratio.median,
        ratio_range=(ratio.low, ratio.high),
    )


def paired_comparison(
    numerator: Arm,
    denominator: Arm,
    *,
    form: Literal["difference", "ratio"] = "difference",
    confidence: float = 0.95,
) -> PairedComparison:
    """Mean difference numerator - denominator over seeds, or their mean ratio, with interval and p.

    Raises:
        ValueError: the arms differ in unit or number of values, there are fewer than two seeds, or a value of
            a ratio is not above 0.
    """
    _check_comparable(numerator, denominator)
    first, second = numerator.values, denominator.values
    if form == "ratio":
        if min(*first, *second) <= 0:
            raise ValueError("a mean ratio needs values above 0")
        first, second = tuple(map(math.log, first)), tuple(map(math.log, second))
    paired = paired_difference(first, second, confidence)
    estimate, low, high = paired.mean, paired.low, paired.high
    if form == "ratio":
        estimate, low, high = math.exp(estimate), math.exp(low), math.exp(high)
    return PairedComparison(
        numerator=numerator.name,
        denominator=denominator.name,
        form=form,
        estimate=estimate,
        interval=(low, high),
        confidence=confidence,
        p=paired.p,
    )


def compare_again(result: Result) -> Comparison | None:
    """The comparison of a result, computed from the values of its arms.

    Raises:
        ValueError: the arms cannot be compared in this way.
    """
    stored = result.comparison
    if stored is None:
        return None
    numerator, denominator = result.arm(stored.numerator), result.arm(stored.denominator)
    if isinstance(stored, RatioComparison):
        return ratio_comparison(numerator, denominator)
    return paired_comparison(numerator, denominator, form=stored.form, confidence=stored.confidence)


def _check_comparable(numerator: Arm, denominator: Arm) -> None:
    if (numerator.metric, numerator.unit) != (denominator.metric, denominator.unit):
        raise ValueError(
            f"'{numerator.name}' is {numerator.metric} in {numerator.unit!r}, "
            f"'{denominator.name}' is {denominator.metric} in {denominator.unit!r}"
        )


def _check_finite(what: str, values: Sequence[float]) -> None:
    for value in values:
        if not math.isfinite(value):
            raise ValueError(f"{what} is {value}; results hold finite numbers only")
