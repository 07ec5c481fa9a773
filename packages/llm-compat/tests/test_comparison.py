"""Runs compared item by item: pairing, three models, noise floor, slices, clusters, corrections, refusals."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.comparison import Comparison, compare_runs
from llm_compat.comparison.compare import POOLED, TaskComparison
from llm_compat.comparison.document import comparison_document
from llm_compat.comparison.verdict import detectable_difference, findings, verdict
from llm_compat.data.outcomes import Outcomes, Slices, code_of, key_of, keys_array
from llm_compat.settings.comparing import CompareSettings
from toolkit_shared.errors import InputError

QUICK = CompareSettings(draws=200)


def outcomes(
    scores: Sequence[float],
    answers: Sequence[int] | None = None,
    *,
    ids: Sequence[int] | None = None,
    task: str = "piqa",
    filter: str = "none",
    metric: str = "acc",
    model: str = "model",
    **fields: Any,
) -> Outcomes:
    """Outcomes of documents numbered from 0, or as `ids` says."""
    numbers = list(range(len(scores))) if ids is None else list(ids)
    return Outcomes(
        task=task,
        filter=filter,
        source=Path(f"{model}.jsonl"),
        format="table",
        keys=keys_array([key_of(str(number)) for number in numbers]),
        places=np.array(numbers, dtype=np.int64),
        scores={metric: np.array(scores, dtype=np.float64)},
        answers={} if answers is None else {metric: np.array(answers, dtype=np.uint64)},
        **fields,
    )


def spread(*counts: int) -> npt.NDArray[np.int64]:
    """0 so many times, then 1 so many times, and so on."""
    return np.repeat(np.arange(len(counts)), counts)


def of_cells(cells: Sequence[int], **fields: Any) -> tuple[Outcomes, Outcomes]:
    """An old and a new run with so many items in each of the six cells; option 1 is right, and so is 2."""
    old_answers, new_answers = [1, 1, 1, 3, 3, 3], [1, 2, 3, 1, 3, 4]
    cell = spread(*cells)
    old, new = np.array(old_answers)[cell], np.array(new_answers)[cell]
    return (
        outcomes(old < 3, old, model="old", **fields),
        outcomes(new < 3, new, model="new", **fields),
    )


def compared(*runs: Outcomes, settings: CompareSettings = QUICK, **others: Outcomes) -> TaskComparison:
    return whole(*runs, settings=settings, **others).tasks[0]


def whole(*runs: Outcomes, settings: CompareSettings = QUICK, **others: Outcomes) -> Comparison:
    named = dict(zip(("old", "new"), runs, strict=True)) | others
    return compare_runs({model: [run] for model, run in named.items()}, settings)


def test_oracle_of_the_gsm8k_outcomes_through_the_whole_comparison() -> None:
    old, new = of_cells([198, 0, 88, 260, 60, 713])

    found = compared(old, new, settings=CompareSettings())

    values = found.measured.values
    assert len(found.items) == 1319
    assert {name: round(100 * (values[name] or 0), 4) for name in ("nfr", "pfr", "nfr_mc")} == {
        "nfr": 6.6717,
        "pfr": 19.7119,
        "nfr_mc": 60.7278,
    }
    assert found.measured.p_values["mcnemar_p"] == pytest.approx(7.466e-21, rel=1e-4)
    interval = found.measured.intervals["rel_nfr"]
    assert interval is not None
    assert interval.low < 0.47137 < interval.high


@given(st.permutations(range(30)), st.permutations(range(30)), st.integers(0, 2**30))
def test_the_order_of_the_lines_changes_nothing(first: list[int], second: list[int], bits: int) -> None:
    # given two runs, and the same two with their lines in other orders
    right = np.array([bits >> place & 1 for place in range(30)])
    old, new = outcomes(right, right), outcomes(1 - right, right * 3)

    shuffled = compared(reordered(old, first), reordered(new, second))

    assert shuffled.measured == compared(old, new).measured


def reordered(run: Outcomes, order: Sequence[int]) -> Outcomes:
    return replace(
        run,
        keys=run.keys[list(order)],
        places=run.places[list(order)],
        scores={name: values[list(order)] for name, values in run.scores.items()},
        answers={name: values[list(order)] for name, values in run.answers.items()},
    )


def test_documents_that_a_run_lacks_are_refused_with_their_ids(ids_without_files: None) -> None:
    old, new = outcomes([1, 1, 0, 1]), outcomes([1, 0, 1], ids=[0, 3, 9], model="new")

    with pytest.raises(InputError) as refused:
        compared(old, new)

    assert str(refused.value) == (
        "new.jsonl: piqa: 2 of 4 documents of model.jsonl are missing (id 1, 2) and 1 documents are not in "
        "model.jsonl (id 9); compare runs on the same documents, or pass --allow-unpaired"
    )


@pytest.fixture
def ids_without_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of items from their places, for runs that are in no file."""
    from llm_compat.comparison import pairing
    from llm_compat.data.outcomes import Detail

    def details(run: Outcomes, items: Sequence[int]) -> list[Detail]:
        return [Detail(id=str(run.places[item]), question="", target="", answer=None) for item in items]

    monkeypatch.setattr(pairing, "read_details", details)


