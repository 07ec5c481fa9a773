import gzip

import pytest
from crawl_records import packed, record
from dclm_bench.data.inputs import find_inputs, format_of
from toolkit_shared.errors import InputError


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("CC-MAIN-1.warc.gz", "warc"),
        ("CC-MAIN-1.warc.wet.gz", "wet"),
        ("a.WARC", "warc"),
        ("a.jsonl.zst", "jsonl"),
        ("c4-train.json.gz", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("a.parquet", "parquet"),
    ],
)
def test_the_ending_tells_the_format(name, expected):
    assert format_of(name) == expected


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (packed(record()), "warc"),
        (record(kind="conversion", http=False), "wet"),
        (b'\n{"text": "a"}\n', "jsonl"),
        (gzip.compress(b'{"text": "a"}\n', mtime=0), "jsonl"),
        (b"PAR1....", "parquet"),
    ],
)
def test_else_the_first_bytes_do(tmp_path, data, expected):
    path = tmp_path / "part-00000"
    path.write_bytes(data)
    assert format_of(path) == expected


def test_a_file_that_nothing_tells_and_one_of_metadata_are_refused(tmp_path):
    (tmp_path / "notes").write_text("hello")
    with pytest.raises(InputError, match="notes: neither its ending nor its first bytes tell what it is"):
        format_of(tmp_path / "notes")
    with pytest.raises(InputError, match="a WAT file holds metadata and no pages"):
        format_of("CC-MAIN-1.warc.wat.gz")


def test_a_folder_gives_its_pages_and_not_what_stands_beside_them(tmp_path):
    (tmp_path / "pages").mkdir()
    for name in (
        "pages/b.jsonl.gz",
        "pages/a.parquet",
        "c.warc.gz",
        "manifest.json",
        "manifest.jsonl",
        ".x.jsonl",
    ):
        (tmp_path / name).write_bytes(b"")
    found = [(file.path.name, file.format) for file in find_inputs([tmp_path])]
    assert found == [("c.warc.gz", "warc"), ("a.parquet", "parquet"), ("b.jsonl.gz", "jsonl")]
    assert find_inputs([tmp_path, tmp_path / "c.warc.gz"]) == find_inputs([tmp_path])
    assert [file.path.name for file in find_inputs([tmp_path / "manifest.jsonl"])] == ["manifest.jsonl"]


def test_nothing_named_and_nothing_found_are_one_line(tmp_path):
    with pytest.raises(InputError, match="inputs: none given"):
        find_inputs([])
    with pytest.raises(InputError, match="no such file or folder"):
        find_inputs([tmp_path / "none.jsonl"])
