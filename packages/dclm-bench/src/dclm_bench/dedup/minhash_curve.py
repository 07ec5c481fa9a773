"""With which probability MinHash takes two pages for copies, given their similarity."""

import numpy as np
import numpy.typing as npt


def s_curve(similarity: npt.ArrayLike, bands: int, rows: int) -> npt.NDArray[np.float64]:
    """The probability that two pages agree in all rows of at least one band: 1 - (1 - s^rows)^bands.

    Args:
        similarity: Jaccard similarity of the pages' shingles, between 0 and 1, of any shape.
        bands: Bands.
        rows: Rows a band.

    Source: Rajaraman and Ullman, "Mining of Massive Datasets", section 3.4.
    """
    agree = np.asarray(similarity, np.float64) ** rows
    with np.errstate(divide="ignore"):
        found: npt.NDArray[np.float64] = -np.expm1(bands * np.log1p(-agree))
    return found


def half_point(bands: int, rows: int) -> float:
    """The similarity at which one pair of two is found: 0.724 for 93 bands of 15, 0.746 for 450 of 20."""
    return float((-np.expm1(np.log(0.5) / bands)) ** (1 / rows))