def test_documents_that_a_run_lacks_are_left_out_when_that_is_allowed() -> None:
    old, new = outcomes([1, 1, 0, 1]), outcomes([1, 0, 1], ids=[0, 3, 9])

    found = compared(old, new, settings=replace(QUICK, allow_unpaired=True))

    assert (len(found.items), found.unpaired) == (2, 3)
    assert found.measured.values["nfr"] == 0.5
    assert "3 documents are not in all runs and were left out" in found.notes


def test_runs_without_a_shared_document_are_refused() -> None:
    old, new = outcomes([1, 0]), outcomes([1, 0], ids=[5, 6], model="new")

    with pytest.raises(
        InputError, match=r"new\.jsonl: piqa: has no document of model\.jsonl; give runs of the same"
    ):
        compared(old, new, settings=replace(QUICK, allow_unpaired=True))


def test_other_expected_answers_are_refused(ids_without_files: None) -> None:
    targets = np.array([code_of("a"), code_of("b")], dtype=np.uint64)
    old, new = outcomes([1, 0], targets=targets), outcomes([1, 0], targets=targets[::-1], model="new")

    with pytest.raises(InputError) as refused:
        compared(old, new)

    assert str(refused.value) == (
        "new.jsonl: piqa: the expected answer of 2 of 2 documents is not that of model.jsonl (id 0, 1); "
        "evaluate both on the same data"
    )


def test_other_prompts_are_a_note_and_not_refused() -> None:
    old = outcomes([1, 0], prompts=np.array([1, 2], dtype=np.uint64))
    new = outcomes([1, 0], prompts=np.array([1, 9], dtype=np.uint64), model="new")

    found = compared(old, new)

    assert found.notes == (
        "prompts of 1 of 2 documents differ between model.jsonl and new.jsonl: a change of template or "
        "examples is part of what is compared",
    )


def test_items_without_a_score_in_one_run_are_left_out_and_counted() -> None:
    found = compared(outcomes([1, 1, float("nan"), 0]), outcomes([0, float("nan"), 1, 0]))

    assert (len(found.items), found.items.unscored) == (2, 2)
    assert found.measured.values["nfr"] == 0.5


def test_without_answers_of_both_the_inconsistency_is_not_defined() -> None:
    old, new = of_cells([5, 0, 1, 2, 1, 1])

    found = compared(replace(old, answers={}), new)

    assert found.measured.values["nfr_mc"] is None
    assert found.measured.values["nfr"] == 0.1


def test_a_metric_where_less_is_better_turns_right_and_wrong() -> None:
    # given a flag of toxic answers: the new model is toxic on two items more
    direction = {"higher_is_better": {"acc": False}}
    found = compared(outcomes([0, 0, 0, 1], **direction), outcomes([1, 1, 0, 1], **direction))

    assert found.measured.values["accuracy_old"] == 0.75
    assert found.measured.values["nfr"] == 0.5


def test_graded_scores_have_magnitudes_and_no_accuracy() -> None:
    old = outcomes([0.2, 0.4, 0.6, 0.5], metric="rouge1")
    new = outcomes([0.4, 0.3, 0.3, 0.5], metric="rouge1")

    found = compared(old, new)

    assert found.items.kind == "graded"
    assert found.measured.values["gain_magnitude"] == pytest.approx(0.2)
    assert found.measured.values["regression_magnitude"] == pytest.approx(0.2)
    assert (found.measured.values["nfr"], found.measured.values["pfr"]) == (0.5, 0.25)
    document = comparison_document(whole(old, new))["tasks"][0]
    assert document["accuracy_old"] is None
    assert document["rel_nfr"] is None


