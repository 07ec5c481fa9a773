"""Reports hold what was found, whatever the logs hold, and nothing that a reader's program would obey."""

import json
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest
from llm_compat.comparison import Comparison
from llm_compat.comparison.compare import compare_paths
from llm_compat.reporting.flip_list import flipped_items, items_by_task, items_text, shorten, to_csv
from llm_compat.reporting.html import to_html
from llm_compat.reporting.junit import Check, regression_report, to_junit
from llm_compat.reporting.markdown import markdown_cell, markdown_rows
from llm_compat.reporting.tables import p_value, percent, tables_of
from llm_compat.reporting.text import to_markdown, to_text
from llm_compat.settings.comparing import CompareSettings

QUESTION = "<script>alert(1)</script> | *what*\x1b[31m is it?"


def write(path: Path, answers: str, **more: object) -> Path:
    """A table of items whose right answer is A, one letter an item."""
    rows = [
        {
            "id": f"q{n}",
            "task": "letters",
            "question": QUESTION,
            "target": "A",
            "answer": answer,
            "acc": answer == "A",
        }
        for n, answer in enumerate(answers)
    ]
    path.write_text("".join(json.dumps({**row, **more}) + "\n" for row in rows))
    return path


@pytest.fixture
def comparison(tmp_path: Path) -> Comparison:
    """Ten items: two lost, one gained, one wrong in another way."""
    paths = {
        "old": write(tmp_path / "old.jsonl", "AAAAAABBBB", subject="art"),
        "new": write(tmp_path / "new.jsonl", "AAAABCABBC", subject="art"),
        "compat": write(tmp_path / "compat.jsonl", "AAAAACABBC", subject="art"),
    }
    return compare_paths(paths, settings=CompareSettings(draws=100, by=("subject",)))


def test_the_terminal_shows_rates_in_percent_with_counts_and_the_adjusted_one_beside_the_raw(
    comparison: Comparison,
) -> None:
    text = to_text(comparison)

    lines = text.splitlines()
    start = next(place for place, line in enumerate(lines) if line.startswith("task"))
    header, row = (line.split("  ") for line in lines[start : start + 2])
    cells = {
        name.strip(): value.strip()
        for name, value in zip(filter(None, header), filter(None, row), strict=True)
    }
    assert cells["n"] == "10"
    assert (cells["NFR %"], cells["count"], cells["PFR %"], cells["NFR_mc %"]) == (
        "20.00",
        "2",
        "10.00",
        "30.00",
    )
    assert cells["rel NFR %"] == "66.67"  # 0.2 / (0.6 * 0.5)
    assert cells["verdict"] == "no difference shown"
    assert "letters acc by subject:" in text


def test_the_three_way_table_shows_the_change_in_points_and_in_percent(comparison: Comparison) -> None:
    table = next(table for table in tables_of(comparison) if table.title.startswith("Compatible model"))

    cells = dict(zip(table.header, table.rows[0], strict=True))
    assert cells["d NFR points"].startswith("-10.00 (")
    assert cells["d NFR %"].startswith("-50.00")
    assert cells["d quality points"].startswith("+10.00")
    assert cells["p (d NFR)"] == "1.000"


def test_markdown_holds_any_text_in_its_cell() -> None:
    assert markdown_cell("a|b\n<b>*c*") == r"a\|b &lt;b>\*c\*"
    assert markdown_rows(["x"], [["[l](u)"]]) == ["| x |", "| --- |", r"| \[l](u) |"]


def test_markdown_has_a_table_for_what_the_terminal_shows(comparison: Comparison) -> None:
    lines = to_markdown(comparison).splitlines()

    assert lines[0] == "# What the new model breaks"
    table = [line for line in lines if line.startswith("| letters | none | acc |")]
    assert len(table) == 2  # old against new, and the compatible model
    assert "| 20.00 |" in table[0]


