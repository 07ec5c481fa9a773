"""Documents with the length skew of web text, and the token files that hold them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream

EOS_ID = 0
VOCAB_SIZE = 50_432
_BLOCK = 1 << 24


def document_lengths(number: int, *, mean: float = 812.0, seed: int = 0) -> npt.NDArray[np.int64]:
    """Lognormal lengths in tokens, int64 [number], at least 1, with about the given mean (sigma 1.1)."""
    sigma = 1.1
    drawn = stream(seed, "document-lengths").lognormal(np.log(mean) - sigma**2 / 2, sigma, number)
    return np.maximum(1, drawn).astype(np.int64)


def write_token_file(path: Path, lengths: npt.NDArray[np.int64], *, seed: int = 0) -> None:
    """A flat uint16 file of random ids above 0 in which each document ends with EOS (0)."""
    ends = np.cumsum(lengths)
    with path.open("wb") as file:
        for index, first in enumerate(range(0, int(ends[-1]), _BLOCK)):
            size = min(_BLOCK, int(ends[-1]) - first)
            block = stream(seed, "tokens", index).integers(1, VOCAB_SIZE, size, dtype=np.uint16)
            inside = ends[np.searchsorted(ends, first, side="right") :]
            inside = inside[: np.searchsorted(inside, first + size, side="right")]
            block[inside - 1 - first] = EOS_ID
            block.tofile(file)
