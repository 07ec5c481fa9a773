"""Reading a run: its format, its order, and names and directions of metrics."""

from pathlib import Path

import pytest
from llm_compat.data.directions import is_higher_better
from llm_compat.data.formats.protocol import FORMATS, format_named
from llm_compat.data.generate import GeneratedTask, write_harness_run
from llm_compat.data.runs import read_details, read_run
from llm_compat.data.selection import select_names
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError


def test_every_format_offers_what_the_protocol_asks() -> None:
    for name in FORMATS:
        module = format_named(name)
        assert module.WANTED
        assert all(callable(getattr(module, function)) for function in ("recognises", "read", "details"))


def test_exactly_one_format_before_tables_recognises_a_run_of_the_harness(tmp_path: Path) -> None:
    write_harness_run(tmp_path, model="m", tasks=[GeneratedTask(name="t", kind="choice", answers=[0])])
    found = [name for name in FORMATS if format_named(name).recognises(tmp_path)]
    # samples_*.jsonl is a table by its name, so tables come last
    assert found == ["harness", "table"]


def test_a_log_that_was_renamed_is_told_by_its_first_line(tmp_path: Path) -> None:
    place = write_harness_run(
        tmp_path / "run", model="m", tasks=[GeneratedTask(name="t", kind="choice", answers=[0, 1])]
    )
    log = next(place.glob("samples_*")).rename(tmp_path / "old.jsonl")

    (one,) = read_run(log)

    assert (one.format, one.task, len(one)) == ("harness", "old", 2)


def test_the_format_that_was_given_is_taken(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,score\n1,1\n")
    assert read_run(table, ReadSettings(format="table"))[0].format == "table"
    with pytest.raises(InputError):
        read_run(table, ReadSettings(format="harness"))


def test_outcomes_are_sorted_by_task_and_filter(tmp_path: Path) -> None:
    tasks = [GeneratedTask(name=name, kind="generation", answers=[1]) for name in ("zebra", "ant", "mole")]
    write_harness_run(tmp_path, model="m", tasks=tasks)
    names = [(one.task, one.filter) for one in read_run(tmp_path)]
    assert names == sorted(names)
    assert len(names) == 6


def test_no_items_have_no_details_and_nothing_is_read(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("id,score\n1,1\n")
    (one,) = read_run(table)
    table.unlink()
    assert read_details(one, []) == []


@pytest.mark.parametrize(
    "name",
    ["perplexity", "word_perplexity", "bits_per_byte", "loss", "eval_loss", "WER", "ter", "brier_score"],
)
def test_less_is_better_in_metrics_known_for_it(name: str) -> None:
    assert not is_higher_better(name)


@pytest.mark.parametrize(
    "name", ["acc", "exact_match", "bleu", "rougeL", "f1", "answer", "water", "lossless"]
)
def test_more_is_better_in_all_others(name: str) -> None:
    assert is_higher_better(name)


def test_names_match_patterns_in_their_own_order() -> None:
    names = ["mmlu_b", "piqa", "mmlu_a", "mmlu_b"]
    assert select_names(names, ("mmlu_*",), option="--task", where="x") == ["mmlu_b", "mmlu_a"]
    assert select_names(names, (), option="--task", where="x") == ["mmlu_b", "piqa", "mmlu_a"]
    # a name that is no pattern but has its signs
    assert select_names(["pass[1]"], ("pass[1]",), option="--metric", where="x") == ["pass[1]"]


def test_a_long_list_of_names_is_cut() -> None:
    with pytest.raises(InputError) as caught:
        select_names([f"t{number}" for number in range(20)], ("zzz",), option="--task", where="run")
    assert str(caught.value) == (
        "run: --task 'zzz' matches nothing; give one of: t0, t1, t10, t11, t12, t13, t14, t15 and 12 more"
    )
