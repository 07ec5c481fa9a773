"""A comparison for the terminal, and for a pull request as Markdown."""

from collections.abc import Iterator

from toolkit_shared.report.text_table import text_table

from llm_compat.comparison.compare import Comparison
from llm_compat.comparison.verdict import findings
from llm_compat.reporting.markdown import markdown_cell, markdown_rows
from llm_compat.reporting.tables import tables_of


def to_text(comparison: Comparison) -> str:
    """Tables in columns of one width, then the findings and the notes."""
    lines = [f"{model}: {path}" for model, path in comparison.paths.items()]
    for table in tables_of(comparison):
        lines += ["", f"{table.title}:", *text_table(table.header, table.rows)]
    lines += ["", *findings(comparison)]
    notes = list(notes_of(comparison))
    if notes:
        lines += ["", *(f"note: {note}" for note in notes)]
    return "\n".join(lines)


def to_markdown(comparison: Comparison) -> str:
    """The same as GitHub's Markdown."""
    lines = ["# What the new model breaks", ""]
    lines += [f"- {model}: `{_code(str(path))}`" for model, path in comparison.paths.items()]
    lines += ["", *(f"- {markdown_cell(line)}" for line in findings(comparison))]
    for table in tables_of(comparison):
        lines += ["", f"## {markdown_cell(table.title)}", "", *markdown_rows(table.header, table.rows)]
    notes = list(notes_of(comparison))
    if notes:
        lines += ["", "## Notes", "", *(f"- {markdown_cell(note)}" for note in notes)]
    return "\n".join(lines) + "\n"


def notes_of(comparison: Comparison) -> Iterator[str]:
    """The notes of the runs and of their tasks, each once, with the task where it is of one."""
    yield from comparison.notes
    told: dict[str, list[str]] = {}
    for task in comparison.tasks:
        for note in task.notes:
            names = told.setdefault(note, [])
            if task.task not in names:
                names.append(task.task)
    for note, names in told.items():
        shown = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
        yield f"{shown}: {note}"


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
