"""How much of a mixture is from which source, and which of its contexts."""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

By = Literal["tokens", "documents"]


def mixture_shares(
    weights: Mapping[str, float],
    *,
    by: By = "tokens",
    tokens: Mapping[str, int] | None = None,
    documents: Mapping[str, int] | None = None,
) -> dict[str, float]:
    """Each source's share of the tokens, with sum 1.

    By `tokens` the shares are the weights over their sum. By `documents` a weight is the chance that the next
    document is from the source, so the tokens go by weight times mean length.

    Raises:
        InputError: a weight is not a positive number.

    Source: section 2.4 of the specification, mixing arm.
    """
    for name, weight in weights.items():
        if not 0 < weight < float("inf"):
            raise InputError(f"--weight.{name}: {weight:g} is not above 0; leave the source out instead")
    raw = dict(weights)
    if by == "documents":
        assert tokens is not None
        assert documents is not None
        raw = {name: weight * tokens[name] / max(1, documents[name]) for name, weight in weights.items()}
    total = sum(raw.values())
    return {name: value / total for name, value in raw.items()}


def contexts_to_draw(
    shares: Mapping[str, float], available: Mapping[str, int], *, num_contexts: int | None = None
) -> dict[str, int]:
    """How many contexts each source gives, by the largest remainders; their sum is the size of the mixture.

    Without `num_contexts` the mixture is as large as it can be with no context of any source seen twice.
    """
    if num_contexts is None:
        num_contexts = int(min(available[name] / share for name, share in shares.items()) + 1e-9)
    exact = {name: share * num_contexts for name, share in shares.items()}
    drawn = {name: int(value) for name, value in exact.items()}
    left = num_contexts - sum(drawn.values())
    # equal remainders go by the order in which the sources were given
    for name in sorted(exact, key=lambda name: drawn[name] - exact[name])[:left]:
        drawn[name] += 1
    return drawn


def draw_contexts(available: int, drawn: int, *, seed: int, source: str) -> npt.NDArray[np.int64]:
    """The contexts that a source gives, int64 [drawn]: every one as often as any other, but for one.

    Whole passes over the source, then a part without replacement that depends on seed and name alone.
    """
    passes, part = divmod(drawn, max(1, available))
    chosen = stream(seed, f"mixing: {source}").permutation(available)[:part]
    return np.concatenate([np.tile(np.arange(available), passes), chosen])
