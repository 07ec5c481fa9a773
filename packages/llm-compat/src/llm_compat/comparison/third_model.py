"""A third model on the same items: a compatible one beside the new one, or a re-run as the noise floor."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from llm_compat import flips, significance, smooth
from llm_compat.bootstrap import cell_draws, cluster_draws, percentile_interval, sum_draws
from llm_compat.comparison.items import PairedItems
from llm_compat.comparison.measure import (
    Measured,
    counts_by_cluster,
    defined,
    draws_of_smooth,
    measure,
    sums_by_cluster,
)
from llm_compat.settings.comparing import CompareSettings

_BINARY = ("accuracy_new", "nfr", "pfr", "flips", "nfr_mc", "rel_nfr", "btc", "nfi")
_GRADED = ("score_new", "nfr", "pfr", "flips", "gain_magnitude", "regression_magnitude")


@dataclass(frozen=True, kw_only=True)
class ThirdModel:
    """A third model beside the new one, both against the old.

    Attributes:
        measured: The third model against the old one.
        changes: By metric with the prefix `d_`: third less new, and `d_nfr_relative`, the change of the NFR
            over the new model's NFR; None where undefined. With intervals from joint bootstrap draws.
        p: Exact McNemar p on the negative flips: items that only one of the two models flips. Under clusters
            Durkalski's.
        only_new: Items that only the new model flips negatively.
        only_third: Items that only the third model does.
    """

    measured: Measured
    changes: Measured
    p: float
    only_new: int
    only_third: int


def compare_third(
    items: PairedItems, settings: CompareSettings, generator: np.random.Generator, *, model: str
) -> ThirdModel:
    """The model "compat" or "rerun" beside the new one, on the same items.

    Source: d metrics of section 5 of arXiv 2407.09435 (dNFR_C = NFR(v1, C) - NFR(v1, v2)); the test and the
    intervals are ours.
    """
    own = measure(items, settings, generator, model=model)
    draws = _binary_draws if items.kind == "binary" else _graded_draws
    point, drawn = draws(items, settings, generator, model)
    values = defined({f"d_{name}": value for name, value in point.items()})
    intervals = {
        f"d_{name}": None
        if values[f"d_{name}"] is None
        else percentile_interval(drawn[name], settings.confidence)
        for name in point
    }
    flipped = items.negative_flips("new", settings.tolerance), items.negative_flips(model, settings.tolerance)
    only_new, only_third = flipped[0] & ~flipped[1], flipped[1] & ~flipped[0]
    p = significance.mcnemar_exact(int(only_new.sum()), int(only_third.sum()))
    if settings.cluster:
        clusters = items.slices[settings.cluster]
        p = significance.mcnemar_clustered(
            np.bincount(clusters.codes, only_new, len(clusters.names)).astype(np.int64),
            np.bincount(clusters.codes, only_third, len(clusters.names)).astype(np.int64),
        )
    return ThirdModel(
        measured=own,
        changes=Measured(values=values, intervals=intervals),
        p=p,
        only_new=int(only_new.sum()),
        only_third=int(only_third.sum()),
    )


Changes = Mapping[str, npt.NDArray[np.float64]]


def _binary_draws(
    items: PairedItems, settings: CompareSettings, generator: np.random.Generator, model: str
) -> tuple[dict[str, float], Changes]:
    number = len(flips.CELLS)
    codes = items.cells("new").astype(np.int64) * number + items.cells(model)
    seen = np.bincount(codes, minlength=number * number).reshape(number, number)
    if settings.cluster:
        table = counts_by_cluster(codes, number * number, items.slices[settings.cluster])
        drawn = cluster_draws(table, settings.draws, generator).reshape(-1, number, number)
    else:
        drawn = cell_draws(seen, settings.draws, generator)
    names = [name for name in _BINARY if items.answers_known or name not in flips.NEED_ANSWERS]

    def changes(joint: npt.NDArray[np.int64]) -> dict[str, npt.NDArray[np.float64]]:
        new, third = joint.sum(-1), joint.sum(-2)
        found = {name: flips.METRICS[name](third) - flips.METRICS[name](new) for name in names}
        return _with_relative(found, flips.negative_flip_rate(new))

    return {name: float(value) for name, value in changes(seen).items()}, changes(drawn)


def _graded_draws(
    items: PairedItems, settings: CompareSettings, generator: np.random.Generator, model: str
) -> tuple[dict[str, float], Changes]:
    both = np.concatenate(
        [
            smooth.score_moments(
                items.differences(name, settings.tolerance), items.scores["old"], items.scores[name]
            )
            for name in ("new", model)
        ],
        axis=-1,
    )
    columns = len(smooth.MOMENTS)
    rows = sums_by_cluster(both, items.slices[settings.cluster]) if settings.cluster else both

    def changes(sums: npt.NDArray[np.float64]) -> dict[str, npt.NDArray[np.float64]]:
        new, third = draws_of_smooth(sums[..., :columns]), draws_of_smooth(sums[..., columns:])
        return _with_relative({name: third[name] - new[name] for name in _GRADED}, new["nfr"])

    drawn = changes(sum_draws(rows, settings.draws, generator))
    return {name: float(value) for name, value in changes(both.sum(0)).items()}, drawn


def _with_relative(
    changes: dict[str, npt.NDArray[np.float64]], rate: npt.NDArray[np.float64]
) -> dict[str, npt.NDArray[np.float64]]:
    with np.errstate(divide="ignore", invalid="ignore"):
        changes["nfr_relative"] = np.where(rate > 0, changes["nfr"] / rate, np.nan)
    return changes
