"""`REPORT.md` and its pictures, from the result files alone: the same files give the same bytes."""

import os
import statistics
from collections.abc import Mapping, Sequence
from html import escape
from itertools import groupby
from pathlib import Path

from toolkit_shared.artifacts import write_text
from toolkit_shared.report.charts import bar_chart
from toolkit_shared.report.numbers import format_number
from toolkit_shared.results import Arm, Environment, RatioComparison, Result, compare_again, read_results

FIGURES = "figures"
_HEAD = """# Results

Rendered by `make report` from the files in `{folder}`; not edited by hand. The newest run of each question is
shown, whatever came out of it. Medians and ranges are over repeats or seeds; the expectation was written
before the run.
"""


def write_report(results_folder: str | Path, report: str | Path) -> Path:
    """Render the results in a folder to `report` (Markdown), with a folder `figures` of SVG beside it.

    SVG files in `figures` that no result has are removed. Returns the path of the report.

    Raises:
        InputError: the folder is missing, or one of its files is no result.
    """
    report = Path(report)
    results = read_results(results_folder)
    figures = render_figures(results)
    for name, picture in figures.items():
        write_text(report.parent / FIGURES / name, picture)
    for path in (report.parent / FIGURES).glob("*.svg"):
        if path.name not in figures:
            path.unlink()
    folder = Path(os.path.relpath(results_folder, report.parent)).as_posix()
    write_text(report, render_report(results, folder=folder))
    return report


def render_report(results: Mapping[str, Result], *, folder: str = "results") -> str:
    """The report as Markdown.

    Args:
        results: by file name, as `read_results` gives them.
        folder: where the files lie, seen from the report; for its links.

    Raises:
        ValueError: two arms that a result compares cannot be compared.
    """
    lines = [_HEAD.format(folder=folder)]
    questions = _questions(results)
    if not questions:
        return lines[0] + "\nNo results yet.\n"
    rows = [_summary_row(runs[-1][1]) for runs in questions]
    header = ["Toolkit", "Question", "Found", "Expected", "Verdict", "Date"]
    lines += [_table(header, rows), ""]
    for toolkit, group in groupby(questions, key=lambda runs: runs[0][1].toolkit):
        lines.append(f"## {toolkit}\n")
        for runs in group:
            lines += _question_lines(runs, folder)
    return "\n".join(lines).rstrip("\n") + "\n"


def render_figures(results: Mapping[str, Result]) -> dict[str, str]:
    """The pictures of the report, SVG text by file name: a bar an arm, of each question's newest run."""
    figures = {}
    for runs in _questions(results):
        result = runs[-1][1]
        arms = _drawn(result)
        if len(arms) > 1:
            figures[_figure_name(result)] = bar_chart(
                f"{result.question}: {arms[0].metric}",
                {arm.name: statistics.median(arm.values) for arm in arms},
                unit=arms[0].unit,
                ranges={arm.name: (min(arm.values), max(arm.values)) for arm in arms},
            )
    return figures


def _questions(results: Mapping[str, Result]) -> list[list[tuple[str, Result]]]:
    """The runs of each question with their file names, the newest last."""

    def question(entry: tuple[str, Result]) -> tuple[str, str]:
        return entry[1].toolkit, entry[1].question

    def place(entry: tuple[str, Result]) -> tuple[str, str, str, int, str]:
        name, result = entry
        return *question(entry), result.started, len(name), name

    return [list(runs) for _, runs in groupby(sorted(results.items(), key=place), key=question)]


def _summary_row(result: Result) -> list[str]:
    # the heading's anchor; two toolkits may ask a question of the same name
    link = f"[{result.question}](#{result.toolkit}-{result.question})"
    return [
        result.toolkit,
        link,
        _found(result),
        result.expected,
        _verdict(result),
        result.started[:10],
    ]


