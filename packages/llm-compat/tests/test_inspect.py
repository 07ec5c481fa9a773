"""Logs of Inspect AI, built as its recorders write them: archives, JSON, and hostile ones."""

import json
import struct
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import zstandard
from llm_compat.data.formats import inspect_ai, inspect_files
from llm_compat.data.runs import read_details, read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

INSPECT = ReadSettings(format="inspect")
DEFLATE, ZSTD = 8, 93


def packed(data: bytes, method: int) -> bytes:
    if method == DEFLATE:
        packer = zlib.compressobj(6, zlib.DEFLATED, -zlib.MAX_WBITS)
        return packer.compress(data) + packer.flush()
    if method == ZSTD:  # two frames, as for members above 200 MiB
        half = len(data) // 2
        return b"".join(zstandard.ZstdCompressor().compress(part) for part in (data[:half], data[half:]))
    return data


def write_zip(
    path: Path,
    members: Sequence[tuple[str, bytes]],
    method: int = ZSTD,
    *,
    flags: int = 0,
    size: int | None = None,
) -> Path:
    """A zip archive by hand, for the library cannot pack zstd; `size` is a lie about the unpacked size."""
    body, directory = b"", b""
    for name, data in members:
        inside, stored = packed(data, method), len(data) if size is None else size
        fields = (20, flags, method, 0, 0, zlib.crc32(data), len(inside), stored, len(name.encode()), 0)
        local = struct.pack("<4s5H3L2H", b"PK\x03\x04", *fields) + name.encode()
        directory += (
            struct.pack("<4s6H3L5H2L", b"PK\x01\x02", 20, *fields, 0, 0, 0, 0, len(body)) + name.encode()
        )
        body += local + inside
    end = struct.pack(
        "<4s4H2LH", b"PK\x05\x06", 0, 0, len(members), len(members), len(directory), len(body), 0
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(body + directory + end)
    return path


def sample(number: int, value: Any = "C", answer: str | None = "4", **more: Any) -> dict[str, Any]:
    return {
        "id": f"q{number}",
        "epoch": 1,
        "input": f"What is {number} + 2?",
        "target": str(number + 2),
        "messages": [{"id": "m", "role": "user", "content": "long"}],
        "output": {"choices": [{"message": {"content": f"It is {answer}.", "role": "assistant"}}]},
        "scores": {"match": {"value": value, "answer": answer, "explanation": "x", "history": []}},
        "metadata": {"topic": "sums" if number % 2 else "doubles"},
        "events": [{"event": "model", "data": ["much"] * 20}],
        **more,
    }


def header(total: int, **more: Any) -> dict[str, Any]:
    spec = {
        "task": "arithmetic",
        "model": "toy/one",
        "created": "2026-01-01T00:00:00+00:00",
        "dataset": {"samples": total},
        "config": {},
        **more.pop("eval", {}),
    }
    results = {"total_samples": total, "scores": [{"name": "match", "scorer": "match"}]}
    return {"version": 2, "status": "success", "eval": spec, "results": results, **more}


def write_eval(path: Path, samples: Sequence[dict[str, Any]], method: int = ZSTD, **more: Any) -> Path:
    members = [("_journal/start.json", b"{}")]
    members += [(f"samples/{s['id']}_epoch_{s['epoch']}.json", json.dumps(s).encode()) for s in samples]
    members += [("summaries.json", b"[]"), ("header.json", json.dumps(header(len(samples), **more)).encode())]
    return write_zip(path, members, method)


def write_json_log(path: Path, samples: Sequence[dict[str, Any]], **more: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**header(len(samples), **more), "samples": samples}, indent=2))
    return path


def three() -> list[dict[str, Any]]:
    return [sample(0, "C", "2"), sample(1, "I", "4"), sample(2, "I", "5")]


