"""The runs and answers of the experiment as tables and as one JSON document."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from toolkit_shared.claims import Answer, Runs, answer_entries, answer_lines
from toolkit_shared.report.text_table import text_table

from llm_compat.experiment.configuration import (
    EXTRA_TRAINING,
    METHOD,
    SELF_DISTILLATION,
    V1,
    V2,
    ExperimentSettings,
)
from llm_compat.experiment.measures import compare_flips, unpack_answers
from llm_compat.experiment.questions import percentage
from llm_compat.experiment.shares import Explained, explain_drop

PACKAGES = ("llm-compat", "numpy", "peft", "torch", "transformers")
METRICS = ("accuracy", "nfr", "pfr", "nfr_mc", "rel_nfr", "btc", "nfi")
ADJUSTED = {"nfr": "NFR", "rel_nfr": "relative NFR"}
# what never sees the old model, and yet may lower its negative flips
CONTROLS = {
    EXTRA_TRAINING: "as much extra training alone",
    SELF_DISTILLATION: "as much distillation from v2 alone",
}
LEVEL = 0.05


def to_document(
    found: Mapping[str, Runs],
    answers: Mapping[str, Sequence[Answer]],
    gold: Sequence[int],
    settings: ExperimentSettings,
    *,
    data: str,
    passed: bool,
) -> dict[str, Any]:
    """Everything that `llm-compat claims` has to say, as plain values.

    Args:
        found: Runs by scenario.
        answers: Answers by scenario; those across scenarios under "".
        gold: True intents of the test part.
        settings: Sizes.
        data: Where the data come from, in words.
        passed: Whether the gated claim stands.
    """
    return {
        "passed": passed,
        "data": data,
        "items": len(gold),
        "settings": settings.as_dict(),
        "scenarios": {
            scenario: {
                "arms": arm_table(runs),
                "answers": answer_entries(answers[scenario]),
                "explained": {
                    control: {metric: _plain(explained(runs, metric, control)) for metric in ADJUSTED}
                    for control in CONTROLS
                },
                "within_seeds": within_seeds(runs, gold),
            }
            for scenario, runs in found.items()
        },
        "answers": answer_entries(answers.get("", ())),
    }


def arm_table(runs: Runs) -> list[dict[str, Any]]:
    """One entry an arm: means over its seeds of the metrics (in percent), mask rate and CPU seconds."""
    table = []
    for arm in dict.fromkeys(arm for arm, _ in runs):
        own = [run for (name, _), run in runs.items() if name == arm]
        rates = [run["mask_rates"] for run in own if run["mask_rates"]]
        table.append(
            {
                "arm": arm,
                "seeds": sorted(seed for name, seed in runs if name == arm),
                **{name: _mean([percentage(name)(run, runs) for run in own]) for name in METRICS},
                "first_mask_rate": _mean([100.0 * entry[0] for entry in rates]),
                "last_mask_rate": _mean([100.0 * entry[-1] for entry in rates]),
                "steps": own[0]["steps"],
                "kept_epoch": _mean([float(run["kept_epoch"]) for run in own]),
                "seconds": _mean([run["seconds"] for run in own]),
            }
        )
    return table


def explained(runs: Runs, metric: str, control: str = EXTRA_TRAINING) -> Explained | None:
    """How much of muscle's drop in a metric a control explains; None without the arms or seeds."""
    value = percentage(metric)
    columns: dict[str, list[float]] = {V2: [], control: [], METHOD: []}
    for seed in sorted({seed for _, seed in runs}):
        values = [value(runs[arm, seed], runs) if (arm, seed) in runs else None for arm in columns]
        for arm, one in zip(columns, values, strict=True):
            if one is not None and None not in values:
                columns[arm].append(one)
    update, of_control, method = columns.values()
    return explain_drop(
        update, of_control, method, metric=ADJUSTED[metric], name=control, words=CONTROLS[control]
    )


def within_seeds(runs: Runs, gold: Sequence[int]) -> list[dict[str, Any]]:
    """One entry a seed: negative flips of muscle alone, those of ce_more alone, and McNemar's exact p."""
    truth = np.asarray(gold, np.int64)
    entries = []
    for seed in sorted({seed for _, seed in runs}):
        if (METHOD, seed) not in runs or (EXTRA_TRAINING, seed) not in runs:
            continue
        old, first, second = (unpack_answers(runs[arm, seed]) for arm in (V1, METHOD, EXTRA_TRAINING))
        of_method, of_control, p = compare_flips(old, first, second, truth)
        entries.append({"seed": seed, "muscle_only": of_method, "ce_more_only": of_control, "p": p})
    return entries


def to_text(document: Mapping[str, Any]) -> str:
    """The document as tables, and the verdicts in words."""
    lines = [f"Data: {document['data']}, {document['items']:,} test items. Means over seeds, in percent."]
    for scenario, part in document["scenarios"].items():
        lines += [
            "",
            f"Scenario {scenario}",
            "",
            *_arm_lines(part["arms"]),
            "",
            *answer_lines(part["answers"]),
        ]
        lines += ["", *verdict_lines(part)]
    if document["answers"]:
        lines += ["", "Across scenarios", "", *answer_lines(document["answers"])]
    return "\n".join(lines)


def verdict_lines(part: Mapping[str, Any]) -> list[str]:
    """What a scenario says of extra training, a sentence a line."""
    lines = [
        entry["sentence"]
        for by_metric in part["explained"].values()
        for entry in by_metric.values()
        if entry is not None
    ]
    entries = part["within_seeds"]
    if entries:
        fewer = sum(entry["p"] < LEVEL and entry["muscle_only"] < entry["ce_more_only"] for entry in entries)
        more = sum(entry["p"] < LEVEL and entry["muscle_only"] > entry["ce_more_only"] for entry in entries)
        lines.append(
            f"Within seeds, by exact McNemar tests of the flipped items at p < {LEVEL}: muscle has fewer "
            f"negative flips than ce_more in {fewer} of {len(entries)} seeds, and more in {more}."
        )
    return lines


def describe(settings: ExperimentSettings) -> str:
    """The sizes of the experiment in a line."""
    return (
        f"causal models of width {settings.width} and {settings.num_layers} blocks, LoRA rank "
        f"{settings.rank}, {settings.epochs} epochs, lr {settings.lr:g}, loss on {settings.loss_on}, "
        f"checkpoint {settings.checkpoint}"
    )


def _arm_lines(arms: Sequence[Mapping[str, Any]]) -> list[str]:
    metrics = ["accuracy", "NFR", "PFR", "NFR_mc", "rel NFR", "BTC", "NFI"]
    header = ["arm", "seeds", *metrics, "mask", "steps", "kept epoch", "CPU s"]
    rows = [
        [
            entry["arm"],
            str(len(entry["seeds"])),
            *(_number(entry[name]) for name in METRICS),
            _number(entry["first_mask_rate"], 1) + " to " + _number(entry["last_mask_rate"], 1)
            if entry["first_mask_rate"] is not None
            else "-",
            str(entry["steps"]),
            _number(entry["kept_epoch"], 1),
            _number(entry["seconds"], 1),
        ]
        for entry in arms
    ]
    return text_table(header, rows)


def _plain(found: Explained | None) -> dict[str, Any] | None:
    if found is None:
        return None
    return {
        "drop": found.drop,
        "drop_interval": list(found.drop_interval),
        "share": found.share.value,
        "share_interval": None if found.share.low is None else [found.share.low, found.share.high],
        "left": found.left,
        "left_interval": list(found.left_interval),
        "sentence": found.sentence,
    }


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _number(value: float | None, digits: int = 2) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
