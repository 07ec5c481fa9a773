"""Is a difference between two models on the same items real: paired tests, and their correction for many."""

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from scipy import stats


def mcnemar_exact(first_only: int, second_only: int) -> float:
    """Two-sided exact p of McNemar's test; 1 without discordant items.

    Args:
        first_only: Items that have the property under the first model alone.
        second_only: Under the second alone.

    Source: McNemar 1947 in its binomial form: the smaller count, of as many fair coins.
    """
    discordant = first_only + second_only
    if discordant == 0:
        return 1.0
    return min(1.0, 2 * float(stats.binom.cdf(min(first_only, second_only), discordant, 0.5)))


def mcnemar_mid_p(first_only: int, second_only: int) -> float:
    """Two-sided mid-p of McNemar's test: the exact one less the probability of what was seen.

    Less conservative than the exact one, and near its level in simulations.

    Source: Fagerland, Lydersen and Laake 2013.
    """
    discordant = first_only + second_only
    if discordant == 0:
        return 1.0
    seen = float(stats.binom.pmf(first_only, discordant, 0.5))
    if first_only == second_only:
        return 1.0 - seen
    return mcnemar_exact(first_only, second_only) - seen


def mcnemar_chi_squared(first_only: int, second_only: int, *, corrected: bool = True) -> tuple[float, float]:
    """The chi-squared statistic of McNemar's test, one degree of freedom, and its p.

    Source: McNemar 1947; `corrected` is Edwards' continuity correction.
    """
    discordant = first_only + second_only
    if discordant == 0:
        return 0.0, 1.0
    distance = max(0, abs(first_only - second_only) - (1 if corrected else 0))
    statistic = distance**2 / discordant
    return statistic, float(stats.chi2.sf(statistic, 1))


def mcnemar_clustered(first_only: npt.ArrayLike, second_only: npt.ArrayLike) -> float:
    """Two-sided p of McNemar's test where items of one cluster are not independent.

    Args:
        first_only: int [clusters], items of the cluster with the property under the first model alone.
        second_only: int [clusters].

    Source: Durkalski et al. 2003: (sum of d)^2 / sum of d^2 over clusters, chi-squared with one degree.
    """
    differences = np.asarray(first_only, dtype=np.float64) - np.asarray(second_only, dtype=np.float64)
    squares = float((differences**2).sum())
    if squares == 0:
        return 1.0
    return float(stats.chi2.sf(float(differences.sum()) ** 2 / squares, 1))


def sign_test(rose: int, fell: int) -> float:
    """Two-sided exact p that as many items rise as fall; ties are left out."""
    return mcnemar_exact(rose, fell)


def paired_t_test(differences: npt.NDArray[np.float64]) -> float | None:
    """Two-sided p that the mean difference is 0; None for fewer than two items.

    Where all differences are equal, 0, or 1 when they are 0.
    """
    n = len(differences)
    if n < 2:
        return None
    spread = float(differences.std(ddof=1))
    mean = float(differences.mean())
    if spread == 0:
        return 0.0 if mean else 1.0
    return 2 * float(stats.t.sf(abs(mean) / (spread / math.sqrt(n)), n - 1))


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """The p values corrected for their number, so that the chance of any false alarm stays at the level.

    None stays None and is not counted.

    Source: Holm 1979.
    """
    known = sorted((p, index) for index, p in enumerate(p_values) if p is not None)
    corrected: list[float | None] = [None] * len(p_values)
    highest = 0.0
    for rank, (p, index) in enumerate(known):
        highest = max(highest, min(1.0, p * (len(known) - rank)))
        corrected[index] = highest
    return corrected
