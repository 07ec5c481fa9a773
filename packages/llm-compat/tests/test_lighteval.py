"""Details of lighteval in the layouts of 0.11 to 0.13 and of 0.8 to 0.10, and files that are neither."""

import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from llm_compat.data.choosing import best_choice, normalisations_of
from llm_compat.data.formats import lighteval
from llm_compat.data.runs import read_details, read_run
from llm_compat.settings.reading import ReadSettings
from toolkit_shared.errors import InputError

LIGHTEVAL = ReadSettings(format="lighteval")
TIME = "2026-01-02T03-04-05.678901"
CHOICES = ["of a dog", "a", "a much longer choice"]


def write(folder: Path, rows: Sequence[dict[str, Any]], task: str = "piqa|0", time: str = TIME) -> Path:
    path = folder / "details" / "org" / "toy" / time / f"details_{task}_{time}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(list(rows)), path)
    return path


def choice_row(
    number: int, logprobs: Sequence[float], metric: dict[str, Any], gold: Any = 0, **doc: Any
) -> dict[str, Any]:
    return {
        "doc": {
            "query": f"Question {number}",
            "choices": CHOICES,
            "gold_index": gold,
            "id": str(number),
            "specific": {"topic": "odd" if number % 2 else "even"},
            "task_name": "piqa|0",
            "num_samples": 1,
            **doc,
        },
        "metric": metric,
        "model_response": {
            "input": f"Examples. Question {number}",
            "text": [],
            "logprobs": list(logprobs),
            "output_tokens": [[1, 2, 3], [1], [1, 2, 3, 4]],
            "unconditioned_logprobs": None,
        },
    }


def text_row(number: int, text: str, gold: str, **metric: Any) -> dict[str, Any]:
    return {
        "doc": {
            "query": f"Question {number}",
            "choices": [gold],
            "gold_index": 0,
            "id": str(number),
            "specific": None,
            "num_samples": 1,
        },
        "metric": metric or {"em": int(text == gold)},
        "model_response": {"input": "chat", "text": [text], "text_post_processed": None, "logprobs": []},
    }


# by raw probability 1, 0, 1; by characters 2 (-12/20), 2 (-14/20), 1
LOGPROBS = ((-9.0, -3.0, -12.0), (-6.0, -7.0, -14.0), (-30.0, -1.0, -30.0))


def choice_rows() -> list[dict[str, Any]]:
    return [
        choice_row(n, values, {"acc": int(raw == 1), "acc_norm": int(norm == 1)}, gold=1)
        for n, (values, raw, norm) in enumerate(zip(LOGPROBS, (1, 0, 1), (2, 2, 1), strict=True))
    ]


def test_scores_and_rebuilt_choices_of_both_accuracies(tmp_path: Path) -> None:
    (outcomes,) = read_run(write(tmp_path, choice_rows()), LIGHTEVAL)

    assert (outcomes.name, len(outcomes), outcomes.notes) == ("piqa|0", 3, ())
    assert outcomes.scores["acc"].tolist() == [1, 0, 1]
    assert outcomes.scores["acc_norm"].tolist() == [0, 0, 1]
    raw, norm = outcomes.answers["acc"].tolist(), outcomes.answers["acc_norm"].tolist()
    assert raw[0] == raw[2] != raw[1]
    assert norm[0] == norm[1] != norm[2]
    assert raw[0] == norm[2]  # the same choice


def test_choices_that_do_not_explain_a_score_are_not_given(tmp_path: Path) -> None:
    rows = choice_rows()
    rows[1]["metric"]["acc"] = 1

    (outcomes,) = read_run(write(tmp_path, rows), LIGHTEVAL)

    assert list(outcomes.answers) == ["acc_norm"]
    assert outcomes.notes == ("the log-probabilities do not explain acc: predicted answers are not known",)


def test_a_score_that_two_normalisations_explain_has_no_answers(tmp_path: Path) -> None:
    # characters with the space: -6/6 and -5.5/5; without it: -6/5 and -5.5/5; both are wrong
    choices = [" abcde", "abcde", "x" * 40]
    row = choice_row(0, (-6.0, -5.5, -400.0), {"acc_norm": 0}, gold=2, choices=choices)

    (outcomes,) = read_run(write(tmp_path, [row]), LIGHTEVAL)

    assert not outcomes.answers
    assert outcomes.notes == ("acc_norm may be normalised in two ways: predicted answers are not known",)


