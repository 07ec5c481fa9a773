"""The runs and answers of the experiment as tables and as one JSON document."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from toolkit_shared.claims import Answer, answer_entries
from toolkit_shared.report import text_table

from dclm_bench.experiment.claims import ClaimRuns
from dclm_bench.experiment.configuration import ExperimentSettings
from dclm_bench.experiment.quality_questions import quality_table
from dclm_bench.experiment.questions import Answered, skipped

SAME_SOURCE = (
    "the classifier's positives, the articles held out and some pages of the pool are of one source, so "
    "that a part of what it gains is likeness to them"
)
PACKAGES = ("dclm-bench", "numba", "numpy", "resiliparse", "torch")


def to_document(
    runs: ClaimRuns,
    answered: Sequence[Answered],
    quality: Sequence[Answer],
    settings: ExperimentSettings,
    *,
    passed: bool | None,
) -> dict[str, Any]:
    """Everything that `dclm-bench claims` has to say, as plain values.

    Args:
        runs: All runs.
        answered: Answers about bits per byte.
        quality: Answers about human labels.
        settings: Sizes.
        passed: Whether the gated claims hold; None where no verdict is meant.
    """
    verdicts = [] if passed is None else answer_entries([*(one.answer for one in answered), *quality])
    for entry, one in zip(verdicts, answered, strict=False):
        entry["p"], entry["standard_error"] = one.interval.p, one.interval.error
        entry["held_out_pages"] = one.interval.pages
    return {
        "passed": passed,
        "settings": settings.as_dict(),
        "data": runs.counts,
        "splits": len(runs.splits),
        "left_out_for_shared_text": _mean([run["left_out_for_shared_text"] for run in runs.splits.values()]),
        "experiments": experiment_table(runs.splits),
        "witness": experiment_table(runs.witnesses),
        "quality": quality_table(runs.splits),
        "skipped": skipped(runs.splits),
        "answers": verdicts,
        "seconds": sum(run["seconds"] for run in (*runs.splits.values(), *runs.witnesses.values())),
    }


def experiment_table(found: Mapping[int, Mapping[str, Any]]) -> list[dict[str, Any]]:
    """One entry an experiment and arm: mean over splits of bits per byte, bytes and pages trained on."""
    table = []
    for name in dict.fromkeys(name for run in found.values() for name in run["experiments"]):
        entries = [run["experiments"][name] for run in found.values() if "bits" in run["experiments"][name]]
        for arm in entries[0]["bits"] if entries else ():
            own = [entry for entry in entries if arm in entry["bits"]]
            table.append(
                {
                    "experiment": name,
                    "arm": arm,
                    "splits": len(own),
                    "bits_per_byte": _mean(
                        [float(np.mean(list(entry["bits"][arm].values()))) for entry in own]
                    ),
                    "bytes": _mean([entry["num_bytes"] for entry in own]),
                    "pages": _mean([entry["num_pages"][arm] for entry in own]),
                }
            )
    return table


def to_text(document: Mapping[str, Any]) -> str:
    """The document as tables, and what they leave open in words."""
    data = document["data"]
    english = data["english"]
    lines = [
        f"Data: {sum(data['pages'].values()):,} pages, {sum(english.values()):,} of them English with "
        f"{data['english_bytes'] / 1e6:.1f} MB of main content; {document['splits']} splits. In a split "
        f"{document['left_out_for_shared_text']:.1f} pages are left out for text that they share with a page "
        "held out.",
        "Bits per byte of the gold text of held-out articles: means over splits, each arm of an experiment "
        "trained on the same number of bytes.",
        "",
        *_arm_lines(document["experiments"]),
    ]
    if any(entry["experiment"].startswith("classifier") for entry in document["experiments"]):
        lines += ["", f"Note: {SAME_SOURCE}."]
    if document["witness"]:
        lines += ["", "The same by a transformer", "", *_arm_lines(document["witness"])]
    if document["quality"]:
        lines += ["", "Scores against human labels", "", *_quality_lines(document["quality"])]
    for name, reason in document["skipped"].items():
        lines += ["", f"{name}: not compared, {reason}"]
    if document["passed"] is None:
        return "\n".join(
            [
                *lines,
                "",
                "No verdicts: generated pages only show that all of it runs; give real ones with --data.",
            ]
        )
    lines += ["", *_answer_lines(document["answers"])]
    gated = [entry for entry in document["answers"] if entry["gated"]]
    missing = "" if len(gated) == 3 else f" ({len(gated)} of 3 could be asked)"
    holds = "all hold" if document["passed"] else "NOT all hold"
    return "\n".join([*lines, "", f"gated claims, at p < 0.01: {holds}{missing}"])


def describe(settings: ExperimentSettings) -> str:
    """The sizes of the experiment in a line."""
    return (
        f"byte 5-gram model with Witten-Bell smoothing, {settings.extraction_bytes:,} training bytes for "
        f"extraction and {settings.budget_bytes:,} else (less where an arm has less), held out "
        f"{settings.held_out_fraction:.0%} of the English articles; intervals for samples of splits and pages"
    )


def describe_witness(settings: ExperimentSettings) -> str:
    """The transformer in a line."""
    return (
        f"byte-level transformer of two blocks, {settings.witness_steps} steps from the same weights in all "
        "arms of a split, on the bytes that the n-gram model had"
    )


def _arm_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            entry["experiment"],
            entry["arm"],
            f"{entry['bits_per_byte']:.4f}",
            f"{entry['bytes']:,.0f}",
            f"{entry['pages']:.0f}",
            str(entry["splits"]),
        ]
        for entry in entries
    ]
    return text_table(["experiment", "arm", "bits/byte", "bytes", "pages", "splits"], rows)


def _quality_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = [
        [
            entry["score"],
            f"{entry['auc']:.3f}",
            f"{entry['length_auc']:.3f}",
            "-" if entry["within_length_auc"] is None else f"{entry['within_length_auc']:.3f}",
            str(entry["pages"]),
        ]
        for entry in entries
    ]
    return text_table(["score", "AUC", "AUC of length", "AUC within tenths of length", "pages"], rows)


def _answer_lines(entries: Sequence[Mapping[str, Any]]) -> list[str]:
    rows = []
    for entry in entries:
        low, high = entry["interval"]
        rows.append(
            [
                entry["question"],
                f"{entry['effect']:+.3f}",
                f"{low:+.3f} to {high:+.3f}",
                "99 %" if entry["gated"] else "95 %",
                f"{entry['p']:.1g}" if "p" in entry else "-",
                entry["verdict"],
                "yes" if entry["gated"] else "",
            ]
        )
    return text_table(["question", "effect", "interval", "of", "p", "verdict", "gated"], rows)


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values)) if values else 0.0
