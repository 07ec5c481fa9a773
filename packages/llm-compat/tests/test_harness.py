"""Runs of lm-evaluation-harness: what they become, and the pitfalls of their logs."""

import gzip
import json
import random
from datetime import datetime
from pathlib import Path

import numpy as np
import pytest
import zstandard
from generated_logs import Record, arithmetic_task, by_key, choice_task, log_of, only, rewrite
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.answers import answer_code, choice_code
from llm_compat.data.generate import FLEXIBLE, STRICT, GeneratedTask, write_harness_run
from llm_compat.data.outcomes import NO_ANSWER
from llm_compat.data.runs import read_details, read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

# What a run becomes


def test_a_choice_task_has_the_logged_scores_and_the_choices_taken(tmp_path: Path) -> None:
    task = choice_task()
    log_of(tmp_path, task)

    one = only(read_run(tmp_path))

    assert (one.name, one.format, one.expected_items, len(one)) == ("pick", "harness", 12, 12)
    assert one.scores["acc"].tolist() == [float(place % 3 != 0) for place in range(12)]
    assert one.answers["acc"].tolist() == [choice_code(answer or 0) for answer in task.answers]
    assert one.higher_is_better == {"acc": True, "acc_norm": True}
    assert one.prompts is not None
    assert len(set(one.prompts.tolist())) == 12
    assert one.notes == ()


def test_keys_are_the_digests_that_the_harness_logs(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())
    records = [json.loads(line) for line in log.read_text().splitlines()]

    one = only(read_run(log))

    assert one.keys.tobytes().hex() == "".join(record["doc_hash"][:32] for record in records)


def test_two_filters_are_two_outcomes_of_as_many_documents(tmp_path: Path) -> None:
    # trap 1: pooled, there would be 24 items
    log_of(tmp_path, arithmetic_task())

    flexible, strict = read_run(tmp_path)

    assert (flexible.filter, strict.filter) == (FLEXIBLE, STRICT)
    assert len(flexible) == len(strict) == 12
    right = [float(place % 2 == 0 and place % 5 != 4) for place in range(12)]
    assert flexible.scores["exact_match"].tolist() == right
    assert strict.scores["exact_match"].tolist() == [
        0.0 if place in (1, 2) else value for place, value in enumerate(right)
    ]


def test_answers_of_generated_text_are_the_filtered_ones_in_one_spelling(tmp_path: Path) -> None:
    task = arithmetic_task()
    log_of(tmp_path, task)

    flexible, strict = read_run(tmp_path)

    # "8731." of the unmarked documents is the answer "8731"; a text without a number is no answer
    expected = [NO_ANSWER if answer is None else answer_code(str(answer)) for answer in task.answers]
    assert flexible.answers["exact_match"].tolist() == expected
    assert [place for place in range(12) if strict.answers["exact_match"][place] == NO_ANSWER] == [1, 2, 4, 9]


def test_one_continuation_has_scores_and_no_answers_and_its_log_likelihood_is_better_when_higher(
    tmp_path: Path,
) -> None:
    log_of(tmp_path, GeneratedTask(name="last", kind="loglikelihood", answers=[1, 0, 1]))

    one = only(read_run(tmp_path))

    assert one.scores["acc"].tolist() == [1, 0, 1]
    assert one.scores["perplexity"].tolist() == [-1.25, -2.25, -3.25]
    # the results say that less perplexity is better, but what the log holds is its logarithm turned round
    assert one.higher_is_better == {"perplexity": True, "acc": True}
    assert "perplexity is logged per item as a log-likelihood, of which more is better" in one.notes
    assert one.answers == {}


def test_a_continuous_score_is_kept_as_it_is(tmp_path: Path) -> None:
    log_of(tmp_path, GeneratedTask(name="brief", kind="summary", answers=[0, 5, 10]))

    one = only(read_run(tmp_path))

    np.testing.assert_allclose(one.scores["rouge1"], [0, 100 * 2 * 5 / 15, 100])


def test_a_folder_above_and_a_file_alone_are_the_same_run(tmp_path: Path) -> None:
    log = log_of(tmp_path / "out", choice_task())

    for path in (tmp_path, tmp_path / "out", log.parent, log):
        assert only(read_run(path)).scores["acc"].sum() == 8


@pytest.mark.parametrize("packing", ["gz", "zst"])
def test_a_packed_log_is_the_same_run_with_the_same_texts(tmp_path: Path, packing: str) -> None:
    log = log_of(tmp_path, choice_task())
    plain = only(read_run(tmp_path))
    shown = read_details(plain, [7, 2])

    data = log.read_bytes()
    packed = gzip.compress(data) if packing == "gz" else zstandard.ZstdCompressor().compress(data)
    Path(f"{log}.{packing}").write_bytes(packed)
    log.unlink()
    one = only(read_run(tmp_path))

    assert by_key(one) == by_key(plain)
    assert read_details(one, [7, 2]) == shown


