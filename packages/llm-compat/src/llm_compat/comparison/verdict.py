"""What follows from a comparison: what regressed, whether it is real, and what to do."""

import math
from typing import Literal

from scipy import stats

from llm_compat.comparison.compare import Comparison, TaskComparison, main_tasks

Verdict = Literal["regressed", "improved", "no difference shown"]
POWER = 0.8
# from this share of what independent models would flip, the new model's errors are mostly its own
MOSTLY_INDEPENDENT = 0.5


def verdict(task: TaskComparison, confidence: float = 0.95) -> Verdict:
    """Whether the new model is worse, better, or not told apart from the old one.

    By the test's p, corrected for the number of tasks where the row is the task's main one.
    """
    p = task.measured.p_values["mcnemar_p"] if task.p_holm is None else task.p_holm
    values = task.measured.values
    pfr, nfr = values["pfr"], values["nfr"]
    if p is None or p >= 1 - confidence or pfr is None or nfr is None or pfr == nfr:
        return "no difference shown"
    return "regressed" if nfr > pfr else "improved"


def detectable_difference(task: TaskComparison, confidence: float = 0.95) -> float | None:
    """The smallest difference of the two flip rates that such a set shows in 80 % of cases, in 0..1.

    By the normal approximation at the rate of flips that was seen; None without flips.
    """
    flips = task.measured.values["flips"]
    if not flips:
        return None
    z = stats.norm.ppf((1 + confidence) / 2) + stats.norm.ppf(POWER)
    return float(z * math.sqrt(flips / len(task.items)))


def findings(comparison: Comparison) -> list[str]:
    """Sentences for a reader, the most important first."""
    confidence = comparison.settings.confidence
    main = main_tasks(comparison.tasks)
    by_verdict: dict[str, list[TaskComparison]] = {}
    for task in main:
        by_verdict.setdefault(verdict(task, confidence), []).append(task)
    lines = []
    for word in ("regressed", "improved"):
        for task in by_verdict.get(word, []):
            lines.append(f"{task.name}: {word}, {_difference(task)} (p = {_p(task)})")
    for task in by_verdict.get("no difference shown", []):
        smallest = detectable_difference(task, confidence)
        shown = (
            ""
            if smallest is None
            else f"; {len(task.items):,} items show differences from {_points(smallest)} on"
        )
        lines.append(f"{task.name}: no difference shown, {_difference(task)} (p = {_p(task)}){shown}")
    for task in main:
        lines += _of_floor(task, confidence) + _of_compat(task, confidence)
    return lines + _what_to_do(comparison, main, by_verdict)


def _difference(task: TaskComparison) -> str:
    values = task.measured.values
    number = len(task.items)
    lost, gained = (round((values[name] or 0) * number) for name in ("nfr", "pfr"))
    flips = f"{lost:,} items lost ({_percent(values['nfr'])}), {gained:,} gained ({_percent(values['pfr'])})"
    if task.items.kind == "graded":
        return f"mean {values['score_old']:.4g} to {values['score_new']:.4g}, {flips}"
    return f"{_percent(values['accuracy_old'])} to {_percent(values['accuracy_new'])}, {flips}"


def _of_floor(task: TaskComparison, confidence: float) -> list[str]:
    found = task.third.get("rerun")
    if found is None:
        return []
    floor = _percent(found.measured.values["nfr"])
    above = found.changes.values["d_nfr"]
    if found.p < 1 - confidence and above is not None and above < 0:
        return [f"{task.name}: negative flips are above the noise floor of {floor} (p = {found.p:.2g})"]
    return [
        f"{task.name}: negative flips are not told apart from the noise floor of {floor}, "
        f"which a mere re-run of the old model has (p = {found.p:.2g})"
    ]


def _of_compat(task: TaskComparison, confidence: float) -> list[str]:
    found = task.third.get("compat")
    if found is None:
        return []
    values, intervals = found.changes.values, found.changes.intervals
    change = values["d_nfr"]
    assert change is not None
    real = found.p < 1 - confidence
    relative = "" if values["d_nfr_relative"] is None else f", {100 * values['d_nfr_relative']:+.1f} %"
    line = (
        f"{task.name}: the compatible model changes the negative flip rate by {_signed(change)}{relative} "
        f"({'real' if real else 'not told from chance'}, p = {found.p:.2g})"
    )
    adjusted = values.get("d_rel_nfr")
    if adjusted is None or not real or change >= 0:
        return [line]
    interval = intervals["d_rel_nfr"]
    points = f"{100 * adjusted:+.1f} points of rel_nfr"
    if interval is not None and interval.high < 0:
        return [f"{line}; adjusted for accuracy it falls too ({points})"]
    return [f"{line}; adjusted for accuracy no fall is shown ({points}): higher accuracy explains it"]


def _what_to_do(
    comparison: Comparison, main: list[TaskComparison], by_verdict: dict[str, list[TaskComparison]]
) -> list[str]:
    lines = []
    if by_verdict.get("regressed"):
        lines.append("Do: read the lost items (llm-compat flips OLD NEW) before the release.")
    elif any(task.measured.values["nfr"] for task in main):
        lines.append("Do: see what was lost all the same: llm-compat flips OLD NEW.")
    independent = [task for task in main if (task.measured.values.get("rel_nfr") or 0) > MOSTLY_INDEPENDENT]
    if independent and "compat" not in comparison.runs:
        names = ", ".join(task.name for task in independent[:3]) + (", ..." if len(independent) > 3 else "")
        lines.append(
            f"Do: on {names} the new model loses over half of what an unrelated model of its accuracy would; "
            "if users depend on the old answers, train a compatibility adapter (llm-compat train)."
        )
    if "rerun" not in comparison.runs and any(task.measured.values["nfr"] for task in main):
        lines.append(
            "Do: evaluate the old model once more and pass --rerun, to know how many flips are noise."
        )
    if not lines:
        lines.append("Nothing regressed; to hold a limit in CI use llm-compat gate OLD NEW --max-nfr X.")
    return lines


def _p(task: TaskComparison) -> str:
    p = task.measured.p_values["mcnemar_p"] if task.p_holm is None else task.p_holm
    return "-" if p is None else f"{p:.2g}"


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f} %"


def _points(value: float) -> str:
    return f"{100 * value:.2f} points"


def _signed(value: float) -> str:
    return f"{100 * value:+.2f} points"
