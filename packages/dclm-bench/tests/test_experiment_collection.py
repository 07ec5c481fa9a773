"""The folder of data that the experiment reads: what it wants, and what it says of a wrong one."""

import gzip
import json

import pytest
from dclm_bench.experiment import collection
from dclm_bench.experiment.collection import read_collection
from dclm_bench.experiment.sample_data import write_sample_data
from toolkit_shared.errors import InputError


@pytest.fixture
def folder(tmp_path):
    html = tmp_path / "articles" / "html"
    html.mkdir(parents=True)
    (html / "first.html.gz").write_bytes(gzip.compress(b"<p>body</p>"))
    truth = {"first": {"articleBody": "body", "url": "https://a.example"}}
    (tmp_path / "articles" / "ground-truth.json").write_text(json.dumps(truth))
    return tmp_path


def test_articles_alone_will_do(folder):
    found = read_collection(folder)
    assert [(page.id, page.html, page.gold) for page in found.articles] == [("first", b"<p>body</p>", "body")]
    assert found.pages == found.labelled == ()


def test_pages_are_found_at_any_depth_and_of_label_files_the_largest(folder):
    (folder / "pages" / "deep").mkdir(parents=True)
    (folder / "pages" / "b.html").write_bytes(b"b")
    (folder / "pages" / "deep" / "a.html.gz").write_bytes(gzip.compress(b"a"))
    (folder / "pages" / "notes.txt").write_bytes(b"no page")
    (folder / "quality").mkdir()
    rows = [{"text": "good", "label": 1}, {"text": "bad", "label": 0}]
    (folder / "quality" / "part.jsonl").write_text(json.dumps(rows[0]) + "\n")
    (folder / "quality" / "all.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = read_collection(folder)
    assert [(page.id, page.html) for page in found.pages] == [
        ("pages/b.html", b"b"),
        ("pages/deep/a.html.gz", b"a"),
    ]
    assert found.labelled == (("good", True), ("bad", False))


def test_other_bytes_have_another_fingerprint(folder):
    before = read_collection(folder).fingerprint
    assert read_collection(folder).fingerprint == before
    (folder / "articles" / "html" / "first.html.gz").write_bytes(gzip.compress(b"<p>other</p>"))
    assert read_collection(folder).fingerprint != before


@pytest.mark.parametrize(
    ("truth", "message"),
    [
        ({}, "holds no article"),
        ({"first": {"text": "x"}}, "'first' has no text 'articleBody'"),
        ({"../first": {"articleBody": "x"}}, "the id '../first' is no file name"),
        ({"second": {"articleBody": "x"}}, r"second.html.gz: no such file; --data wants"),
    ],
)
def test_a_wrong_truth_table_is_one_line(folder, truth, message):
    (folder / "articles" / "ground-truth.json").write_text(json.dumps(truth))
    with pytest.raises(InputError, match=message):
        read_collection(folder)


def test_a_folder_of_something_else_is_told_what_is_wanted(tmp_path):
    with pytest.raises(InputError, match=r"ground-truth.json: no such file; --data wants articles/"):
        read_collection(tmp_path)


def test_a_page_that_unpacks_to_too_much_is_refused(folder, monkeypatch):
    monkeypatch.setattr(collection, "MAX_PAGE_BYTES", 5)
    with pytest.raises(InputError, match="unpacks to more than 5 bytes"):
        read_collection(folder)


def test_a_broken_page_is_refused(folder):
    (folder / "articles" / "html" / "first.html.gz").write_bytes(b"\x1f\x8bno gzip")
    with pytest.raises(InputError, match="cannot be read"):
        read_collection(folder)


def test_a_label_that_is_neither_0_nor_1_is_refused(folder):
    (folder / "quality").mkdir()
    (folder / "quality" / "all.jsonl").write_text('{"text": "x", "label": "good"}\n')
    with pytest.raises(InputError, match="line 1: wants 'text' and a 'label' of 0 or 1"):
        read_collection(folder)


def test_generated_data_are_in_that_layout(tmp_path):
    write_sample_data(tmp_path, pages=64)
    found = read_collection(tmp_path)
    assert found.articles
    assert found.pages
    assert {good for _, good in found.labelled} == {False, True}