@pytest.mark.parametrize("method", [0, DEFLATE, ZSTD])
def test_an_archive_and_the_json_of_the_same_run_are_the_same(tmp_path: Path, method: int) -> None:
    (archive,) = read_run(write_eval(tmp_path / "a.eval", three(), method), INSPECT)
    (plain,) = read_run(write_json_log(tmp_path / "a.json", three()), INSPECT)

    for one in (archive, plain):
        assert (one.name, one.expected_items, one.notes) == ("arithmetic", 3, ())
        assert one.scores["match"].tolist() == [1, 0, 0]
        assert len(set(one.answers["match"].tolist())) == 3
    assert archive.keys.tolist() == plain.keys.tolist()
    assert archive.answers["match"].tolist() == plain.answers["match"].tolist()


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("C", 1),
        ("I", 0),
        ("P", 0.5),
        ("N", 0),
        (True, 1),
        (False, 0),
        (0.25, 0.25),
        (7, 7),
        ("yes", 1),
        ("False", 0),
        ("0.5", 0.5),
    ],
)
def test_letters_words_truth_values_and_numbers_are_scores(value: Any, number: float) -> None:
    assert inspect_ai.score_value(value) == number


@pytest.mark.parametrize("value", ["maybe", "", [1.0], {"a": 1}, "nan", "inf"])
def test_what_is_no_score_is_not_made_one(value: Any) -> None:
    assert inspect_ai.score_value(value) is None


def test_a_metric_with_a_value_that_is_no_score_is_left_out_and_told(tmp_path: Path) -> None:
    samples = three()
    samples[1]["scores"]["grade"] = {"value": "B minus"}
    samples[2]["scores"]["grade"] = {"value": 1}

    (outcomes,) = read_run(write_eval(tmp_path / "a.eval", samples), INSPECT)

    assert list(outcomes.scores) == ["match"]
    assert outcomes.notes == ("metric grade was left out: 'B minus' is no score",)


def test_unscored_samples_have_no_score_where_the_log_says_nan(tmp_path: Path) -> None:
    # Inspect writes the constant, which is no JSON
    samples = three()
    samples[1]["scores"]["match"]["value"] = float("nan")

    for path in (write_eval(tmp_path / "a.eval", samples), write_json_log(tmp_path / "a.json", samples)):
        (outcomes,) = read_run(path, INSPECT)
        assert np.isnan(outcomes.scores["match"]).tolist() == [False, True, False]


def test_entries_of_a_mapping_are_metrics_of_their_own(tmp_path: Path) -> None:
    samples = [sample(n, {"fluency": 0.5 + n, "polite": n == 0, "other": None}) for n in range(2)]

    (outcomes,) = read_run(write_eval(tmp_path / "a.eval", samples), INSPECT)

    assert {name: values.tolist() for name, values in outcomes.scores.items() if name != "match/other"} == {
        "match/fluency": [0.5, 1.5],
        "match/polite": [1, 0],
    }
    assert np.isnan(outcomes.scores["match/other"]).all()


def test_epochs_of_a_sample_are_one_item_with_their_mean(tmp_path: Path) -> None:
    values = {(0, 1): "C", (0, 2): "I", (1, 1): "C", (1, 2): "C"}
    samples = [sample(n, value, epoch=epoch) for (n, epoch), value in values.items()]
    path = write_eval(
        tmp_path / "a.eval", samples, eval={"config": {"epochs": 2, "epochs_reducer": ["mode"]}}
    )

    (outcomes,) = read_run(path, INSPECT)

    assert outcomes.scores["match"].tolist() == [0.5, 1]
    assert outcomes.expected_items == 2
    assert not outcomes.answers
    assert outcomes.notes == (
        "the run's own summary reduces epochs by mode",
        "scores are means over 2 epochs of each document",
    )


def test_answers_of_several_epochs_are_not_known_even_where_the_scores_agree(tmp_path: Path) -> None:
    samples = [sample(0, "I", answer, epoch=epoch) for epoch, answer in ((1, "8"), (2, "9"))]

    (outcomes,) = read_run(write_eval(tmp_path / "a.eval", samples), INSPECT)

    assert outcomes.scores["match"].tolist() == [0]
    assert not outcomes.answers


