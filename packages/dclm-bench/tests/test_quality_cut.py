"""Cuts at a threshold and at a share: boundaries, ties, counts, and independence of shards."""

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest
from dclm_bench.data.page import Page
from dclm_bench.quality import percentile
from dclm_bench.quality.cut import quality_filter
from dclm_bench.quality.fraction_cut import QualityFractionCut, quality_fraction_filter
from dclm_bench.quality.percentile import order_keys, rank_scores
from dclm_bench.steps.registry import make_step
from dclm_bench.steps.step import keeps_all
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.errors import InputError

SCORES = st.one_of(
    st.floats(allow_nan=False, width=64),
    st.sampled_from([0.0, -0.0, 0.5, 1.0, 1e-310, math.inf, -math.inf]),
)


def kept_by(step: QualityFractionCut, shards: Sequence[Sequence[Page]]) -> list[list[bool]]:
    collected = [step.collect(pages) for pages in shards]
    again: Callable[[], Iterator[Any]] = lambda: iter(collected)  # noqa: E731
    kept = []
    for pages, decided in zip(shards, step.decide(again), strict=True):
        kept.append([keeps_all(step.rules, values) for values in step.apply(pages, decided)])
    return kept


def pages_of(scores: Sequence[float | None], text: str = "a b") -> list[Page]:
    return [Page(text, {"score": score}) for score in scores]


# --- at a threshold ---


@pytest.mark.parametrize(
    ("score", "lower_better", "kept"),
    [
        (0.018112, False, True),  # inclusive
        (0.018111, False, False),
        (0.018112, True, True),
        (0.018113, True, False),
        (1, False, True),
        (None, False, False),
        (None, True, False),
    ],
)
def test_the_threshold_itself_is_kept(score: float | None, lower_better: bool, kept: bool) -> None:
    step = quality_filter("score", 0.018112, lower_better=lower_better)

    assert keeps_all(step.rules, step.apply(Page("text", {"score": score}))) is kept


@pytest.mark.parametrize("lower_better", [False, True])
def test_a_page_without_the_key_stops_the_run_or_is_dropped(lower_better: bool) -> None:
    strict = quality_filter("score", 0.5, lower_better)
    with pytest.raises(InputError, match="no key 'score'"):
        strict.apply(Page("text"))

    step = quality_filter("score", 0.5, lower_better, key_must_exist=False)
    assert not keeps_all(step.rules, step.apply(Page("text")))


def test_a_score_that_is_no_number_is_named() -> None:
    with pytest.raises(InputError, match=r"'score' holds '1000.*', no number"):
        quality_filter("score", 0.5).apply(Page("text", {"score": 10**400}))
    with pytest.raises(InputError, match="'score' holds 'high', no number"):
        quality_filter("score", 0.5).apply(Page("text", {"score": "high"}))


def test_a_threshold_that_is_no_number_is_refused() -> None:
    with pytest.raises(InputError, match="threshold is 'x'"):
        make_step("quality_filter", {"threshold": "x"})


# --- at a share ---


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.one_of(SCORES, st.just(math.nan)), max_size=30),
    st.floats(0, 1),
    st.booleans(),
    st.integers(1, 4),
    st.sampled_from([0, percentile.MOST_RANKED]),
)
def test_exactly_the_rounded_number_of_best_pages_is_kept_and_ties_go_to_the_first(
    scores: list[float], fraction: float, lower_better: bool, num_shards: int, most_ranked: int
) -> None:
    pages = pages_of([None if math.isnan(score) else score for score in scores])
    shards = [list(part) for part in np.array_split(np.array(pages, object), num_shards)]

    step = quality_fraction_filter("score", fraction, lower_better=lower_better)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentile, "MOST_RANKED", most_ranked)
        kept = [is_kept for shard in kept_by(step, shards) for is_kept in shard]

    worth = [-score if lower_better else score for score in scores]
    order = sorted(
        range(len(scores)),
        key=lambda i: (math.isnan(worth[i]), 0.0 if math.isnan(worth[i]) else -worth[i], i),
    )
    wanted = math.floor(len(scores) * fraction + 0.5)
    assert [index for index in range(len(scores)) if kept[index]] == sorted(order[:wanted])


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(SCORES, st.integers(0, 9)), min_size=1, max_size=25),
    st.floats(0, 1),
    st.sampled_from([0, percentile.MOST_RANKED]),
)
def test_by_tokens_the_best_pages_come_as_near_to_the_share_as_whole_pages_can(
    pairs: list[tuple[float, int]], fraction: float, most_ranked: int
) -> None:
    pages = [Page("", {"score": score, "n": count}) for score, count in pairs]
    step = quality_fraction_filter("score", fraction, by="tokens", tokens_key="n")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(percentile, "MOST_RANKED", most_ranked)
        kept = kept_by(step, [pages])[0]

    wanted = fraction * sum(count for _, count in pairs)
    got = sum(count for (_, count), is_kept in zip(pairs, kept, strict=True) if is_kept)
    order = sorted(range(len(pairs)), key=lambda index: (-pairs[index][0], index))
    sums = np.cumsum([0, *(pairs[index][1] for index in order)])
    assert abs(got - wanted) == pytest.approx(np.abs(sums - wanted).min())
    worst_kept = min((pairs[i][0] for i in range(len(pairs)) if kept[i]), default=math.inf)
    assert all(kept[i] or pairs[i][0] <= worst_kept for i in range(len(pairs)))


