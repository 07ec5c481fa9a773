"""A comparison as one HTML file that is read offline."""

from toolkit_shared.report import bar_chart, html_page, paragraph, picture, table
from toolkit_shared.report.page import Html, Section

from llm_compat.comparison.compare import Comparison, main_tasks
from llm_compat.comparison.verdict import findings
from llm_compat.reporting.flip_list import FlippedItem
from llm_compat.reporting.tables import tables_of
from llm_compat.reporting.text import notes_of

SHOWN_TASKS = 40


def to_html(comparison: Comparison, items: dict[str, list[FlippedItem]] | None = None) -> str:
    """Findings, tables, pictures, and flipped items where they are given, by task.

    Whatever a log holds is shown as text: the page runs no script and loads nothing.
    """
    sections = [
        Section(
            "Runs", [table(["model", "path"], [[name, str(path)] for name, path in comparison.paths.items()])]
        ),
        Section("Findings", [paragraph(line) for line in findings(comparison)]),
    ]
    chart = _chart(comparison)
    if chart is not None:
        sections.append(Section("Negative flips by task", [chart]))
    sections += [Section(found.title, [table(found.header, found.rows)]) for found in tables_of(comparison)]
    for name, found in (items or {}).items():
        sections.append(Section(f"Items: {name}", [item_table(found)]))
    notes = list(notes_of(comparison))
    if notes:
        sections.append(Section("Notes", [paragraph(note) for note in notes]))
    return html_page("What the new model breaks", sections)


def item_table(items: list[FlippedItem]) -> Html:
    """A row an item: what was asked, what was expected, and what both models said."""
    header = ["id", "kind", "question", "expected", "old answer", "new answer"]
    rows = [
        [
            item.id,
            item.kind,
            item.question,
            item.target,
            item.old_answer or "(none)",
            item.new_answer or "(none)",
        ]
        for item in items
    ]
    return table(header, rows)


def _chart(comparison: Comparison) -> Html | None:
    tasks = [task for task in main_tasks(comparison.tasks) if task.measured.values["nfr"] is not None]
    tasks.sort(key=lambda task: -(task.measured.values["nfr"] or 0))
    if not tasks:
        return None
    values, ranges = {}, {}
    for task in tasks[:SHOWN_TASKS]:
        values[task.name] = 100 * (task.measured.values["nfr"] or 0)
        interval = task.measured.intervals["nfr"]
        if interval is not None:
            ranges[task.name] = (100 * interval.low, 100 * interval.high)
    drawn = bar_chart("Negative flip rate, with its interval", values, unit="%", ranges=ranges)
    more = len(tasks) - SHOWN_TASKS
    return picture(
        drawn, "Negative flip rate of each task" + (f"; {more} more have less" if more > 0 else "")
    )