def test_answers_belong_to_scores_that_are_right_or_wrong(tmp_path: Path) -> None:
    samples = three()
    samples[1]["scores"]["match"]["value"] = "P"

    (outcomes,) = read_run(write_eval(tmp_path / "a.eval", samples), INSPECT)

    assert not outcomes.answers


def test_keys_do_not_depend_on_ids_order_or_on_how_choices_were_shuffled(tmp_path: Path) -> None:
    def chat(number: int, name: str, choices: list[str], message: str) -> dict[str, Any]:
        content = [
            {"type": "text", "text": f"Capital {number}?"},
            {"type": "image", "image": "attachment://ab"},
        ]
        return sample(
            number,
            id=name,
            input=[{"id": message, "role": "user", "content": content, "source": "input"}],
            choices=choices,
            attachments={"ab": "data:image/png;base64,AA"},
        )

    one = [chat(n, f"x{n}", ["Rome", "Oslo"], f"m{n}") for n in range(3)]
    two = [chat(n, f"y{9 - n}", ["Oslo", "Rome"], f"k{n}") for n in (2, 0, 1)]

    (first,) = read_run(write_eval(tmp_path / "a.eval", one), INSPECT)
    (second,) = read_run(write_json_log(tmp_path / "b.json", two), INSPECT)

    assert [first.keys[2], first.keys[0], first.keys[1]] == second.keys.tolist()


def test_questions_that_differ_only_in_their_choices_are_different_documents(tmp_path: Path) -> None:
    samples = [sample(n, input="Which is true?", choices=[f"{n}", "none"]) for n in range(2)]
    turned = samples[::-1]

    (first,) = read_run(write_eval(tmp_path / "a.eval", samples), INSPECT)
    (second,) = read_run(write_eval(tmp_path / "b.eval", turned), INSPECT)

    assert first.keys.tolist() == second.keys.tolist()[::-1]


def test_failed_and_invalid_samples_have_no_score_and_are_counted(tmp_path: Path) -> None:
    samples = three()
    samples[0] = {**samples[0], "scores": None, "error": {"message": "boom", "traceback": ""}}
    samples[1]["invalidation"] = {"author": "someone"}

    (outcomes,) = read_run(write_eval(tmp_path / "a.eval", samples, status="error"), INSPECT)

    assert np.isnan(outcomes.scores["match"]).tolist() == [True, True, False]
    assert outcomes.notes == (
        "the run did not finish: its status is error",
        "1 samples ended with an error and without a score",
        "1 samples were marked invalid and have no score",
    )


def test_a_run_that_was_killed_is_read_from_its_journal(tmp_path: Path) -> None:
    start = {"version": 2, "eval": header(3)["eval"], "plan": {}}
    members = [("_journal/start.json", json.dumps(start).encode())]
    members += [(f"samples/{s['id']}_epoch_1.json", json.dumps(s).encode()) for s in three()[:2]]

    (outcomes,) = read_run(write_zip(tmp_path / "a.eval", members), INSPECT)

    assert (len(outcomes), outcomes.expected_items) == (2, None)
    assert outcomes.notes == ("the run did not finish: its status is started",)


def test_a_sample_that_was_logged_again_counts_as_it_was_last(tmp_path: Path) -> None:
    (outcomes,) = read_run(write_eval(tmp_path / "a.eval", [*three(), sample(1, "C", "3")]), INSPECT)

    assert len(outcomes) == 3
    assert sorted(outcomes.scores["match"].tolist()) == [0, 1, 1]


