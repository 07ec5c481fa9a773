"""The experiment as one HTML page with pictures, read offline."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from toolkit_shared.claims import Runs
from toolkit_shared.report import Section, bar_chart, code, html_page, line_chart, paragraph, picture

from seqdecomp.experiment.configuration import BASELINE
from seqdecomp.experiment.summary import to_text


def to_page(document: Mapping[str, Any], runs: Runs, description: str) -> str:
    """The page of a finished experiment.

    Args:
        document: What `summary.to_document` gave.
        runs: The runs, for their curves.
        description: Sizes of the experiment in a line.
    """
    sections = [
        Section("Arms and verdicts", [paragraph(description), code(to_text(document))]),
        Section(
            "Validation loss against training time",
            [
                picture(
                    curves_chart(runs),
                    "Mean over seeds; each document read alone from its first token. Lower and further left "
                    "is better.",
                )
            ],
        ),
    ]
    if (times := _times(document)) is not None:
        sections.append(Section("Training time at equal tokens", [picture(times, f"{BASELINE} is 1.")]))
    return html_page("seqdecomp: claims at small scale", sections)


def curves_chart(runs: Runs) -> str:
    """Mean validation loss over mean training seconds in the second half of the run, a line an arm; SVG."""
    lines = {}
    for arm in dict.fromkeys(arm for arm, _ in runs):
        curves = np.array([run["curve"] for (name, _), run in runs.items() if name == arm], np.float64)
        mean = curves.mean(axis=0)
        late = mean[mean[:, 0] >= mean[-1, 0] / 2]
        lines[arm] = [(float(seconds), float(loss)) for _, seconds, loss in late]
    return line_chart("Loss against time", lines, x_label="training time, s", y_label="nats/token")


def _times(document: Mapping[str, Any]) -> str | None:
    ratios = {
        entry["arm"]: entry["time_ratio"] for entry in document["arms"] if entry["time_ratio"] is not None
    }
    return bar_chart("Time against concatenation", ratios) if ratios else None
