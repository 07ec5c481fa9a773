import datetime
import gzip
import json
import logging

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from dclm_bench.data.page import Page
from dclm_bench.data.reading import read_pages
from dclm_bench.data.writing import write_pages
from hypothesis import given, settings
from hypothesis import strategies as st
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses

ROWS = [
    {"text": "one\ntwo", "url": "http://a.org", "metadata": {"WARC-Type": "response"}},
    {"text": "", "score": 0.5, "kept": True},
    {"text": "Zürich 東京 😀", "metadata": None},
]

values = st.recursive(
    st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=5,
)
records = st.dictionaries(st.text(min_size=1).filter(lambda key: key != "text"), values, max_size=4)
texts = st.text(st.characters(exclude_categories=["Cs"]))


def as_json(pages):
    return [page.to_json() for page in pages]


def lines(rows):
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


@pytest.mark.parametrize(
    ("name", "pack"),
    [
        ("a.jsonl", bytes),
        ("a.jsonl.gz", gzip.compress),
        ("a.jsonl.zst", zstandard.compress),
        ("part-0", bytes),
    ],
)
def test_json_lines_give_their_pages_with_all_keys(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(lines(ROWS)))
    pages = list(read_pages(tmp_path / name))
    assert [page.text for page in pages] == [row["text"] for row in ROWS]
    assert as_json(pages) == ROWS
    assert "text" not in pages[0].record


@settings(max_examples=25)
@given(
    st.sampled_from(["a.jsonl", "a.jsonl.gz", "a.jsonl.zst"]), st.lists(st.tuples(texts, records), max_size=5)
)
def test_pages_survive_being_written_as_json_lines(tmp_path, name, rows):
    pages = [Page(text, record) for text, record in rows]
    assert write_pages(tmp_path / name, pages) == len(rows)
    assert as_json(read_pages(tmp_path / name)) == as_json(pages)


@settings(max_examples=25)
@given(st.lists(st.tuples(texts, records), max_size=5))
def test_pages_survive_being_written_as_parquet_but_for_whole_floats(tmp_path, rows):
    pages = [Page(text, record) for text, record in rows]
    assert write_pages(tmp_path / "a.parquet", pages) == len(rows)
    found = list(read_pages(tmp_path / "a.parquet"))
    # a column of integers and floats holds floats; equal numbers compare equal
    assert [(page.text, page.record) for page in found] == [(page.text, page.record) for page in pages]


def test_parquet_has_a_column_a_key_of_its_own_type(tmp_path):
    write_pages(
        tmp_path / "a.parquet",
        [Page(row["text"], {k: v for k, v in row.items() if k != "text"}) for row in ROWS],
    )
    schema = pq.read_schema(tmp_path / "a.parquet")
    assert {field.name: str(field.type) for field in schema} == {
        "text": "string",
        "url": "string",
        "metadata": "string",
        "score": "double",
        "kept": "bool",
    }
    # null is read back as an absent key
    assert as_json(read_pages(tmp_path / "a.parquet"))[2] == {"text": "Zürich 東京 😀"}


def test_values_that_no_column_type_holds_survive_parquet(tmp_path):
    pages = [Page("a", {"n": 2**70, "m": 1}), Page("b", {"n": -1, "m": "one"}), Page("c", {"m": [None, {}]})]
    write_pages(tmp_path / "a.parquet", pages)
    assert as_json(read_pages(tmp_path / "a.parquet")) == as_json(pages)


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.jsonl.zst", "a.parquet"])
def test_equal_pages_give_equal_bytes(tmp_path, name):
    made = []
    for folder in ("x", "y"):
        (tmp_path / folder).mkdir()
        write_pages(tmp_path / folder / name, [Page("a", {"n": 1, "m": {"k": [1]}})] * 100)
        made.append((tmp_path / folder / name).read_bytes())
    assert made[0] == made[1]


def test_content_is_taken_where_there_is_no_text_and_the_log_says_so(tmp_path, caplog):
    (tmp_path / "a.jsonl").write_bytes(lines([{"content": "hello", "id": 1}] * 2))
    with caplog.at_level(logging.INFO):
        assert as_json(read_pages(tmp_path / "a.jsonl")) == [{"text": "hello", "id": 1}] * 2
    assert [record.message.partition(": ")[2] for record in caplog.records] == [
        "no field 'text', so the text is taken from 'content'"
    ]


def test_another_field_can_hold_the_text_and_the_one_called_text_is_kept(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines([{"body": "hello", "text": "other"}]))
    (page,) = read_pages(tmp_path / "a.jsonl", text_field="body")
    assert page.to_json() == {"text": "hello", "unused_text": "other"}


