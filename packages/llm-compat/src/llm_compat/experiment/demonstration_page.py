"""The demonstration as tables for the terminal and as one HTML page with pictures."""

from typing import Any

from toolkit_shared.report import Section, bar_chart, code, html_page, line_chart, paragraph, picture, table
from toolkit_shared.report.text_table import text_table

from llm_compat.comparison.compare import Comparison
from llm_compat.comparison.document import comparison_document
from llm_compat.comparison.verdict import findings
from llm_compat.experiment.configuration import METHOD
from llm_compat.experiment.demonstration import ARMS, Demonstration
from llm_compat.reporting.flip_list import flipped_items
from llm_compat.reporting.html import item_table
from llm_compat.reporting.tables import tables_of

COLUMNS = {"accuracy": "accuracy", "nfr": "NFR", "pfr": "PFR", "nfr_mc": "NFR_mc", "rel_nfr": "rel NFR"}
SHOWN_ITEMS = 8
NOTE = (
    "One seed of tiny models shows the road, not the result: llm-compat claims compares over seeds, and says "
    "how much of a drop extra training explains."
)


def to_document(found: Demonstration) -> dict[str, Any]:
    """What the demonstration found, as plain values."""
    return {
        "out": str(found.out),
        "problems": found.problems,
        "planted": comparison_document(found.planted),
        "trained": {
            "arms": {
                arm: {
                    "metrics": run["metrics"],
                    "mask_rates": run["mask_rates"],
                    "steps": run["steps"],
                    "seconds": run["seconds"],
                }
                for arm, run in found.runs.items()
            },
            "comparison": comparison_document(found.trained),
        },
    }


def to_text(found: Demonstration) -> str:
    """The findings as tables: planted flips, then the small update."""
    lines = ["Planted flips, as llm-compat diff OLD NEW --compat COMPAT --rerun OLD2 finds them:"]
    lines += _comparison_lines(found.planted)
    lines += ["", *_check_lines(found)]
    lines += ["", "A small update, on generated requests of 60 intents (percent):", ""]
    return "\n".join([*lines, *text_table(*_arm_table(found)), "", NOTE])


def to_page(found: Demonstration) -> str:
    """The report as an HTML page."""
    sections = [
        Section(
            "Planted flips", [paragraph(line) for line in (*_check_lines(found), *findings(found.planted))]
        )
    ]
    sections += [Section(one.title, [table(one.header, one.rows)]) for one in tables_of(found.planted)]
    lost, total = flipped_items(found.planted, found.planted.tasks[0], kind="lost", limit=SHOWN_ITEMS)
    title = f"Items that {found.planted.tasks[0].task} lost, {len(lost)} of {total}"
    sections.append(Section(title, [item_table(lost)]))
    sections.append(
        Section(
            "A small update",
            [
                paragraph(
                    "Two small models differ by their seed; both are trained on 1,500 generated requests. "
                    "The new one is about as good as the old one, and yet breaks some of what worked. A "
                    "compatibility adapter is trained on top of it, and a control as long without the old "
                    "model."
                ),
                table(*_arm_table(found)),
                picture(_chart(found, "nfr", "Negative flip rate"), "In percent of the test requests."),
                picture(
                    _chart(found, "rel_nfr", "Relative negative flip rate"),
                    "In percent of what models of this accuracy would have if their errors were independent.",
                ),
                picture(_mask_chart(found), "Share of answers that are distilled from the old model."),
                *(paragraph(line) for line in (*findings(found.trained), NOTE)),
            ],
        )
    )
    runs = found.out / "runs"
    sections.append(
        Section(
            "Go on",
            [
                code(
                    "llm-compat diff runs/OLD runs/NEW --html report.html\n"
                    "llm-compat gate runs/OLD runs/NEW --max-nfr 0.02\n"
                    f"llm-compat diff {runs / 'planted/old'} {runs / 'planted/new'} --by subject\n"
                    f"llm-compat flips {runs / 'trained/v1'} {runs / 'trained/v2'}\n"
                    "llm-compat claims"
                )
            ],
        )
    )
    return html_page("llm-compat: what an update breaks, in a minute", sections)


def _comparison_lines(comparison: Comparison) -> list[str]:
    lines: list[str] = []
    for one in tables_of(comparison):
        lines += ["", f"{one.title}:", *text_table(one.header, one.rows)]
    return lines


def _check_lines(found: Demonstration) -> list[str]:
    if found.problems:
        return [f"NOT as planted: {problem}" for problem in found.problems]
    return ["All counts and all lost items are as they were planted."]


def _arm_table(found: Demonstration) -> tuple[list[str], list[list[str]]]:
    header = ["arm", *COLUMNS.values(), "what it is"]
    rows = [
        [arm, *(_percent(run["metrics"][name]) for name in COLUMNS), ARMS[arm]]
        for arm, run in found.runs.items()
    ]
    return header, rows


def _chart(found: Demonstration, metric: str, title: str) -> str:
    values = {
        arm: 100.0 * run["metrics"][metric]
        for arm, run in found.runs.items()
        if arm != "v1" and run["metrics"][metric] is not None
    }
    return bar_chart(title, values, unit="%")


def _mask_chart(found: Demonstration) -> str:
    rates = found.runs[METHOD]["mask_rates"]
    lines = {METHOD: [(float(epoch + 1), 100.0 * rate) for epoch, rate in enumerate(rates)]}
    return line_chart("Mask rate", lines, x_label="epoch", y_label="%")


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"
