"""The runs and answers of the experiment as tables and as one JSON document."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from toolkit_shared.claims import Answer, Runs, answer_entries, answer_lines
from toolkit_shared.report import text_table

from seqdecomp.cost import relative_cost
from seqdecomp.experiment.configuration import BASELINE, ExperimentSettings

PACKAGES = ("numpy", "seqdecomp", "tokenizers", "torch")


def arm_table(runs: Runs, settings: ExperimentSettings) -> list[dict[str, Any]]:
    """One entry an arm: means over its seeds of time and losses, and what the cost law predicts.

    `time_ratio` and `law_ratio` are to the baseline, None without it; the former is the geometric mean over
    common seeds. Coverage counts tokens of all seeds.
    """
    table = []
    for arm in dict.fromkeys(arm for arm, _ in runs):
        own = {seed: run for (name, seed), run in runs.items() if name == arm}
        ratios = [
            math.log(run["seconds"] / runs[BASELINE, seed]["seconds"])
            for seed, run in own.items()
            if (BASELINE, seed) in runs
        ]
        laws = [
            relative_cost(
                run["attended_length"],
                runs[BASELINE, seed]["attended_length"],
                width=settings.width,
                num_layers=settings.num_layers,
                vocab_size=settings.vocab_size,
            )
            for seed, run in own.items()
            if (BASELINE, seed) in runs
        ]
        bands = zip(*(run["validation"]["bands"] for run in own.values()), strict=True)
        table.append(
            {
                "arm": arm,
                "seeds": sorted(own),
                "seconds": _mean([run["seconds"] for run in own.values()]),
                "time_ratio": math.exp(float(np.mean(ratios))) if ratios else None,
                "law_ratio": _mean(laws),
                "loss": _mean([run["validation"]["loss"] for run in own.values()]),
                "bands": [
                    {
                        "start": entries[0]["start"],
                        "stop": entries[0]["stop"],
                        "loss": _mean([entry["loss"] for entry in entries]),
                    }
                    for entries in bands
                ],
                "spikes": _mean([run["spikes"] for run in own.values()]),
                "attended_length": _mean([run["attended_length"] for run in own.values()]),
                "coverage": {
                    key: sum(run["coverage"][key] for run in own.values())
                    for key in ("once", "never", "repeated", "padding")
                },
            }
        )
    return table


def to_document(
    runs: Runs, answers: Sequence[Answer], settings: ExperimentSettings, passed: bool
) -> dict[str, Any]:
    """Everything that `seqdecomp claims` has to say, as plain values."""
    return {
        "passed": passed,
        "settings": settings.as_dict(),
        "arms": arm_table(runs, settings),
        "answers": answer_entries(answers),
    }


def to_text(document: Mapping[str, Any]) -> str:
    """The document as two tables: arms, and questions with their verdicts."""
    arms, answers = document["arms"], document["answers"]
    bands = [f"{band['start']}-{band['stop']}" for band in arms[0]["bands"]]
    header = ["arm", "seeds", "time s", "ratio", "law", "loss", *bands, "spikes", "tokens once", "padding"]
    rows = [
        [
            entry["arm"],
            str(len(entry["seeds"])),
            f"{entry['seconds']:.1f}",
            _number(entry["time_ratio"], 3),
            _number(entry["law_ratio"], 3),
            _number(entry["loss"], 3),
            *(_number(band["loss"], 3) for band in entry["bands"]),
            _number(entry["spikes"], 1),
            f"{entry['coverage']['once']:,}",
            f"{entry['coverage']['padding']:,}",
        ]
        for entry in arms
    ]
    lines = [
        "Means over seeds; time of the training steps only, losses in nats a token, each document read alone",
        "from its first token. 'law' is the time ratio that the FLOPs predict.",
        "",
        *text_table(header, rows),
        "",
        *answer_lines(answers),
    ]
    return "\n".join(lines)


def describe(settings: ExperimentSettings) -> str:
    """The sizes of the experiment in a line."""
    return (
        f"{settings.documents} of the Python standard library, {settings.steps} steps of "
        f"{settings.batch_tokens:,} tokens, lengths {settings.min_length} to {settings.max_length}, "
        f"{settings.num_layers} layers of width {settings.width}, vocabulary {settings.vocab_size:,}, "
        f"lr {settings.lr:g}"
    )


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
