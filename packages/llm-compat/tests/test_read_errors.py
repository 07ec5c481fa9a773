"""Logs that cannot be used: one line each, that says where, what is wrong and what to do."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.formats import harness, harness_lines, log_lines
from llm_compat.data.generate import FLEXIBLE, STRICT, GeneratedTask, write_harness_run
from llm_compat.data.runs import read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

Record = dict[str, Any]


def refusal(path: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_run(path, ReadSettings(**settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A choice task of 8 documents, and beside it sums under two filters."""
    tasks = [
        GeneratedTask(name="pick", kind="choice", answers=[0, 1, 2, 3] * 2),
        GeneratedTask(name="sums", kind="generation", answers=[1, 2, None]),
    ]
    place = write_harness_run(tmp_path, model="m", tasks=tasks)
    return next(place.glob("samples_pick_*"))


@pytest.fixture
def sums(log: Path) -> Path:
    return next(log.parent.glob("samples_sums_*"))


def records_of(log: Path) -> list[Record]:
    return [json.loads(line) for line in log.read_text().splitlines()]


def write(log: Path, records: list[Record]) -> None:
    log.write_text("".join(json.dumps(record) + "\n" for record in records))


# Paths


def test_a_missing_path(tmp_path: Path) -> None:
    path = tmp_path / "none"
    assert refusal(path) == f"{path}: no such file or folder; check the path"


def test_an_empty_folder(tmp_path: Path) -> None:
    assert refusal(tmp_path) == f"{tmp_path}: is an empty folder; give the folder or file of a run"


def test_a_folder_of_other_things_tells_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("hello")
    line = refusal(tmp_path)
    assert line.startswith(
        f"{tmp_path}: is no run in a known format; looked for samples_*.jsonl (lm-evaluation-harness); "
    )
    assert line.endswith("*.csv, *.tsv, *.jsonl or *.parquet (tables)")


def test_results_without_samples(log: Path, sums: Path, tmp_path: Path) -> None:
    log.unlink()
    sums.unlink()
    hint = "has results but no samples; run lm_eval again with --log_samples"
    assert refusal(tmp_path) == f"{tmp_path}: {hint}"
    assert refusal(tmp_path, format="harness") == f"{tmp_path}: {hint}"


def test_workers_below_one(log: Path) -> None:
    with pytest.raises(InputError, match=r"^--workers: 0 is not positive; give 1 or more$"):
        read_run(log, workers=0)


# Lines that are no records


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"[1]\n", "no JSON object; mend or remove it"),
        (b'{"a": \n', "no JSON: Expecting value at column 7; mend or remove it"),
        (b'{"doc": "\xff"}\n', "not UTF-8 at byte 9 of the line; mend or remove it"),
        (b"\x00\n", "no JSON: Expecting value at column 1; mend or remove it"),
        (b"[" * 100_000 + b"\n", "no usable JSON: maximum recursion depth exceeded"),
        (b'{"a": 1}\n', "field 'target' is missing; the line is no record of lm-evaluation-harness"),
    ],
)
def test_a_line_that_is_no_record(log: Path, line: bytes, reason: str) -> None:
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([*lines[:3], line, *lines[3:]]))

    assert refusal(log).startswith(f"{log}, line 4: {reason}")


