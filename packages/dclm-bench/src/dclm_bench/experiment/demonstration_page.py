"""The demonstration as text, as one JSON document, and as a page with pictures."""

from typing import Any

from toolkit_shared.report import (
    Section,
    bar_chart,
    code,
    html_page,
    paragraph,
    picture,
    table,
    text_table,
)

from dclm_bench.evaluation.reports import comparison_document, comparison_text
from dclm_bench.experiment.demonstration import RECIPE, Demonstration, as_values
from dclm_bench.pipeline.explain import DROPPED


def to_document(found: Demonstration) -> dict[str, Any]:
    """All figures as JSON values."""
    return {**as_values(found), "scores": comparison_document(found.scores, [list(found.comparisons)])}


def to_text(found: Demonstration) -> str:
    """The defects found, the funnel, and one example of each further command."""
    return "\n".join(
        [
            *text_table(_HEADER, [[str(cell) for cell in row] for row in _defect_rows(found)]),
            "",
            f"good pages kept: {found.good_kept} of {found.good}",
            f"pages that are no UTF-8, lost and counted: {found.lost}",
            "",
            *text_table(["step", "dropped", "left"], [list(map(str, row)) for row in _funnel_rows(found)]),
            "",
            found.tried.to_text(),
            "",
            found.tokens.to_text(),
            "",
            *_explanation_lines(found),
            "",
            "Two made-up evaluation files:",
            comparison_text(found.scores, [list(found.comparisons)], by_task=False),
            *(["", *(f"PROBLEM: {line}" for line in found.problems)] if found.problems else []),
        ]
    )


def to_page(found: Demonstration) -> str:
    """The page with pictures."""
    sections = [
        _defects_section(found),
        _funnel_section(found),
        Section(
            "Why one page was dropped",
            [
                paragraph("Every rule's value, margin and verdict, not only the first that dropped it."),
                code(found.explanation.to_text()),
            ],
        ),
        Section(
            "Another limit",
            [paragraph("Told from the stored values, without reading a page."), code(found.tried.to_text())],
        ),
        Section("Training shards", [code(found.tokens.to_text())]),
        Section(
            "Two evaluation files",
            [
                paragraph("The scores are made up; the second model is better by 5 % of all questions."),
                code(comparison_text(found.scores, [list(found.comparisons)])),
            ],
        ),
        Section(
            "Go on",
            [
                code(
                    f"dclm-bench run --recipe {RECIPE} YOUR.warc.gz --out out\n"
                    "dclm-bench explain out --doc ID\n"
                    "dclm-bench what-if out --set page_length_filter.min_length=20\n"
                    "dclm-bench tokenize out --tokenizer gpt-neox-20b.tiktoken --out shards\n"
                    "dclm-bench compare a.json b.json"
                )
            ],
        ),
    ]
    return html_page("dclm-bench: a recipe audited in a minute", sections)


def _defects_section(found: Demonstration) -> Section:
    return Section(
        "Planted defects",
        [
            paragraph(
                f"A crawl was generated in which every defect is known, and the recipe {RECIPE} was run over "
                "it. Recall is the share of pages with a defect that its step found; precision the share of "
                "the pages caught that have it."
            ),
            table(_HEADER, _defect_rows(found)),
            picture(
                bar_chart("Recall", {row.step: row.recall for row in found.defects}),
                "Share of the planted pages that the step found.",
            ),
            paragraph(
                f"Of {found.good} good pages {found.good_kept} were kept. {found.lost} pages are no UTF-8: "
                "the official extraction loses them in silence, here they are counted."
            ),
        ],
    )


def _funnel_section(found: Demonstration) -> Section:
    left = {"read": float(found.report.funnel.pages_in)}
    left |= {step: float(number) for step, _, number in _funnel_rows(found)}
    return Section(
        "Funnel",
        [
            picture(bar_chart("Pages left", left, unit="pages"), "Pages left after each step that drops."),
            code(found.report.funnel.to_text()),
        ],
    )


_HEADER = ("defect", "step", "planted", "found", "recall", "precision")


def _defect_rows(found: Demonstration) -> list[list[str | float]]:
    return [
        [
            ", ".join(row.kinds),
            row.step,
            row.planted,
            row.found,
            round(row.recall, 3),
            round(row.precision, 3),
        ]
        for row in found.defects
    ]


def _funnel_rows(found: Demonstration) -> list[tuple[str, int, int]]:
    """Steps that dropped pages: name, how many, how many are left."""
    rows: dict[str, tuple[int, int]] = {}
    for row in found.report.funnel.rows:
        dropped, _ = rows.get(row.step, (0, 0))
        rows[row.step] = dropped + row.dropped, row.kept
    return [(step, dropped, left) for step, (dropped, left) in rows.items() if dropped]


def _explanation_lines(found: Demonstration) -> list[str]:
    """One dropped page: all rules that drop it, each with its value and limit."""
    page = found.explanation
    rows = [
        [verdict.step, verdict.rule, f"{verdict.value:.4g}", f"{verdict.keep} {verdict.limit:.4g}"]
        for verdict in page.verdicts
        if verdict.verdict == DROPPED and verdict.value is not None and verdict.limit is not None
    ]
    return [
        f"{page.url}: dropped by {page.dropped_by}; all rules that drop it:",
        *text_table(["step", "rule", "value", "keeps"], rows),
    ]
