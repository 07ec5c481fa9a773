"""The same number of training bytes for every arm, and which pages a selector keeps."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from dclm_bench.experiment.byte_ngrams import SEPARATOR


class Budgeted(NamedTuple):
    """Training texts of equal size.

    Attributes:
        texts: By arm.
        num_bytes: How long each of them is.
        num_pages: How many pages are in it, the last one cut, by arm.
    """

    texts: dict[str, bytes]
    num_bytes: int
    num_pages: dict[str, int]


def equal_bytes(arms: Mapping[str, Sequence[str]], budget_bytes: int) -> Budgeted:
    """The pages of each arm in their order, apart by `SEPARATOR`, cut at the same number of bytes.

    That is `budget_bytes`, or what the smallest arm has.

    Args:
        arms: Pages by arm, in the order in which they are read.
        budget_bytes: The most bytes an arm gets.
    """
    whole = {
        arm: SEPARATOR.join(page.encode("utf-8", "replace") for page in pages) for arm, pages in arms.items()
    }
    num_bytes = min(budget_bytes, *(len(text) for text in whole.values()))
    num_pages = {}
    for arm, pages in arms.items():
        ends = np.cumsum([len(page.encode("utf-8", "replace")) + len(SEPARATOR) for page in pages])
        num_pages[arm] = int(np.searchsorted(ends, num_bytes, "left")) + 1 if num_bytes else 0
    return Budgeted({arm: text[:num_bytes] for arm, text in whole.items()}, num_bytes, num_pages)


def keep_highest(scores: npt.NDArray[np.float64], percent: int) -> npt.NDArray[np.int64]:
    """The places of the `percent` of pages with the highest scores, in their order; at least one page.

    Shares are of documents, as in the paper, not of tokens; of equal scores the earlier page is kept.

    Source: section 4.4 (the top 10 % of documents).
    """
    number = max(1, round(len(scores) * percent / 100))
    return np.sort(np.argsort(-scores, kind="stable")[:number])