@given(cut=st.integers(1, 400))
def test_a_log_that_is_cut_off_anywhere_is_refused(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    # trap: a line less is 1 of 8 documents that nobody misses
    folder = tmp_path_factory.mktemp("run")
    task = GeneratedTask(name="pick", kind="choice", answers=[0, 1, 2, 3] * 2)
    log = next(write_harness_run(folder, model="m", tasks=[task]).glob("samples_*"))
    whole = log.read_bytes()
    log.write_bytes(whole[: -1 - cut])

    line = refusal(folder)

    # the last line is more than 400 bytes long
    assert line == f"{log}, line 8: the line is cut off, so the log is not whole; copy or run it again"


def test_a_line_longer_than_the_limit(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    records = records_of(log)
    records[1]["doc"]["query"] = "x" * 5000
    write(log, records)
    monkeypatch.setattr(log_lines, "MAX_LINE_BYTES", 4000)

    assert refusal(log) == f"{log}, line 2: the line has more than 4,000 bytes; mend or remove it"


def test_an_empty_log(log: Path) -> None:
    log.write_text("\n")
    assert refusal(log) == f"{log}: holds no records; run the evaluation again with --log_samples"


def test_packed_data_that_ends_early(log: Path) -> None:
    import gzip

    packed = log.with_name(log.name + ".gz")
    packed.write_bytes(gzip.compress(log.read_bytes())[:-200])
    log.unlink()
    assert refusal(packed) == f"{packed}: the compressed data ends early; copy the file again"


# Fields


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("doc_id", "7", "field 'doc_id' is not a whole number; mend or remove the line"),
        ("doc_id", True, "field 'doc_id' is not a whole number; mend or remove the line"),
        ("doc_id", 2**70, "field 'doc_id' is no usable number; mend or remove the line"),
        ("filter", None, "field 'filter' is not text; mend or remove the line"),
        ("filtered_resps", "x", "field 'filtered_resps' is not a list; mend or remove the line"),
        ("doc_hash", 5, "field 'doc_hash' is not text; mend or remove the line"),
        ("metrics", [1], "'metrics' is no list of names; mend or remove it"),
        ("metrics", ["acc", "nope"], "metric 'nope' is named but has no value; mend or remove it"),
        ("acc", "1.0", "metric 'acc' is no number here, but is in other lines; mend or remove it"),
        ("acc", [1, 0], "metric 'acc' is no number here, but is in other lines; mend or remove it"),
        ("acc", 10**400, "metric 'acc' is too large; mend or remove it"),
        ("arguments", {}, "4 responses to 0 requests; mend or remove the line"),
        ("arguments", [1], "'arguments' holds no prompts with continuations; mend or remove the line"),
        (
            "filtered_resps",
            [["x", "False"]] * 4,
            'filtered_resps holds ["x", "False"], no log-probability; mend or remove the line',
        ),
        ("filtered_resps", [["-1", "False"]], "1 responses to 4 requests; mend or remove the line"),
    ],
)
def test_a_field_of_the_wrong_kind(log: Path, name: str, value: Any, reason: str) -> None:
    records = records_of(log)
    records[4][name] = value
    write(log, records)

    assert refusal(log) == f"{log}, line 5: {reason}"


def test_responses_of_a_generated_text_that_are_no_list(sums: Path) -> None:
    records = records_of(sums)
    records[1]["filtered_resps"] = {"a": 1}
    write(sums, records)

    assert refusal(sums) == (f"{sums}, line 2: field 'filtered_resps' is not a list; mend or remove the line")


def test_raw_outputs_that_are_no_text(sums: Path) -> None:
    records = records_of(sums)
    records[2]["resps"] = [[]]
    write(sums, records)

    reason = "resps holds no text for gsm8k-strict; leave --read.rescore gsm8k-strict out"
    assert refusal(sums, rescore=("gsm8k-strict",)) == f"{sums}, line 3: {reason}"


@pytest.mark.parametrize("name", ["doc_id", "target", "filtered_resps"])
def test_a_field_that_is_missing(log: Path, name: str) -> None:
    records = records_of(log)
    del records[2][name]
    write(log, records)

    reason = f"field '{name}' is missing; the line is no record of lm-evaluation-harness"
    assert refusal(log) == f"{log}, line 3: {reason}"


def test_a_filter_that_only_some_lines_name(log: Path) -> None:
    records = records_of(log)
    del records[5]["filter"]
    write(log, records)

    reason = "field 'filter' is missing, which other lines have; give logs of one release only"
    assert refusal(log) == f"{log}, line 6: {reason}"


