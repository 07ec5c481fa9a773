"""Many texts in batches that fit in memory, and the arrays of the batches put together."""

from collections.abc import Iterator, Sequence

import numpy as np

from dclm_bench.steps.step import Arrays

# Code points a batch, whose arrays take some fifty bytes for each: of 30,000 to 10 million the fastest.
BATCH_CHARACTERS = 500_000


def text_batches(texts: Sequence[str], limit: int = BATCH_CHARACTERS) -> Iterator[Sequence[str]]:
    """The texts in order, in runs of about `limit` characters; one empty run where there is no text."""
    start, size = 0, 0
    for place, text in enumerate(texts):
        if size and size + len(text) > limit:
            yield texts[start:place]
            start, size = place, 0
        size += len(text)
    yield texts[start:]


def joined(batches: Sequence[Arrays]) -> Arrays:
    """The arrays of the batches one after the other, by name."""
    if len(batches) == 1:
        return batches[0]
    return {name: np.concatenate([batch[name] for batch in batches]) for name in batches[0]}
