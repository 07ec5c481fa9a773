"""Reports: the same results give the same bytes, failures stay in, and a page needs nothing but itself."""

import base64
import re
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.report import (
    Section,
    bar_chart,
    code,
    format_number,
    html_page,
    line_chart,
    paragraph,
    picture,
    render_figures,
    render_report,
    table,
    write_report,
)
from toolkit_shared.results import (
    Arm,
    Environment,
    Result,
    paired_comparison,
    ratio_comparison,
    read_results,
    write_result,
)

SVG = "{http://www.w3.org/2000/svg}"


def arm(name: str, *values: float) -> Arm:
    return Arm(name=name, metric="loss", unit="nats", higher_is_better=False, values=values)


OURS, PEER = arm("ours", 3.0, 2.0, 5.0), arm("peer|1", 1.0, 1.0, 1.0)

RESULT = Result(
    toolkit="toy",
    question="early-loss",
    kind="performance",
    arms=(OURS, PEER),
    comparison=ratio_comparison(OURS, PEER),
    expected="ratio < 4",
    verdict="holds",
    bound_by="memory bandwidth, 61 %",
    environment=Environment(
        cpu="A CPU", cores=2, threads=1, ram_gib=16.0, gpu=None, load=0.4, versions={"numpy": "2.0.0"}
    ),
    command="make bench-toy",
    commit="abc1234",
    started="2026-01-01T00:00:00Z",
    seconds=41.0,
)

EXPECTED = """\
# Results

Rendered by `make report` from the files in `results`; not edited by hand. The newest run of each question is
shown, whatever came out of it. Medians and ranges are over repeats or seeds; the expectation was written
before the run.

| Toolkit | Question | Found | Expected | Verdict | Date |
| --- | --- | --- | --- | --- | --- |
| toy | [early-loss](#toy-early-loss) | ours / peer\\|1: 3 (2 to 5 over 3 repeats) \
| ratio &lt; 4 | holds | 2026-01-01 |

## toy

### toy: early-loss

| Arm | Metric | Median | Lowest | Highest | Values |
| --- | --- | --- | --- | --- | --- |
| ours | loss (lower is better) | 3 nats | 2 nats | 5 nats | 3 |
| peer\\|1 | loss (lower is better) | 1 nats | 1 nats | 1 nats | 3 |

- Found: ours / peer\\|1: 3 (2 to 5 over 3 repeats)
- Expected: ratio &lt; 4
- Verdict: holds
- Bound by: memory bandwidth, 61 %

![early-loss](figures/toy-early-loss.svg)

<sub>A CPU, 2 cores, 1 thread, 16 GiB, GPU none, load 0.4; numpy 2.0.0. <code>make bench-toy</code> at \
abc1234, 2026-01-01T00:00:00Z, 41 s. [a.json](results/a.json)</sub>
"""


def test_one_result_by_hand() -> None:
    assert render_report({"a.json": RESULT}) == EXPECTED


def test_no_results_are_a_report_too() -> None:
    assert render_report({}).endswith("\nNo results yet.\n")


def test_a_paired_difference_shows_interval_p_and_pairs() -> None:
    # differences 2, 1 and 4: mean 7/3, standard error sqrt(7/9), t(0.975; 2) = 4.302653
    claim = replace(RESULT, kind="claim", comparison=paired_comparison(OURS, PEER))

    text = render_report({"a.json": claim})

    assert "- Found: ours - peer\\|1: 2.33 nats (95 % interval -1.46 to 6.13, p = 0.12, 3 pairs)" in text


def test_a_mean_ratio_has_no_unit() -> None:
    claim = replace(RESULT, kind="claim", comparison=paired_comparison(OURS, PEER, form="ratio"))

    assert "- Found: ours / peer\\|1: 3.11 (95 % interval" in render_report({"a.json": claim})


def test_statistics_come_from_the_values_and_not_from_what_the_file_states() -> None:
    assert RESULT.comparison is not None
    edited = replace(RESULT, comparison=replace(RESULT.comparison, ratio_median=99.0))

    assert render_report({"a.json": edited}) == EXPECTED


def test_failures_stay_in_and_the_newest_run_counts() -> None:
    # given a run that held, and a later one that did not, and one of the day before
    results = {
        "b.json": replace(RESULT, started="2026-01-02T00:00:00Z", verdict="fails"),
        "a.json": RESULT,
        "c.json": replace(RESULT, started="2025-12-31T00:00:00Z", verdict="inconclusive"),
    }

    text = render_report(results)

    assert "| ratio &lt; 4 | **fails** | 2026-01-02 |" in text
    assert "[b.json](results/b.json)</sub>" in text
    found = "ours / peer\\|1: 3 (2 to 5 over 3 repeats)"
    assert text.endswith(
        f"Earlier runs:\n\n- [a.json](results/a.json): holds; {found}\n"
        f"- [c.json](results/c.json): **inconclusive**; {found}\n"
    )


def test_arms_without_comparison_show_their_medians() -> None:
    text = render_report({"a.json": replace(RESULT, kind="oracle", comparison=None)})

    assert "| ours 3 nats; peer\\|1 1 nats |" in text