def test_written_answers_belong_to_exact_match_and_to_no_metric_that_extracts(tmp_path: Path) -> None:
    rows = [text_row(n, f"{n}", "1", em=int(n == 1), extractive_match=1.0, f1=0.5) for n in range(3)]

    (outcomes,) = read_run(write(tmp_path, rows), ReadSettings(format="lighteval", similarity=("exact",)))

    assert list(outcomes.answers) == ["em"]
    assert outcomes.scores["exact"].tolist() == [0, 100, 0]
    assert outcomes.prompts is not None
    assert outcomes.targets is not None
    assert len(set(outcomes.targets.tolist())) == 1


def test_of_several_samples_no_one_is_the_answer(tmp_path: Path) -> None:
    row = text_row(0, "a", "a")
    row["doc"]["num_samples"] = 2
    row["model_response"]["text"] = ["a", "b"]

    (outcomes,) = read_run(write(tmp_path, [row]), LIGHTEVAL)

    assert not outcomes.answers


def test_questions_that_differ_only_in_their_choices_are_different_documents(tmp_path: Path) -> None:
    def rows(order: Sequence[int]) -> list[dict[str, Any]]:
        pairs = (["a", "b"], ["c", "a"])
        return [
            choice_row(place, (-1.0, -2.0), {"acc": 1}, query="Which?", choices=pairs[number])
            for place, number in enumerate(order)
        ]

    (first,) = read_run(write(tmp_path / "one", rows((0, 1))), LIGHTEVAL)
    (second,) = read_run(write(tmp_path / "two", rows((1, 0))), LIGHTEVAL)

    assert first.keys.tolist() == second.keys.tolist()[::-1]
    assert first.keys[0] != first.keys[1]


def test_two_ways_of_sampling_a_document_are_one_item(tmp_path: Path) -> None:
    written = [text_row(n, "right", "right", em=1.0) for n in range(3)]
    scored = choice_rows()
    for one, other in zip(written, scored, strict=True):
        one["doc"] |= {"choices": other["doc"]["choices"], "gold_index": 1}

    (outcomes,) = read_run(write(tmp_path, [*written, *scored]), LIGHTEVAL)

    assert len(outcomes) == 3
    assert outcomes.scores["em"].tolist() == [1, 1, 1]
    assert outcomes.scores["acc"].tolist() == [1, 0, 1]
    assert sorted(outcomes.answers) == ["acc", "acc_norm", "em"]


def test_two_runs_meet_by_their_questions_whatever_their_order(tmp_path: Path) -> None:
    rows = choice_rows()
    moved = [json.loads(json.dumps(row)) for row in rows]
    random.Random(1).shuffle(moved)
    for number, row in enumerate(moved):
        row["doc"]["id"] = str(number + 50)

    (first,) = read_run(write(tmp_path / "one", rows), LIGHTEVAL)
    (second,) = read_run(write(tmp_path / "two", moved), LIGHTEVAL)

    order = [second.keys.tolist().index(key) for key in first.keys.tolist()]
    assert order != [0, 1, 2]
    assert second.scores["acc"][order].tolist() == first.scores["acc"].tolist()
    assert second.answers["acc"][order].tolist() == first.answers["acc"].tolist()


def test_metrics_without_a_number_for_each_item_are_left_out(tmp_path: Path) -> None:
    rows = choice_rows()
    for row in rows:
        row["metric"] |= {"f1_parts": {"gold": 1, "pred": 0}, "seen": True, "never": None}

    (outcomes,) = read_run(write(tmp_path, rows), LIGHTEVAL)

    assert "f1_parts" not in outcomes.scores
    assert outcomes.scores["seen"].tolist() == [1, 1, 1]
    assert np.isnan(outcomes.scores["never"]).all()
    assert outcomes.notes == ("metric f1_parts was left out: it has no number for each item",)


