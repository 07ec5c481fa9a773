"""Verdicts on made-up runs whose differences are known."""

import numpy as np
import pytest
from dclm_bench.experiment.quality_questions import answer_quality, quality_table
from dclm_bench.experiment.questions import QUESTIONS, answer_all, answer_one, skipped

GATED = next(asked for asked in QUESTIONS if asked.question.name == "main-content-against-all-text")
UNGATED = next(asked for asked in QUESTIONS if asked.question.name == "heuristics-against-english")


def runs(asked, effect, *, splits=12, noise=0.1, pages=30, seed=0):
    """Splits in which the first arm is `effect` above the second, with noise of splits and pages."""
    rng = np.random.default_rng(seed)
    level = rng.normal(3, 0.5, size=pages)
    found = {}
    for split in range(splits):
        held_out = rng.choice(pages, size=pages // 3, replace=False)
        second = {f"page{page}": float(level[page]) for page in held_out}
        shift = effect + noise * rng.normal()
        first = {name: value + shift + noise * float(rng.normal()) for name, value in second.items()}
        bits = {asked.question.second: second, asked.question.first: first}
        found[split] = {"experiments": {asked.experiment: {"bits": bits}}, "quality": {}}
    return found


@pytest.mark.parametrize(("effect", "verdict"), [(-0.5, "holds"), (0.5, "fails"), (0.0, "inconclusive")])
def test_the_verdict_is_on_which_side_the_whole_interval_lies(effect, verdict):
    found = answer_one(GATED, runs(GATED, effect))
    assert found.answer.verdict == verdict
    assert found.interval.low <= found.answer.effect <= found.interval.high
    assert found.answer.effect == pytest.approx(effect, abs=0.1)


def test_gated_questions_ask_for_99_percent_and_others_for_95():
    gated = answer_one(GATED, runs(GATED, 0.1)).interval
    ungated = answer_one(UNGATED, runs(UNGATED, 0.1)).interval
    assert gated.mean == ungated.mean
    # t(0.995, 11) and t(0.975, 11)
    assert (gated.high - gated.low) / (ungated.high - ungated.low) == pytest.approx(3.1058 / 2.2010, rel=1e-4)


def test_an_effect_between_the_levels_holds_only_where_95_percent_are_asked_for():
    for effect in np.linspace(-0.15, 0, 60):
        interval = answer_one(UNGATED, runs(UNGATED, effect)).interval
        if 0.01 < interval.p < 0.05 and interval.mean < 0:
            assert answer_one(UNGATED, runs(UNGATED, effect)).answer.verdict == "holds"
            assert answer_one(GATED, runs(GATED, effect)).answer.verdict == "inconclusive"
            break
    else:
        pytest.fail("no effect lies between the two levels")


def test_arms_are_told_by_split_for_the_result_files():
    found = runs(GATED, -0.5, splits=3)
    values = answer_one(GATED, found).answer.values
    bits = found[1]["experiments"]["extraction"]["bits"]["all-text"]
    assert values["all-text"][1] == pytest.approx(np.mean(list(bits.values())))
    assert set(values) == {"all-text", "main-content"}


def test_a_question_without_two_splits_is_not_answered():
    assert answer_one(GATED, runs(GATED, -1, splits=1)) is None
    assert answer_one(UNGATED, runs(GATED, -1)) is None
    assert [one.asked for one in answer_all(runs(GATED, -1), {})] == [GATED]


def test_experiments_that_could_not_run_are_named_with_the_reason():
    found = runs(GATED, -1, splits=2)
    for run in found.values():
        run["experiments"]["dedup"] = {"skipped": "no text for deduplicated"}
    reasons = skipped(found)
    assert reasons["dedup"] == "no text for deduplicated"
    assert reasons["language"] == "the data have no pages for it"
    assert "extraction" not in reasons


def test_three_questions_are_gated_and_names_are_unique():
    gated = {asked.experiment for asked in QUESTIONS if asked.question.gated}
    assert gated == {"extraction", "language", "dedup"}
    assert len({asked.question.name for asked in QUESTIONS}) == len(QUESTIONS)


def quality(area, low, high):
    score, length = {"area": area}, {"area": 0.76}
    gain = {"area": area - 0.76, "low": low, "high": high}
    sizes = {"within_length": 0.7, "num_good": 3, "num_bad": 2}
    return {"quality": {"supervised": {"score": score, "length": length, "gain": gain, **sizes}}}


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [(0.02, 0.14, "holds"), (-0.1, 0.2, "inconclusive"), (-0.2, -0.1, "fails")],
)
def test_agreement_with_people_is_judged_beside_length(low, high, verdict):
    (found,) = answer_quality({0: quality(0.84, low, high), 1: quality(0.86, low, high)})
    assert found.verdict == verdict
    assert (found.effect, found.low, found.high) == pytest.approx((0.09, low, high))
    assert found.values == {"length": (0.76, 0.76), "supervised": (0.84, 0.86)}


def test_the_table_never_gives_a_score_without_that_of_length():
    (row,) = quality_table({0: quality(0.84, 0, 0), 1: quality(0.86, 0, 0)})
    assert row == {
        "score": "supervised",
        "splits": 2,
        "auc": pytest.approx(0.85),
        "length_auc": pytest.approx(0.76),
        "within_length_auc": pytest.approx(0.7),
        "pages": 5,
    }
