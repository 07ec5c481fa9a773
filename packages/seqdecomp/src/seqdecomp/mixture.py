"""Mixtures: how many tokens of each length a run trains on."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

Int64s = npt.NDArray[np.int64]

# Lengths that a preset takes, equal tokens of each, as (shortest, longest); "natural" takes all there is.
_RANGES: Mapping[str, tuple[int, int | None]] = {
    "equal": (1, None),
    "1k-only": (1024, 1024),
    "at-most-2k": (1, 2048),
    "mid": (256, 2048),
    "at-least-1k": (1024, None),
    "at-least-256": (256, None),
}
MIXTURES = ("natural", *_RANGES)

# Tokens of RefinedWeb by length, in units of 2^30: the natural mixture of Table 1 of the paper.
REFINEDWEB_PARTS: Mapping[int, int] = {
    64: 3, 128: 6, 256: 10, 512: 17, 1024: 21, 2048: 17, 4096: 13, 8192: 9
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Stock:
    """What there is of one length from one source: `sequences` of `length` tokens each."""

    source: str
    length: int
    sequences: int

    @property
    def tokens(self) -> int:
        """Tokens, `length` a sequence."""
        return self.sequences * self.length

    @property
    def label(self) -> str:
        """How messages and tables call it."""
        return f"{self.source}/{self.length}" if self.source else str(self.length)


def mixture_parts(mixture: str, stocks: Sequence[Stock]) -> list[Fraction]:
    """The fraction of all tokens that each stock gives; the fractions sum to 1.

    A preset takes the lengths of which there is something. A part by length is shared among the sources in
    proportion to what each has of the length.

    Args:
        mixture: natural (all there is), equal, 1k-only, at-most-2k, mid, at-least-1k, at-least-256, or
            parts of the tokens such as "256:3,512:6" or "web/256:3,code/1024:1".
        stocks: What there is.

    Raises:
        InputError: the mixture is unknown, or names a length or source that is not there.

    Source: Table 1 of arXiv 2405.13226 (ranges of lengths D_6 to D_13).
    """
    if mixture == "natural":
        weights = {i: Fraction(stock.tokens) for i, stock in enumerate(stocks)}
    elif mixture in _RANGES:
        low, high = _RANGES[mixture]
        lengths = {s.length for s in stocks if s.sequences and low <= s.length <= (high or s.length)}
        if not lengths:
            raise InputError(
                f"mixture: '{mixture}' takes none of the lengths {_lengths(stocks)}; choose another mixture"
            )
        weights = {}
        for length in lengths:
            weights |= _shared(stocks, length, None, Fraction(1))
    else:
        weights = _parse(mixture, stocks)
    total = sum(weights.values())
    if not total and any(stock.sequences for stock in stocks):
        raise InputError(f"mixture: '{mixture}' takes nothing; give some length a part above 0")
    if not total:
        raise InputError(
            "mixture: there is no sequence to train on; "
            "build the store with a lower --min-length or more text"
        )
    return [weights.get(i, Fraction(0)) / total for i in range(len(stocks))]


def select_sequences(
    mixture: str,
    stocks: Sequence[Stock],
    *,
    tokens: int | None = None,
    repeat: Literal["refuse", "repeat"] = "refuse",
) -> Int64s:
    """How many sequences a run takes from each stock, int64 [stocks].

    Without `tokens` it takes as many as the mixture allows without repeating any. With `tokens`, each
    stock gives its part of them, rounded down to whole sequences; "repeat" lets it give more than it has,
    in whole passes.

    Raises:
        InputError: more is asked for than there is and repeating is refused, or a stock that should give
            something is empty.
    """
    parts = mixture_parts(mixture, stocks)
    if tokens is None:
        tokens = int(min(stock.tokens / part for stock, part in zip(stocks, parts, strict=True) if part))
    chosen = np.array(
        [int(part * tokens / stock.length) for stock, part in zip(stocks, parts, strict=True)], np.int64
    )
    for stock, number in zip(stocks, chosen.tolist(), strict=True):
        if number > stock.sequences and (repeat == "refuse" or not stock.sequences):
            cure = (
                "lower --tokens, change --mixture, or pass --repeat repeat"
                if stock.sequences
                else "change --mixture"
            )
            raise InputError(
                f"bucket {stock.label}: {number * stock.length:,} tokens wanted, "
                f"{stock.tokens:,} available; {cure}"
            )
    return chosen


def _shared(
    stocks: Sequence[Stock], length: int, source: str | None, weight: Fraction
) -> dict[int, Fraction]:
    members = [
        i for i, stock in enumerate(stocks) if stock.length == length and source in (None, stock.source)
    ]
    total = sum(stocks[i].tokens for i in members)
    if not total:  # refused later, with the number of tokens that were wanted
        return {i: weight / len(members) for i in members}
    return {i: weight * stocks[i].tokens / total for i in members}


def _parse(mixture: str, stocks: Sequence[Stock]) -> dict[int, Fraction]:
    weights: dict[int, Fraction] = {}
    given: set[str] = set()
    for entry in mixture.split(","):
        name, colon, part = entry.strip().rpartition(":")
        if name in given:
            raise InputError(f"mixture: '{name}' is given twice; add up its parts")
        given.add(name)
        source, slash, length = name.rpartition("/")
        try:
            weight = Fraction(part)
            where = int(length)
        except (ValueError, ZeroDivisionError):
            raise InputError(
                f"mixture: '{entry.strip()}' is not LENGTH:PARTS or SOURCE/LENGTH:PARTS; "
                f"give such a list, or one of {', '.join(MIXTURES)}"
            ) from None
        if not colon or weight < 0:
            raise InputError(f"mixture: '{entry.strip()}' has a negative part; give 0 or more")
        found = _shared(stocks, where, source if slash else None, weight)
        if not found:
            names = ", ".join(stock.label for stock in stocks)
            raise InputError(f"mixture: there is no bucket '{name}'; the store has {names}")
        for place, share in found.items():
            weights[place] = weights.get(place, Fraction(0)) + share
    return weights


def _lengths(stocks: Sequence[Stock]) -> str:
    return ", ".join(str(length) for length in sorted({s.length for s in stocks if s.sequences}))