def test_a_byte_order_mark_blank_lines_and_windows_line_ends_change_nothing(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())
    plain = only(read_run(tmp_path))

    lines = log.read_bytes().splitlines()
    log.write_bytes(b"\xef\xbb\xbf" + b"\r\n\r\n".join(lines) + b"\n  \n")
    one = only(read_run(tmp_path))

    assert by_key(one) == by_key(plain)
    assert read_details(one, [0, 11]) == read_details(one, [0, 11])
    assert read_details(one, [0])[0].id == "0"


def test_lines_in_another_style_of_json_give_the_same(tmp_path: Path) -> None:
    log = log_of(tmp_path, arithmetic_task())
    plain = read_run(tmp_path)

    records = [json.loads(line) for line in log.read_text().splitlines()]
    backwards = [dict(reversed(record.items())) for record in records]
    log.write_text(
        "".join(json.dumps(record, separators=(",", ":"), ensure_ascii=True) + "\n" for record in backwards)
    )

    assert [by_key(one) for one in read_run(tmp_path)] == [by_key(one) for one in plain]


# Joining


@given(seed=st.integers(0, 10**6))
def test_the_order_of_lines_changes_nothing(tmp_path_factory: pytest.TempPathFactory, seed: int) -> None:
    # trap 2
    folder = tmp_path_factory.mktemp("run")
    log = log_of(folder, arithmetic_task())
    before = [by_key(one) for one in read_run(folder)]

    rewrite(log, lambda records: random.Random(seed).sample(records, len(records)))

    after = read_run(folder)
    assert [by_key(one) for one in after] == before
    assert [one.filter for one in after] == [FLEXIBLE, STRICT]


def test_wrong_doc_ids_with_right_digests_change_nothing(tmp_path: Path) -> None:
    # trap 2: the harness has logged the ids of other documents
    log = log_of(tmp_path, choice_task())
    before = by_key(only(read_run(tmp_path)))

    def change(records: list[Record]) -> None:
        for place, record in enumerate(records):
            record["doc_id"] = len(records) - 1 - place

    rewrite(log, change)

    assert by_key(only(read_run(tmp_path))) == before


def test_equal_documents_of_a_data_set_are_told_apart_by_their_order_in_it(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())

    def change(records: list[Record]) -> None:
        records[5] |= {name: records[2][name] for name in ("doc", "doc_hash", "target")}
        records[5]["acc"], records[5]["acc_norm"] = records[2]["acc"], records[2]["acc_norm"]
        records[5]["filtered_resps"] = records[2]["filtered_resps"]
        records[5]["arguments"] = records[2]["arguments"]

    rewrite(log, change)
    one = only(read_run(tmp_path))
    assert len(np.unique(one.keys)) == 12

    rewrite(log, lambda records: list(reversed(records)))
    assert by_key(only(read_run(tmp_path))) == by_key(one)


# Old logs


def without_filters(records: list[Record]) -> None:
    for record in records:
        del record["filter"]


def test_without_filter_names_records_are_split_by_their_order(tmp_path: Path) -> None:
    # trap 1
    log = log_of(tmp_path, arithmetic_task())
    flexible, strict = read_run(tmp_path)

    rewrite(log, without_filters)
    first, second = read_run(tmp_path)

    assert (first.filter, second.filter) == ("filter-1", "filter-2")
    assert by_key(first) == by_key(strict)
    assert by_key(second) == by_key(flexible)
    note = "the log names no filters, so the 2 records of a document are told apart by their order"
    assert note in first.notes


def test_an_old_log_with_one_record_a_document_has_no_filter(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())
    before = by_key(only(read_run(tmp_path)))

    def change(records: list[Record]) -> None:
        without_filters(records)
        for record in records:
            # as releases before digests and metric names wrote it: bare numbers, lists of arguments
            for name in ("metrics", "doc_hash", "prompt_hash", "target_hash"):
                del record[name]
            record["arguments"] = [[one["arg_0"], one["arg_1"]] for one in record["arguments"].values()]
            record["target"] = int(record["target"])
            record["filtered_resps"] = [[float(value), False] for value, _ in record["filtered_resps"]]

    rewrite(log, change)
    one = only(read_run(log))

    assert one.name == "pick"
    # digests are computed from document and target as the harness does
    assert by_key(one) == before
    assert one.prompts is None
    assert "the log has no digests of prompts, so a change of prompts goes unseen" in one.notes


# Metrics