def test_samples_in_chunks_and_samples_of_old_logs_are_read(tmp_path: Path) -> None:
    whole, chunked, old = three()
    old["score"] = old.pop("scores")["match"]
    members = [
        ("samples/q0_epoch_1.json", json.dumps(whole).encode()),
        ("samples/q1_epoch_1/sample.json", json.dumps(chunked).encode()),
        ("samples/q1_epoch_1/events/0.json", b"[1, 2]"),
        ("samples/a/b_epoch_1.json", json.dumps(old).encode()),
        ("header.json", json.dumps(header(3)).encode()),
    ]

    (outcomes,) = read_run(write_zip(tmp_path / "a.eval", members), INSPECT)

    assert outcomes.scores["match"].tolist() == [1, 0, 0]


def test_a_folder_gives_the_newest_finished_log_of_every_task(tmp_path: Path) -> None:
    created = {"old": "2026-01-01", "new": "2026-01-02", "failed": "2026-01-03"}
    for name, day in created.items():
        status = "error" if name == "failed" else "success"
        write_eval(tmp_path / f"{name}.eval", three(), eval={"created": day}, status=status)
    write_json_log(tmp_path / "deep.json", three(), eval={"task": "other"})
    (tmp_path / "notes.json").write_text("{}")

    first, second = read_run(tmp_path, INSPECT)

    assert inspect_ai.recognises(tmp_path)
    assert (first.source.name, first.notes) == ("new.eval", ("2 older logs of this task were left out",))
    assert (second.task, second.source.name) == ("other", "deep.json")


def test_tasks_with_other_arguments_are_other_tasks(tmp_path: Path) -> None:
    for subject in ("law", "tax"):
        write_eval(tmp_path / f"{subject}.eval", three(), eval={"task_args": {"subject": subject}})

    assert [one.task for one in read_run(tmp_path, INSPECT)] == [
        'arithmetic {"subject": "law"}',
        'arithmetic {"subject": "tax"}',
    ]


def test_details_fields_and_similarities_come_from_the_samples(tmp_path: Path) -> None:
    path = write_eval(tmp_path / "a.eval", three())
    settings = ReadSettings(format="inspect", fields=("topic",), similarity=("exact",))

    (outcomes,) = read_run(path, settings)
    detail = read_details(outcomes, [2])[0]

    assert outcomes.slices["topic"].names == ("doubles", "sums")
    assert outcomes.slices["topic"].codes.tolist() == [0, 1, 0]
    assert outcomes.scores["exact"].tolist() == [0, 0, 0]  # "It is 2." is not "2"
    assert (detail.id, detail.question, detail.target) == ("q2", "What is 2 + 2?", "4")
    assert (detail.answer, detail.raw, detail.fields) == ("5", "It is 5.", {"topic": "doubles"})


def test_logs_are_recognised_by_their_beginning_and_others_are_not(tmp_path: Path) -> None:
    (tmp_path / "other.json").write_text('{"results": {}, "eval": {}}')

    assert inspect_ai.recognises(write_json_log(tmp_path / "a.json", three()))
    assert inspect_ai.recognises(write_eval(tmp_path / "a.eval", three()))
    assert not inspect_ai.recognises(tmp_path / "other.json")


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_run(path, INSPECT)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), "LOG")


@pytest.mark.parametrize("name", ["/etc/x.json", "samples/../../x.json", "..\\x.json", "C:/x.json"])
def test_members_that_would_leave_the_archive_are_refused(tmp_path: Path, name: str) -> None:
    path = write_zip(tmp_path / "a.eval", [(name, b"{}")])

    assert message_of(path) == (
        f"LOG: member '{name}' has a path that leaves the archive; do not use this file"
    )


@pytest.mark.parametrize("method", [DEFLATE, ZSTD])
def test_a_member_that_unpacks_to_more_than_it_says_is_refused(tmp_path: Path, method: int) -> None:
    path = write_zip(tmp_path / "a.eval", [("header.json", b" " * 1_000_000)], method, size=100)

    assert message_of(path) == (
        "LOG: member 'header.json' is damaged (size or checksum differ); copy the log again"
    )


