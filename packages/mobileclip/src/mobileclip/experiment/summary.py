"""The runs and answers of the experiment as tables and as one JSON document."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from toolkit_shared.claims import Answer, answer_entries, answer_lines, gate
from toolkit_shared.report.text_table import text_table

from mobileclip.experiment.claims import AXES, EFFICIENCY, Found, mean_curves
from mobileclip.experiment.configuration import ARMS, MILD, ExperimentSettings, Regime
from mobileclip.experiment.questions import broken_seeds

PACKAGES = ("mobileclip", "numpy", "scikit-learn", "torch")
HONEST = (
    "The mild regime was chosen, in a prototype, after the harsh one had been seen; so both are reported."
)


def to_document(
    found: Mapping[str, Mapping[int, Found]],
    answers: Mapping[str, Sequence[Answer]],
    settings: ExperimentSettings,
    *,
    passed: bool | None,
) -> dict[str, Any]:
    """Everything that `mobileclip claims` has to say, as plain values.

    Args:
        found: What was measured, by regime and seed.
        answers: Answers by regime; those of the learning curves under "efficiency".
        settings: Sizes.
        passed: Whether the gated claims stand; None where they were not judged.
    """
    return {
        "passed": passed,
        "settings": settings.as_dict(),
        "regimes": {
            regime: {
                "teachers": [100.0 * one["accuracy"] for run in seeds.values() for one in run["teachers"]],
                "arms": _arm_table(seeds),
                "answers": answer_entries(answers[regime]),
                "seeds_out_of_order": broken_seeds(seeds),
                "seconds": float(np.mean([run["seconds"]["all"] for run in seeds.values()])),
            }
            for regime, seeds in found.items()
        },
        "efficiency": {
            "curves": {axis: mean_curves(found[MILD.name], axis) for axis in AXES},
            "answers": answer_entries(answers[EFFICIENCY]),
        }
        if EFFICIENCY in answers
        else None,
    }


def passes(found: Mapping[str, Mapping[int, Found]], answers: Mapping[str, Sequence[Answer]]) -> bool:
    """Whether all gated questions hold, and the ladder stands in every seed of the mild regime."""
    every = [answer for own in answers.values() for answer in own]
    return gate(every) and not broken_seeds(found.get(MILD.name, {}))


def to_text(document: Mapping[str, Any]) -> str:
    """The document as tables."""
    lines = ["Zero-shot accuracy in percent, 200 classes: mean over the seeds, and each of them."]
    for regime, part in document["regimes"].items():
        teachers = part["teachers"]
        lines += ["", f"Regime {regime} (teachers {min(teachers):.1f} to {max(teachers):.1f})", ""]
        lines += [*_arm_lines(part["arms"]), "", *answer_lines(part["answers"], digits=2)]
        if regime == MILD.name:
            lines += ["", order_line(part)]
    if document["efficiency"]:
        lines += [
            "",
            "Learning efficiency (mild regime): accuracy by fraction of the steps, of the pairs",
            "",
        ]
        lines += [*_curve_lines(document["efficiency"]["curves"]), ""]
        lines += answer_lines(document["efficiency"]["answers"], digits=3)
    return "\n".join([*lines, "", HONEST])


def order_line(part: Mapping[str, Any]) -> str:
    """Whether the ladder stands in every seed, in a sentence."""
    seeds = len(part["arms"][0]["values"])
    broken = part["seeds_out_of_order"]
    if not broken:
        return f"A < B < C < D < F in each of {seeds} seeds."
    return f"A < B < C < D < F does NOT hold in seeds {', '.join(map(str, broken))} of {seeds}."


def describe(settings: ExperimentSettings, regime: Regime) -> str:
    """The sizes of the experiment in a line."""
    return (
        f"{regime.num_pairs} pairs, noise {regime.noise:g}, rolls of {regime.roll_pixels} pixels, "
        f"captioner's error {regime.caption_error_ratio:g}; MLPs of width {settings.width}, "
        f"{settings.steps} steps, batch {settings.batch_size}, lr {settings.lr:g}, "
        f"{settings.num_augmentations} augmentations stored"
    )


def _arm_table(seeds: Mapping[int, Found]) -> list[dict[str, Any]]:
    ran = next(iter(seeds.values()))["arms"]
    table = []
    for arm in (name for name in ARMS if name in ran):
        values = [100.0 * run["arms"][arm]["accuracy"] for run in seeds.values()]
        table.append({"arm": arm, "words": ARMS[arm].words, "values": values, "mean": float(np.mean(values))})
    return table


def _arm_lines(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            entry["arm"],
            f"{entry['mean']:.1f}",
            " ".join(f"{value:.1f}" for value in entry["values"]),
            entry["words"],
        ]
        for entry in arms
    ]
    return text_table(["arm", "mean", "seeds", "what it is"], rows)


def _curve_lines(curves: Mapping[str, Mapping[str, Sequence[Sequence[float]]]]) -> list[str]:
    rows, header = [], ["arm"]
    for axis, by_arm in curves.items():
        for arm, points in by_arm.items():
            header = ["arm", *(f"{ratio:g}" for ratio, _ in points)]
            rows.append([f"{arm} by {axis}", *(f"{value:.1f}" for _, value in points)])
    return text_table(header, rows) if rows else []
