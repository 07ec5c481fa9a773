"""Flip metrics against published counts, against their identities, and against a naive count."""

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat import flips
from llm_compat.flips import cell_codes, count_cells, flip_metrics

COUNTS = st.lists(st.integers(0, 400), min_size=6, max_size=6).filter(lambda cells: sum(cells) > 0)


def close(found: float, expected: float) -> bool:
    """Equal to the last digits, NaN equal to NaN."""
    return (math.isnan(found) and math.isnan(expected)) or math.isclose(found, expected, abs_tol=1e-12)


def test_oracle_of_the_gsm8k_outcomes_of_two_gpt3_systems() -> None:
    # given the published outcomes of 6b_finetuning and 175b_finetuning on 1319 problems, 801 of which the
    # larger one has wrong with another answer than the smaller one's
    cells = [198, 0, 88, 260, 773 - (801 - 88), 801 - 88]

    found = flip_metrics(cells)

    assert sum(cells) == 1319
    assert round(100 * found["nfr"], 4) == 6.6717
    assert round(100 * found["pfr"], 4) == 19.7119
    assert round(100 * found["nfr_mc"], 4) == 60.7278
    assert round(found["btc"], 5) == 0.69231
    assert round(found["bec"], 5) == 0.74831
    assert round(found["nfi"], 5) == 0.10221
    assert round(100 * found["rel_nfr"], 3) == 47.137


# PIQA of table 4 of the paper, as counts of 1838: correct old, new, compatible; negative flips of both
# and of the compatible model
PIQA = {
    "Llama 1 to 2": (1376, 1374, 1457, 213, 140),
    "Phi 1.5 to 2": (1372, 1448, 1451, 114, 112),
    "Phi 1 to 1.5": (1085, 1372, 1373, 143, 142),
    "Vicuna 1.3 to 1.5": (1373, 1388, 1450, 182, 129),
}
# accuracies, NFR and d NFR, as printed
PIQA_PRINTED = {
    "Llama 1 to 2": (74.86, 74.76, 79.27, 11.59, -3.97),
    "Phi 1.5 to 2": (74.65, 78.78, 78.94, 6.20, -0.11),
    "Phi 1 to 1.5": (59.03, 74.65, 74.70, 7.78, -0.05),
    "Vicuna 1.3 to 1.5": (74.70, 75.52, 78.89, 9.90, -2.88),
}


def two_option_cells(old: int, new: int, negative: int, items: int = 1838) -> list[int]:
    """Cells of a task with two options, where two wrong answers are the same."""
    both = old - negative
    return [both, 0, negative, new - both, items - old - (new - both), 0]


@pytest.mark.parametrize("update", PIQA)
def test_oracle_of_the_piqa_table_of_the_paper(update: str) -> None:
    old, new, compatible, flipped, still_flipped = PIQA[update]
    printed = PIQA_PRINTED[update]

    before = flip_metrics(two_option_cells(old, new, flipped))
    after = flip_metrics(two_option_cells(old, compatible, still_flipped))

    assert round(100 * before["accuracy_old"], 2) == printed[0]
    assert round(100 * before["accuracy_new"], 2) == printed[1]
    assert round(100 * after["accuracy_new"], 2) == printed[2]
    assert round(100 * before["nfr"], 2) == printed[3]
    assert round(100 * (after["nfr"] - before["nfr"]), 2) == printed[4]


def test_oracle_of_the_entry_that_two_tables_of_the_paper_share() -> None:
    before = flip_metrics(two_option_cells(1376, 1374, 213))
    after = flip_metrics(two_option_cells(1376, 1457, 140))

    assert round(1838 * before["pfr"]) == 211
    assert round(1838 * after["pfr"]) == 221
    assert round(100 * (after["pfr"] - before["pfr"]), 2) == 0.54  # table 7, dPFR of `muscle`


@pytest.mark.parametrize(
    ("error_new", "nfr", "relative"),
    [
        (30.29, 6.44, 30.48),
        (29.34, 5.72, 27.95),
        (30.63, 2.50, 11.70),
        (30.47, 2.35, 11.06),
        (29.66, 6.39, 30.88),
    ],
)
def test_oracle_of_the_relative_rates_of_positive_congruent_training(
    error_new: float, nfr: float, relative: float
) -> None:
    # given table 2 of Yan et al. 2021, whose old model has an error of 30.24 %, as counts of a million
    old, new, negative = 697_600, round(10_000 * (100 - error_new)), round(10_000 * nfr)

    found = flip_metrics(two_option_cells(old, new, negative, items=1_000_000))

    assert 100 * found["rel_nfr"] == pytest.approx(relative, abs=0.006)


@pytest.mark.parametrize(
    ("old", "new", "compatible", "nfr", "change", "before", "after"),
    [
        (72.74, 72.91, 79.53, 10.27, -4.17, 52.1, 41.0),  # HellaSwag, Llama 1 to 2
        (74.86, 74.76, 79.27, 11.59, -3.97, 61.3, 49.1),  # PIQA, Llama 1 to 2
        (69.76, 78.02, 77.86, 3.09, 0.24, 20.2, 21.6),  # HellaSwag, Phi 1.5 to 2: worse
    ],
)
def test_oracle_adjusted_for_accuracy_the_published_gains_are_half_as_large(
    old: float, new: float, compatible: float, nfr: float, change: float, before: float, after: float
) -> None:
    # given the printed percentages as counts of 10,000
    def cells(accuracy: float, flipped: float) -> list[int]:
        return two_option_cells(round(100 * old), round(100 * accuracy), round(100 * flipped), items=10_000)

    assert round(100 * flip_metrics(cells(new, nfr))["rel_nfr"], 1) == before
    assert round(100 * flip_metrics(cells(compatible, nfr + change))["rel_nfr"], 1) == after


