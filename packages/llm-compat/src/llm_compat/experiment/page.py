"""The experiment as one HTML page with pictures, read offline."""

from collections.abc import Mapping
from typing import Any

from toolkit_shared.claims import Runs
from toolkit_shared.report import Section, bar_chart, code, html_page, line_chart, paragraph, picture

from llm_compat.experiment.questions import percentage
from llm_compat.experiment.summary import to_text, verdict_lines

TITLES = {"nfr": "Negative flip rate", "rel_nfr": "Relative negative flip rate", "accuracy": "Accuracy"}


def to_page(document: Mapping[str, Any], found: Mapping[str, Runs], description: str) -> str:
    """The page of a finished experiment.

    Args:
        document: What `summary.to_document` gave.
        found: The runs by scenario.
        description: Sizes of the experiment in a line.
    """
    sections = []
    for scenario, runs in found.items():
        part = document["scenarios"][scenario]
        parts = [paragraph(line) for line in verdict_lines(part)]
        parts += [
            picture(
                metric_chart(runs, metric, title),
                f"{title} in percent, scenario {scenario}: mean over seeds, and the range of them.",
            )
            for metric, title in TITLES.items()
        ]
        if (rates := mask_chart(runs)) is not None:
            parts.append(picture(rates, "Share of trained tokens that are distilled from the old model."))
        sections.append(Section(f"Scenario {scenario}", parts))
    sections.append(Section("All figures", [paragraph(description), code(to_text(document))]))
    return html_page("llm-compat: claims at small scale", sections)


def metric_chart(runs: Runs, metric: str, title: str) -> str:
    """A metric of every arm in percent, mean and range over seeds; SVG."""
    means, ranges = {}, {}
    for arm in dict.fromkeys(arm for arm, _ in runs):
        values = [
            value
            for (name, _), run in runs.items()
            if name == arm and (value := percentage(metric)(run, runs)) is not None
        ]
        if values and (arm != "v1" or metric == "accuracy"):
            means[arm] = sum(values) / len(values)
            ranges[arm] = (min(values), max(values))
    return bar_chart(title, means, unit="%", ranges=ranges)


def mask_chart(runs: Runs) -> str | None:
    """Mean mask rate of every epoch in percent, a line an arm that has a changing mask; SVG."""
    lines = {}
    for arm in dict.fromkeys(arm for arm, _ in runs):
        rates = [run["mask_rates"] for (name, _), run in runs.items() if name == arm and run["mask_rates"]]
        if rates and len({rate for entry in rates for rate in entry}) > 1:
            lines[arm] = [
                (float(epoch + 1), 100.0 * sum(values) / len(values))
                for epoch, values in enumerate(zip(*rates, strict=True))
            ]
    return line_chart("Mask rate", lines, x_label="epoch", y_label="%") if lines else None
