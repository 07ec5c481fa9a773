"""The tables of a comparison, as cells of text that every kind of report shows."""

from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

from llm_compat.comparison.compare import Comparison, Slice, TaskComparison
from llm_compat.comparison.measure import Measured
from llm_compat.comparison.third_model import ThirdModel
from llm_compat.comparison.verdict import verdict


class Table(NamedTuple):
    """A title, column names, and rows of as many cells."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]


def tables_of(comparison: Comparison) -> list[Table]:
    """What was found, table by table; those without rows are left out."""
    confidence = comparison.settings.confidence
    binary = [task for task in comparison.tasks if task.items.kind == "binary"]
    graded = [task for task in comparison.tasks if task.items.kind == "graded"]
    tables = [
        _flips(binary, confidence),
        _scores(graded, confidence),
        *(_against_new(comparison.tasks, model, title) for model, title in _THIRD.items()),
        *_slices(comparison.tasks),
    ]
    return [table for table in tables if table.rows]


def percent(value: float | None) -> str:
    """A share of 1 with two decimals, `-` where it is undefined."""
    return "-" if value is None else f"{100 * value:.2f}"


def p_value(value: float | None) -> str:
    """A p value to two digits, `-` where there is none."""
    if value is None:
        return "-"
    return f"{value:.3f}" if value >= 0.001 else f"{value:.1e}"


_THIRD = {
    "compat": "Compatible model against the new one (differences are compatible less new)",
    "rerun": "Noise floor: the old model against its own re-run (differences are re-run less new)",
}


def _flips(tasks: Sequence[TaskComparison], confidence: float) -> Table:
    header = ["task", "filter", "metric", "n", "old %", "new %", "NFR %", "95 % interval", "count"]
    header += ["PFR %", "flips %", "NFR_mc %", "BTC %", "NFI %", "rel NFR %", "p", "p Holm", "verdict"]
    header[7] = f"{100 * confidence:g} % interval"
    rows = []
    for task in tasks:
        values = task.measured.values
        count = round((values["nfr"] or 0) * len(task.items))
        rows.append(
            [
                *_names(task),
                percent(values["accuracy_old"]),
                percent(values["accuracy_new"]),
                percent(values["nfr"]),
                _interval(task.measured, "nfr"),
                f"{count:,}",
                *(percent(values[name]) for name in ("pfr", "flips", "nfr_mc", "btc", "nfi", "rel_nfr")),
                p_value(task.measured.p_values["mcnemar_p"]),
                p_value(task.p_holm),
                verdict(task, confidence),
            ]
        )
    return Table("Right and wrong", header, rows)


def _scores(tasks: Sequence[TaskComparison], confidence: float) -> Table:
    header = ["task", "filter", "metric", "n", "old", "new", "NFR %", "95 % interval", "PFR %"]
    header += ["gain magnitude", "regression magnitude", "p (sign)", "p (t)", "p Holm", "verdict"]
    header[7] = f"{100 * confidence:g} % interval"
    rows = []
    for task in tasks:
        values = task.measured.values
        rows.append(
            [
                *_names(task),
                _score(values["score_old"]),
                _score(values["score_new"]),
                percent(values["nfr"]),
                _interval(task.measured, "nfr"),
                percent(values["pfr"]),
                _score(values["gain_magnitude"]),
                _score(values["regression_magnitude"]),
                p_value(task.measured.p_values["mcnemar_p"]),
                p_value(task.measured.p_values["t_test_p"]),
                p_value(task.p_holm),
                verdict(task, confidence),
            ]
        )
    return Table("Scores", header, rows)


def _against_new(tasks: Sequence[TaskComparison], model: str, title: str) -> Table:
    header = ["task", "filter", "metric", "n", "quality", "NFR %", "rel NFR %", "d NFR points", "d NFR %"]
    header += ["d quality points", "d PFR points", "d rel NFR points", "p (d NFR)"]
    rows = []
    for task in tasks:
        found = task.third.get(model)
        if found is None:
            continue
        graded = task.items.kind == "graded"
        quality = "score_new" if graded else "accuracy_new"
        own = found.measured.values
        rows.append(
            [
                *_names(task),
                _score(own[quality]) if graded else percent(own[quality]),
                percent(own["nfr"]),
                percent(own.get("rel_nfr")),
                _change(found, "d_nfr", _points),
                _change(found, "d_nfr_relative", _points),
                _change(found, f"d_{quality}", _signed if graded else _points),
                _change(found, "d_pfr", _points),
                _change(found, "d_rel_nfr", _points),
                p_value(found.p),
            ]
        )
    return Table(title, header, rows)


def _slices(tasks: Sequence[TaskComparison]) -> Iterator[Table]:
    for task in tasks:
        for name in dict.fromkeys(part.field for part in task.slices):
            parts = [part for part in task.slices if part.field == name]
            parts.sort(key=lambda part: -(part.measured.values["nfr"] or 0))
            header = [name, "n", "old", "new", "NFR %", "interval", "PFR %", "rel NFR %", "p", "p Holm"]
            yield Table(f"{task.name} by {name}", header, [_slice(part, task) for part in parts])


def _slice(part: Slice, task: TaskComparison) -> list[str]:
    values, graded = part.measured.values, task.items.kind == "graded"
    return [
        part.value or "(none)",
        f"{part.items:,}",
        _score(values["score_old"]) if graded else percent(values["accuracy_old"]),
        _score(values["score_new"]) if graded else percent(values["accuracy_new"]),
        percent(values["nfr"]),
        _interval(part.measured, "nfr"),
        percent(values["pfr"]),
        percent(values.get("rel_nfr")),
        p_value(part.measured.p_values["mcnemar_p"]),
        p_value(part.p_holm),
    ]


def _names(task: TaskComparison) -> list[str]:
    return [task.task, task.filter, task.metric, f"{len(task.items):,}"]


def _interval(measured: Measured, name: str) -> str:
    interval = measured.intervals[name]
    return "-" if interval is None else f"{percent(interval.low)} to {percent(interval.high)}"


def _change(found: ThirdModel, name: str, shown: Callable[[float], str]) -> str:
    value, interval = found.changes.values.get(name), found.changes.intervals.get(name)
    if value is None:
        return "-"
    return shown(value) + (f" ({shown(interval.low)} to {shown(interval.high)})" if interval else "")


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"


def _signed(value: float) -> str:
    return f"{value:+.4g}"


def _score(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
