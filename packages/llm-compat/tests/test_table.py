"""Tables of scores as CSV, JSONL and parquet."""

import csv
import gzip
import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from llm_compat.data.answers import answer_code
from llm_compat.data.outcomes import NO_ANSWER, code_of, key_of
from llm_compat.data.runs import read_details, read_run
from llm_compat.settings.reading import ColumnSettings, ReadSettings
from toolkit_shared.errors import InputError

Row = dict[str, Any]

ROWS: list[Row] = [
    {"id": "a", "correct": True, "answer": "4", "target": "4", "question": "2+2?", "level": "easy"},
    {"id": "b", "correct": False, "answer": "1,000", "target": "9", "question": "3*3?", "level": "hard"},
    {"id": "c", "correct": True, "answer": "", "target": "7", "question": "7?", "level": "easy"},
]


def write(path: Path, rows: list[Row]) -> Path:
    """Rows in the format of the name."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if ".parquet" in path.name:
        pq.write_table(pa.Table.from_pylist(rows), path)
        return path
    if ".jsonl" in path.name:
        data = "".join(json.dumps(row) + "\n" for row in rows).encode()
    else:
        lines = path.with_name("plain")
        with open(lines, "w", newline="") as stream:
            delimiter = "\t" if ".tsv" in path.name else ","
            writer = csv.DictWriter(stream, list(rows[0]), delimiter=delimiter)
            writer.writeheader()
            writer.writerows(rows)
        data = lines.read_bytes()
        lines.unlink()
    if path.name.endswith(".gz"):
        data = gzip.compress(data)
    elif path.name.endswith((".zst", ".zstd")):
        data = zstandard.ZstdCompressor().compress(data)
    path.write_bytes(data)
    return path


def read(path: Path, **settings: Any) -> Any:
    (one,) = read_run(path, ReadSettings(**settings))
    return one


def refusal(path: Path, **settings: Any) -> str:
    with pytest.raises(InputError) as caught:
        read_run(path, ReadSettings(**settings))
    assert "\n" not in str(caught.value)
    return str(caught.value)


NAMES = ["t.csv", "t.tsv", "t.jsonl", "t.parquet", "t.jsonl.gz", "t.jsonl.zst", "t.csv.gz", "t.csv.zst"]


@pytest.mark.parametrize("name", NAMES)
def test_a_table_is_the_same_run_in_every_format(tmp_path: Path, name: str) -> None:
    path = write(tmp_path / name, ROWS)

    one = read(path, fields=("level",))

    assert (one.task, one.filter, one.format, one.source) == ("items", "none", "table", path)
    assert one.keys.tobytes() == b"".join(key_of(text) for text in "abc")
    assert one.scores["correct"].tolist() == [1, 0, 1]
    assert one.answers["correct"].tolist() == [answer_code("4"), answer_code("1000"), NO_ANSWER]
    assert one.prompts.tolist() == [code_of(row["question"]) for row in ROWS]
    assert one.targets.tolist() == [code_of(row["target"]) for row in ROWS]
    assert one.slices["level"].names == ("easy", "hard")
    assert one.slices["level"].codes.tolist() == [0, 1, 0]
    assert one.higher_is_better == {"correct": True}


def test_details_are_the_texts_of_the_row(tmp_path: Path) -> None:
    one = read(write(tmp_path / "t.csv", ROWS))

    last, first = read_details(one, [2, 0])

    assert (first.id, first.question, first.target, first.answer) == ("a", "2+2?", "4", "4")
    assert (last.id, last.answer) == ("c", None)
    assert first.fields == {"level": "easy"}


def test_a_folder_of_tables_has_a_task_a_file(tmp_path: Path) -> None:
    write(tmp_path / "x.csv", ROWS)
    write(tmp_path / "y.jsonl", ROWS)

    assert [one.task for one in read_run(tmp_path)] == ["x", "y"]


def test_details_are_read_with_the_columns_that_the_table_was_read_with(tmp_path: Path) -> None:
    rows = [{"name": "n1", "said": "yes", "wanted": "no", "good": 0}]
    columns = ColumnSettings(id="name", score=("good",), answer="said", target="wanted")

    (one,) = read_run(write(tmp_path / "t.jsonl", rows), ReadSettings(columns=columns))

    (detail,) = read_details(one, [0])
    assert (detail.id, detail.answer, detail.target) == ("n1", "yes", "no")


def test_tasks_and_filters_come_from_columns(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "task": "x", "filter": "strict", "em": 1},
        {"id": 1, "task": "x", "filter": "loose", "em": 0},
        {"id": 1, "task": "y", "filter": "strict", "em": 0.5},
    ]
    found = read_run(write(tmp_path / "t.jsonl", rows))

    assert [(one.name, one.scores["em"].tolist()) for one in found] == [
        ("x (loose)", [0.0]),
        ("x (strict)", [1.0]),
        ("y (strict)", [0.5]),
    ]


def test_columns_may_have_any_names_and_lie_in_objects(tmp_path: Path) -> None:
    rows = [
        {"meta": {"uid": number}, "judge": {"score": number / 2}, "out": "A", "gold": "B", "suite": "s"}
        for number in range(3)
    ]
    columns = ColumnSettings(
        id="meta.uid", score=("judge.score",), answer="out", target="gold", task="suite", prompt="gold"
    )
    one = read(write(tmp_path / "t.jsonl", rows), columns=columns)

    assert one.task == "s"
    assert one.scores["judge.score"].tolist() == [0, 0.5, 1]
    assert one.answers["judge.score"].tolist() == [answer_code("A")] * 3
    assert one.keys.tobytes() == b"".join(key_of(str(number)) for number in range(3))


def test_the_id_1_is_the_same_as_number_and_as_text(tmp_path: Path) -> None:
    as_number = read(write(tmp_path / "n.jsonl", [{"id": 1, "score": 1}]))
    as_text = read(write(tmp_path / "t.csv", [{"id": 1, "score": 1}]))
    assert as_number.keys.tobytes() == as_text.keys.tobytes()


def test_scores_in_csv_are_words_or_numbers_and_may_be_missing(tmp_path: Path) -> None:
    texts = ["true", "False", "TRUE", "1", "0", "0.25", "", "nan", " 1e-3 "]
    rows = [{"id": number, "score": text} for number, text in enumerate(texts)]

    found = read(write(tmp_path / "t.csv", rows)).scores["score"]

    np.testing.assert_array_equal(found, [1, 0, 1, 1, 0, 0.25, np.nan, np.nan, 1e-3])


def test_several_scores_have_one_answer_and_directions_by_name(tmp_path: Path) -> None:
    rows = [{"id": 1, "acc": 1, "loss": 0.5, "answer": "x"}]
    one = read(write(tmp_path / "t.jsonl", rows))

    assert one.higher_is_better == {"acc": True, "loss": False}
    assert set(one.answers) == {"acc", "loss"}


def test_a_code_of_an_answer_goes_before_its_text(tmp_path: Path) -> None:
    rows = [{"id": 1, "acc": 1, "em": 0, "answer": "x", "answer_code:em": "00000000000000ff"}]
    one = read(write(tmp_path / "t.jsonl", rows))

    assert one.answers["em"].tolist() == [255]
    assert one.answers["acc"].tolist() == [answer_code("x")]


def test_a_folder_of_tables_is_one_run(tmp_path: Path) -> None:
    write(tmp_path / "deep" / "x.csv", ROWS)
    write(tmp_path / "y.jsonl", ROWS)
    assert [one.task for one in read_run(tmp_path)] == ["x", "y"]


def test_a_similarity_needs_no_score(tmp_path: Path) -> None:
    rows = [{"id": number, "answer": text, "target": "a b"} for number, text in enumerate(["a b", "a c", ""])]
    one = read(write(tmp_path / "t.jsonl", rows), similarity=("rouge1", "exact"))

    np.testing.assert_allclose(one.scores["rouge1"], [100, 50, 0])
    assert one.scores["exact"].tolist() == [100, 0, 0]


def test_csv_may_have_line_ends_commas_and_a_byte_order_mark_in_it(tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes('\ufeffid,score,answer\r\n1,1,"two\nlines, and a ""quote"""\r\n\r\n2,0,b\r\n'.encode())

    one = read(path)
    assert one.scores["score"].tolist() == [1, 0]
    assert read_details(one, [0])[0].answer == 'two\nlines, and a "quote"'