def test_the_page_is_read_offline_and_shows_hostile_text_as_text(comparison: Comparison) -> None:
    items = {found.task.name: found.items for found in items_by_task(comparison, kind="all", limit=None)}

    page = to_html(comparison, items)

    assert "<script" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "default-src 'none'" in page
    assert page.count("<tr><td>q") == 4  # two lost, one gained, one changed


def test_lists_hold_the_items_of_a_kind_with_both_answers(comparison: Comparison) -> None:
    task = comparison.tasks[0]

    lost, number = flipped_items(comparison, task, kind="lost")
    gained, _ = flipped_items(comparison, task, kind="gained")
    changed, _ = flipped_items(comparison, task, kind="changed")

    assert number == 2
    assert [(item.id, item.old_answer, item.new_answer) for item in lost] == [
        ("q4", "A", "B"),
        ("q5", "A", "C"),
    ]
    assert [item.id for item in gained] == ["q6"]
    assert [(item.id, item.old_answer, item.new_answer) for item in changed] == [("q9", "B", "C")]
    assert {item.target for item in lost} == {"A"}


def test_a_limit_shortens_the_list_and_the_number_stays(comparison: Comparison) -> None:
    items, number = flipped_items(comparison, comparison.tasks[0], kind="all", limit=1)

    assert (len(items), number) == (1, 4)
    text = items_text(items_by_task(comparison, kind="all", limit=1), kind="all", width=20)
    assert text.splitlines()[0] == "letters acc: 4 flipped of 10, the first 1 shown"


def test_texts_for_a_terminal_hold_no_control_signs() -> None:
    assert shorten("a\x1b[31m\nb\tc", 20) == "a [31m b c"
    assert shorten("abcdefghijkl", 8) == "abcde..."


def test_csv_quotes_what_it_must(comparison: Comparison) -> None:
    items, _ = flipped_items(comparison, comparison.tasks[0], kind="lost")

    lines = to_csv(items).splitlines()

    assert lines[0].startswith(
        "task,filter,metric,id,kind,question,target,old_answer,new_answer,old_score,new_score"
    )
    assert lines[1].startswith("letters,none,acc,q4,lost,")


def test_graded_items_are_listed_by_the_size_of_the_change(tmp_path: Path) -> None:
    paths = {}
    for model, scores in (("old", [5.0, 5.0, 5.0]), ("new", [4.5, 1.0, 6.0])):
        paths[model] = tmp_path / f"{model}.csv"
        paths[model].write_text("id,score\n" + "".join(f"{n},{score}\n" for n, score in enumerate(scores)))

    found = compare_paths(paths, settings=CompareSettings(draws=100))
    items, _ = flipped_items(found, found.tasks[0], kind="lost")

    assert [(item.id, item.new_score) for item in items] == [("1", 1.0), ("0", 4.5)]


def test_junit_is_xml_whatever_the_names_are() -> None:
    text = to_junit(
        'a "suite" & more', [Check("one\x00<", "fine", None), Check("two", "bad]]>", "because <b>")]
    )

    suite = ElementTree.fromstring(text.encode()).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures")) == ("2", "1")
    assert [case.get("name") for case in suite] == ["one\ufffd<", "two"]
    failure = suite[1].find("failure")
    assert failure is not None
    assert failure.get("message") == "because <b>"


def test_junit_fails_the_tasks_that_regressed(tmp_path: Path) -> None:
    paths = {
        "old": write(tmp_path / "old.jsonl", "A" * 40),
        "new": write(tmp_path / "new.jsonl", "A" * 20 + "B" * 20),
    }

    found = compare_paths(paths, settings=CompareSettings(draws=100))

    suite = ElementTree.fromstring(regression_report(found).encode()).find("testsuite")
    assert suite is not None
    assert suite.get("failures") == "1"


@pytest.mark.parametrize(("value", "shown"), [(None, "-"), (0.5, "0.500"), (0.00002, "2.0e-05")])
def test_p_values_keep_two_digits(value: float | None, shown: str) -> None:
    assert p_value(value) == shown


def test_undefined_shares_are_a_dash_and_not_zero() -> None:
    assert (percent(None), percent(0.0)) == ("-", "0.00")
