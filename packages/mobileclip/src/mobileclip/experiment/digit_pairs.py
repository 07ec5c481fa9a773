"""Images of two handwritten digits side by side, in light or dark ink; 200 classes from disjoint digits."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import require
from toolkit_shared.randomness import stream

HEIGHT, WIDTH = 8, 16
NUM_CLASSES = 200
POOL_SIZES = {"teacher": 900, "student": 397, "test": 500}

Images = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Pool:
    """Digits that only one purpose uses: float32 [digits, 8, 8] in 0..1, and what each shows, int64."""

    images: Images
    digits: npt.NDArray[np.int64]


@dataclass(frozen=True)
class DigitPairs:
    """Images of two digits.

    Attributes:
        images: float32 [pairs, 8, 16] in 0..1.
        classes: int64 [pairs]: 20 times the left digit, plus 2 times the right one, plus 1 for dark ink.
    """

    images: Images
    classes: npt.NDArray[np.int64]


def class_parts(label: int) -> tuple[int, int, bool]:
    """The left digit, the right digit, and whether the ink is dark."""
    return label // 20, label // 2 % 10, bool(label % 2)


def split_digits(seed: int) -> dict[str, Pool]:
    """The digits of scikit-learn, shuffled by the seed and divided: teacher 900, student 397, test 500."""
    images, digits = _all_digits()
    order = stream(seed, "digit pools").permutation(len(images))
    pools, start = {}, 0
    for name, size in POOL_SIZES.items():
        chosen = order[start : start + size]
        pools[name] = Pool(images[chosen], digits[chosen])
        start += size
    return pools


def draw_pairs(pool: Pool, count: int, rng: np.random.Generator) -> DigitPairs:
    """Pairs of any two digits of a pool, with either ink."""
    left, right = rng.integers(len(pool.images), size=(2, count))
    dark = rng.integers(2, size=count)
    images = np.concatenate([pool.images[left], pool.images[right]], axis=2)
    images = np.where(dark[:, None, None] == 1, 1.0 - images, images).astype(np.float32)
    return DigitPairs(images, 20 * pool.digits[left] + 2 * pool.digits[right] + dark)


@lru_cache(maxsize=1)
def _all_digits() -> tuple[Images, npt.NDArray[np.int64]]:
    found = require("sklearn.datasets", toolkit="mobileclip", extra="claims").load_digits()
    return (found.images / 16.0).astype(np.float32), found.target.astype(np.int64)