@pytest.mark.parametrize(
    ("name", "place"), [("t.csv", "line 4"), ("t.jsonl", "line 3"), ("t.parquet", "row 3")]
)
def test_an_id_that_is_there_twice_is_refused_with_both_places(tmp_path: Path, name: str, place: str) -> None:
    path = write(tmp_path / name, [{"id": text, "score": 1} for text in "aba"])

    first = place[:-1] + str(int(place[-1]) - 2)
    assert refusal(path) == f"{path}, {place}: its id is that of {first}; give each item of a task its own"


def test_a_missing_id_column_tells_the_nearest_or_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"idx": 1, "score": 1}])
    assert refusal(path) == (
        f"{path}: --read.columns.id 'id' matches nothing; did you mean 'idx'? there are: idx, score"
    )


def test_no_column_of_scores_tells_the_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"id": 1, "quality": 1}])
    assert refusal(path) == (
        f"{path}: no column is known as a score; give --read.columns.score one of: id, quality"
    )


def test_a_named_column_that_is_not_there(tmp_path: Path) -> None:
    path = write(tmp_path / "t.csv", [{"id": 1, "quality": 1}])
    assert refusal(path, columns=ColumnSettings(score=("qualty",))) == (
        f"{path}: --read.columns.score 'qualty' matches nothing; "
        "did you mean 'quality'? there are: id, quality"
    )


