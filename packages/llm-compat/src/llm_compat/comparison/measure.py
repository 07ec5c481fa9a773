"""Metrics of two models on the same items, with an interval beside each and a test of the difference."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from llm_compat import flips, significance, smooth
from llm_compat.bootstrap import cell_draws, cluster_draws, percentile_interval, sum_draws
from llm_compat.comparison.items import PairedItems
from llm_compat.data.outcomes import Slices
from llm_compat.intervals import Interval, share_interval
from llm_compat.settings.comparing import CompareSettings

SMOOTH_NAMES = {"mean_old": "score_old", "mean_new": "score_new"}


@dataclass(frozen=True, kw_only=True)
class Measured:
    """What was found for one pair of models.

    Attributes:
        values: By metric; None where it is undefined.
        intervals: By metric; None where there is no interval.
        p_values: By test; None where there is no test.
        clusters: Number of clusters, or None when items were taken as independent.
    """

    values: Mapping[str, float | None]
    intervals: Mapping[str, Interval | None] = field(default_factory=dict)
    p_values: Mapping[str, float | None] = field(default_factory=dict)
    clusters: int | None = None


def measure(
    items: PairedItems,
    settings: CompareSettings,
    generator: np.random.Generator,
    *,
    model: str = "new",
) -> Measured:
    """The metrics of the old model and `model` on these items.

    Shares have the interval of `settings`; all else, and everything under clusters, bootstrap percentiles.
    The test is McNemar's exact one, on scores the sign test beside the t test; under clusters Durkalski's.
    """
    clusters = items.slices.get(settings.cluster) if settings.cluster else None
    if items.kind == "binary":
        return _measure_binary(items, settings, generator, model, clusters)
    return _measure_graded(items, settings, generator, model, clusters)


def counts_by_cluster(codes: npt.NDArray[np.integer], kinds: int, clusters: Slices) -> npt.NDArray[np.int64]:
    """How many items of each kind are in each cluster, int64 [clusters, kinds], none empty."""
    joint = np.bincount(clusters.codes * kinds + codes, minlength=len(clusters.names) * kinds)
    table: npt.NDArray[np.int64] = joint.reshape(-1, kinds).astype(np.int64)
    filled: npt.NDArray[np.int64] = table[table.sum(-1) > 0]
    return filled


def _measure_binary(
    items: PairedItems,
    settings: CompareSettings,
    generator: np.random.Generator,
    model: str,
    clusters: Slices | None,
) -> Measured:
    codes = items.cells(model)
    cells = flips.count_cells(codes)
    values = defined(flips.flip_metrics(cells, answers_known=items.answers_known))
    lost, gained = int(cells[flips.NEGATIVE]), int(cells[flips.POSITIVE])
    p_values: dict[str, float | None] = {
        "mcnemar_p": significance.mcnemar_exact(lost, gained),
        "mcnemar_mid_p": significance.mcnemar_mid_p(lost, gained),
    }
    table = None
    if clusters is not None:
        table = counts_by_cluster(codes, len(flips.CELLS), clusters)
        p_values = {
            "mcnemar_p": significance.mcnemar_clustered(table[:, flips.NEGATIVE], table[:, flips.POSITIVE]),
            "mcnemar_mid_p": None,
        }
        draws = cluster_draws(table, settings.draws, generator)
    else:
        draws = cell_draws(cells, settings.draws, generator)
    shares = {} if clusters is not None else _shares(cells)
    intervals: dict[str, Interval | None] = {}
    for name, value in values.items():
        if value is None:
            intervals[name] = None
        elif name in shares:
            intervals[name] = share_interval(*shares[name], settings.confidence, settings.interval)
        else:
            intervals[name] = percentile_interval(flips.METRICS[name](draws), settings.confidence)
    return Measured(
        values=values,
        intervals=intervals,
        p_values=p_values,
        clusters=None if table is None else len(table),
    )


def _measure_graded(
    items: PairedItems,
    settings: CompareSettings,
    generator: np.random.Generator,
    model: str,
    clusters: Slices | None,
) -> Measured:
    differences = items.differences(model, settings.tolerance)
    moments = smooth.score_moments(differences, items.scores["old"], items.scores[model])
    values = smooth_values(moments.sum(0))
    rose, fell = int((differences > 0).sum()), int((differences < 0).sum())
    number = None
    if clusters is None:
        draws = sum_draws(moments, settings.draws, generator)
        p_values = {
            "mcnemar_p": significance.sign_test(fell, rose),
            "t_test_p": significance.paired_t_test(differences),
        }
    else:
        groups = sums_by_cluster(moments, clusters)
        number = len(groups)
        draws = sum_draws(groups, settings.draws, generator)
        column = smooth.MOMENTS.index
        p_values = {
            "mcnemar_p": significance.mcnemar_clustered(
                groups[:, column("lost")], groups[:, column("gained")]
            ),
            "t_test_p": significance.paired_t_test(groups[:, column("gains")] - groups[:, column("losses")]),
        }
    drawn = draws_of_smooth(draws)
    intervals: dict[str, Interval | None] = {
        name: None if value is None else percentile_interval(drawn[name], settings.confidence)
        for name, value in values.items()
    }
    if clusters is None:
        for name, count in (("nfr", fell), ("pfr", rose), ("flips", rose + fell)):
            intervals[name] = share_interval(count, len(items), settings.confidence, settings.interval)
    return Measured(values=values, intervals=intervals, p_values=p_values, clusters=number)


def sums_by_cluster(moments: npt.NDArray[np.float64], clusters: Slices) -> npt.NDArray[np.float64]:
    """Moments summed over each cluster, float64 [clusters, columns]; empty clusters are left out."""
    sums = np.zeros((len(clusters.names), moments.shape[1]))
    np.add.at(sums, clusters.codes, moments)
    return sums[sums[:, smooth.MOMENTS.index("items")] > 0]


def draws_of_smooth(sums: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
    """The graded metrics of sums [..., 7] by their names in reports, each [...]."""
    found = smooth.metrics_of_sums(sums)
    named = {SMOOTH_NAMES.get(name, name): np.asarray(value) for name, value in found._asdict().items()}
    named["score_difference"] = named["score_new"] - named["score_old"]
    named["flips"] = named["nfr"] + named["pfr"]
    return named


def smooth_values(sums: npt.NDArray[np.float64]) -> dict[str, float | None]:
    """The graded metrics of one row of sums [7]; None where undefined."""
    return defined({name: float(value) for name, value in draws_of_smooth(sums).items()})


def defined(values: Mapping[str, float]) -> dict[str, float | None]:
    """The values, None in place of NaN."""
    return {name: None if math.isnan(value) else value for name, value in values.items()}


def _shares(cells: npt.NDArray[np.int64]) -> dict[str, tuple[int, int]]:
    """The metrics that are binomial given what they are a share of: a count, and the count it is of."""
    same, other, lost, gained, wrong_same, wrong_other = (int(count) for count in cells)
    right, wrong, items = same + other, wrong_same + wrong_other, int(cells.sum())
    return {
        "accuracy_old": (right + lost, items),
        "accuracy_new": (right + gained, items),
        "nfr": (lost, items),
        "pfr": (gained, items),
        "flips": (lost + gained, items),
        "nfr_mc": (lost + wrong_other, items),
        "consistency_q1": (same, right),
        "btc": (right, right + lost),
        "bec": (wrong, wrong + gained),
        "nfi": (lost, lost + wrong),
    }