# the relative changes of tables 4, 5 and 6 of the paper: NFR, its change in points, and in percent
PUBLISHED_CHANGES = [
    (10.27, -4.17, -40.60),
    (3.09, 0.24, 7.77),
    (2.47, -0.13, -5.26),
    (10.48, -4.06, -38.74),
    (11.59, -3.97, -34.25),
    (6.20, -0.11, -1.77),
    (7.78, -0.05, -0.64),
    (9.90, -2.88, -29.09),
    (8.49, -0.91, -10.72),
    (5.88, -1.71, -29.08),
    (2.01, -0.04, -1.99),
    (11.60, -0.99, -8.53),
    (48.96, -7.81, -15.95),
    (54.70, -15.02, -27.46),
    (32.60, -5.74, -17.61),
    (49.69, -10.98, -22.10),
]


@pytest.mark.parametrize(("nfr", "points", "relative"), PUBLISHED_CHANGES)
def test_oracle_published_relative_changes(nfr: float, points: float, relative: float) -> None:
    # given 10,000 items that the old model has right, of which the new and the compatible one lose so many
    def losing(percent: float) -> Outcomes:
        lost = round(100 * percent)
        return outcomes(spread(lost, 10_000 - lost))

    third = compared(outcomes(np.ones(10_000)), losing(nfr), compat=losing(nfr + points)).third["compat"]

    values = third.changes.values
    assert values["d_nfr"] == pytest.approx(points / 100, abs=1e-12)
    assert 100 * (values["d_nfr_relative"] or 0) == pytest.approx(relative, abs=0.006)


@pytest.mark.parametrize(
    ("d_nfr", "d_pfr", "d_accuracy"),
    [
        (-3.97, 0.54, 4.51),
        (-2.29, -0.60, 1.68),
        (-2.99, -0.82, 2.17),
        (-3.10, 0.38, 3.48),
        (-2.12, -0.49, 1.63),
        (-1.96, 0.05, 2.01),
    ],
)
def test_oracle_of_the_ablation_table_accuracy_changes_by_gains_less_losses(
    d_nfr: float, d_pfr: float, d_accuracy: float
) -> None:
    # given 10,000 items with an old accuracy of 74.86 %, NFR 11.59 % and PFR 11.48 %, and an arm's changes
    old_right = 7486

    def run(nfr: float, pfr: float) -> Outcomes:
        lost, gained = round(100 * nfr), round(100 * pfr)
        wrong = 10_000 - old_right - gained
        return outcomes(np.repeat([0, 1, 1, 0], [lost, old_right - lost, gained, wrong]))

    old = outcomes(spread(10_000 - old_right, old_right)[::-1])
    third = compared(old, run(11.59, 11.48), compat=run(11.59 + d_nfr, 11.48 + d_pfr)).third["compat"]

    found = third.changes.values["d_accuracy_new"]
    assert found == pytest.approx((d_pfr - d_nfr) / 100, abs=1e-9)
    assert 100 * (found or 0) == pytest.approx(d_accuracy, abs=0.0101)  # three printed figures are rounded


def test_a_compatible_model_is_tested_on_the_negative_flips_themselves() -> None:
    # given ten items lost by the new model only, one by the compatible one only, three by both
    old = outcomes(np.ones(40))
    new = outcomes(spread(13, 27))
    compat = outcomes(np.repeat([1, 0, 0, 1], [10, 3, 1, 26]))

    third = compared(old, new, compat=compat).third["compat"]

    assert (third.only_new, third.only_third) == (10, 1)
    assert third.p == pytest.approx(2 * (1 + 11) / 2**11)
    assert third.changes.values["d_nfr"] == pytest.approx((4 - 13) / 40)


def test_flips_like_those_of_a_rerun_are_told_as_noise_and_more_are_told_as_real() -> None:
    old, quiet = outcomes(np.ones(400)), outcomes(spread(8, 392))
    noisy = outcomes(np.repeat([1, 0, 1], [8, 8, 384]))
    broken = outcomes(spread(60, 340))

    like_noise = findings(whole(old, quiet, rerun=noisy))
    real = findings(whole(old, broken, rerun=noisy))

    assert any("not told apart from the noise floor of 2.00 %" in line for line in like_noise)
    assert any("above the noise floor of 2.00 %" in line for line in real)
    document = comparison_document(whole(old, broken, rerun=noisy))["tasks"][0]["rerun"]
    assert document["nfr_above_floor"] == pytest.approx(0.13)
    low, high = document["nfr_above_floor_interval"]
    assert low < 0.13 < high


def test_a_gain_that_only_accuracy_buys_is_told_as_such() -> None:
    # given a new model that errs independently of the old one, and a compatible one that errs less often
    # but as independently
    generator = np.random.default_rng(5)
    old = (generator.random(6000) < 0.7).astype(float)
    new, better = ((generator.random(6000) < accuracy).astype(float) for accuracy in (0.7, 0.85))

    lines = findings(whole(outcomes(old), outcomes(new), compat=outcomes(better)))

    assert any("adjusted for accuracy no fall is shown" in line for line in lines)


