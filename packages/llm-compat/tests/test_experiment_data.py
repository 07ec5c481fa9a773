"""The generated data-update task, and the reading of any such task."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.experiment.intents import INTENTS, IntentTask, intent_quotas, write_intents
from llm_compat.experiment.task import NUM_MARKS, SEPARATOR, UNKNOWN, Task, fingerprint_task, read_task
from toolkit_shared.errors import InputError

SMALL = IntentTask(
    old_train=150, updated_train=200, old_dev=60, updated_dev=80, test=120, label_noise_ratio=0.0
)


def rows_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("task")
    write_intents(path, SMALL)
    return path


@given(number=st.integers(0, 5000), tail=st.floats(0.0, 2.0))
def test_quotas_share_out_every_request_and_fall_with_the_rank(number: int, tail: float) -> None:
    quotas = intent_quotas(number, tail)

    assert quotas.sum() == number
    assert quotas.min() >= (1 if number >= len(INTENTS) else 0)
    assert (np.diff(quotas) <= 1).all()  # rounding may lift the next rank by one at most
    assert quotas[0] == quotas.max()


def test_labels_are_as_many_as_their_quotas_in_every_part(folder: Path) -> None:
    for version, part, number in (
        ("updated", "train", 200),
        ("updated", "dev", 80),
        ("updated", "test", 120),
    ):
        counts = Counter(row["label_name"] for row in rows_of(folder / version / f"{part}.jsonl"))

        assert sorted(counts.values(), reverse=True) == sorted(
            intent_quotas(number, 0.8).tolist(), reverse=True
        )


def test_the_same_seed_gives_the_same_bytes_and_another_seed_gives_others(
    folder: Path, tmp_path: Path
) -> None:
    write_intents(tmp_path / "again", SMALL)
    write_intents(tmp_path / "other", SMALL, seed=1)

    assert fingerprint_task(tmp_path / "again") == fingerprint_task(folder)
    assert not set(fingerprint_task(tmp_path / "other").values()) & set(fingerprint_task(folder).values())


def test_no_test_text_is_in_another_part_and_both_versions_have_one_test_part(folder: Path) -> None:
    test = {row["text"] for row in rows_of(folder / "updated/test.jsonl")}
    others = [row["text"] for part in ("train", "dev") for row in rows_of(folder / f"updated/{part}.jsonl")]

    assert len(test) == 120
    assert not test & set(others)
    assert (folder / "old/test.jsonl").read_bytes() == (folder / "updated/test.jsonl").read_bytes()


def test_the_old_data_are_the_beginning_of_the_updated_data(folder: Path) -> None:
    for part, number in (("train", 150), ("dev", 60)):
        assert rows_of(folder / f"old/{part}.jsonl") == rows_of(folder / f"updated/{part}.jsonl")[:number]


def test_label_noise_stays_in_the_domain(tmp_path: Path) -> None:
    noisy = IntentTask(**{**vars(SMALL), "label_noise_ratio": 1.0})
    write_intents(tmp_path / "clean", SMALL)
    write_intents(tmp_path / "noisy", noisy)

    clean, changed = (rows_of(tmp_path / name / "updated/train.jsonl") for name in ("clean", "noisy"))
    for before, after in zip(clean, changed, strict=True):
        assert before["text"] == after["text"]
        assert before["label"] != after["label"]
        assert before["label_name"].split("_")[0] == after["label_name"].split("_")[0]


def write_task(folder: Path, **changes: list[dict[str, Any]]) -> Path:
    parts = {
        "old_train": [{"id": "1", "text": "Wake me", "label_name": "alarm"}],
        "old_dev": [{"id": "2", "text": "play it", "label_name": "music"}],
        "old_test": [{"id": "3", "text": "play me", "label_name": "music"}],
        "updated_train": [
            {"id": "1", "text": "wake me me", "label_name": "alarm"},
            {"id": "4", "text": "play me", "label_name": "music"},
        ],
        "updated_dev": [{"id": "2", "text": "play it", "label_name": "music"}],
        "updated_test": [{"id": "3", "text": "play me", "label_name": "music"}],
        **changes,
    }
    for name, rows in parts.items():
        version, part = name.split("_")
        (folder / version).mkdir(parents=True, exist_ok=True)
        (folder / version / f"{part}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def test_rows_are_words_separator_and_label_and_only_the_answer_is_trained(tmp_path: Path) -> None:
    task = read_task(write_task(tmp_path), min_count=3)

    rows = task.encode("updated", "train")

    assert (task.labels, task.words) == (("alarm", "music"), ("me",))
    me = NUM_MARKS + 2
    assert rows.row(0)[0].tolist() == [UNKNOWN, me, me, SEPARATOR, NUM_MARKS]
    assert rows.row(0)[1].tolist() == [False, False, False, True, False]
    assert rows.row(1)[0].tolist() == [UNKNOWN, me, SEPARATOR, NUM_MARKS + 1]
    assert task.encode("updated", "train", "all").row(1)[1].tolist() == [True, True, True, False]
    assert task.vocab_size == me + 1


def test_capitals_are_not_another_word(tmp_path: Path) -> None:
    assert read_task(write_task(tmp_path)).parts["old", "train"].texts == ("wake me",)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"old_test": [{"id": "3", "text": "play", "label_name": "music"}]},
            "{0}: the test parts of old and updated differ; models are compared on one test part",
        ),
        (
            {"updated_dev": [{"id": "3", "text": "play me", "label_name": "music"}]},
            "{0}: request '3' of test is in updated/dev too; leave it out there",
        ),
        (
            {"old_dev": [{"id": "2", "text": "rain", "label_name": "weather"}]},
            "{0}: intent 'weather' is in no request of updated/train; no model can learn it",
        ),
        (
            {"old_train": [{"id": "1", "text": 5, "label_name": "alarm"}]},
            "{0}/old/train.jsonl, line 1: field 'text' is no text; give id, text and label_name",
        ),
        (
            {"old_train": [{"id": None, "text": "wake me", "label_name": "alarm"}]},
            "{0}/old/train.jsonl, line 1: field 'id' is no text; give id, text and label_name",
        ),
        ({"old_train": []}, "{0}/old/train.jsonl: holds no request; give at least one"),
        (
            {
                name: [{"id": "3", "text": "play me", "label_name": "music"}] * 2
                for name in ("old_test", "updated_test")
            },
            "{0}: ids of the test part repeat; give each request one of its own",
        ),
    ],
)
def test_a_task_that_cannot_be_compared_on_is_refused(
    tmp_path: Path, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError) as caught:
        read_task(write_task(tmp_path, **changes))

    assert str(caught.value) == message.format(tmp_path)


def test_a_missing_part_is_named(tmp_path: Path) -> None:
    write_task(tmp_path)
    (tmp_path / "updated/dev.jsonl").unlink()

    for read in (read_task, fingerprint_task):
        with pytest.raises(InputError) as caught:
            read(tmp_path)
        assert str(caught.value) == (
            f"{tmp_path}/updated/dev.jsonl: no such file; "
            "--data wants old/ and updated/, each with train, dev and test"
        )


def test_generated_requests_are_read_as_any_other_task(folder: Path) -> None:
    task: Task = read_task(folder)

    assert task.labels == tuple(sorted(INTENTS))
    assert len(task.test) == 120
    assert [task.labels[label] for label in task.test.labels] == [
        row["label_name"] for row in rows_of(folder / "updated/test.jsonl")
    ]
