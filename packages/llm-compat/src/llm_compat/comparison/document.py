"""A comparison as plain values: the JSON that the commands print."""

import dataclasses
from collections.abc import Mapping
from typing import Any

from llm_compat.comparison.compare import Comparison, TaskComparison, main_tasks
from llm_compat.comparison.measure import Measured
from llm_compat.comparison.third_model import ThirdModel
from llm_compat.comparison.verdict import detectable_difference, findings, verdict

# every task has these keys, null where the metric is not defined or the scores are of the other kind
_ALWAYS = (
    "accuracy_old",
    "accuracy_new",
    "accuracy_difference",
    "score_old",
    "score_new",
    "score_difference",
    "nfr",
    "pfr",
    "flips",
    "nfr_mc",
    "consistency_q1",
    "btc",
    "bec",
    "nfi",
    "rel_nfr",
    "gain_magnitude",
    "regression_magnitude",
)


def comparison_document(comparison: Comparison) -> dict[str, Any]:
    """All tasks, a summary and the findings, as plain values; undefined is None.

    Rates are shares of 1; a metric `x` has its interval beside it as `x_interval`.
    """
    confidence = comparison.settings.confidence
    main = main_tasks(comparison.tasks)
    verdicts = [verdict(task, confidence) for task in main]
    return {
        **{model: str(path) for model, path in comparison.paths.items()},
        "settings": dataclasses.asdict(comparison.settings),
        "tasks": [task_document(task, confidence) for task in comparison.tasks],
        "summary": {
            "tasks": len(main),
            "regressed": [t.task for t, word in zip(main, verdicts, strict=True) if word == "regressed"],
            "improved": [t.task for t, word in zip(main, verdicts, strict=True) if word == "improved"],
            "mean_nfr": _mean([task.measured.values["nfr"] for task in main]),
            "mean_pfr": _mean([task.measured.values["pfr"] for task in main]),
        },
        "findings": findings(comparison),
        "notes": list(comparison.notes),
    }


def task_document(task: TaskComparison, confidence: float) -> dict[str, Any]:
    """One row of the table as plain values."""
    document: dict[str, Any] = {
        "task": task.task,
        "filter": task.filter,
        "metric": task.metric,
        "kind": task.items.kind,
        "n": len(task.items),
        "unpaired": task.unpaired,
        "unscored": task.items.unscored,
        **_measured(task.measured, _ALWAYS),
        "mcnemar_p_holm": task.p_holm,
        "verdict": verdict(task, confidence),
        "detectable_difference": detectable_difference(task, confidence),
    }
    for model, found in task.third.items():
        document[model] = _third(found, model)
    if task.slices:
        document["slices"] = [
            {
                "field": part.field,
                "value": part.value,
                "n": part.items,
                **_measured(part.measured, tuple(part.measured.values)),
                "mcnemar_p_holm": part.p_holm,
            }
            for part in task.slices
        ]
    document["notes"] = list(task.notes)
    return document


def _measured(measured: Measured, names: tuple[str, ...]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name in names:
        interval = measured.intervals.get(name)
        found[name] = measured.values.get(name)
        found[f"{name}_interval"] = None if interval is None else list(interval)
    return {**found, **measured.p_values, "clusters": measured.clusters}


def _third(found: ThirdModel, model: str) -> dict[str, Any]:
    """The third model's own metrics under the names of the old-new pair, and the changes with `d_`."""
    own: Mapping[str, Any] = {
        name.replace("accuracy_new", "accuracy").replace("score_new", "score"): value
        for name, value in _measured(found.measured, tuple(found.measured.values)).items()
        if not name.startswith(("accuracy_old", "score_old"))
    }
    changes = _measured(found.changes, tuple(found.changes.values))
    document = {
        **own,
        **{name: value for name, value in changes.items() if name != "clusters"},
        "nfr_mcnemar_p": found.p,
        "only_new_flips": found.only_new,
        f"only_{model}_flips": found.only_third,
    }
    if model == "rerun":  # the change of the re-run against the new model, seen from the new model
        above, interval = found.changes.values["d_nfr"], found.changes.intervals["d_nfr"]
        document["nfr_above_floor"] = None if above is None else -above
        document["nfr_above_floor_interval"] = None if interval is None else [-interval.high, -interval.low]
    return document


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None