def test_a_gain_beyond_accuracy_is_told_as_such() -> None:
    # given a compatible model as accurate as the new one, which keeps what the old one had right
    old, new = of_cells([500, 0, 150, 150, 200, 0])
    compat = outcomes(np.repeat([1, 0, 1, 0], [500, 20, 280, 200]), model="compat")
    right = np.concatenate([np.ones(500), np.ones(130), np.zeros(20), np.ones(20), np.zeros(330)])
    compat = replace(compat, scores={"acc": right})

    lines = findings(whole(old, new, compat=compat))

    assert any("adjusted for accuracy it falls too" in line for line in lines)


def test_verdicts_need_a_difference_that_survives_the_correction() -> None:
    # given one task with p = 0.02, alone and among five others without a difference
    same = outcomes(np.ones(200))
    before = np.repeat([1, 0, 1], [9, 1, 190])
    after = np.repeat([0, 1, 1], [9, 1, 190])
    alone = whole(outcomes(before, task="a"), outcomes(after, task="a"))
    among = compare_runs(
        {
            "old": [outcomes(before, task="a"), *(replace(same, task=name) for name in "bcdef")],
            "new": [outcomes(after, task="a"), *(replace(same, task=name) for name in "bcdef")],
        },
        QUICK,
    )

    assert alone.tasks[0].p_holm == pytest.approx(2 * 11 / 2**10)
    assert verdict(alone.tasks[0]) == "regressed"
    assert among.tasks[0].p_holm == pytest.approx(6 * 2 * 11 / 2**10)
    assert verdict(among.tasks[0]) == "no difference shown"


def test_the_correction_counts_a_task_once_and_not_each_of_its_metrics() -> None:
    old, new = outcomes([1, 1, 1, 1, 1, 1, 0]), outcomes([0, 0, 0, 0, 0, 0, 0])
    both = [
        replace(run, scores={"acc_norm": run.scores["acc"], "acc": run.scores["acc"]}) for run in (old, new)
    ]

    found = whole(*both).tasks

    assert [task.metric for task in found] == ["acc", "acc_norm"]
    assert found[0].p_holm == found[0].measured.p_values["mcnemar_p"]
    assert found[1].p_holm is None


def test_slices_add_up_to_the_whole() -> None:
    old, new = of_cells([10, 0, 4, 3, 2, 1])
    subjects = Slices(codes=np.arange(20, dtype=np.int32) % 3, names=("art", "law", "sea"))

    found = compared(
        replace(old, slices={"subject": subjects}), new, settings=replace(QUICK, by=("subject",))
    )

    assert [part.value for part in found.slices] == ["art", "law", "sea"]
    assert [part.items for part in found.slices] == [7, 7, 6]
    lost = sum(part.items * (part.measured.values["nfr"] or 0) for part in found.slices)
    assert lost == pytest.approx(4)
    assert all((part.p_holm or 0) >= (part.measured.p_values["mcnemar_p"] or 0) for part in found.slices)