def test_records_that_cannot_be_used_are_counted_with_their_places(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(
        lines([{"text": "good"}, {"text": None}, {"text": 5}, {"title": "x"}])
        + b'[1]\n{"text": "a\\ud800"}\n{"text": \xff}\n{nonsense\n'
        + lines([{"text": "also good"}])
    )
    losses = Losses()
    pages = list(read_pages(tmp_path / "a.jsonl", on_bad=losses.on_bad))
    assert [page.text for page in pages] == ["good", "also good"]
    assert losses.lost == {"corrupt record": 7}
    details = [example["detail"] for example in losses.examples]
    assert details[:3] == [
        "field 'text' holds null, not text",
        "field 'text' holds a number, not text",
        "no field 'text' (fields of text: title)",
    ]
    assert losses.examples[0]["place"].endswith("a.jsonl, line 2")


def test_without_a_counter_the_first_bad_record_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(lines([{"title": "x"}]))
    with pytest.raises(InputError, match=r"a\.jsonl, line 1: no field 'text' .*; mend or remove it"):
        list(read_pages(tmp_path / "a.jsonl"))


@pytest.mark.parametrize(
    ("name", "pack"), [("a.jsonl.gz", gzip.compress), ("a.jsonl.zst", zstandard.compress)]
)
def test_a_packed_file_that_is_cut_off_gives_what_is_left_and_a_loss(tmp_path, name, pack):
    (tmp_path / name).write_bytes(pack(lines([{"text": str(n) * 50} for n in range(2000)]))[:-30])
    losses = Losses()
    pages = list(read_pages(tmp_path / name, on_bad=losses.on_bad))
    assert [page.text[0] for page in pages] == [str(n)[0] for n in range(len(pages))]
    assert losses.lost == {"corrupt record": 1}


def test_parquet_of_others_is_read_with_times_bytes_and_nested_values_as_json(tmp_path):
    table = pa.table(
        {
            "content": ["a", None, "c"],
            "when": pa.array([datetime.datetime(2022, 1, 2)] * 3),
            "raw": pa.array([b"\x00\xff"] * 3),
            "nested": pa.array([[{"k": 1.5}]] * 3),
        }
    )
    pq.write_table(table, tmp_path / "a.parquet")
    losses = Losses()
    pages = as_json(read_pages(tmp_path / "a.parquet", on_bad=losses.on_bad))
    assert pages[0] == {"text": "a", "when": "2022-01-02T00:00:00", "raw": "AP8=", "nested": [{"k": 1.5}]}
    assert [page["text"] for page in pages] == ["a", "c"]
    assert losses.examples[0]["detail"] == "column 'content' is null"
    json.dumps(pages)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"text": [1, 2]}, "column 'text' holds int64, not text; pass --text-field"),
        ({"title": ["x"]}, "no column 'text' among title; pass --text-field"),
    ],
)
def test_parquet_without_a_column_of_text_is_one_line(tmp_path, table, message):
    pq.write_table(pa.table(table), tmp_path / "a.parquet")
    with pytest.raises(InputError, match=message):
        list(read_pages(tmp_path / "a.parquet"))


def test_whole_numbers_that_a_float_would_round_keep_their_digits_beside_floats(tmp_path):
    pages = [Page("a", {"n": 1.5}), Page("b", {"n": 2**60 + 1}), Page("c", {"n": 2})]
    write_pages(tmp_path / "a.parquet", pages)
    assert [page.record["n"] for page in read_pages(tmp_path / "a.parquet")] == [1.5, 2**60 + 1, 2]


@pytest.mark.parametrize("content", [b"", b"PAR1", b"PAR1 cut before its end"])
def test_parquet_that_was_cut_off_is_counted_as_a_cut_gzip_is(tmp_path, content):
    (tmp_path / "a.parquet").write_bytes(content)
    bad = []
    assert list(read_pages(tmp_path / "a.parquet", on_bad=bad.append)) == []
    assert [record.place for record in bad] == ["whole file"]


def test_files_that_are_no_pages_are_one_line(tmp_path):
    (tmp_path / "a.parquet").write_bytes(b"PAR1 but no more")
    (tmp_path / "a.warc.gz").write_bytes(b"")
    with pytest.raises(InputError, match=r"a\.parquet.*: no Parquet file .*; mend or remove it"):
        list(read_pages(tmp_path / "a.parquet"))
    with pytest.raises(InputError, match="has to be extracted first"):
        read_pages(tmp_path / "a.warc.gz")
    with pytest.raises(InputError, match="no such file; check the path"):
        read_pages(tmp_path / "none.jsonl")


def test_what_cannot_be_written_is_refused_and_leaves_no_file(tmp_path):
    with pytest.raises(InputError, match="the ending is not known"):
        write_pages(tmp_path / "a.txt", [Page("a")])
    for name in ("a.jsonl", "a.parquet"):
        with pytest.raises(ValueError, match=r"nan|Out of range"):
            write_pages(tmp_path / name, [Page("a", {"score": float("nan")})])
    assert list(tmp_path.iterdir()) == []


def test_a_name_like_an_address_is_a_name(tmp_path, monkeypatch):
    # given a folder whose name the library behind Parquet takes for a disk of the cloud
    (tmp_path / "s3:" / "bucket").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    write_pages("s3://bucket/pages.parquet", [Page("a text", {"id": "1"})])
    assert [page.to_json() for page in read_pages("s3://bucket/pages.parquet")] == [
        {"text": "a text", "id": "1"}
    ]


def test_a_field_without_a_name_is_refused(tmp_path):
    path = tmp_path / "pages.jsonl"
    path.write_text('{"": "text"}')
    with pytest.raises(InputError, match="--text-field: is empty"):
        read_pages(path, text_field="")
