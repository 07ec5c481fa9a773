"""Draws of cells have the distribution of drawing items, and the same seed gives the same draws."""

import numpy as np
import pytest
from llm_compat import flips
from llm_compat.bootstrap import cell_draws, cluster_draws, percentile_interval, sum_draws


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_every_draw_has_all_items_and_empty_cells_stay_empty() -> None:
    draws = cell_draws([5, 0, 3, 2, 0, 10], 1000, generator())

    assert draws.shape == (1000, 6)
    assert (draws.sum(-1) == 20).all()
    assert (draws[:, [1, 4]] == 0).all()


def test_draws_of_cells_have_the_moments_of_drawing_items() -> None:
    # given the exact mean n p and variance n p (1 - p) of a multinomial draw
    cells = np.array([400, 10, 90, 120, 200, 180])
    share = cells / cells.sum()

    draws = cell_draws(cells, 20_000, generator())

    standard_error = np.sqrt(cells * (1 - share) / 20_000)
    assert (np.abs(draws.mean(0) - cells) < 5 * standard_error).all()
    assert draws.var(0) == pytest.approx(cells * (1 - share), rel=0.06)


def test_a_joint_table_keeps_its_shape() -> None:
    joint = np.arange(36).reshape(6, 6)

    draws = cell_draws(joint, 50, generator())

    assert draws.shape == (50, 6, 6)
    assert (draws.sum((1, 2)) == joint.sum()).all()


def test_the_bootstrap_of_a_share_agrees_with_its_normal_interval() -> None:
    cells = np.array([4000, 0, 900, 1100, 4000, 0])

    draws = cell_draws(cells, 20_000, generator())
    interval = percentile_interval(flips.negative_flip_rate(draws), 0.95)

    assert interval is not None
    half = 1.96 * np.sqrt(0.09 * 0.91 / 10_000)
    assert interval == pytest.approx((0.09 - half, 0.09 + half), abs=0.0004)


def test_sums_agree_with_the_mean_and_variance_of_resampled_items() -> None:
    values = generator(1).normal(size=(300, 2))

    draws = sum_draws(values, 8000, generator())

    assert draws.shape == (8000, 2)
    assert draws.mean(0) == pytest.approx(values.sum(0), abs=5 * np.sqrt(300 / 8000))
    assert draws.var(0) == pytest.approx(300 * values.var(0), rel=0.06)


def test_sums_do_not_depend_on_the_chunks(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.eye(4)
    whole = sum_draws(values, 64, generator())

    monkeypatch.setattr("llm_compat.bootstrap._CHUNK", 8)

    assert (sum_draws(values, 64, generator()) == whole).all()


def test_clusters_are_drawn_whole() -> None:
    # given two clusters, all right and all wrong: a draw is of 0, 1 or 2 whole clusters
    cells = np.array([[10, 0, 0, 0, 0, 0], [0, 0, 0, 0, 10, 0]])

    draws = cluster_draws(cells, 400, generator())

    assert set(draws[:, 0].tolist()) == {0, 10, 20}
    assert (draws.sum(-1) == 20).all()


def test_clustered_draws_spread_more_than_items() -> None:
    clusters = np.array([[20, 0], [0, 20]] * 10)

    spread = cluster_draws(clusters, 4000, generator())[:, 0].std()

    assert spread > 3 * cell_draws(clusters.sum(0), 4000, generator())[:, 0].std()


def test_the_seed_fixes_the_draws() -> None:
    cells = [5, 5, 5, 5, 5, 5]

    assert (cell_draws(cells, 10, generator(3)) == cell_draws(cells, 10, generator(3))).all()
    assert (cell_draws(cells, 10, generator(3)) != cell_draws(cells, 10, generator(4))).any()


def test_an_interval_leaves_out_undefined_draws_and_is_none_when_most_are() -> None:
    values = np.array([np.nan, 1.0, 2.0, 3.0])

    assert percentile_interval(values, 0.5) == (1.5, 2.5)
    assert percentile_interval(np.array([np.nan, np.nan, 1.0]), 0.5) is None


def test_no_items_cannot_be_resampled() -> None:
    with pytest.raises(ValueError, match="no items cannot be resampled"):
        cell_draws([0, 0], 10, generator())
