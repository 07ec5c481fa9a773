"""Flips between an old and a new model, from right and wrong answers: the heart of the measurement.

Every item falls into one of six cells, by who was right and whether the two answers were the same. All
metrics are functions of the six counts alone, so they work on one table, on a stack of tables, and on
bootstrap draws of tables.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CELLS = (
    "both_right_same",
    "both_right_different",
    "negative_flip",
    "positive_flip",
    "both_wrong_same",
    "both_wrong_different",
)
RIGHT_SAME, RIGHT_DIFFERENT, NEGATIVE, POSITIVE, WRONG_SAME, WRONG_DIFFERENT = range(len(CELLS))

# swapping the two models swaps the flips and leaves the rest
SWAPPED = (RIGHT_SAME, RIGHT_DIFFERENT, POSITIVE, NEGATIVE, WRONG_SAME, WRONG_DIFFERENT)

CellCodes = npt.NDArray[np.int8]
Cells = npt.NDArray[np.int64]  # [..., 6]
Values = npt.NDArray[np.float64]  # [...]


def cell_codes(
    old_right: npt.NDArray[np.bool_],
    new_right: npt.NDArray[np.bool_],
    old_answers: npt.NDArray[np.uint64] | None = None,
    new_answers: npt.NDArray[np.uint64] | None = None,
) -> CellCodes:
    """The cell of every item, int8 [items], an index into `CELLS`.

    Without answers, items on which the models agree in right or wrong count as the same answer; metrics that
    depend on it mean nothing then. Two missing answers are the same answer.

    Args:
        old_right: bool [items].
        new_right: bool [items].
        old_answers: uint64 [items], equal where the answers are.
        new_answers: uint64 [items].

    Raises:
        ValueError: the arrays differ in length, or only one model has answers.
    """
    if (old_answers is None) != (new_answers is None):
        raise ValueError("answers of one model only cannot be compared")
    codes = np.where(
        old_right, np.where(new_right, RIGHT_SAME, NEGATIVE), np.where(new_right, POSITIVE, WRONG_SAME)
    )
    if old_answers is not None:
        differs = (old_answers != new_answers) & (old_right == new_right)
        codes = codes + differs  # the cells of different answers follow those of the same
    return codes.astype(np.int8)


def count_cells(codes: CellCodes) -> Cells:
    """How many items are in each cell, int64 [6]."""
    return np.bincount(codes, minlength=len(CELLS)).astype(np.int64)


class Confusion(NamedTuple):
    """The table of right and wrong, each [...]: n11 both right, n10 old only, n01 new only, n00 neither."""

    n11: Values
    n10: Values
    n01: Values
    n00: Values

    @property
    def items(self) -> Values:
        """All items, [...]."""
        return self.n11 + self.n10 + self.n01 + self.n00


def confusion(cells: npt.ArrayLike) -> Confusion:
    """The four counts of right and wrong of six cells [..., 6]."""
    table = np.asarray(cells, dtype=np.float64)
    return Confusion(
        table[..., RIGHT_SAME] + table[..., RIGHT_DIFFERENT],
        table[..., NEGATIVE],
        table[..., POSITIVE],
        table[..., WRONG_SAME] + table[..., WRONG_DIFFERENT],
    )


def accuracy_old(cells: npt.ArrayLike) -> Values:
    """Share of items that the old model has right."""
    n11, n10, n01, n00 = confusion(cells)
    return _ratio(n11 + n10, n11 + n10 + n01 + n00)


def accuracy_new(cells: npt.ArrayLike) -> Values:
    """Share of items that the new model has right."""
    n11, n10, n01, n00 = confusion(cells)
    return _ratio(n11 + n01, n11 + n10 + n01 + n00)


def accuracy_difference(cells: npt.ArrayLike) -> Values:
    """Accuracy of the new model less that of the old; it equals pfr - nfr."""
    table = confusion(cells)
    return _ratio(table.n01 - table.n10, table.items)


def negative_flip_rate(cells: npt.ArrayLike) -> Values:
    """Share of items that were right and now are wrong.

    Source: section 3.1 of arXiv 2407.09435; Yan et al. 2021.
    """
    table = confusion(cells)
    return _ratio(table.n10, table.items)


def positive_flip_rate(cells: npt.ArrayLike) -> Values:
    """Share of items that were wrong and now are right."""
    table = confusion(cells)
    return _ratio(table.n01, table.items)


def flip_rate(cells: npt.ArrayLike) -> Values:
    """Share of items that changed between right and wrong, either way.

    Source: "% flips" of "Accuracy is Not All You Need" (NeurIPS 2024).
    """
    table = confusion(cells)
    return _ratio(table.n10 + table.n01, table.items)


def inconsistency_flip_rate(cells: npt.ArrayLike) -> Values:
    """Share of items where the new model is wrong and gives another answer than the old: NFR_mc.

    It holds every negative flip, and the items on which both are wrong in different ways. With two options
    it equals the negative flip rate.

    Source: section 3.1 of arXiv 2407.09435, for answers that are one of several.
    """
    table = np.asarray(cells, dtype=np.float64)
    return _ratio(table[..., NEGATIVE] + table[..., WRONG_DIFFERENT], table.sum(-1))


def consistency_of_right_answers(cells: npt.ArrayLike) -> Values:
    """Of the items that both have right, the share with the same answer; 1 where only one answer is right.

    Source: quadrant 1 of section 3.1 of arXiv 2407.09435, which gives no formula; this one is ours.
    """
    table = np.asarray(cells, dtype=np.float64)
    return _ratio(table[..., RIGHT_SAME], table[..., RIGHT_SAME] + table[..., RIGHT_DIFFERENT])


def backward_trust_compatibility(cells: npt.ArrayLike) -> Values:
    """BTC: of what the old model had right, the share that the new one has right too.

    Source: Srivastava et al. 2020.
    """
    table = confusion(cells)
    return _ratio(table.n11, table.n11 + table.n10)


def backward_error_compatibility(cells: npt.ArrayLike) -> Values:
    """BEC: of what the old model had wrong, the share that the new one has wrong too.

    Some describe it as the probability that an error of the new model is not new; that is 1 - nfi.

    Source: Srivastava et al. 2020.
    """
    table = confusion(cells)
    return _ratio(table.n00, table.n00 + table.n01)


def negative_flip_impact(cells: npt.ArrayLike) -> Values:
    """NFI: of the new model's errors, the share that the old one had right.

    Source: Cai et al. 2022.
    """
    table = confusion(cells)
    return _ratio(table.n10, table.n10 + table.n00)


def relative_negative_flip_rate(cells: npt.ArrayLike) -> Values:
    """NFR over what two models of these accuracies would have if their errors were independent.

    1 is the rate of independent models. It falls only when flips fall by more than higher accuracy explains,
    so it stands beside the raw rate in every table.

    Source: equation 11 of Yan et al. 2021, NFR / ((1 - ER_old) ER_new).
    """
    n11, n10, n01, n00 = confusion(cells)
    return _ratio(n10 * (n11 + n10 + n01 + n00), (n11 + n10) * (n10 + n00))


METRICS: Mapping[str, Callable[[npt.ArrayLike], Values]] = {
    "accuracy_old": accuracy_old,
    "accuracy_new": accuracy_new,
    "accuracy_difference": accuracy_difference,
    "nfr": negative_flip_rate,
    "pfr": positive_flip_rate,
    "flips": flip_rate,
    "nfr_mc": inconsistency_flip_rate,
    "consistency_q1": consistency_of_right_answers,
    "btc": backward_trust_compatibility,
    "bec": backward_error_compatibility,
    "nfi": negative_flip_impact,
    "rel_nfr": relative_negative_flip_rate,
}
"""By the field's names; each takes cells [..., 6] and gives float64 [...], NaN where undefined."""

NEED_ANSWERS = frozenset({"nfr_mc", "consistency_q1"})
"""Metrics that mean nothing where the answers are not known."""


def flip_metrics(cells: npt.ArrayLike, *, answers_known: bool = True) -> dict[str, float]:
    """All metrics of one table of cells [6] by name; NaN where a denominator is 0 or answers are needed."""
    found = {name: float(metric(cells)) for name, metric in METRICS.items()}
    return found if answers_known else {**found, **dict.fromkeys(NEED_ANSWERS, float("nan"))}


def _ratio(above: Values, below: Values) -> Values:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(below > 0, above / below, np.nan)