def test_a_bomb_is_refused_before_it_is_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_zip(tmp_path / "a.eval", [("header.json", b"{}")], size=inspect_files.MAX_MEMBER_BYTES + 1)
    grown = write_zip(tmp_path / "b.eval", [("header.json", b"{}")], size=10_000_000)
    monkeypatch.setattr(inspect_files, "_unpacked", None)  # not reached

    assert message_of(path) == (
        "LOG: member 'header.json' unpacks to 1,073,741,825 bytes; at most 1,073,741,824 are read"
    )
    assert message_of(grown) == "LOG: unpacks to more than 2,000 times its size; do not use this file"


def test_encrypted_and_strangely_packed_members_are_refused(tmp_path: Path) -> None:
    secret = write_zip(tmp_path / "a.eval", [("header.json", b"{}")], flags=1)
    strange = write_zip(tmp_path / "b.eval", [("header.json", b"{}")], 12)

    assert message_of(secret) == "LOG: member 'header.json' is encrypted; give a log that is not"
    assert message_of(strange) == (
        "LOG: member 'header.json' is packed by method 12; deflate and zstd are read"
    )


def test_members_that_share_their_bytes_are_refused(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "a.eval", [(f"samples/{n}.json", b"x" * 500) for n in range(3)], 0)
    data = bytearray(path.read_bytes())
    with zipfile.ZipFile(path) as archive:
        infos = archive.infolist()
    # every entry of the directory says that its bytes are most of the file
    start = data.rindex(b"PK\x05\x06") - sum(46 + len(info.filename) for info in infos)
    for info in infos:
        data[start + 20 : start + 24] = struct.pack("<L", 1500)
        start += 46 + len(info.filename)
    path.write_bytes(data)

    assert message_of(path) == "LOG: members overlap; do not use this file"


@pytest.mark.parametrize("kept", [0, 10, 200, 500])
def test_a_truncated_archive_gets_one_line(tmp_path: Path, kept: int) -> None:
    path = write_eval(tmp_path / "a.eval", three())
    path.write_bytes(path.read_bytes()[:kept])

    assert message_of(path) == "LOG: damaged zip archive (File is not a zip file); copy the log again"


def test_any_flipped_byte_gives_the_same_run_or_one_line(tmp_path: Path) -> None:
    path = write_eval(tmp_path / "a.eval", three())
    data = path.read_bytes()
    (whole,) = read_run(path, INSPECT)
    lines = []

    for place in range(0, len(data), 7):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x21]) + data[place + 1 :])
        try:
            found = read_run(path, INSPECT)[0].keys
        except InputError as error:
            found, text = whole.keys[:0], str(error)
            lines.append(text.count("\n"))
        assert np.isin(found, whole.keys).all()
    assert lines == [0] * len(lines)
    assert len(lines) > 20


def test_a_sample_of_the_wrong_shape_is_named(tmp_path: Path) -> None:
    samples = three()
    samples[1]["epoch"] = "first"
    path = write_eval(tmp_path / "a.eval", samples)

    assert message_of(path) == (
        "LOG, samples/q1_epoch_first.json: field $.epoch: expected int, got str; mend or replace the file"
    )


def test_a_json_log_with_a_sample_twice_is_refused(tmp_path: Path) -> None:
    path = write_json_log(tmp_path / "a.json", [*three(), three()[0]])

    assert message_of(path) == "LOG: item q0 (try 1) is there twice; log each run to its own file"


def test_an_input_whose_attachment_is_missing_is_refused(tmp_path: Path) -> None:
    path = write_eval(tmp_path / "a.eval", [sample(0, input="attachment://abc")])

    assert message_of(path) == (
        "LOG: sample q0: its input is the attachment abc, which is not in it; "
        "write the log with its attachments"
    )


def test_a_folder_with_logs_of_two_models_is_refused(tmp_path: Path) -> None:
    for model in ("toy/one", "toy/two"):
        write_eval(tmp_path / f"{model[4:]}.eval", three(), eval={"model": model})

    assert message_of(tmp_path) == (
        "LOG: has logs of task arithmetic for several models (toy/one, toy/two); give one log, or "
        "a folder for each model"
    )
