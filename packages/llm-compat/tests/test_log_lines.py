"""The lines of a log, with the bytes at which they begin."""

import gzip
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from llm_compat.data.formats.log_lines import line_number, lines_of

texts = st.lists(st.binary(max_size=6).map(lambda data: data.replace(b"\n", b"x")), max_size=8)


@given(lines=texts, is_cut=st.booleans(), bounds=st.lists(st.integers(0, 60), max_size=4))
def test_ranges_that_cover_a_file_give_each_line_once(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], is_cut: bool, bounds: list[int]
) -> None:
    data = b"\n".join(lines) + (b"" if is_cut else b"\n")
    path = tmp_path_factory.mktemp("log") / "log"
    path.write_bytes(data)
    whole = list(lines_of(path))

    assert b"".join(line for _, line in whole) == data
    assert all(data[place : place + len(line)] == line for place, line in whole)
    assert all(line.count(b"\n") <= 1 for _, line in whole)
    cuts = sorted({0, len(data), *(bound for bound in bounds if bound < len(data))})
    assert [one for start, end in pairwise(cuts) for one in lines_of(path, start, end)] == whole


def test_places_in_a_packed_log_are_those_of_the_plain_one(tmp_path: Path) -> None:
    data = b"one\n\ntwo\r\nthree"
    plain, packed = tmp_path / "log", tmp_path / "log.gz"
    plain.write_bytes(data)
    packed.write_bytes(gzip.compress(data))

    expected = [(0, b"one\n"), (4, b"\n"), (5, b"two\r\n"), (10, b"three")]
    assert list(lines_of(plain)) == list(lines_of(packed)) == expected
    assert [line_number(packed, place) for place, _ in expected] == [1, 2, 3, 4]


def test_a_byte_order_mark_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"\xef\xbb\xbfone\ntwo\n")
    assert list(lines_of(path)) == [(3, b"one\n"), (7, b"two\n")]
    assert line_number(path, 3) == 1
