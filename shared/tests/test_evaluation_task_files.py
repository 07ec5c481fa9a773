"""Task files: the four shapes, and what is refused."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.task_files import Question, read_task_file


def write(path: Path, records: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    return path


def test_task_files_of_all_shapes_are_read(tmp_path: Path) -> None:
    records: dict[str, dict[str, Any]] = {
        "choice": {"query": "Q\n", "choices": ["a", "b "], "gold": 1, "category": "law"},
        "schema": {"context_options": ["x", "y"], "continuation": "z", "gold": 0},
        "lm": {"context": "c", "continuation": " d"},
        "qa": {"context": "c", "answer": 5, "aliases": ["five"], "chain_of_thought": "2+3"},
    }
    files = [read_task_file(write(tmp_path / f"{name}.jsonl", [record])) for name, record in records.items()]
    assert [file.name for file in files] == ["choice", "schema", "lm", "qa"]
    assert [file.kind for file in files] == ["multiple choice", "schema", "language modeling", "generation"]
    assert [file.questions[0] for file in files] == [
        Question(("Q",), ("a", "b"), 1, "law"),
        Question(("x", "y"), ("z",), 0),
        Question(("c",), ("d",)),
        Question(("c",), ("5", "five"), 0, "", "2+3"),
    ]
    assert [(file.questions[0].context, file.questions[0].answer) for file in files] == [
        ("Q", "b"),
        ("x", "z"),
        ("c", "d"),
        ("c", "5"),
    ]


@pytest.mark.parametrize(
    ("records", "message"),
    [
        ([{"query": "q", "choices": ["a"], "gold": 1}], "the field 'gold' is 1; give a number from"),
        ([{"query": "q", "choices": "ab", "gold": 0}], "the field 'choices' is 'ab'; give a list of texts"),
        ([{"context": "c", "continuation": " "}], "the field 'continuation' is ' '; give a text that is"),
        ([{"text": "c"}], "has the fields text; give context_options, cont"),
        ([{"context": "c", "continuation": "d"}, {"context": "c", "answer": "d"}], "line 2: has the field"),
        ([{"query": "q", "choices": ["a", " "], "gold": 0}], "the field 'choices' is ' '; give a text"),
        ([], "holds no question"),
    ],
)  # fmt: skip
def test_a_file_that_is_no_task_is_refused_with_its_place(
    records: list[dict[str, Any]], message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        read_task_file(write(tmp_path / "task.jsonl", records))


def test_a_context_may_be_empty_and_a_category_null(tmp_path: Path) -> None:
    choice = {"query": "", "choices": ["a", "b"], "gold": 0, "category": None}
    assert read_task_file(write(tmp_path / "a.jsonl", [choice])).questions == (Question(("",), ("a", "b")),)
    continued = {"context": " ", "continuation": "d"}
    assert read_task_file(write(tmp_path / "b.jsonl", [continued])).questions == (Question(("",), ("d",)),)
