"""The release gate over the tasks of a comparison: which are certified, and what the others lack."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from toolkit_shared.report.text_table import text_table

from llm_compat.certify import Certificate, certify_rate
from llm_compat.comparison.compare import Comparison, TaskComparison
from llm_compat.reporting.junit import Check, to_junit
from llm_compat.reporting.markdown import markdown_rows


class GatedTask(NamedTuple):
    """One task, filter and metric with its certificate."""

    task: TaskComparison
    certificate: Certificate


def gate_tasks(
    comparison: Comparison, *, max_rate: float, confidence: float, all_metrics: bool = False
) -> list[GatedTask]:
    """A certificate for the first metric of every task and filter, or for all metrics.

    Every filter counts: which one a product uses is not known here.

    Args:
        comparison: Old against new.
        max_rate: Limit of the negative flip rate, in 0..1.
        confidence: One-sided.
        all_metrics: Not only the first metric.
    """
    seen: set[tuple[str, str]] = set()
    gated = []
    for task in comparison.tasks:
        if not all_metrics and (task.task, task.filter) in seen:
            continue
        seen.add((task.task, task.filter))
        flips = int(task.items.negative_flips("new", comparison.settings.tolerance).sum())
        gated.append(GatedTask(task, certify_rate(flips, len(task.items), max_rate, confidence)))
    return gated


def gate_document(comparison: Comparison, gated: Sequence[GatedTask]) -> dict[str, Any]:
    """The gate as plain values."""
    return {
        **{model: str(path) for model, path in comparison.paths.items()},
        "passed": all(found.certificate.certified for found in gated),
        "tasks": [
            {
                "task": found.task.task,
                "filter": found.task.filter,
                "metric": found.task.metric,
                "n": found.certificate.items,
                "negative_flips": found.certificate.flips,
                "nfr": found.certificate.flips / found.certificate.items,
                "nfr_upper_bound": found.certificate.bound,
                "max_nfr": found.certificate.max_rate,
                "confidence": found.certificate.confidence,
                "certified": found.certificate.certified,
                "items_needed": found.certificate.items_needed,
                "items_for_power": found.certificate.items_for_power,
                "notes": list(found.task.notes),
            }
            for found in gated
        ],
        "notes": list(comparison.notes),
    }


def gate_text(gated: Sequence[GatedTask], *, markdown: bool = False) -> str:
    """A table, and for every task that is not certified what it lacks."""
    first = gated[0].certificate
    bound = f"upper bound % ({100 * first.confidence:g} %)"
    header = ["task", "filter", "metric", "n", "flips", "NFR %", bound, "limit %", "certified"]
    rows = [
        [
            found.task.task,
            found.task.filter,
            found.task.metric,
            f"{found.certificate.items:,}",
            f"{found.certificate.flips:,}",
            f"{100 * found.certificate.flips / found.certificate.items:.2f}",
            f"{100 * found.certificate.bound:.2f}",
            f"{100 * found.certificate.max_rate:g}",
            "yes" if found.certificate.certified else "NO",
        ]
        for found in gated
    ]
    if markdown:
        lines = markdown_rows(header, rows)
    else:
        lines = text_table(header, rows)
    lacking = [
        f"{found.task.name}: {lack(found.certificate)}" for found in gated if not found.certificate.certified
    ]
    lines += ["", *(f"- {line}" if markdown else line for line in lacking)] if lacking else []
    passed = len(gated) - len(lacking)
    return "\n".join(
        [*lines, "", f"gate: {passed} of {len(gated)} certified" + ("" if lacking else ", passed")]
    )


def lack(certificate: Certificate) -> str:
    """Why a task is not certified, and what would change that."""
    rate = certificate.flips / certificate.items
    if certificate.items_needed is None:
        return (
            f"not certified: the rate seen, {100 * rate:.2f} %, is not below the limit of "
            f"{100 * certificate.max_rate:g} %; no number of items certifies it"
        )
    text = (
        f"not certified: {certificate.flips:,} flips of {certificate.items:,} items allow up to "
        f"{100 * certificate.bound:.2f} %; the same rate would be certified at "
        f"{certificate.items_needed:,} items"
    )
    if certificate.items_for_power is not None:
        text += f", and a new set passes in 80 % of cases at {certificate.items_for_power:,}"
    return text


def gate_report(gated: Sequence[GatedTask]) -> str:
    """The gate as JUnit XML."""
    checks = [
        Check(
            found.task.name,
            f"{found.certificate.flips} negative flips of {found.certificate.items} items, upper bound "
            f"{100 * found.certificate.bound:.2f} %",
            None if found.certificate.certified else lack(found.certificate),
        )
        for found in gated
    ]
    return to_junit("llm-compat gate", checks)