def test_pictures_show_the_arms_of_one_metric_only() -> None:
    other = Arm(name="other", metric="memory", unit="GiB", higher_is_better=False, values=(9.0,))

    figures = render_figures({"a.json": replace(RESULT, arms=(OURS, PEER, other))})

    assert list(figures) == ["toy-early-loss.svg"]
    assert "peer|1: 1 nats" in figures["toy-early-loss.svg"]
    assert "other" not in figures["toy-early-loss.svg"]
    assert render_figures({"a.json": replace(RESULT, arms=(OURS, other), comparison=None)}) == {}


def folder_bytes(folder: Path) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_the_command_gives_the_same_bytes_for_the_same_files_in_any_order(tmp_path: Path) -> None:
    # given the same results, written in another order into two folders
    results = [replace(RESULT, question=f"q-{i}", toolkit=f"t{i % 2}") for i in range(5)]
    for name, ordered in (("one", results), ("two", results[::-1])):
        for result in ordered:
            write_result(result, tmp_path / name / "results")

    # when rendered by the command, and from Python
    report = tmp_path / "one" / "REPORT.md"
    command = [sys.executable, "-m", "toolkit_shared.report", tmp_path / "one" / "results", report]
    subprocess.run(command, check=True)
    write_report(tmp_path / "two" / "results", tmp_path / "two" / "REPORT.md")

    assert folder_bytes(tmp_path / "one") == folder_bytes(tmp_path / "two")
    assert report.read_text() == render_report(read_results(tmp_path / "one" / "results"))


def test_every_link_and_picture_of_the_report_is_there_and_old_pictures_are_not(tmp_path: Path) -> None:
    write_result(RESULT, tmp_path / "results")
    write_report(tmp_path / "results", tmp_path / "REPORT.md")
    write_result(replace(RESULT, arms=(OURS,), comparison=None, question="x"), tmp_path / "results")
    (tmp_path / "figures" / "gone.svg").write_text("")

    text = write_report(tmp_path / "results", tmp_path / "REPORT.md").read_text()

    links = re.findall(r"\]\(([^)#]+)\)", text)
    assert len(links) == 3
    assert all((tmp_path / link).is_file() for link in links)
    assert [path.name for path in (tmp_path / "figures").iterdir()] == ["toy-early-loss.svg"]


def test_one_question_of_two_toolkits_has_two_places_in_the_report() -> None:
    text = render_report({"a.json": RESULT, "b.json": replace(RESULT, toolkit="toy-2")})

    links = re.findall(r"\]\(#([^)]+)\)", text)
    headings = re.findall(r"^### (.+)$", text, re.M)
    assert links == ["toy-early-loss", "toy-2-early-loss"]
    # as Markdown renderers make them: lower case, without punctuation, dashes for spaces
    assert [heading.replace(":", "").replace(" ", "-") for heading in headings] == links


def test_the_command_names_what_is_wrong_in_one_line(tmp_path: Path) -> None:
    def run(*arguments: str | Path) -> tuple[int, str]:
        command = [sys.executable, "-m", "toolkit_shared.report", *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stderr

    assert run(tmp_path / "nowhere", tmp_path / "R.md") == (
        2,
        f"report: error: {tmp_path / 'nowhere'}: no such folder; give the folder of result files\n",
    )
    assert run() == (2, "usage: python -m toolkit_shared.report RESULTS REPORT.md\n")


# numbers


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (-0.0, "0"),
        (7, "7"),
        (12345, "12,345"),
        (999_999, "999,999"),
        (0.5, "0.5"),
        (12.345, "12.3"),
        (123.45, "123"),
        (999.96, "1,000"),
        (12345.6, "12,300"),
        (999_999.9, "1 M"),
        (1_000_000, "1 M"),
        (31_234_567, "31.2 M"),
        (999_900_000, "1 G"),
        (-2.5e12, "-2.5 T"),
        (3e18, "3e+18"),
        (0.0012345, "0.00123"),
        (0.00012345, "0.000123"),
        (4.1e-7, "4.1e-07"),
        (float("nan"), "nan"),
        (float("inf"), "inf"),
    ],
)
def test_numbers_have_three_digits_and_no_exponents_where_people_have_none(value: float, text: str) -> None:
    assert format_number(value) == text


@given(st.floats(1e-3, 1e14), st.integers(2, 6))
def test_a_shown_number_is_the_number_to_its_digits(value: float, digits: int) -> None:
    number, _, suffix = format_number(value, digits).partition(" ")
    shown = float(number.replace(",", "")) * {"": 1, "M": 1e6, "G": 1e9, "T": 1e12}[suffix]

    assert shown == pytest.approx(value, rel=0.51 * 10 ** (1 - digits))


# charts


def texts(svg: str) -> list[str]:
    return [element.text or "" for element in ElementTree.fromstring(svg).iter(f"{SVG}text")]


def numbers(element: ElementTree.Element, *names: str) -> list[float]:
    return [float(element.get(name, "nan")) for name in names]


