"""Results: what is written is read back, what is wrong is named, and nothing is written over."""

import json
import math
import platform
import subprocess
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import numpy
import pytest
from toolkit_shared.artifacts import write_json
from toolkit_shared.errors import InputError
from toolkit_shared.results import (
    Arm,
    Environment,
    Result,
    capture_environment,
    current_commit,
    paired_comparison,
    ratio_comparison,
    read_result,
    read_results,
    result_schema,
    timestamp,
    write_result,
)

COMMITTED = Path(__file__).parents[2] / "benchmarks" / "results"

ENVIRONMENT = Environment(
    cpu="A CPU", cores=2, threads=1, ram_gib=16.0, gpu=None, load=0.4, versions={"numpy": "2.0.0"}
)


def arm(name: str, *values: float, unit: str = "tokens/s") -> Arm:
    return Arm(name=name, metric="throughput", unit=unit, higher_is_better=True, values=values)


OURS, PEER = arm("ours", 30, 20, 50), arm("peer 1.0", 10, 10, 10)

RESULT = Result(
    toolkit="toy-toolkit",
    question="decompose-throughput",
    kind="performance",
    arms=(OURS, PEER),
    comparison=ratio_comparison(OURS, PEER),
    expected="ratio above 1.5",
    verdict="holds",
    bound_by="memory bandwidth, 61 %",
    environment=ENVIRONMENT,
    command="make bench-toy-toolkit",
    commit="abc1234",
    started="2026-01-01T00:00:00Z",
    seconds=41.0,
)

DIFFERENCE = replace(RESULT, kind="claim", comparison=paired_comparison(OURS, PEER))
GEOMETRIC = replace(RESULT, kind="claim", comparison=paired_comparison(OURS, PEER, form="ratio"))
ALONE = replace(RESULT, kind="oracle", arms=(OURS,), comparison=None)


def test_a_ratio_is_taken_repeat_by_repeat() -> None:
    assert RESULT.comparison is not None
    assert vars(RESULT.comparison) == {
        "numerator": "ours",
        "denominator": "peer 1.0",
        "ratio_median": 3.0,
        "ratio_range": (2.0, 5.0),
    }


def test_a_mean_ratio_is_geometric() -> None:
    # ratios 3, 2 and 5: the geometric mean is the third root of 30
    comparison = paired_comparison(OURS, PEER, form="ratio")

    assert comparison.estimate == pytest.approx(30 ** (1 / 3))
    assert comparison.interval[0] * comparison.interval[1] == pytest.approx(comparison.estimate**2)
    assert comparison.p == pytest.approx(paired_comparison(PEER, OURS, form="ratio").p)


def test_arms_of_other_units_or_numbers_of_values_do_not_compare() -> None:
    with pytest.raises(ValueError, match=r"'ours' is throughput in 'tokens/s', 'x' is throughput in 's'"):
        ratio_comparison(OURS, arm("x", 1, 2, 3, unit="s"))
    with pytest.raises(ValueError, match="are no pairs"):
        paired_comparison(OURS, arm("x", 1, 2))
    with pytest.raises(ValueError, match="a mean ratio needs values above 0"):
        paired_comparison(OURS, arm("x", 1, 2, 0), form="ratio")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_are_none_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=r"a value of arm 'x' is .*; results hold finite numbers only"):
        arm("x", 1.0, value)
    with pytest.raises(ValueError, match="seconds is"):
        replace(RESULT, seconds=value)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (dict(question="Two Words"), "question is 'Two Words'; it has the form"),
        (dict(toolkit="/root/x"), "toolkit is '/root/x'"),
        (dict(commit="main"), "commit is 'main'"),
        (dict(started="yesterday"), "started is 'yesterday'"),
        (dict(expected=""), "a result says what was expected"),
        (dict(arms=()), "at least one arm"),
        (dict(arms=(OURS, OURS, PEER)), "two arms have the same name: ours, ours, peer 1.0"),
        (dict(arms=(OURS,)), "the comparison names 'peer 1.0'; the arms are ours"),
    ],
)
def test_a_result_that_could_not_be_understood_later_is_refused(change: dict[str, Any], problem: str) -> None:
    with pytest.raises(ValueError, match=problem):
        replace(RESULT, **change)


def test_an_arm_without_values_is_refused() -> None:
    with pytest.raises(ValueError, match="arm 'x' has no values"):
        arm("x")