def test_clusters_widen_the_intervals_and_weaken_the_test() -> None:
    # given flips that come ten at a time, in four of forty clusters
    old, new = outcomes(np.ones(400)), outcomes(spread(40, 360))
    clusters = Slices(codes=(np.arange(400) // 10).astype(np.int32), names=tuple(map(str, range(40))))
    old = replace(old, slices={"page": clusters})

    apart = compared(old, new)
    together = compared(old, new, settings=replace(QUICK, cluster="page"))

    assert together.measured.clusters == 40
    wide, narrow = together.measured.intervals["nfr"], apart.measured.intervals["nfr"]
    assert wide is not None
    assert narrow is not None
    assert wide.high - wide.low > 1.8 * (narrow.high - narrow.low)
    assert together.measured.p_values["mcnemar_p"] == pytest.approx(0.0455, abs=1e-4)  # chi2 of 4
    assert (apart.measured.p_values["mcnemar_p"] or 0) < 1e-10


def test_a_slice_that_was_not_read_is_refused() -> None:
    with pytest.raises(InputError, match=r"model\.jsonl: piqa: no field 'subject' was read"):
        compared(outcomes([1, 0]), outcomes([1, 0]), settings=replace(QUICK, by=("subject",)))


def test_two_filters_are_two_rows_and_pooling_adds_one_that_counts_each_document_twice() -> None:
    names = ("strict-match", "flexible-extract")
    old = [outcomes([1, 1, 0], task="gsm8k", filter=name, metric="exact_match") for name in names]
    new = [outcomes([0, 1, 0], task="gsm8k", filter=name, metric="exact_match") for name in names]

    found = compare_runs({"old": old, "new": new}, replace(QUICK, paper_pooling=True)).tasks

    assert [(task.filter, len(task.items)) for task in found] == [
        ("flexible-extract", 3),
        ("strict-match", 3),
        (POOLED, 6),
    ]
    assert found[-1].measured.values["nfr"] == pytest.approx(1 / 3)


def test_runs_without_a_shared_filter_are_refused() -> None:
    old = outcomes([1], task="gsm8k", filter="strict-match", model="old")
    new = outcomes([1], task="gsm8k", model="new")

    with pytest.raises(InputError) as refused:
        whole(old, new)

    assert str(refused.value) == (
        "gsm8k: the runs share no answer filter (old.jsonl has strict-match; new.jsonl has none); "
        "give logs of the same filters"
    )


def test_runs_without_a_shared_task_or_metric_are_refused() -> None:
    with pytest.raises(InputError) as refused:
        whole(outcomes([1], task="a", model="old"), outcomes([1], task="b", model="new"))
    assert str(refused.value) == (
        "the runs share no task (old.jsonl has a; new.jsonl has b); give runs of the same tasks"
    )

    with pytest.raises(InputError) as refused:
        whole(outcomes([1], model="old"), outcomes([1], metric="em", model="new"))
    assert str(refused.value) == (
        "piqa: the runs share no metric (old.jsonl has acc; new.jsonl has em); give logs of the same metrics"
    )


def test_tasks_of_one_run_alone_are_a_note() -> None:
    found = compare_runs({"old": [outcomes([1]), outcomes([1], task="extra")], "new": [outcomes([1])]}, QUICK)

    assert [task.task for task in found.tasks] == ["piqa"]
    assert found.notes == ("only the old run has extra",)


def test_a_task_that_the_third_run_lacks_is_compared_without_it_and_told() -> None:
    both = [outcomes([1, 0]), outcomes([1, 0], task="extra")]

    found = compare_runs({"old": both, "new": both, "compat": [outcomes([1, 1])]}, QUICK)

    assert [(task.task, list(task.third)) for task in found.tasks] == [("extra", []), ("piqa", ["compat"])]
    assert found.notes == ("the compat run has no extra",)


def test_a_third_run_of_other_tasks_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"the runs share no task \(.*; compat\.jsonl has b\); give runs of the"
    ):
        compare_runs(
            {
                "old": [outcomes([1])],
                "new": [outcomes([1])],
                "compat": [outcomes([1], task="b", model="compat")],
            },
            QUICK,
        )


def test_a_run_against_itself_has_no_flips() -> None:
    run = outcomes([1, 0, 1, 1], [1, 2, 1, 1])

    found = compared(run, run)

    assert found.measured.values["flips"] == 0
    assert found.measured.values["nfr_mc"] == 0
    assert found.measured.p_values["mcnemar_p"] == 1
    assert verdict(found) == "no difference shown"
    assert detectable_difference(found) is None


def test_the_same_seed_gives_the_same_intervals_and_another_does_not() -> None:
    old, new = of_cells([40, 0, 12, 10, 20, 8])

    first, again = (compared(old, new).measured.intervals["rel_nfr"] for _ in range(2))
    other = compared(old, new, settings=replace(QUICK, seed=1)).measured.intervals["rel_nfr"]

    assert first == again
    assert first != other


def test_the_document_has_the_promised_keys_with_intervals_beside_them() -> None:
    old, new = of_cells([40, 0, 12, 10, 20, 8])

    document = comparison_document(whole(old, new))["tasks"][0]

    rates = ["accuracy_old", "accuracy_new", "nfr", "pfr", "flips", "nfr_mc", "btc", "bec", "nfi", "rel_nfr"]
    for name in rates:
        low, high = document[f"{name}_interval"]
        assert low <= document[name] <= high
    assert {"n", "mcnemar_p", "gain_magnitude", "regression_magnitude"} <= document.keys()
    assert document["gain_magnitude"] is None


@pytest.mark.parametrize(
    ("field", "message"),
    [
        ({"confidence": 1.0}, "confidence: 1.0 is not between 0 and 1; give 0.95"),
        ({"draws": 10}, "draws: 10 is too few for an interval; give 100 or more"),
        ({"seed": -1}, "seed: -1 is negative; give 0 or more"),
        ({"tolerance": -0.1}, "tolerance: -0.1 is negative; give 0 or more"),
    ],
)
def test_settings_that_mean_nothing_are_refused(field: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompareSettings(**field)