def test_bars_are_as_long_as_their_values() -> None:
    svg = bar_chart("Speed", {"a": 30.0, "b": 10.0, "c": -5.0}, unit="m/s", ranges={"a": (20.0, 40.0)})

    bars = [numbers(element, "x", "width", "y") for element in ElementTree.fromstring(svg).iter(f"{SVG}rect")]
    # 45 units on 680 points, zero at the fifth of them
    zero = 20 + 5 * 680 / 45
    assert bars[0] == pytest.approx([zero, 30 * 680 / 45, bars[0][2]], abs=0.1)
    assert bars[1] == pytest.approx([zero, 10 * 680 / 45, bars[0][2] + 44], abs=0.1)
    assert bars[2] == pytest.approx([20, 5 * 680 / 45, bars[0][2] + 88], abs=0.1)
    assert texts(svg) == ["Speed", "a: 30 m/s (20 to 40)", "b: 10 m/s", "c: -5 m/s"]


def corners(svg: str) -> list[list[list[float]]]:
    lines = ElementTree.fromstring(svg).iter(f"{SVG}polyline")
    return [[[*map(float, p.split(","))] for p in line.get("points", "").split()] for line in lines]


def test_lines_go_through_their_points() -> None:
    svg = line_chart("Loss", {"a": [(0, 1.0), (50, 2.0), (100, 0.0)]}, x_label="steps", y_label="nats")

    # x from 0 to 100 on 70..700, y from 0 to 2 on 320..60
    assert corners(svg) == [[[70, 190], [385, 60], [700, 320]]]
    assert {"Loss", "steps", "nats", "a", "100", "0.5"} <= set(texts(svg))


def test_a_logarithmic_axis_has_equal_steps_for_equal_factors() -> None:
    svg = line_chart("x", {"a": [(1, 1), (10, 2), (100, 3)]}, x_label="x", y_label="y", log_x=True)

    assert [x for x, _ in corners(svg)[0]] == [70, 385, 700]
    with pytest.raises(ValueError, match="a logarithmic axis shows values above 0 only"):
        line_chart("x", {"a": [(0, 1), (10, 2)]}, x_label="x", y_label="y", log_x=True)


coordinates = st.floats(-1e6, 1e6) | st.sampled_from([0.0, 1e-12, 1e9])


@given(st.lists(st.tuples(coordinates, coordinates), min_size=1, max_size=5), st.booleans())
def test_every_chart_is_sound_and_stays_in_its_frame(
    points: list[tuple[float, float]], logarithmic: bool
) -> None:
    if logarithmic:
        points = [(abs(x) + 1e-3, abs(y) + 1e-3) for x, y in points]
    svg = line_chart("a", {"<b>": points}, x_label="x", y_label="y", log_x=logarithmic, log_y=logarithmic)

    for x, y in corners(svg)[0]:
        assert 69.9 <= x <= 700.1
        assert 59.9 <= y <= 320.1
    ElementTree.fromstring(bar_chart("&", {f"<{i}>": y for i, (_, y) in enumerate(points)}))


def test_what_cannot_be_drawn_is_refused() -> None:
    for values in ({}, {"a": float("nan")}, {"a": float("inf")}):
        with pytest.raises(ValueError, match="a chart"):
            bar_chart("x", values)
    with pytest.raises(ValueError, match="a chart needs values"):
        line_chart("x", {"a": []}, x_label="x", y_label="y")


# pages

PNG = b"\x89PNG\r\n\x1a\n" + bytes(20)


def test_a_page_holds_its_sections_with_everything_escaped() -> None:
    chart = bar_chart("x", {"a": 1.0})
    page = html_page(
        "A & B",
        [
            Section("First <1>", [paragraph("a < b"), code("x = '<script>'")]),
            ("Second", [table(["name", "n"], [["<i>", 31_234_567], ["x", None]]), picture(chart, 'a "b"')]),
        ],
    )

    assert "<title>A &amp; B</title>" in page
    assert "<h2>First &lt;1&gt;</h2>\n<p>a &lt; b</p>\n<pre>x = &#x27;&lt;script&gt;&#x27;</pre>" in page
    assert '<tr><td>&lt;i&gt;</td><td class="number">31.2 M</td></tr>\n<tr><td>x</td><td></td></tr>' in page
    data = re.search(r'<img alt="a &quot;b&quot;" src="data:image/svg\+xml;base64,([^"]+)">', page)
    assert data is not None
    assert base64.b64decode(data[1]).decode() == chart


def test_a_page_needs_nothing_but_itself() -> None:
    page = html_page("x", [("y", [picture(PNG, "z")])])

    assert "<script" not in page
    assert "default-src 'none'" in page
    assert re.findall(r'(?:src|href)="(?!data:)', page) == []
    assert "color-scheme: light dark" in page


@pytest.mark.parametrize("image", ["<html>", b"GIF89a"])
def test_only_svg_and_png_are_pictures(image: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"is no SVG|are no PNG"):
        picture(image, "x")


@pytest.mark.parametrize("row", [[], ["a"], ["a", "b", "c"]])
def test_a_row_is_as_long_as_its_header(row: Sequence[str]) -> None:
    with pytest.raises(ValueError, match="cells under a header of 2"):
        table(["a", "b"], [row])
