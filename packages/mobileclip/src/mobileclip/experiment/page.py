"""The experiment as one HTML page with pictures, read offline."""

from collections.abc import Mapping
from typing import Any

from toolkit_shared.report import Section, bar_chart, code, html_page, line_chart, paragraph, picture

from mobileclip.experiment.configuration import MILD
from mobileclip.experiment.summary import HONEST, order_line, to_text


def to_page(document: Mapping[str, Any], descriptions: Mapping[str, str]) -> str:
    """The page of a finished experiment.

    Args:
        document: What `summary.to_document` gave.
        descriptions: Sizes of each regime in a line.
    """
    sections = []
    for regime, part in document["regimes"].items():
        parts = [paragraph(order_line(part))] if regime == MILD.name else [paragraph(HONEST)]
        parts.append(
            picture(
                ladder_chart(part, f"Zero-shot accuracy, {regime} regime"), "Mean and range over the seeds."
            )
        )
        sections.append(Section(f"The {regime} regime", [*parts, paragraph(descriptions[regime])]))
    if document["efficiency"]:
        pictures = [
            picture(
                curve_chart(by_arm, axis), f"Each point is a training of its own on that share of {axis}."
            )
            for axis, by_arm in document["efficiency"]["curves"].items()
            if by_arm
        ]
        sections.append(Section("Learning efficiency", pictures))
    sections.append(Section("All figures", [code(to_text(document))]))
    return html_page("mobileclip: claims at small scale", sections)


def ladder_chart(part: Mapping[str, Any], title: str) -> str:
    """The accuracy of every arm in percent, mean and range over seeds; SVG."""
    names = {entry["arm"]: f"{entry['arm']}: {entry['words']}" for entry in part["arms"]}
    return bar_chart(
        title,
        {names[entry["arm"]]: entry["mean"] for entry in part["arms"]},
        unit="%",
        ranges={names[entry["arm"]]: (min(entry["values"]), max(entry["values"])) for entry in part["arms"]},
    )


def curve_chart(by_arm: Mapping[str, Any], axis: str) -> str:
    """Mean accuracy over the share of the steps or pairs, a line an arm; SVG."""
    lines = {arm: [(ratio, value) for ratio, value in points] for arm, points in by_arm.items()}
    return line_chart(
        f"Accuracy by {axis}", lines, x_label=f"fraction of the {axis}", y_label="%", log_x=True
    )