def flat_rows() -> list[dict[str, Any]]:
    return [
        {
            "example": row["doc"]["query"],
            "instruction": "",
            "full_prompt": row["model_response"]["input"],
            "predictions": [[value, False] for value in row["model_response"]["logprobs"]],
            "cont_tokens": row["model_response"]["output_tokens"],
            "gold": [],
            "choices": CHOICES,
            "gold_index": [1],
            "metrics": row["metric"],
            "specifics": row["doc"]["specific"],
        }
        for row in choice_rows()
    ]


def test_the_flat_layout_says_the_same_as_the_nested_one(tmp_path: Path) -> None:
    (nested,) = read_run(write(tmp_path / "new", choice_rows()), LIGHTEVAL)
    (flat,) = read_run(write(tmp_path / "old", flat_rows()), LIGHTEVAL)

    assert flat.keys.tolist() == nested.keys.tolist()
    for name in ("acc", "acc_norm"):
        assert flat.scores[name].tolist() == nested.scores[name].tolist()
        assert flat.answers[name].tolist() == nested.answers[name].tolist()
    assert flat.prompts is not None
    assert nested.prompts is not None
    assert flat.prompts.tolist() == nested.prompts.tolist()


def test_texts_and_single_tokens_of_the_flat_layout_are_read(tmp_path: Path) -> None:
    base = {"full_prompt": "p", "specifics": None}
    texts = [
        {**base, "example": f"Q{n}", "predictions": [f"{n}"], "gold": ["1"], "metrics": {"em": n == 1}}
        for n in range(2)
    ]
    tokens = [
        {
            **base,
            "example": "Q",
            "predictions": [-1.0, -2.0],
            "choices": ["A", "B"],
            "gold_index": [0],
            "metrics": {"acc": 1},
        }
    ]

    (written,) = read_run(write(tmp_path / "a", texts), LIGHTEVAL)
    (chosen,) = read_run(write(tmp_path / "b", tokens), LIGHTEVAL)

    assert read_details(written, [1, 0])[0].answer == "1"
    assert len(written.answers["em"]) == 2
    assert read_details(chosen, [0])[0].answer == "A"
    assert chosen.answers["acc"].tolist() != [0]


def test_the_newest_run_of_every_task_is_read(tmp_path: Path) -> None:
    rows = choice_rows()
    write(tmp_path, rows[:1], time="2025-01-01T00-00-00.000001")
    write(tmp_path, rows)
    write(tmp_path, rows[:2], task="mmlu:law|5")

    law, piqa = read_run(tmp_path, LIGHTEVAL)

    assert lighteval.recognises(tmp_path)
    assert (law.task, len(law)) == ("mmlu:law|5", 2)
    assert (piqa.task, len(piqa), piqa.notes) == ("piqa|0", 3, ("1 older runs of this task were left out",))


def test_details_and_slices_come_from_the_document(tmp_path: Path) -> None:
    (outcomes,) = read_run(
        write(tmp_path, choice_rows()), ReadSettings(format="lighteval", fields=("topic",))
    )

    detail = read_details(outcomes, [1])[0]

    assert (detail.id, detail.question, detail.target) == ("1", "Question 1", "a")
    assert detail.answer == "of a dog"
    assert detail.fields["topic"] == "odd"
    assert detail.fields["choice 1"] == "a"
    assert outcomes.slices["topic"].codes.tolist() == [0, 1, 0]


@pytest.mark.parametrize(
    ("metric", "normalisations"),
    [
        ("acc", ("none",)),
        ("acc_norm", ("characters", "characters-without-space")),
        (
            "acc:logprob_normalization=LogProbCharNorm(name='norm', ignore_first_space=True)",
            ("characters-without-space",),
        ),
        ("acc:logprob_normalization=LogProbCharNorm(name='norm', ignore_first_space=False)", ("characters",)),
        ("acc:logprob_normalization=LogProbTokenNorm(name='norm_token')", ("tokens",)),
        ("acc_norm_pmi", ("unconditioned",)),
        ("em", ()),
        ("accuracy_of_judge", ()),
    ],
)
def test_the_normalisation_is_told_by_the_metrics_name(metric: str, normalisations: tuple[str, ...]) -> None:
    assert normalisations_of(metric) == normalisations


