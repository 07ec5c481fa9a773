"""Text tables: columns of one width, numbers to the right."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.report import text_table

words = st.text("ab ,.%-0123456789", max_size=6)


def test_numbers_stand_to_the_right_and_words_to_the_left() -> None:
    lines = text_table(
        ["task", "items", "rate", "verdict", "change"],
        [["hella", "10,042", "9.5%", "holds", "-"], ["gsm", "8", "12.25 %", "no", "+1.5e-05"]],
    )

    assert lines == [
        "task    items     rate  verdict    change",
        "hella  10,042     9.5%  holds           -",
        "gsm         8  12.25 %  no       +1.5e-05",
    ]


def test_one_word_among_the_numbers_puts_its_column_to_the_left() -> None:
    assert text_table(["a", "b"], [["x", "1"], ["y", "unknown"]]) == ["a  b", "x  1", "y  unknown"]


def test_the_first_column_stands_to_the_left_even_when_it_holds_numbers() -> None:
    assert text_table(["length", "n"], [["64", "1"], ["1024", "10"]]) == [
        "length   n",
        "64       1",
        "1024    10",
    ]


def test_words_that_python_reads_as_numbers_are_words() -> None:
    assert text_table(["a", "name"], [["x", "nan"], ["y", "inf"]])[1] == "x  nan"


def test_a_table_without_rows_is_its_header() -> None:
    assert text_table(["a", "b"], []) == ["a  b"]


def test_a_row_of_another_length_is_refused() -> None:
    with pytest.raises(ValueError, match="a row of 1 cells under a header of 2"):
        text_table(["a", "b"], [["x"]])


@given(st.lists(st.tuples(words, words, words), min_size=1, max_size=5))
def test_every_column_begins_or_ends_in_one_place(rows: list[tuple[str, str, str]]) -> None:
    header = ["first", "second", "third"]

    lines = text_table(header, rows)

    widths = [max(len(name), *(len(row[i]) for row in rows)) for i, name in enumerate(header)]
    assert len(lines) == len(rows) + 1
    for line, row in zip(lines, [tuple(header), *rows], strict=True):
        full, start = line.ljust(sum(widths) + 4), 0
        for cell, width in zip(row, widths, strict=True):
            assert full[start : start + width] in (cell.ljust(width), cell.rjust(width))
            start += width + 2
