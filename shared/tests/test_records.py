"""Records through corruption: everything that can be read is, and everything else is told with its place."""

import gzip
import json
import tracemalloc
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord, expand_inputs, open_records, read_jsonl, write_jsonl

SUFFIXES = (".jsonl", ".jsonl.gz", ".jsonl.zst")
PACK: dict[str, Callable[[bytes], bytes]] = {
    ".jsonl": bytes,
    ".jsonl.gz": lambda data: gzip.compress(data, mtime=0),
    ".jsonl.zst": zstandard.ZstdCompressor().compress,
}


def read(path: Path, **options: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The records of a file, and what was said of the others."""
    bad: list[BadRecord] = []
    records = [record for _, record in read_jsonl(path, on_bad=bad.append, **options)]
    assert all(entry.path == path for entry in bad)
    return records, [f"{entry.place}: {entry.reason}" for entry in bad]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_records_come_back_as_they_were_written(tmp_path: Path, suffix: str) -> None:
    rows = [{"text": "é\n\u2028\x00😀", "n": 1.5, "none": None}, {}, {"ids": [1, 2], "text": "x" * 300_000}]

    assert write_jsonl(tmp_path / f"a{suffix}", rows) == 3

    assert list(read_jsonl(tmp_path / f"a{suffix}")) == [
        ("line 1", rows[0]),
        ("line 2", rows[1]),
        ("line 3", rows[2]),
    ]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_equal_rows_give_equal_bytes_whatever_the_file_is_called(tmp_path: Path, suffix: str) -> None:
    rows = [{"b": i, "a": "x"} for i in range(100)]
    write_jsonl(tmp_path / f"a{suffix}", rows)
    write_jsonl(tmp_path / f"other{suffix}", iter(rows))

    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"other{suffix}").read_bytes()
    if suffix == ".jsonl.gz":
        # RFC 1952: bytes 4 to 7 are the time; no flags, so no name
        assert (tmp_path / f"a{suffix}").read_bytes()[3:8] == bytes(5)


def test_plain_lines_are_compact_json_in_the_order_of_keys(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl", [{"b": 1, "a": "ä"}])

    assert (tmp_path / "a.jsonl").read_text() == '{"b":1,"a":"ä"}\n'


def test_a_row_that_json_cannot_hold_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_jsonl(tmp_path / "a.jsonl.gz", [{"a": 1}, {"a": float("inf")}])

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_file_has_no_records(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"a{suffix}").write_bytes(b"")
    write_jsonl(tmp_path / f"b{suffix}", [])

    assert read(tmp_path / f"a{suffix}") == ([], [])
    assert read(tmp_path / f"b{suffix}") == ([], [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_corrupt_lines_are_skipped_and_told_with_line_and_reason(tmp_path: Path, suffix: str) -> None:
    lines = [
        b'\xef\xbb\xbf{"n": 1}\r',  # a byte order mark, and the line end of Windows
        b'{"n": 2',
        b'{"text": "\xff"}',
        b"",
        b"  \t",
        b"[1, 2]",
        b'"text"',
        b"null",
        b"7",
        b'{"text": "\\ud83d"}',
        b'{"text": "\\ud83d\\ude00"}',
        b'{"n": ' + b"9" * 5000 + b"}",
        b'{"a":' * 100_000,
        b'\xef\xbb\xbf{"n": 3}',
        b'{"n": 4}',  # without a line end
    ]
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACK[suffix](b"\n".join(lines)))

    records, bad = read(path)

    assert records == [{"n": 1}, {"text": "😀"}, {"n": 4}]
    assert [text.split(":")[0] for text in bad] == [f"line {n}" for n in (2, 3, 6, 7, 8, 9, 10, 12, 13, 14)]
    assert bad[:7] == [
        "line 2: no JSON: Expecting ',' delimiter at column 8",
        "line 3: not UTF-8 at byte 10 of the line",
        "line 6: a list where an object is wanted",
        "line 7: text where an object is wanted",
        "line 8: null where an object is wanted",
        "line 9: a number where an object is wanted",
        "line 10: half of a surrogate pair, which is no text",
    ]
    assert "recursion" in bad[8]


def test_numbers_that_are_not_finite_are_null_so_that_they_can_be_written_again(tmp_path: Path) -> None:
    line = b'{"a": NaN, "b": [Infinity, -Infinity, {"c": 1e999}], "d": -1e999, "e": 1.5e3, "f": 7}\n'
    (tmp_path / "a.jsonl").write_bytes(line)
    records, bad = read(tmp_path / "a.jsonl")
    assert records == [{"a": None, "b": [None, None, {"c": None}], "d": None, "e": 1500.0, "f": 7}]
    assert bad == []
    assert write_jsonl(tmp_path / "b.jsonl", records) == 1


def test_without_on_bad_the_first_corrupt_line_stops_the_run(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"n": 1}\noops\n')
    records = read_jsonl(tmp_path / "a.jsonl")

    assert next(records) == ("line 1", {"n": 1})
    with pytest.raises(InputError) as caught:
        next(records)
    assert str(caught.value) == (
        f"{tmp_path / 'a.jsonl'}, line 2: no JSON: Expecting value at column 1; mend or remove it"
    )


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_a_cut_off_packed_file_gives_the_records_before_the_cut_and_tells_of_it(
    tmp_path: Path, suffix: str
) -> None:
    # given packed data of several blocks, of which the last tenth is missing
    rows = [{"text": str(i) * 50} for i in range(20_000)]
    path = tmp_path / f"a{suffix}"
    write_jsonl(path, rows)
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) * 9 // 10])

    records, bad = read(path)

    assert 10_000 < len(records) < 20_000
    assert records == rows[: len(records)]
    assert bad == [f"line {len(records) + 1}: the compressed data ends early, so the file is cut off"]


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
@pytest.mark.parametrize("missing", [1, 4, 9])
def test_a_file_that_lacks_only_its_end_mark_is_cut_off_too(
    tmp_path: Path, suffix: str, missing: int
) -> None:
    path = tmp_path / f"a{suffix}"
    path.write_bytes(PACK[suffix](b'{"n": 1}\n' * 3)[:-missing])

    _, bad = read(path)

    assert len(bad) == 1
    assert "the file is cut off" in bad[0]


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_packed_data_that_is_corrupt_is_told_once(tmp_path: Path, suffix: str) -> None:
    data = bytearray(
        PACK[suffix](b"\n".join(json.dumps({"text": str(i) * 20}).encode() for i in range(9999)))
    )
    data[len(data) // 2] ^= 255
    (tmp_path / f"a{suffix}").write_bytes(data)
    (tmp_path / f"b{suffix}").write_bytes(b'{"n": 1}\n{"n": 2}\n')

    _, bad = read(tmp_path / f"a{suffix}")
    assert len(bad) >= 1  # a flipped bit may garble lines before it is noticed
    assert "the data cannot be read" in bad[-1]
    records, bad = read(tmp_path / f"b{suffix}")
    assert records == []
    assert len(bad) == 1
    assert bad[0].startswith("line 1: the data cannot be read: ")


@pytest.mark.parametrize("suffix", SUFFIXES[1:])
def test_several_packed_parts_in_one_file_are_read_one_after_the_other(tmp_path: Path, suffix: str) -> None:
    parts = [b'{"n": 1}\n{"n"', b": 2}\n", b"", b'{"n": 3}\n']
    (tmp_path / f"a{suffix}").write_bytes(b"".join(map(PACK[suffix], parts)))

    assert read(tmp_path / f"a{suffix}") == ([{"n": 1}, {"n": 2}, {"n": 3}], [])


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_line_beyond_the_limit_is_told_and_not_held_in_memory(tmp_path: Path, suffix: str) -> None:
    long = b'{"text": "' + b"x" * 30_000_000 + b'"}'
    (tmp_path / f"a{suffix}").write_bytes(PACK[suffix](b'{"n": 1}\n' + long + b'\n{"n": 2}\n'))
    del long

    tracemalloc.start()
    records, bad = read(tmp_path / f"a{suffix}", max_line_bytes=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()

    assert records == [{"n": 1}, {"n": 2}]
    assert bad == ["line 2: the line has more than 1,000,000 bytes"]
    assert peak < 16_000_000


@given(
    lines=st.lists(st.sampled_from([b"", b'{"n":1}', b'{"text":"' + b"x" * 40 + b'"}', b"bad", b"\xff"])),
    last_line_end=st.booleans(),
    cuts=st.lists(st.integers(0, 300), max_size=6),
)
def test_ranges_that_cover_a_file_give_each_line_once(
    tmp_path: Path, lines: list[bytes], last_line_end: bool, cuts: list[int]
) -> None:
    # given any cuts of any file
    data = b"\n".join(lines) + (b"\n" if last_line_end else b"")
    path = tmp_path / "a.jsonl"
    path.write_bytes(data)
    ends = sorted({0, len(data), *(cut for cut in cuts if cut < len(data))})

    # when its ranges are read, the last one open
    told: list[str] = []
    places: list[str] = []
    found = []
    for start, end in pairwise([*ends, None]):
        assert start is not None
        for place, record in read_jsonl(
            path, start_byte=start, end_byte=end, on_bad=lambda bad: told.append(bad.reason)
        ):
            places.append(place)
            found.append(record)

    # then they give what the whole file gives, and each place is where its line begins
    whole, whole_told = read(path)
    assert found == whole
    assert told == [text.split(": ", 1)[1] for text in whole_told]
    if len(ends) > 1:
        for place, record in zip(places, found, strict=True):
            begin = int(place.removeprefix("byte "))
            assert begin == 0 or data[begin - 1 : begin] == b"\n"
            assert json.loads(data[begin:].split(b"\n")[0]) == record


def test_a_packed_file_has_no_ranges(tmp_path: Path) -> None:
    write_jsonl(tmp_path / "a.jsonl.gz", [])

    with pytest.raises(ValueError, match="is compressed and has no byte ranges"):
        read_jsonl(tmp_path / "a.jsonl.gz", start_byte=5)


def test_a_missing_file_is_one_line(tmp_path: Path) -> None:
    for suffix in SUFFIXES:
        with pytest.raises(InputError, match="no such file; check the path"):
            open_records(tmp_path / f"nowhere{suffix}")
        with pytest.raises(InputError, match="no such file; check the path"):
            list(read_jsonl(tmp_path / f"nowhere{suffix}"))


# expand_inputs


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("b.jsonl", "a.JSONL.gz", "deep/er/c.jsonl", "notes.txt", ".hidden.jsonl", ".cache/d.jsonl"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def expand(*inputs: str | Path) -> list[str]:
    return [path.as_posix() for path in expand_inputs(inputs, [".jsonl", ".jsonl.gz"])]


def test_a_folder_gives_its_files_of_the_suffixes_at_any_depth_without_hidden_ones(tree: Path) -> None:
    assert expand(".") == ["a.JSONL.gz", "b.jsonl", "deep/er/c.jsonl"]


def test_a_file_is_taken_whatever_its_suffix(tree: Path) -> None:
    assert expand("notes.txt", Path(".hidden.jsonl")) == [".hidden.jsonl", "notes.txt"]


def test_a_pattern_gives_files_and_the_files_of_folders(tree: Path) -> None:
    assert expand("*.jsonl") == ["b.jsonl"]
    assert expand("**/*.jsonl") == ["b.jsonl", "deep/er/c.jsonl"]
    assert expand("d*") == ["deep/er/c.jsonl"]


def test_each_file_comes_once_and_in_order_whatever_the_inputs_order(tree: Path) -> None:
    (tree / "link.jsonl").symlink_to(tree / "b.jsonl")

    assert expand("deep", "b.jsonl", "b.jsonl", "link.jsonl", "*.jsonl") == ["b.jsonl", "deep/er/c.jsonl"]
    assert expand("b.jsonl", "deep") == expand("deep", "b.jsonl")


def test_a_file_with_a_pattern_in_its_name_is_a_file(tree: Path) -> None:
    (tree / "x[1].jsonl").write_text("")

    assert expand("x[1].jsonl") == ["x[1].jsonl"]


@pytest.mark.parametrize(
    ("given_input", "message"),
    [
        ("nowhere", "nowhere: no such file or folder; check the path"),
        ("n*.jsonl", "n*.jsonl: matches no file; check the pattern"),
        (
            ".cache/empty",
            ".cache/empty: holds no .jsonl, .jsonl.gz file; give files by name, or another folder",
        ),
        (".cache/e*", ".cache/e*: matches only folders without a .jsonl, .jsonl.gz file"),
    ],
)
def test_an_input_that_gives_nothing_is_refused_though_others_give_something(
    tree: Path, given_input: str, message: str
) -> None:
    (tree / ".cache" / "empty").mkdir()

    with pytest.raises(InputError) as caught:
        expand("b.jsonl", given_input)

    assert str(caught.value).startswith(message)
