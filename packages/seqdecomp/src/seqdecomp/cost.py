"""What a mixture costs: the law of FLOPs, measured step times, and the best mixture within a budget."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.errors import InputError

from seqdecomp.mixture import Stock
from seqdecomp.settings import MODEL_PRESETS

SECONDS_PER_HOUR = 3600.0
# Where a training run leaves the step times that it measured.
STEP_TIMES_FILE = "step_times.json"
# The sizes of the paper's models, for which reports give the cost law.
PAPER_MODELS = {name: sizes for name, sizes in MODEL_PRESETS.items() if name != "tiny"}


def matmul_parameters(*, width: int, num_layers: int, vocab_size: int = 50_432) -> int:
    """Parameters that take part in matrix products, the output head included and the embedding not (N)."""
    hidden = 256 * math.ceil(int(8 * width / 3) / 256)
    return num_layers * (4 * width * width + 3 * width * hidden) + vocab_size * width


def flops_per_token(
    attended_length: float, *, width: int, num_layers: int, vocab_size: int = 50_432
) -> float:
    """FLOPs of forward and backward for one token in sequences of `attended_length` (s): 6 N + 6 L d s.

    For a mixture of lengths s is the mean length by token, sum n_i 2^i / sum n_i for n_i tokens of
    length 2^i. Attention is causal, so half of the score matrix is counted.
    """
    parameters = matmul_parameters(width=width, num_layers=num_layers, vocab_size=vocab_size)
    return 6.0 * parameters + 6.0 * num_layers * width * attended_length


def relative_cost(
    attended_length: float, other_length: float, *, width: int, num_layers: int, vocab_size: int = 50_432
) -> float:
    """FLOPs of a token at `attended_length` over those at `other_length`: the predicted ratio of times."""
    return flops_per_token(
        attended_length, width=width, num_layers=num_layers, vocab_size=vocab_size
    ) / flops_per_token(other_length, width=width, num_layers=num_layers, vocab_size=vocab_size)


def mean_length_by_token(tokens: Mapping[int, float]) -> float:
    """Mean sequence length by token, for length to tokens; 0 when there are none."""
    total = sum(tokens.values())
    return sum(length * number for length, number in tokens.items()) / total if total else 0.0


@dataclass(frozen=True, kw_only=True)
class StepTimes:
    """Measured times of an optimisation step, by sequence length.

    Attributes:
        name: What was measured, and where.
        batch_tokens: Tokens of each measured step.
        seconds: Length to seconds of one step.
    """

    name: str
    batch_tokens: int
    seconds: Mapping[int, float]

    @classmethod
    def read(cls, source: str | Path) -> Self:
        """The table of a name that is shipped, of a JSON file, or of a run's folder.

        The file holds {"name": TEXT, "batch_tokens": N, "milliseconds": {"256": T, ...}}.

        Raises:
            InputError: the file is missing, or a field is.
        """
        if str(source) in STEP_TIMES:
            table = STEP_TIMES[str(source)]
            return cls(name=table.name, batch_tokens=table.batch_tokens, seconds=table.seconds)
        path = Path(source) / STEP_TIMES_FILE if Path(source).is_dir() else Path(source)
        if not path.exists():
            raise InputError(
                f"--step-times: there is no file '{path}'; give one, the folder of a seqdecomp train run, or "
                f"a shipped table: {', '.join(STEP_TIMES)}"
            )
        document: Any = read_json(path)
        try:
            seconds = {int(length): float(value) / 1000 for length, value in document["milliseconds"].items()}
            batch_tokens = int(document["batch_tokens"])
        except (KeyError, TypeError, ValueError, AttributeError):
            raise InputError(
                f'{source}: is not a table of step times; write {{"name": "...", "batch_tokens": 16384, '
                '"milliseconds": {"256": 12.5}}'
            ) from None
        if not seconds or min(seconds) < 1 or min(seconds.values()) <= 0 or batch_tokens < 1:
            raise InputError(f"{source}: lengths, times and batch_tokens must all be positive; correct them")
        return cls(name=str(document.get("name", source)), batch_tokens=batch_tokens, seconds=seconds)

    def write(self, path: str | Path) -> None:
        """Write the JSON file that `read` takes; times to a tenth of a microsecond."""
        milliseconds = {str(n): round(self.seconds[n] * 1000, 4) for n in sorted(self.seconds)}
        write_json(path, {"name": self.name, "batch_tokens": self.batch_tokens, "milliseconds": milliseconds})

    def seconds_per_token(self, length: int) -> float:
        """Seconds for one token in sequences of `length`.

        Lengths that were not measured lie on the straight line through the two nearest that were, as the
        cost law is linear in the length; with one measured length, all take as long.
        """
        known = sorted(self.seconds, key=lambda other: (abs(math.log2(other / length)), other))
        if length in self.seconds or len(known) == 1:
            return self.seconds[known[0]] / self.batch_tokens
        near, far = known[:2]
        slope = (self.seconds[far] - self.seconds[near]) / (far - near)
        # A line through noisy times may fall below zero; no length is faster than half the fastest seen.
        at_length = self.seconds[near] + slope * (length - near)
        return max(at_length, min(self.seconds.values()) / 2) / self.batch_tokens

    def hours(self, tokens: Mapping[int, float]) -> float:
        """Hours for so many tokens of each length, on the machine of the table."""
        return sum(n * self.seconds_per_token(length) for length, n in tokens.items()) / SECONDS_PER_HOUR


# Figure 7 of the paper: 1B parameters on one H100, 2^14 tokens a step; the unit is inferred.
STEP_TIMES: Mapping[str, StepTimes] = {
    "paper-1b-h100": StepTimes(
        name="paper-1b-h100",
        batch_tokens=2**14,
        seconds={1024: 0.426, 2048: 0.445, 4096: 0.487, 8192: 0.566, 16384: 0.719},
    )
}


@dataclass(frozen=True, kw_only=True)
class BestMixture:
    """A mixture chosen by `best_mixture`.

    Attributes:
        tokens: Tokens of each stock, in its order; whole sequences.
        hours: Predicted hours.
        utility: Mean utility of a token.
        mixture: The same as text, to be given as a mixture.
    """

    tokens: tuple[int, ...]
    hours: float
    utility: float
    mixture: str


def best_mixture(
    stocks: Sequence[Stock],
    step_times: StepTimes,
    *,
    budget_hours: float,
    tokens: int | None = None,
    utility: Mapping[int, float] | None = None,
    floor_fraction: float = 0.0,
    repeat: bool = False,
) -> BestMixture:
    """The mixture of the highest utility that the hours allow.

    A linear programme: tokens of each stock between a floor and what there is, in all `tokens` (or fewer
    when not given), and no more hours than the budget.

    Args:
        stocks: What there is.
        step_times: How long a token of each length takes.
        budget_hours: Hours on the machine of the table.
        tokens: Tokens of the run; None: as many as hours and stocks allow are worth.
        utility: Worth of a token by length; None: its mean context (length - 1) / 2, so that with `tokens`
            given the mixture has the longest mean context.
        floor_fraction: Part of its natural share that every stock keeps, 0 to 1.
        repeat: Whether stocks may be read more than once.

    Raises:
        InputError: the hours or the stocks do not allow it; the line says how many would.
    """
    from scipy.optimize import linprog

    worth = np.array([(s.length - 1) / 2 if utility is None else utility.get(s.length, 0.0) for s in stocks])
    seconds = np.array([step_times.seconds_per_token(stock.length) for stock in stocks])
    available = np.array([stock.tokens for stock in stocks], np.float64)
    limits = np.where(available > 0, np.inf, 0.0) if repeat else available
    natural = available / max(available.sum(), 1.0) * (available.sum() if tokens is None else tokens)
    floors = np.minimum(floor_fraction * natural, limits)
    if tokens is not None and limits.sum() < tokens:
        raise InputError(
            f"tokens: {tokens:,} wanted, {int(available.sum()):,} available; lower --tokens or repeat"
        )
    solved = linprog(
        -worth / max(worth.max(), 1e-12),
        A_ub=[seconds],
        b_ub=[budget_hours * SECONDS_PER_HOUR],
        **({} if tokens is None else {"A_eq": [np.ones(len(stocks))], "b_eq": [tokens]}),
        bounds=list(zip(floors, limits, strict=True)),
    )
    if not solved.success:
        raise InputError(
            f"budget: {budget_hours:g} hours are too few; these tokens take at least "
            f"{_least_seconds(seconds, floors, limits, tokens) / SECONDS_PER_HOUR:.4g} hours"
        )
    chosen = [int(n + 1e-6) // s.length * s.length for n, s in zip(solved.x, stocks, strict=True)]
    total = sum(chosen)
    if not total:
        least = min(s.length * t for s, t in zip(stocks, seconds.tolist(), strict=True))
        raise InputError(
            f"budget: {budget_hours:g} hours are too few; "
            f"one sequence takes {least / SECONDS_PER_HOUR:.4g} hours"
        )
    return BestMixture(
        tokens=tuple(chosen),
        hours=float(np.dot(chosen, seconds)) / SECONDS_PER_HOUR,
        utility=float(np.dot(chosen, worth)) / total if total else 0.0,
        mixture=",".join(f"{s.label}:{n}" for s, n in zip(stocks, chosen, strict=True) if n),
    )


def _least_seconds(seconds: Any, floors: Any, limits: Any, tokens: int | None) -> float:
    """The fewest seconds that the floors, filled up to `tokens` with the fastest stocks, take."""
    chosen = floors.copy()
    left = 0.0 if tokens is None else tokens - chosen.sum()
    for i in np.argsort(seconds, kind="stable"):
        more = min(left, limits[i] - chosen[i])
        chosen[i] += more
        left -= more
    return float(chosen @ seconds)
