"""The options of fastText that decide what a classifier becomes; standard library only."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True)
class FastTextSettings:
    """How a classifier is trained, by fastText's names.

    Attributes:
        word_ngrams: Longest n-gram of words.
        dim: Length of a vector.
        epoch: How often each example is seen.
        lr: Learning rate at the begin; it falls to 0.
        bucket: Rows for hashed n-grams.
        min_count: Words seen fewer times have no row of their own.
        minn: Shortest n-gram of characters.
        maxn: Longest n-gram of characters; 0 for none.
    """

    word_ngrams: int = 2
    dim: int = 100
    epoch: int = 5
    lr: float = 0.1
    bucket: int = 2_000_000
    min_count: int = 1
    minn: int = 0
    maxn: int = 0

    def arguments(self) -> dict[str, Any]:
        """The fields as keyword arguments."""
        return asdict(self)