def _question_lines(runs: Sequence[tuple[str, Result]], folder: str) -> list[str]:
    name, result = runs[-1]
    lines = [f"### {result.toolkit}: {result.question}\n"]
    header = ["Arm", "Metric", "Median", "Lowest", "Highest", "Values"]
    lines += [_table(header, [_arm_row(arm) for arm in result.arms]), ""]
    lines.append(f"- Found: {_found(result)}")
    lines.append(f"- Expected: {_text(result.expected)}")
    lines.append(f"- Verdict: {_verdict(result)}")
    if result.bound_by:
        lines.append(f"- Bound by: {_text(result.bound_by)}")
    if result.note:
        lines.append(f"- Note: {_text(result.note)}")
    if len(_drawn(result)) > 1:
        lines.append(f"\n![{_text(result.question)}]({FIGURES}/{_figure_name(result)})")
    lines.append(
        f"\n<sub>{_environment(result.environment)}. <code>{escape(result.command)}</code> at "
        f"{result.commit}, {result.started}, {format_number(result.seconds)} s. "
        f"[{name}]({folder}/{name})</sub>\n"
    )
    if len(runs) > 1:
        lines.append("Earlier runs:\n")
        for old_name, old in reversed(runs[:-1]):
            lines.append(f"- [{old_name}]({folder}/{old_name}): {_verdict(old)}; {_found(old)}")
        lines.append("")
    return lines


def _arm_row(arm: Arm) -> list[str]:
    metric = f"{arm.metric} ({'higher' if arm.higher_is_better else 'lower'} is better)"
    numbers = [statistics.median(arm.values), min(arm.values), max(arm.values)]
    return [arm.name, metric, *(_quantity(value, arm.unit, 4) for value in numbers), str(len(arm.values))]


def _found(result: Result) -> str:
    """What the comparison says, from the values of the arms and not from what the file states."""
    comparison = compare_again(result)
    if comparison is None:
        medians = (f"{arm.name} {_quantity(statistics.median(arm.values), arm.unit)}" for arm in result.arms)
        return _text("; ".join(medians))
    numerator = result.arm(comparison.numerator)
    count = len(numerator.values)
    if isinstance(comparison, RatioComparison):
        low, high = map(format_number, comparison.ratio_range)
        name, unit, value = f"{comparison.numerator} / {comparison.denominator}", "", comparison.ratio_median
        detail = f"{low} to {high} over {count} {'repeat' if count == 1 else 'repeats'}"
    else:
        low, high = map(format_number, comparison.interval)
        sign = "/" if comparison.form == "ratio" else "-"
        name = f"{comparison.numerator} {sign} {comparison.denominator}"
        unit, value = "" if comparison.form == "ratio" else numerator.unit, comparison.estimate
        coverage = format_number(100 * comparison.confidence)
        p = f"p = {comparison.p:.2g}" if comparison.p >= 1e-4 else "p < 0.0001"
        detail = f"{coverage} % interval {low} to {high}, {p}, {count} pairs"
    return _text(f"{name}: {_quantity(value, unit)} ({detail})")


def _verdict(result: Result) -> str:
    return result.verdict if result.verdict == "holds" else f"**{result.verdict}**"


def _environment(environment: Environment) -> str:
    threads = f"{environment.threads} thread" + ("s" if environment.threads > 1 else "")
    versions = ", ".join(f"{name} {number}" for name, number in environment.versions.items())
    return _text(
        f"{environment.cpu}, {environment.cores} cores, {threads}, {environment.ram_gib:g} GiB, "
        f"GPU {environment.gpu or 'none'}, load {environment.load:g}; {versions}"
    )


def _drawn(result: Result) -> list[Arm]:
    """The arms of the first one's metric: values of one picture have one unit."""
    first = result.arms[0]
    return [arm for arm in result.arms if (arm.metric, arm.unit) == (first.metric, first.unit)]


def _figure_name(result: Result) -> str:
    return f"{result.toolkit}-{result.question}.svg"


def _quantity(value: float, unit: str, digits: int = 3) -> str:
    return f"{format_number(value, digits)} {unit}".rstrip()


def _table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(_text, line)) + " |" for line in lines)


def _text(text: str) -> str:
    """Text that neither ends a table's cell nor begins a tag."""
    plain = " ".join(text.split())
    return plain.replace("\\|", "|").replace("|", "\\|").replace("<", "&lt;")