@pytest.mark.parametrize("result", [RESULT, DIFFERENCE, GEOMETRIC, ALONE])
def test_a_written_result_fits_the_schema_and_is_read_back(tmp_path: Path, result: Result) -> None:
    path = write_result(result, tmp_path)

    assert path.name == "decompose-throughput-2026-01-01-abc1234.json"
    assert read_result(path) == result
    jsonschema.Draft202012Validator(result_schema()).validate(json.loads(path.read_text()))


def test_the_file_has_the_fields_of_the_design(tmp_path: Path) -> None:
    fields = json.loads(write_result(RESULT, tmp_path).read_text())

    assert fields == {
        "schema": 1,
        "toolkit": "toy-toolkit",
        "question": "decompose-throughput",
        "kind": "performance",
        "arms": [
            {
                "name": name,
                "metric": "throughput",
                "unit": "tokens/s",
                "higher_is_better": True,
                "values": values,
            }
            for name, values in (("ours", [30, 20, 50]), ("peer 1.0", [10, 10, 10]))
        ],
        "comparison": {
            "numerator": "ours",
            "denominator": "peer 1.0",
            "ratio_median": 3,
            "ratio_range": [2, 5],
        },
        "expected": "ratio above 1.5",
        "verdict": "holds",
        "bound_by": "memory bandwidth, 61 %",
        "note": "",
        "environment": {
            "cpu": "A CPU",
            "cores": 2,
            "threads": 1,
            "ram_gib": 16,
            "gpu": None,
            "load": 0.4,
            "versions": {"numpy": "2.0.0"},
        },
        "command": "make bench-toy-toolkit",
        "commit": "abc1234",
        "started": "2026-01-01T00:00:00Z",
        "seconds": 41,
    }


def test_a_second_run_of_a_day_stands_beside_the_first(tmp_path: Path) -> None:
    first = write_result(replace(RESULT, verdict="fails"), tmp_path)
    second = write_result(RESULT, tmp_path)

    assert second.name == "decompose-throughput-2026-01-01-abc1234-2.json"
    assert read_result(first).verdict == "fails"


def test_results_come_by_toolkit_question_and_start(tmp_path: Path) -> None:
    for toolkit, question, day in (("b", "q", 1), ("a", "r", 1), ("a", "q", 3), ("a", "q", 2)):
        started = f"2026-01-0{day}T00:00:00Z"
        write_result(replace(RESULT, toolkit=toolkit, question=question, started=started), tmp_path)
    for _ in range(10):
        write_result(replace(RESULT, toolkit="c"), tmp_path)
    write_json(tmp_path / "schema.json", result_schema())

    found = read_results(tmp_path)

    assert [(r.toolkit, r.question, r.started[9]) for r in found.values()][:4] == [
        ("a", "q", "2"),
        ("a", "q", "3"),
        ("a", "r", "1"),
        ("b", "q", "1"),
    ]
    assert list(found)[-1].endswith("-10.json")


WRONG: list[tuple[Callable[[dict[str, Any]], Any], str]] = [
    (lambda r: r.pop("verdict"), "field 'verdict' is missing"),
    (lambda r: r.update(author="me"), "field 'author' is unknown"),
    (lambda r: r.update(verdict="perhaps"), "field 'verdict' is 'perhaps'; it is one of 'holds', 'fails'"),
    (lambda r: r.update(schema=2), "field 'schema' is 2; it is one of 1"),
    (lambda r: r.update(schema=True), "field 'schema' is True; it is one of 1"),
    (lambda r: r.update(seconds="41"), "field 'seconds' is '41', not a number"),
    (lambda r: r.update(seconds=True), "field 'seconds' is True, not a number"),
    (lambda r: r.update(arms={}), "field 'arms' is no list"),
    (lambda r: r["arms"][1].update(values=["1"]), r"field 'arms\[1\].values\[0\]' is '1', not a number"),
    (lambda r: r["environment"].update(cores=2.5), "field 'environment.cores' is 2.5, not a integer"),
    (lambda r: r["environment"].update(gpu=1), "field 'environment.gpu' is 1, not a string"),
    (lambda r: r["environment"].update(versions=[]), "field 'environment.versions' is no object"),
    (lambda r: r["comparison"].update(ratio_range=[1]), "field 'comparison.ratio_range' is no list of 2"),
    (lambda r: r["comparison"].update(p=1), "field 'comparison.p' is unknown"),
    (lambda r: r.update(comparison="none"), "field 'comparison' is no object"),
    (
        lambda r: r["comparison"].update(ratio_median=9),
        "'comparison' is not what the values of the arms give",
    ),
    (lambda r: r["arms"][0].update(values=[1]), "are no pairs"),
    (lambda r: r["arms"][0].update(values=[]), "arm 'ours' has no values"),
]