def test_a_metric_that_is_a_number_early_in_the_log_and_none_later(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = records_of(log)
    for record in records[4:]:
        record["acc_norm"] = [1, 0]
    write(log, records)
    monkeypatch.setattr(harness_lines, "RECORDS_AT_ONCE", 4)

    assert refusal(log) == (
        f"{log}: metric 'acc_norm' is a number in some records and a list or object in others; "
        "give logs of one release only"
    )


def test_the_line_is_the_same_whatever_the_number_of_workers(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = records_of(log)
    records[6]["doc_id"] = "six"
    write(log, records)
    monkeypatch.setattr(harness, "BYTES_PER_PART", 1500)

    with pytest.raises(InputError) as caught:
        read_run(log, workers=2)

    reason = "field 'doc_id' is not a whole number; mend or remove the line"
    assert str(caught.value) == f"{log}, line 7: {reason}"


# Logs that are not whole, or more than one


def test_a_log_with_fewer_documents_than_the_results_tell(log: Path) -> None:
    write(log, records_of(log)[:-1])
    assert refusal(log) == (
        f"{log}: 7 documents are logged under filter 'none', but the results tell of 8; "
        "the log is cut off: copy or run it again"
    )


def test_a_filter_with_fewer_documents_than_another(sums: Path) -> None:
    for results in sums.parent.glob("results_*"):
        results.unlink()
    write(sums, records_of(sums)[:-1])
    assert refusal(sums) == (
        f"{sums}: 2 documents are logged under filter '{FLEXIBLE}', but other filters have 3; "
        "the log is cut off: copy or run it again"
    )


def test_a_filter_that_is_wholly_missing(sums: Path) -> None:
    write(sums, records_of(sums)[:3])
    assert refusal(sums) == (
        f"{sums}: no document is logged under filter '{FLEXIBLE}', which the results name; "
        "the log is cut off: copy or run it again"
    )


@pytest.mark.parametrize("differ", [False, True])
def test_two_runs_appended_to_one_log(log: Path, differ: bool) -> None:
    # trap 1: the harness appends, so a second run can end in the same file
    records = records_of(log)
    again = [dict(record) for record in records]
    if differ:
        again = [record | {"acc": record["acc"]} for record in again]
    write(log, records + again)

    assert refusal(log) == (
        f"{log}, line 9: document 0 is there a second time under filter 'none' (first in line 1); "
        "the log holds several runs: keep one"
    )


def test_two_runs_appended_to_an_old_log_that_names_no_filters(sums: Path) -> None:
    records = records_of(sums)
    for record in records:
        del record["filter"]
    write(sums, records + records)
    assert refusal(sums) == (
        f"{sums}: each document has 4 records, but the results tell of 2 filters; "
        "the log holds several runs: keep one"
    )


def test_an_old_log_that_lacks_a_record(sums: Path) -> None:
    records = records_of(sums)
    for record in records:
        del record["filter"]
    write(sums, records[:-1])
    assert refusal(sums) == (
        f"{sums}, line 3: document 2 has 1 records where others have 2; "
        "the log is cut off or mixed: copy or run it again"
    )


# Names that are not there


@pytest.mark.parametrize(
    ("settings", "line"),
    [
        (
            {"tasks": ("pik",)},
            "{run}: --task 'pik' matches nothing; did you mean 'pick'? there are: pick, sums",
        ),
        (
            {"filters": ("strict",)},
            "{run}: --filter 'strict' matches nothing; "
            "did you mean 'strict-match'? there are: flexible-extract, none, strict-match",
        ),
        (
            {"metrics": ("acc_nrm",)},
            "{run}: --metric 'acc_nrm' matches nothing; "
            "did you mean 'acc_norm'? there are: acc, acc_norm, exact_match",
        ),
        (
            {"fields": ("subjct",), "tasks": ("pick",)},
            "{log}: --by 'subjct' matches nothing; "
            "did you mean 'subject'? there are: choices, gold, query, subject",
        ),
        (
            {"lower_is_better": ("lss",)},
            "{run}: --read.lower-is-better 'lss' matches nothing; give one of: acc, acc_norm, exact_match",
        ),
        (
            {"rescore": ("gsm8k-strict",), "tasks": ("pick",)},
            "{run}: --read.rescore gsm8k-strict suits none of the tasks; leave it out",
        ),
        (
            {"similarity": ("rouge1",), "tasks": ("pick",)},
            "{run}: --read.similarity rouge1 needs generated text, which no task has; leave it out",
        ),
        (
            {"similarity": ("rouge9",)},
            "similarity 'rouge9' is unknown; give one of rouge1, rouge2, rougeL, bleu, chrf, exact",
        ),
    ],
)
def test_a_name_that_is_not_there(log: Path, tmp_path: Path, settings: dict[str, Any], line: str) -> None:
    assert refusal(tmp_path, **settings) == line.format(run=tmp_path, log=log)


# Results files


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_results_file_that_is_no_object(log: Path, text: str) -> None:
    results = next(log.parent.glob("results_*"))
    results.write_text(text)
    assert refusal(log).startswith(f"{results}: no JSON")
    assert refusal(log).endswith("mend the file, or remove it to go without")


def _set(path: list[str], value: object) -> Callable[[dict[str, Any]], None]:
    def change(results: dict[str, Any]) -> None:
        for name in path[:-1]:
            results = results[name]
        results[path[-1]] = value

    return change


@pytest.mark.parametrize(
    "change",
    [
        _set(["configs"], [1]),
        _set(["n-samples"], None),
        _set(["n-samples", "pick"], "many"),
        _set(["n-samples", "pick", "effective"], "many"),
        _set(["higher_is_better", "pick"], {"acc": None}),
        _set(["results"], "none"),
        _set(["configs", "pick"], {"output_type": 3, "target_delimiter": 4}),
        _set(["model_name_sanitized"], 5),
    ],
)
def test_odd_values_in_a_results_file_are_as_good_as_none(
    log: Path, change: Callable[[dict[str, Any]], None]
) -> None:
    results = next(log.parent.glob("results_*"))
    value = json.loads(results.read_text())
    change(value)
    results.write_text(json.dumps(value))

    (one,) = read_run(log)
    assert len(one) == 8
    assert one.higher_is_better == {"acc": True, "acc_norm": True}


def test_the_filters_of_a_task_are_named_in_the_results(sums: Path) -> None:
    assert [one.filter for one in read_run(sums)] == [FLEXIBLE, STRICT]