def test_metrics_that_are_no_numbers_are_left_out_with_a_note(tmp_path: Path) -> None:
    # trap 6
    log = log_of(tmp_path, choice_task())

    def change(records: list[Record]) -> None:
        for record in records:
            record["metrics"] += ["brier_score", "likelihood", "level"]
            record |= {"brier_score": [2, [0.1, 0.9]], "likelihood": {"a": 1}, "level": "3.5"}

    rewrite(log, change)
    one = only(read_run(tmp_path))

    assert list(one.scores) == ["acc", "acc_norm"]
    assert one.notes == (
        "brier_score is a list or object in each record, so it is left out",
        "likelihood is a list or object in each record, so it is left out",
        "level is text in each record, so it is left out",
    )


def test_scores_may_be_true_or_false_missing_or_nan(tmp_path: Path) -> None:
    log = log_of(tmp_path, GeneratedTask(name="brief", kind="summary", answers=[1, 2, 3, 4]))

    def change(records: list[Record]) -> None:
        for record, value in zip(records, (True, False, None, float("nan")), strict=True):
            record["rouge1"] = value

    rewrite(log, change)

    np.testing.assert_array_equal(only(read_run(tmp_path)).scores["rouge1"], [1, 0, np.nan, np.nan])


def test_a_metric_that_only_some_records_have_is_missing_in_the_others(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task(items=6))

    def change(records: list[Record]) -> None:
        for record in records[1::2]:
            record["metrics"].append("extra")
            record["extra"] = 0.5

    rewrite(log, change)

    expected = [np.nan, 0.5] * 3
    np.testing.assert_array_equal(only(read_run(tmp_path)).scores["extra"], expected)


def test_directions_come_from_the_results_then_from_names_then_from_the_user(tmp_path: Path) -> None:
    log = log_of(tmp_path, GeneratedTask(name="brief", kind="summary", answers=[1, 2]))

    def change(records: list[Record]) -> None:
        for record in records:
            record["metrics"] += ["wer", "steps"]
            record |= {"wer": 0.5, "steps": 3}

    rewrite(log, change)

    assert only(read_run(log)).higher_is_better == {"rouge1": True, "wer": False, "steps": True}
    settings = ReadSettings(lower_is_better=("steps",))
    assert only(read_run(log, settings)).higher_is_better == {"rouge1": True, "wer": False, "steps": False}


# Choosing what is read


def test_only_the_tasks_filters_and_metrics_that_were_asked_for_are_read(tmp_path: Path) -> None:
    log_of(tmp_path, choice_task(), arithmetic_task())

    assert [one.name for one in read_run(tmp_path, ReadSettings(tasks=("pi*",)))] == ["pick"]
    strict = only(read_run(tmp_path, ReadSettings(filters=(STRICT,))))
    assert strict.name == f"sums ({STRICT})"
    norm = only(read_run(tmp_path, ReadSettings(metrics=("acc_norm",))))
    assert list(norm.scores) == list(norm.answers) == list(norm.higher_is_better) == ["acc_norm"]


@pytest.mark.parametrize("name", ["subject", "doc.subject"])
def test_a_field_of_the_documents_makes_slices(tmp_path: Path, name: str) -> None:
    log_of(tmp_path, choice_task())

    one = only(read_run(tmp_path, ReadSettings(fields=(name,))))

    slices = one.slices[name]
    assert slices.names == ("algebra", "biology", "history")
    assert slices.codes.tolist() == [place % 3 for place in range(12)]


def test_a_nested_field_is_reached_by_dots_and_is_empty_where_it_is_missing(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task(items=3))

    def change(records: list[Record]) -> None:
        records[1]["doc"]["meta"] = {"level": 3}
        records[2]["doc"]["meta"] = "none"

    rewrite(log, change)
    slices = only(read_run(log, ReadSettings(fields=("meta.level",)))).slices["meta.level"]

    assert [slices.names[code] for code in slices.codes] == ["", "3", ""]


# Several runs in a folder


def test_of_several_runs_the_newest_is_read_and_a_note_says_so(tmp_path: Path) -> None:
    older, newer = choice_task(), GeneratedTask(name="pick", kind="choice", answers=[0] * 5)
    write_harness_run(tmp_path, model="m", tasks=[newer], time=datetime(2026, 5, 1, 9))
    write_harness_run(tmp_path, model="m", tasks=[older], time=datetime(2025, 5, 1, 9))

    one = only(read_run(tmp_path))

    assert len(one) == one.expected_items == 5
    assert one.notes == ("2 runs of the task are in the folder; the newest is read (2026-05-01T09-00-00)",)


def test_several_models_in_a_folder_are_refused_by_name(tmp_path: Path) -> None:
    for model in ("org/old", "org/new"):
        write_harness_run(tmp_path, model=model, tasks=[choice_task()])

    with pytest.raises(InputError) as caught:
        read_run(tmp_path)

    expected = f"{tmp_path}: holds runs of 2 models (org__new, org__old); give the folder of one"
    assert str(caught.value) == expected
