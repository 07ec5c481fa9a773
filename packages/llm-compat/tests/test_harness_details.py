"""Runs of lm-evaluation-harness: workers and byte ranges, the texts of items, scores computed anew."""

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from generated_logs import Record, arithmetic_task, by_key, choice_task, log_of, only, rewrite
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.formats import harness, harness_lines
from llm_compat.data.generate import GeneratedTask, documents_of
from llm_compat.data.runs import read_details, read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

# Workers


def test_any_number_of_workers_gives_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log_of(tmp_path, arithmetic_task(items=40), choice_task(items=60))
    settings = ReadSettings(fields=("subject",))
    alone = read_run(tmp_path, settings)

    monkeypatch.setattr(harness, "BYTES_PER_PART", 4000)
    counted: list[int] = []
    together = read_run(tmp_path, settings, workers=2, progress=counted.append)

    assert sum(counted) == sum(file.stat().st_size for file in tmp_path.rglob("samples_*"))
    for one, other in zip(alone, together, strict=True):
        assert one.name == other.name
        assert one.keys.tobytes() == other.keys.tobytes()
        assert one.places.tolist() == other.places.tolist()
        assert by_key(one) == by_key(other)
        assert one.slices["subject"].names == other.slices["subject"].names
        assert one.slices["subject"].codes.tolist() == other.slices["subject"].codes.tolist()


@given(count=st.integers(1, 9), at_once=st.integers(1, 30))
def test_ranges_of_bytes_that_cover_a_log_give_each_record_once(
    tmp_path_factory: pytest.TempPathFactory, count: int, at_once: int
) -> None:
    folder = tmp_path_factory.mktemp("run")
    log = log_of(folder, arithmetic_task())
    whole = harness_lines.read_lines((0, None), harness_lines.LineOptions(path=log, kind="generation"))

    size = log.stat().st_size
    bounds = [size * place // count for place in range(count + 1)]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(harness_lines, "RECORDS_AT_ONCE", at_once)
        parts = [
            harness_lines.read_lines(part, harness_lines.LineOptions(path=log, kind="generation"))
            for part in pairwise(bounds)
        ]

    assert [place for part in parts for place in part.places.tolist()] == whole.places.tolist()
    assert b"".join(part.keys.tobytes() for part in parts) == whole.keys.tobytes()


# Texts


def test_details_of_a_choice_are_question_right_choice_and_choice_taken(tmp_path: Path) -> None:
    task = choice_task()
    log_of(tmp_path, task)
    documents = list(documents_of(task))

    wrong, right = read_details(only(read_run(tmp_path)), [3, 4])

    assert (wrong.id, right.id) == ("3", "4")
    assert wrong.question == documents[3].doc["query"]
    assert wrong.target == documents[3].options[documents[3].gold]
    assert wrong.answer == documents[3].options[task.answers[3] or 0]
    assert right.answer == right.target
    assert wrong.fields["subject"] == "algebra"


def test_details_of_generated_text_are_the_answer_and_the_whole_output(tmp_path: Path) -> None:
    task = arithmetic_task()
    log_of(tmp_path, task)
    flexible, strict = read_run(tmp_path)

    marked, unmarked = read_details(strict, [0, 1])
    assert marked.answer == str(task.answers[0])
    assert marked.raw == f"Counting gives {task.answers[0]}.\n#### {task.answers[0]}"
    assert (unmarked.answer, unmarked.raw) == (None, f"Counting gives {task.answers[1]}.")
    assert read_details(flexible, [1])[0].answer == f"{task.answers[1]}."


def test_details_of_a_log_that_was_changed_are_refused(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())
    one = only(read_run(tmp_path))

    rewrite(log, lambda records: records[3:])

    with pytest.raises(InputError) as caught:
        read_details(one, [11])
    assert str(caught.value) == f"{log}: was changed while it was read; run the command again"


def test_details_of_a_record_that_took_the_place_of_another_are_refused(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())
    one = only(read_run(tmp_path))

    def change(records: list[Record]) -> None:
        # another document of the same length, with the digest of its target
        records[0]["target_hash"] = records[0]["target_hash"][::-1]

    rewrite(log, change)

    with pytest.raises(InputError, match="was changed while it was read"):
        read_details(one, [0])


# Rescoring and similarity


def test_gsm8k_is_scored_anew_from_raw_outputs(tmp_path: Path) -> None:
    log_of(tmp_path, arithmetic_task())
    settings = ReadSettings(rescore=("gsm8k-strict", "gsm8k-flexible"))

    flexible, strict = read_run(tmp_path, settings)

    for one in (flexible, strict):
        assert one.scores["gsm8k-strict"].tolist() == strict.scores["exact_match"].tolist()
        assert one.scores["gsm8k-flexible"].tolist() == flexible.scores["exact_match"].tolist()
        assert one.answers["gsm8k-strict"].tolist() == strict.answers["exact_match"].tolist()
        assert one.higher_is_better["gsm8k-strict"] is True


def test_an_accuracy_that_was_not_logged_is_computed_from_log_probabilities(tmp_path: Path) -> None:
    log = log_of(tmp_path, choice_task())
    logged = only(read_run(tmp_path))

    def change(records: list[Record]) -> None:
        for record in records:
            record["metrics"] = ["acc"]
            del record["acc_norm"]

    rewrite(log, change)
    one = only(read_run(tmp_path, ReadSettings(rescore=("acc_norm",), metrics=("acc",))))

    assert one.scores["acc_norm"].tolist() == logged.scores["acc_norm"].tolist()
    assert one.answers["acc_norm"].tolist() == logged.answers["acc_norm"].tolist()


def test_a_similarity_compares_the_answer_with_the_target(tmp_path: Path) -> None:
    log_of(tmp_path, GeneratedTask(name="brief", kind="summary", answers=[0, 5, 10]))

    one = only(read_run(tmp_path, ReadSettings(similarity=("rouge1", "exact"))))

    np.testing.assert_allclose(one.scores["rouge1"], [0, 100 * 2 * 5 / 15, 100])
    assert one.scores["exact"].tolist() == [0, 0, 100]