@pytest.mark.parametrize(("spoil", "problem"), WRONG)
def test_a_file_that_is_no_result_names_the_field(
    tmp_path: Path, spoil: Callable[[dict[str, Any]], Any], problem: str
) -> None:
    path = write_result(RESULT, tmp_path)
    fields = json.loads(path.read_text())
    spoil(fields)
    write_json(path, fields)

    with pytest.raises(InputError, match=problem) as caught:
        read_result(path)
    assert str(caught.value).startswith(f"{path}: ")


@pytest.mark.parametrize("value", [[], "x", None])
def test_a_file_that_holds_no_object_is_no_result(tmp_path: Path, value: object) -> None:
    write_json(tmp_path / "a.json", value)

    with pytest.raises(
        InputError, match=r"a\.json: holds no object; write results with toolkit_shared\.results"
    ):
        read_results(tmp_path)


def test_the_schema_refuses_what_the_reader_refuses(tmp_path: Path) -> None:
    # all but those that no schema sees: whether values of several fields belong together
    validator = jsonschema.Draft202012Validator(result_schema())
    whole = json.loads(write_result(RESULT, tmp_path).read_text())

    for spoil, problem in WRONG:
        fields = json.loads(json.dumps(whole))
        spoil(fields)
        seen = "not what the values" in problem or "no pairs" in problem
        assert validator.is_valid(fields) == seen, problem


# the committed results


def test_the_committed_schema_is_that_of_the_dataclasses() -> None:
    # after a change: python -m toolkit_shared.results benchmarks/results/schema.json
    assert json.loads((COMMITTED / "schema.json").read_text()) == result_schema()


def test_every_committed_result_fits_the_schema_and_its_own_values() -> None:
    validator = jsonschema.Draft202012Validator(result_schema())

    for name in read_results(COMMITTED):
        validator.validate(json.loads((COMMITTED / name).read_text()))


# environment


def test_the_environment_names_what_a_reader_needs() -> None:
    found = capture_environment(["numpy"], threads=2, versions={"peer": "1.0"})

    assert found.versions == {"numpy": numpy.__version__, "peer": "1.0", "python": platform.python_version()}
    assert found.threads == 2
    assert found.cores >= 1
    assert 0.1 < found.ram_gib < 100_000
    assert found.load >= 0
    assert found.cpu


def test_the_environment_names_neither_machine_nor_folders() -> None:
    text = json.dumps(vars(capture_environment(["numpy"])))

    assert platform.node() not in text.split('"')
    assert str(Path.home()) not in text
    assert str(Path.cwd()) not in text


def test_a_package_that_is_not_installed_has_no_version() -> None:
    with pytest.raises(
        InputError, match="nowhere-at-all: is not installed, so its version cannot be recorded"
    ):
        capture_environment(["nowhere-at-all"])


def test_the_time_is_written_as_the_schema_wants_it() -> None:
    assert replace(RESULT, started=timestamp()).started.endswith("Z")


def test_the_commit_is_dirty_when_files_differ_but_for_results(tmp_path: Path) -> None:
    def git(*command: str) -> str:
        options = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-C", str(tmp_path)]
        return subprocess.run(["git", *options, *command], check=True, capture_output=True, text=True).stdout

    # given a folder that git does not know, then an empty repository
    (tmp_path / "benchmarks" / "results").mkdir(parents=True)
    assert current_commit(tmp_path / "nowhere") == "unknown"
    git("init", "-q")
    assert current_commit(tmp_path) == "unknown"

    # when something is committed
    (tmp_path / "a").write_text("1")
    git("add", "a")
    git("commit", "-q", "-m", "x")
    head = git("rev-parse", "HEAD")[:7]

    # then new results leave it clean, seen from any folder, and anything else does not
    (tmp_path / "benchmarks" / "results" / "x.json").write_text("{}")
    assert current_commit(tmp_path) == head
    assert current_commit(tmp_path / "benchmarks") == head
    (tmp_path / "a").write_text("2")
    assert current_commit(tmp_path / "benchmarks") == f"{head}-dirty"