def test_the_best_choice_under_every_normalisation_by_hand() -> None:
    choices = [" ab", "abcd"]

    # -6 and -7: raw -6 is best; characters give -2 and -1.75, without the space -3, -1.75, tokens -6, -3.5
    assert best_choice((-6.0, -7.0), choices, "none") == 0
    assert best_choice((-6.0, -7.0), choices, "characters") == 1
    assert best_choice((-5.0, -7.0), choices, "characters") == 0  # -1.67 and -1.75
    assert best_choice((-5.0, -7.0), choices, "characters-without-space") == 1  # -2.5 and -1.75
    assert best_choice((-6.0, -7.0), choices, "tokens", tokens=(1, 2)) == 1
    assert best_choice((-6.0, -7.0, -1.0, -9.0), choices, "unconditioned") == 1  # -5 and 2
    assert best_choice((-6.0, -6.0), choices, "none") == 0  # the first of equal ones
    assert best_choice((-6.0,), choices, "none") is None
    assert best_choice((-6.0, -7.0), choices, "tokens") is None
    assert best_choice((-6.0, -7.0), choices, "unconditioned") is None
    assert best_choice((float("nan"), -7.0), choices, "none") is None
    assert best_choice((-6.0, -7.0), [" ", "a"], "characters-without-space") is None


def message_of(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_run(path, LIGHTEVAL)
    text = str(caught.value)
    assert "\n" not in text
    return text.replace(str(path), "FILE")


def test_a_document_that_is_scored_twice_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, [*choice_rows(), choice_rows()[1]])

    assert message_of(path) == "FILE, row 3: document 1 has a second acc; give the details of one run"


def test_damaged_files_get_one_line(tmp_path: Path) -> None:
    path = write(tmp_path, choice_rows())
    data = path.read_bytes()

    for broken in (b"", b"PAR1", data[:-20], data[: len(data) // 2], b"x" * len(data)):
        path.write_bytes(broken)
        assert message_of(path).startswith("FILE: no parquet file, or a damaged one (")


def test_any_flipped_byte_gives_one_line_or_documents_of_the_shape(tmp_path: Path) -> None:
    path = write(tmp_path, choice_rows())
    data = path.read_bytes()
    failed = 0

    for place in range(0, len(data), 61):
        path.write_bytes(data[:place] + bytes([data[place] ^ 0x55]) + data[place + 1 :])
        try:
            outcomes = read_run(path, LIGHTEVAL)
        except InputError as error:
            failed += str(error).count("\n") == 0
        else:
            failed += all(values.dtype == np.float64 for one in outcomes for values in one.scores.values())
    assert failed == len(range(0, len(data), 61))


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"a": 1}, "FILE: has the columns a, not those of lighteval's details; give another file"),
        (
            {"example": "q", "predictions": "['a']", "metrics": "{'em': 1}"},
            "FILE: column metrics is string, as lighteval wrote it before 0.8, objects as text; "
            "evaluate again",
        ),
        (
            {"doc": "q", "model_response": "r", "metric": "m"},
            "FILE: column doc is string, not a struct; give the details of lighteval",
        ),
        (
            {"doc": {"query": 3}, "model_response": {"text": ["a"]}, "metric": {"em": 1}},
            "FILE, row 0: is not as lighteval writes it (the question is int, not text); evaluate again",
        ),
        (
            {"doc": {"id": "3"}, "model_response": {"text": ["a"]}, "metric": {"em": 1}},
            "FILE, row 0: is not as lighteval writes it ('query'); evaluate again",
        ),
    ],
)
def test_other_columns_are_refused_and_not_guessed(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    assert message_of(write(tmp_path, [row])) == message


def test_a_folder_with_two_models_is_refused(tmp_path: Path) -> None:
    write(tmp_path, choice_rows())
    (tmp_path / "details" / "org" / "toy").rename(tmp_path / "details" / "org" / "other")
    write(tmp_path, choice_rows())

    assert message_of(tmp_path) == (
        "FILE: has details of several models (details/org/other, details/org/toy); give the folder of one"
    )
