"""The experiment as one HTML page with pictures, read offline."""

from collections.abc import Mapping, Sequence
from typing import Any

from toolkit_shared.report import Section, bar_chart, code, html_page, paragraph, picture

from dclm_bench.experiment.summary import to_text


def to_page(document: Mapping[str, Any], description: str) -> str:
    """The page of a finished experiment.

    Args:
        document: What `summary.to_document` gave.
        description: Sizes of the experiment in a line.
    """
    sections = []
    if document["answers"]:
        bits = [entry for entry in document["answers"] if entry["metric"].startswith("bits")]
        quality = [entry for entry in document["answers"] if entry not in bits]
        parts = [
            paragraph(
                "What the first arm needs in bits a byte less the second; to the left the first is better. "
                "Lines are intervals for samples of splits and of pages, of 99 % for gated questions."
            ),
            picture(effect_chart("Difference in bits per byte", bits), "Bits per byte of held-out articles."),
        ]
        if quality:
            parts.append(
                picture(
                    effect_chart("Gain in AUC over the length of the page", quality),
                    "Agreement with human labels, less that of length alone.",
                )
            )
        sections.append(Section("Effects", parts))
    for name in dict.fromkeys(entry["experiment"] for entry in document["experiments"]):
        own = {
            entry["arm"]: entry["bits_per_byte"]
            for entry in document["experiments"]
            if entry["experiment"] == name
        }
        sections.append(
            Section(
                name.capitalize(),
                [picture(bar_chart(name, own, unit="bits/byte"), "Mean over splits; lower is better.")],
            )
        )
    sections.append(Section("All figures", [paragraph(description), code(to_text(document))]))
    return html_page("dclm-bench: claims at small scale", sections)


def effect_chart(title: str, entries: Sequence[Mapping[str, Any]]) -> str:
    """The effect of every question with its interval; SVG."""
    return bar_chart(
        title,
        {entry["question"]: entry["effect"] for entry in entries},
        ranges={entry["question"]: (entry["interval"][0], entry["interval"][1]) for entry in entries},
    )
