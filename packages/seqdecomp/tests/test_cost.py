"""Costs: the published ratios, step times, and budgets."""

import json
import re
from pathlib import Path

import pytest
from seqdecomp.cost import (
    STEP_TIMES,
    StepTimes,
    best_mixture,
    matmul_parameters,
    mean_length_by_token,
    relative_cost,
)
from seqdecomp.mixture import Stock
from toolkit_shared.errors import InputError

MODELS = {
    "160M": {"width": 768, "num_layers": 12},
    "410M": {"width": 1024, "num_layers": 24},
    "1B": {"width": 2048, "num_layers": 24},
    "3B": {"width": 2560, "num_layers": 32},
    "7B": {"width": 4096, "num_layers": 32},
}
AT_LEAST_256 = dict.fromkeys([256, 512, 1024, 2048, 4096, 8192], 16)


@pytest.mark.parametrize(
    ("model", "ratio"), [("160M", 0.745), ("410M", 0.759), ("1B", 0.844), ("3B", 0.865), ("7B", 0.907)]
)
def test_predicted_cost_of_decomposition_over_concatenation_at_8k(model: str, ratio: float) -> None:
    # By hand from the cost law 6 N + 6 L d s: equal tokens of 256 to 8192, against 8192.
    assert mean_length_by_token(AT_LEAST_256) == 2688
    assert relative_cost(2688, 8192, **MODELS[model]) == pytest.approx(ratio, abs=0.0005)


def test_a_1b_model_trained_at_2k_costs_what_the_paper_claims_of_its_8k_model() -> None:
    assert relative_cost(2048, 8192, **MODELS["1B"]) == pytest.approx(0.826, abs=0.0005)


def test_matmul_parameters_are_all_but_embedding_and_norms() -> None:
    # 162,435,840 parameters of the 160M model less the embedding and 49 gain vectors of width 768.
    assert matmul_parameters(width=768, num_layers=12) == 162_435_840 - 50_432 * 768 - 49 * 768


def test_the_papers_table_interpolates_and_extrapolates_in_the_length() -> None:
    table = StepTimes.read("paper-1b-h100")

    assert table.seconds_per_token(8192) * 2**14 == pytest.approx(0.566)
    assert table.hours({8192: 2**14 * 3600}) == pytest.approx(0.566)
    # 8192 costs 1.33 times 1024 at equal tokens (Figure 7 of arXiv 2405.13226).
    assert table.seconds_per_token(8192) / table.seconds_per_token(1024) == pytest.approx(1.33, abs=0.005)
    # The line through 1024 and 2048: 426 ms - 768 * 19 / 1024.
    assert table.seconds_per_token(256) * 2**14 == pytest.approx(0.426 - 768 * 0.019 / 1024)


def test_a_measured_table_is_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "times.json"
    path.write_text(json.dumps({"batch_tokens": 100, "milliseconds": {"64": 50, "128": 100}}))

    table = StepTimes.read(path)

    assert table.seconds_per_token(64) == pytest.approx(0.0005)
    assert table.seconds_per_token(512) == pytest.approx(0.004)


def test_a_table_that_was_written_is_read_back_from_its_folder(tmp_path: Path) -> None:
    table = StepTimes(name="1 x cpu", batch_tokens=256, seconds={32: 0.0123, 8: 0.25})

    table.write(tmp_path / "step_times.json")

    assert StepTimes.read(tmp_path) == table


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("{}", "times.json: is not a table of step times; write"),
        ('{"batch_tokens": 1, "milliseconds": {"64": -1}}', "must all be positive"),
        ('{"batch_tokens": 1, "milliseconds": {"a": 1}}', "is not a table of step times"),
        ('{"batch_tokens": 1, "milliseconds": 3}', "is not a table of step times"),
    ],
)
def test_a_wrong_table_is_refused_in_one_line(tmp_path: Path, text: str, line: str) -> None:
    path = tmp_path / "times.json"
    path.write_text(text)
    with pytest.raises(InputError, match=re.escape(line)):
        StepTimes.read(path)


def test_a_missing_table_names_the_shipped_ones(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no file 'nowhere'; .* paper-1b-h100"):
        StepTimes.read("nowhere")
    with pytest.raises(InputError, match=r"there is no file '.*step_times.json'; .* seqdecomp train run"):
        StepTimes.read(tmp_path)


def stocks() -> list[Stock]:
    return [Stock(source="", length=n, sequences=2**30 // n) for n in (1024, 2048, 8192)]


def test_the_best_mixture_has_the_longest_context_that_the_hours_allow() -> None:
    # 2048 costs more than the line from 1024 to 8192, so the best is a mix of those two; by hand, half each.
    table = StepTimes(name="", batch_tokens=2**14, seconds={1024: 1.0, 2048: 1.3, 8192: 2.0})
    tokens = 2**30
    fastest, slowest = (table.hours({n: tokens}) for n in (1024, 8192))

    found = best_mixture(stocks(), table, budget_hours=(fastest + slowest) / 2, tokens=tokens)

    assert found.tokens == (2**29, 0, 2**29)
    assert found.hours == pytest.approx((fastest + slowest) / 2)
    assert found.utility == pytest.approx((1023 / 2 + 8191 / 2) / 2)
    assert found.mixture == f"1024:{2**29},8192:{2**29}"


def test_the_papers_step_times_favour_2048_over_a_mix_of_1024_and_8192() -> None:
    # 445 ms is below the line from 426 to 566 at 2048.
    table = STEP_TIMES["paper-1b-h100"]
    budget = (table.hours({1024: 2**30}) + table.hours({8192: 2**30})) / 2
    found = best_mixture(stocks(), table, budget_hours=budget, tokens=2**30)
    assert found.tokens[0] == 0
    assert found.tokens[1] > found.tokens[2] > 0
    assert found.utility > (1023 / 2 + 8191 / 2) / 2


def test_a_floor_keeps_part_of_each_length_and_stocks_limit_what_is_taken() -> None:
    table = STEP_TIMES["paper-1b-h100"]

    found = best_mixture(stocks(), table, budget_hours=1e9, tokens=2 * 2**30, floor_fraction=0.5)

    # Natural shares are a third each; half of that is kept, and no more than 2^30 of 8192 exist.
    assert found.tokens[0] == pytest.approx(2**30 / 3, abs=2048)
    assert found.tokens[2] == 2**30
    assert sum(found.tokens) == pytest.approx(2 * 2**30, abs=16384)


def test_without_a_number_of_tokens_the_hours_are_filled() -> None:
    table = STEP_TIMES["paper-1b-h100"]
    budget = table.hours({8192: 2**29})

    found = best_mixture(stocks(), table, budget_hours=budget)

    assert found.tokens == (0, 0, 2**29)


def test_utilities_may_be_given() -> None:
    table = STEP_TIMES["paper-1b-h100"]
    found = best_mixture(stocks(), table, budget_hours=1e9, tokens=2**30, utility={2048: 1.0})
    assert found.tokens == (0, 2**30, 0)


def test_a_budget_that_is_too_small_says_what_would_do() -> None:
    table = STEP_TIMES["paper-1b-h100"]
    least = table.hours({1024: 2**30})
    with pytest.raises(
        InputError, match=re.escape(f"1 hours are too few; these tokens take at least {least:.4g}")
    ):
        best_mixture(stocks(), table, budget_hours=1, tokens=2**30)
    with pytest.raises(InputError, match="wanted, 3,221,225,472 available"):
        best_mixture(stocks(), table, budget_hours=1e9, tokens=2**40)
