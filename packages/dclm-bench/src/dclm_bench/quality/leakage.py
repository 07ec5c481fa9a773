"""Whether the examples of a classifier are apart from each other and from the pages it scores."""

import hashlib
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

Marks = npt.NDArray[np.uint64]


def text_mark(text: str) -> int:
    """A 64-bit hash of a text; case and white space do not count."""
    plain = " ".join(text.split()).casefold().encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(plain, digest_size=8).digest(), "little")


def text_marks(texts: Iterable[str]) -> Marks:
    """The hash of each distinct text, sorted.

    A classifier knows the pages that it was trained on, so its scores of them say nothing.
    """
    return np.unique(np.array([text_mark(text) for text in texts], np.uint64))