def test_the_whole_keeps_pages_without_a_token_and_without_a_score_too() -> None:
    pages = [Page(text, {"score": score}) for text, score in (("a b", 0.9), ("", 0.1), ("", None))]

    assert kept_by(quality_fraction_filter("score", 1.0, by="tokens"), [pages]) == [[True, True, True]]


def test_documents_and_tokens_give_different_cuts() -> None:
    pages = [Page("w " * 90, {"score": 0.9}), *(Page("w", {"score": 0.1 * i}) for i in range(9, 0, -1))]
    pages[1].record["score"] = 0.85

    by_documents = kept_by(quality_fraction_filter("score", 0.3), [pages])[0]
    by_tokens = kept_by(quality_fraction_filter("score", 0.3, by="tokens"), [pages])[0]

    assert sum(by_documents) == 3
    assert sum(by_tokens) == 0  # the first page alone is nine tenths: nothing is nearer to 30 %


def test_the_decision_does_not_depend_on_how_pages_are_cut_into_shards() -> None:
    draw = np.random.default_rng(0)
    pages = pages_of([float(value) for value in draw.integers(0, 20, 500) / 7])
    step = quality_fraction_filter("score", 0.37)
    whole = kept_by(step, [pages])[0]

    for size in (1, 7, 499):
        shards = [pages[first : first + size] for first in range(0, 500, size)]
        assert [is_kept for shard in kept_by(step, [*shards, []]) for is_kept in shard] == whole
    assert sum(whole) == 185


def test_the_threshold_that_was_found_is_logged_and_stands_in_the_decision(
    caplog: pytest.LogCaptureFixture,
) -> None:
    pages = pages_of([0.1, 0.7, None, 0.3])
    step = quality_fraction_filter("score", 0.5)
    collected = [step.collect(pages)]

    with caplog.at_level(logging.INFO):
        decided = next(step.decide(lambda: iter(collected)))

    assert decided["threshold"][0] == 0.3
    assert "the threshold is 0.3; it keeps 2 of 4 documents" in caplog.text


@pytest.mark.parametrize("lower_better", [False, True])
def test_another_fraction_asked_of_the_values_keeps_what_a_fresh_run_keeps(lower_better: bool) -> None:
    draw = np.random.default_rng(0)
    ties = [float(value) for value in draw.integers(0, 5, 300)]
    pages = pages_of([*ties, None, *(0.5 + 0.001 * draw.random(300)).tolist()])
    step = quality_fraction_filter("score", 0.1, lower_better=lower_better)
    collected = [step.collect(pages[:200]), step.collect(pages[200:])]
    shares = np.concatenate([decided["shares"] for decided in step.decide(lambda: iter(collected))])

    for fraction in (0.0, 0.05, 0.15, 0.2, 0.5, 0.501, 0.9, 1.0):
        fresh = quality_fraction_filter("score", fraction, lower_better=lower_better)
        assert (shares <= fraction).tolist() == kept_by(fresh, [pages])[0]


def test_the_value_is_about_the_share_of_better_pages_where_too_many_are_there_to_rank_all(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(percentile, "MOST_RANKED", 999)
    scores = list(np.linspace(0.001, 0.999, 1000))
    ranking = rank_scores(lambda: [(np.array(scores), np.ones(1000))], 0.1)

    shares = next(ranking.shares([np.array(scores)]))

    exact = (np.arange(1000)[::-1] + 0.5) / 1000
    assert np.abs(shares - exact).max() < 0.005
    assert (shares[-101:] == exact[-101:])[:2].all()  # exact where the cut is
    assert (shares <= 0.1).sum() == 100


def test_keys_are_in_the_order_of_the_scores() -> None:
    scores = np.array([-math.inf, -2.0, -1e-310, -0.0, 0.0, 1e-310, 2.0, math.inf])

    rising = order_keys(scores, True).astype(object)
    falling = order_keys(scores, False).astype(object)

    assert rising[3] == rising[4]
    assert falling[3] == falling[4]
    distinct = [0, 1, 2, 3, 5, 6, 7]
    assert (np.diff(rising[distinct]) > 0).all()
    assert (np.diff(falling[distinct]) < 0).all()
    assert order_keys(np.array([math.nan]), True)[0] > rising.max()
    assert order_keys(np.array([math.nan]), False)[0] > falling.max()


def test_an_empty_corpus_keeps_nothing() -> None:
    assert kept_by(quality_fraction_filter("score", 0.5), [[], []]) == [[], []]


@pytest.mark.parametrize(
    ("parameters", "reason"),
    [
        ({"keep_fraction": 1.5}, "keep_fraction is 1.5"),
        ({"keep_fraction": "x"}, "keep_fraction is 'x'"),
        ({"by": "bytes"}, "by is 'bytes'"),
    ],
)
def test_parameters_that_cannot_be_are_named(parameters: dict[str, Any], reason: str) -> None:
    with pytest.raises(InputError, match=reason):
        quality_fraction_filter("score", **parameters)


def test_a_count_of_tokens_that_is_none_is_named() -> None:
    step = quality_fraction_filter("score", 0.5, by="tokens", tokens_key="n")
    with pytest.raises(InputError, match="tokens_key: 'n'"):
        step.collect([Page("a", {"score": 1.0, "n": -1})])
