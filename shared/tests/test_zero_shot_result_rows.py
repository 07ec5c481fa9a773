import json
from pathlib import Path

import pytest
from toolkit_shared.errors import InputError
from toolkit_shared.zero_shot import ResultRow, append_row, read_rows


def write(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(lines) + "\n")
    return path


def test_a_row_comes_back_as_it_was_written(tmp_path: Path) -> None:
    row = ResultRow("cifar10", "CIFAR-10", {"acc1": 0.5, "acc5": None, "main_metric": 0.5}, {"model": "M"})

    append_row(tmp_path / "new" / "r.jsonl", row)

    assert read_rows(tmp_path / "new" / "r.jsonl") == (row,)


def test_adding_a_row_keeps_the_bytes_of_the_others(tmp_path: Path) -> None:
    path = write(tmp_path / "r.jsonl", '{"dataset":"a",  "metrics": {"acc_slide:0": NaN, "main_metric": 1}}')
    before = path.read_bytes()

    append_row(path, ResultRow("b", "B", {"acc1": 1.0}))

    assert path.read_bytes() == before + b'{"key": "b", "dataset": "B", "metrics": {"acc1": 1.0}}\n'
    assert [row.key for row in read_rows(path)] == ["a", "b"]
    assert read_rows(path)[0].metrics["acc_slide:0"] is None


def test_a_second_result_of_a_dataset_is_refused_or_replaces_the_first(tmp_path: Path) -> None:
    path = tmp_path / "r.jsonl"
    for key in ("a", "b"):
        append_row(path, ResultRow(key, key, {"acc1": 0.0}))

    with pytest.raises(InputError, match="has a result of 'a' already"):
        append_row(path, ResultRow("a", "a", {"acc1": 1.0}))
    append_row(path, ResultRow("a", "a", {"acc1": 1.0}), replace=True)

    assert [(row.key, row.metrics["acc1"]) for row in read_rows(path)] == [("b", 0.0), ("a", 1.0)]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"dataset": "a"}', "line 1: has no object 'metrics'"),
        ('{"metrics": {}}', "line 1: has neither 'key' nor 'dataset'"),
        ('{"key": "a", "metrics": {"main_metric": "0.5"}}', "main_metric is '0.5', which is no number"),
        ("not json", "line 1: no JSON"),
        ("", "holds no result"),
    ],
)
def test_lines_that_are_no_results_are_named(tmp_path: Path, line: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rows(write(tmp_path / "r.jsonl", line))


def test_two_lines_of_one_dataset_are_named(tmp_path: Path) -> None:
    line = json.dumps({"key": "a", "metrics": {"main_metric": 1}})

    with pytest.raises(InputError, match="line 2: 'a' stands in line 1 already"):
        read_rows(write(tmp_path / "r.jsonl", line, line))


def test_a_value_that_is_not_finite_is_not_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        append_row(tmp_path / "r.jsonl", ResultRow("a", "a", {"acc1": float("nan")}))
    assert not (tmp_path / "r.jsonl").exists()


def test_lines_are_not_added_to_packed_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="added to plain files only"):
        append_row(tmp_path / "r.jsonl.gz", ResultRow("a", "a", {}))
