"""Reports: `REPORT.md` from result files, offline HTML pages for demos, charts as SVG, text tables."""

from toolkit_shared.report.charts import bar_chart, line_chart
from toolkit_shared.report.numbers import format_number
from toolkit_shared.report.page import Html, Section, code, html_page, paragraph, picture, table
from toolkit_shared.report.results_report import render_figures, render_report, write_report
from toolkit_shared.report.text_table import text_table

__all__ = [
    "Html",
    "Section",
    "bar_chart",
    "code",
    "format_number",
    "html_page",
    "line_chart",
    "paragraph",
    "picture",
    "render_figures",
    "render_report",
    "table",
    "text_table",
    "write_report",
]