@pytest.mark.parametrize(
    ("rows", "reason"),
    [
        (
            [{"id": 1, "score": 1}, {"id": None, "score": 1}],
            "line 2: column 'id' is empty; every item needs an id",
        ),
        (
            [{"id": 1, "score": "yes"}],
            "line 1: column 'score' holds 'yes'; a score is a number, true or false",
        ),
        (
            [{"id": 1, "score": "1"}],
            "line 1: column 'score' holds '1'; a score is a number, true or false",
        ),
        (
            [{"id": 1, "score": [1]}],
            "line 1: column 'score' holds '[1]'; a score is a number, true or false",
        ),
        (
            [{"id": 1, "score": 10**400}],
            f"line 1: column 'score' holds '1{'0' * 39}'; a score is a number, true or false",
        ),
        (
            [{"id": 1, "score": 1, "answer_code:score": "zz"}],
            "line 1: column 'answer_code:score' holds 'zz'; a code has 16 hexadecimal digits",
        ),
        (
            [
                {"id": 1, "score": 1, "answer_code:score": "00000000000000aa"},
                {"id": 2, "score": 1, "answer_code:score": None},
            ],
            "line 2: column 'answer_code:score' is empty; fill it in, or leave the column out",
        ),
    ],
)
def test_a_value_that_cannot_be_used(tmp_path: Path, rows: list[Row], reason: str) -> None:
    path = write(tmp_path / "t.jsonl", rows)
    assert refusal(path) == f"{path}, {reason}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("id,score\n1,1\n2\n", ", line 3: 1 fields where the header has 2; mend or remove the line"),
        ("id,score,id\n1,1,1\n", ", line 1: column 'id' is there twice; rename one of them"),
        ('id,score\n1,"1\n', ", line 2: no CSV: unexpected end of data; mend or remove the line"),
        ("id,score\n", ": holds no rows; give the table of a run"),
        ("", ": holds no rows; give the table of a run"),
    ],
)
def test_text_that_is_no_csv(tmp_path: Path, text: str, reason: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    assert refusal(path) == f"{path}{reason}"


def test_bytes_that_are_no_table(tmp_path: Path) -> None:
    latin, parquet, packed = tmp_path / "l.csv", tmp_path / "p.parquet", tmp_path / "g.csv.gz"
    latin.write_bytes(b"id,score\n1,\xff\n")
    parquet.write_bytes(b"PAR1 no parquet")
    packed.write_bytes(gzip.compress(b"id,score\n" + b"1,1\n" * 5000)[:-20])

    assert refusal(latin).startswith(f"{latin}, line 1: no CSV: 'utf-8' codec")
    assert refusal(parquet).startswith(f"{parquet}: no readable parquet file: ")
    assert refusal(packed).startswith(f"{packed}: cannot be read: ")


def test_a_corrupt_line_of_jsonl(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"id": 1, "score": 1}\n{"id": 2, "sco')
    assert refusal(path).startswith(f"{path}, line 2: no JSON: ")


def test_a_task_in_two_tables_is_refused(tmp_path: Path) -> None:
    rows = [{"id": 1, "score": 1, "task": "x"}]
    one, other = write(tmp_path / "a.csv", rows), write(tmp_path / "b.csv", rows)
    assert refusal(tmp_path) == f"{other}: task x is in {one} as well; give one table for it"


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"rescore": ("acc",)}, "a table holds nothing to compute acc from; leave --read.rescore out"),
        (
            {"fields": ("lvel",)},
            "--by 'lvel' matches nothing; did you mean 'level'? there are: id, level, score",
        ),
        (
            {"similarity": ("exact",)},
            "--read.similarity needs a column of texts; give --read.columns.answer",
        ),
    ],
)
def test_what_a_table_cannot_give(tmp_path: Path, settings: dict[str, Any], reason: str) -> None:
    path = write(tmp_path / "t.csv", [{"id": 1, "score": 1, "level": 2}])
    assert refusal(path, **settings) == f"{path}: {reason}"


def test_another_file_read_as_a_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.xlsx"
    path.write_text("x")
    assert refusal(path, format="table") == (
        f"{path}: is no table; give a file that ends in .csv, .tsv, .jsonl or .parquet"
    )
