"""A run as one table, and the command that writes it."""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.cli import main
from llm_compat.data.convert import write_table
from llm_compat.data.generate import GeneratedTask, write_harness_run
from llm_compat.data.outcomes import Outcomes, Slices, keys_array
from llm_compat.data.runs import read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError


def assert_equal(some: Sequence[Outcomes], others: Sequence[Outcomes]) -> None:
    """Equal in all that a comparison looks at."""
    assert [one.name for one in some] == [other.name for other in others]
    for one, other in zip(some, others, strict=True):
        assert one.keys.tobytes() == other.keys.tobytes()
        assert one.higher_is_better == other.higher_is_better
        for which in ("scores", "answers"):
            ours, theirs = getattr(one, which), getattr(other, which)
            assert ours.keys() == theirs.keys()
            for name in ours:
                np.testing.assert_array_equal(ours[name], theirs[name])
        for which in ("prompts", "targets"):
            np.testing.assert_array_equal(getattr(one, which), getattr(other, which))
        assert {
            name: [slices.names[code] for code in slices.codes] for name, slices in one.slices.items()
        } == {name: [slices.names[code] for code in slices.codes] for name, slices in other.slices.items()}


@pytest.fixture
def run(tmp_path: Path) -> Path:
    tasks = [
        GeneratedTask(name="pick", kind="choice", answers=[0, 1, 2, 3, 0]),
        GeneratedTask(name="sums", kind="generation", answers=[1, None, 3], unmarked=frozenset({2})),
        GeneratedTask(name="last", kind="loglikelihood", answers=[1, 0]),
        GeneratedTask(name="brief", kind="summary", answers=[3, 9]),
    ]
    write_harness_run(tmp_path / "run", model="m", tasks=tasks)
    return tmp_path / "run"


SUFFIXES = ["csv", "jsonl", "jsonl.gz", "jsonl.zst", "parquet"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_converted_run_is_the_run(run: Path, tmp_path: Path, suffix: str) -> None:
    settings = ReadSettings(fields=("subject",))
    outcomes = read_run(run, settings)

    written = write_table(outcomes, tmp_path / "out" / f"table.{suffix}")

    assert written.rows == 5 + 2 * 3 + 2 + 2
    assert_equal(read_run(written.out, settings), outcomes)


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
scores = st.floats(allow_infinity=False, min_value=-1e9, max_value=1e9) | st.just(float("nan"))


@given(
    data=st.data(),
    items=st.integers(1, 6),
    names=st.lists(texts.filter(str.strip), min_size=1, max_size=3, unique=True),
    suffix=st.sampled_from(["csv", "jsonl", "parquet"]),
)
def test_any_outcomes_survive_the_way_there_and_back(
    tmp_path_factory: pytest.TempPathFactory, data: Any, items: int, names: list[str], suffix: str
) -> None:
    keys = data.draw(
        st.lists(st.binary(min_size=16, max_size=16), min_size=items, max_size=items, unique=True)
    )
    codes = st.lists(st.integers(0, 2**64 - 1), min_size=items, max_size=items)
    values = data.draw(texts.filter(str.strip))
    columns = {name: np.array(data.draw(st.lists(scores, min_size=items, max_size=items))) for name in names}
    columns[names[0]][0] = 0.5  # a metric without one score is lost
    outcomes = Outcomes(
        task=data.draw(texts.filter(str.strip)),
        source=Path("x"),
        format="harness",
        keys=keys_array(keys),
        places=np.arange(items),
        scores={name: column for name, column in columns.items() if not np.isnan(column).all()},
        answers={names[0]: np.array(data.draw(codes), np.uint64)},
        higher_is_better={
            name: data.draw(st.booleans()) for name, column in columns.items() if not np.isnan(column).all()
        },
        targets=np.array(data.draw(codes), np.uint64),
        slices={"field": Slices(codes=np.zeros(items, np.int32), names=(values,))},
    )
    out = tmp_path_factory.mktemp("out") / f"table.{suffix}"

    write_table([outcomes], out)

    (back,) = read_run(out, ReadSettings(fields=("field",)))
    assert_equal([back], [outcomes])


def test_equal_runs_are_equal_bytes(run: Path, tmp_path: Path) -> None:
    outcomes = read_run(run)
    for suffix in SUFFIXES:
        one, other = tmp_path / f"one.{suffix}", tmp_path / f"other.{suffix}"
        write_table(outcomes, one)
        write_table(outcomes, other)
        assert one.read_bytes() == other.read_bytes()


def test_an_unknown_suffix_is_refused_before_anything_is_written(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "new" / "table.xlsx"
    with pytest.raises(InputError) as caught:
        write_table(read_run(run), out)
    assert str(caught.value) == (
        f"--out: {out} has no known suffix; "
        "give a name that ends in .jsonl, .jsonl.gz, .jsonl.zst, .csv, .parquet"
    )
    assert not out.parent.exists()


def test_a_field_of_the_name_of_a_column_is_refused(run: Path, tmp_path: Path) -> None:
    log = next(run.rglob("samples_brief_*"))
    log.write_text(log.read_text().replace('"subject":', '"task":'))
    out = tmp_path / "t.csv"
    with pytest.raises(InputError) as caught:
        write_table(read_run(log, ReadSettings(fields=("task",))), out)
    assert str(caught.value) == f"{out}: field 'task' has the name of a column of the table; leave it out"
    assert not out.exists()


# The command


def call(monkeypatch: pytest.MonkeyPatch, *argv: object) -> int:
    monkeypatch.setattr(sys, "argv", ["llm-compat", "convert", *map(str, argv)])
    return main()


def test_the_command_writes_the_table_and_says_what_is_in_it(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "table.csv"

    assert call(monkeypatch, run, "--out", out, "--task", "sums", "--by", "subject") == 0
    assert capsys.readouterr().out == f"{out}: 6 rows, 2 tasks and filters\n"
    assert len(out.read_text().splitlines()) == 7

    assert call(monkeypatch, run, "--out", out, "--metric", "acc", "--json") == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["rows"], document["tasks"]) == (7, ["last", "pick"])
    assert document["notes"] == [
        "last: perplexity is logged per item as a log-likelihood, of which more is better"
    ]


def test_a_mistake_of_the_command_is_one_line_and_exit_code_2(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, run, "--out", tmp_path / "t.csv", "--task", "sms") == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == (
        f"llm-compat convert: error: {run}: --task 'sms' matches nothing; "
        "did you mean 'sums'? there are: brief, last, pick, sums\n"
    )
    assert not (tmp_path / "t.csv").exists()


def test_the_configuration_printed_gives_the_same_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, "run", "--out", "t.csv", "--print-config") == 0
    printed = capsys.readouterr().out
    file = tmp_path / "c.yaml"
    file.write_text(printed)
    assert call(monkeypatch, "run", "--config", file, "--print-config") == 0
    assert capsys.readouterr().out == printed