@given(COUNTS)
def test_identities_between_the_metrics(cells: list[int]) -> None:
    found, items = flip_metrics(cells), sum(cells)
    old, new, nfr, pfr = (found[name] for name in ("accuracy_old", "accuracy_new", "nfr", "pfr"))

    assert close(nfr - pfr, old - new)
    assert close(found["accuracy_difference"], new - old)
    assert max(0.0, old - new) - 1e-12 <= nfr <= min(old, 1 - new) + 1e-12
    assert close(found["flips"], nfr + pfr)
    assert close(found["nfr_mc"], nfr + cells[flips.WRONG_DIFFERENT] / items)
    if old > 0:
        assert close(found["btc"], 1 - nfr / old)
    if new < 1:
        assert close(found["nfi"], nfr / (1 - new))
    if old > 0 and new < 1:
        both = (cells[flips.RIGHT_SAME] + cells[flips.RIGHT_DIFFERENT]) / items
        assert close(found["rel_nfr"], 1 - (both - old * new) / (old * (1 - new)))


@given(COUNTS)
def test_swapping_the_models_swaps_the_flips(cells: list[int]) -> None:
    found, swapped = flip_metrics(cells), flip_metrics(np.array(cells)[list(flips.SWAPPED)])

    assert (found["nfr"], found["pfr"]) == (swapped["pfr"], swapped["nfr"])
    assert (found["accuracy_old"], found["accuracy_new"]) == (
        swapped["accuracy_new"],
        swapped["accuracy_old"],
    )
    assert found["flips"] == swapped["flips"]


@given(COUNTS, COUNTS)
def test_a_stack_of_tables_gives_the_metrics_of_each(first: list[int], second: list[int]) -> None:
    stack = np.array([first, second])

    for name, metric in flips.METRICS.items():
        stacked = metric(stack)
        assert stacked.shape == (2,)
        assert close(float(stacked[0]), flip_metrics(first)[name])
        assert close(float(stacked[1]), flip_metrics(second)[name])


OUTCOMES = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=60
)


@given(OUTCOMES)
def test_cells_agree_with_a_naive_count(rows: list[tuple[int, int, int]]) -> None:
    # given items with a gold option and what two models chose
    gold, old, new = (np.array(column, dtype=np.uint64) for column in zip(*rows, strict=True))

    found = flip_metrics(count_cells(cell_codes(old == gold, new == gold, old, new)))

    items = len(rows)
    assert found["nfr"] == sum(a == y != b for y, a, b in rows) / items
    assert found["pfr"] == sum(a != y == b for y, a, b in rows) / items
    assert found["nfr_mc"] == sum(b not in (y, a) for y, a, b in rows) / items


@given(st.lists(st.tuples(st.integers(0, 1), st.integers(0, 1), st.integers(0, 1)), min_size=1, max_size=60))
def test_with_two_options_inconsistency_is_the_negative_flip_rate(rows: list[tuple[int, int, int]]) -> None:
    gold, old, new = (np.array(column, dtype=np.uint64) for column in zip(*rows, strict=True))

    found = flip_metrics(count_cells(cell_codes(old == gold, new == gold, old, new)))

    assert found["nfr_mc"] == found["nfr"]


def arrays(*columns: list[int]) -> list[npt.NDArray[np.uint64]]:
    return [np.array(column, dtype=np.uint64) for column in columns]


def test_two_right_answers_that_differ_are_told_apart() -> None:
    # given three items that both have right, one of them with another of several right answers
    right = np.ones(3, dtype=bool)
    old, new = arrays([1, 2, 3], [1, 2, 9])

    found = flip_metrics(count_cells(cell_codes(right, right, old, new)))

    assert found["consistency_q1"] == pytest.approx(2 / 3)
    assert found["nfr_mc"] == 0


def test_two_missing_answers_are_the_same_answer() -> None:
    wrong = np.zeros(1, dtype=bool)

    assert cell_codes(wrong, wrong, *arrays([0], [0])).tolist() == [flips.WRONG_SAME]
    assert cell_codes(wrong, wrong, *arrays([0], [7])).tolist() == [flips.WRONG_DIFFERENT]


def test_answers_of_one_model_only_are_refused() -> None:
    right = np.ones(1, dtype=bool)

    with pytest.raises(ValueError, match="answers of one model only cannot be compared"):
        cell_codes(right, right, arrays([1])[0], None)


def test_what_is_undefined_is_nan_and_never_zero() -> None:
    # given an old model that is never right and a new one that always is
    found = flip_metrics([0, 0, 0, 5, 0, 0])

    assert (found["nfr"], found["bec"]) == (0.0, 0.0)
    assert all(math.isnan(found[name]) for name in ("btc", "nfi", "rel_nfr", "consistency_q1"))


def test_metrics_of_answers_are_nan_where_answers_are_not_known() -> None:
    found = flip_metrics([3, 0, 1, 1, 2, 0], answers_known=False)

    assert math.isnan(found["nfr_mc"])
    assert math.isnan(found["consistency_q1"])
    assert found["nfr"] == 1 / 7


def test_independent_models_have_a_relative_rate_of_one() -> None:
    # accuracies 0.6 and 0.7 of independent models: 0.42, 0.18, 0.28, 0.12
    assert flip_metrics([42, 0, 18, 28, 12, 0])["rel_nfr"] == pytest.approx(1.0)
