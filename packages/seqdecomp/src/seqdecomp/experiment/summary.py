"""The runs and answers of the experiment as tables, as one JSON document and as result files."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.results import (
    Arm,
    Environment,
    Result,
    current_commit,
    paired_comparison,
    ratio_comparison,
    write_result,
)

from seqdecomp.cost import relative_cost
from seqdecomp.experiment.configuration import BASELINE, ExperimentSettings
from seqdecomp.experiment.verdicts import Answer, Runs

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
        "answers": [
            {
                "question": found.question.name,
                "metric": found.question.metric,
                "first": found.question.first,
                "second": found.question.second,
                "form": found.question.form,
                "seeds": list(found.seeds),
                "seeds_without_value": list(found.missing),
                "effect": found.effect,
                "interval": None if found.low is None else [found.low, found.high],
                "expected": found.question.expected,
                "verdict": found.verdict,
                "gated": found.question.gated,
            }
            for found in answers
        ],
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
        *_aligned([header, *rows]),
        "",
    ]
    header = ["question", "compared", "effect", "95 % interval", "verdict", "gated"]
    rows = [
        [
            entry["question"],
            f"{entry['first']} {'/' if entry['form'] == 'ratio' else '-'} {entry['second']}",
            *_effect_cells(entry),
            entry["verdict"],
            "yes" if entry["gated"] else "",
        ]
        for entry in answers
    ]
    lines += _aligned([header, *rows])
    if any(0 < len(entry["seeds"]) < 3 for entry in answers):
        lines += ["", "Fewer than 3 seeds: intervals are ranges, and a verdict asks that all seeds agree."]
    if any(entry["gated"] for entry in answers):
        lines += ["", "gated claims: " + ("all hold" if document["passed"] else "NOT all hold")]
    return "\n".join(lines)


def write_results(
    answers: Sequence[Answer],
    folder: str | Path,
    *,
    environment: Environment,
    command: str,
    started: str,
    seconds: float,
    variant: str = "",
    note: str = "",
) -> list[Path]:
    """One result file for each answer; their paths.

    Args:
        answers: What to write.
        folder: Where to.
        environment: As it was before the runs.
        command: What repeats them.
        started: When they began.
        seconds: How long they took; runs that a resumed call found are not in it.
        variant: Part of the names of the questions, to tell experiments of other sizes apart.
        note: What a reader has to know of the sizes.
    """
    paths = []
    for found in answers:
        question = found.question
        arms = tuple(
            Arm(name=name, metric=question.metric, unit=question.unit, higher_is_better=False, values=values)
            for name, values in found.values.items()
        )
        by_name = {arm.name: arm for arm in arms}
        comparison: Any = None
        if len(found.seeds) > 1:
            pair = by_name[question.first], by_name[question.second]
            comparison = paired_comparison(*pair, form=question.form)
        elif found.seeds and question.form == "ratio":
            comparison = ratio_comparison(by_name[question.first], by_name[question.second])
        result = Result(
            toolkit="seqdecomp",
            question="-".join(part for part in ("claims", variant, question.name) if part),
            kind="claim",
            arms=arms,
            comparison=comparison,
            expected=question.expected,
            verdict=found.verdict,
            environment=environment,
            command=command,
            commit=current_commit(),
            started=started,
            seconds=seconds,
            note="; ".join(
                part
                for part in (
                    note,
                    f"seeds {', '.join(map(str, found.seeds))}" if found.seeds else "",
                    f"no value of {question.first} in seeds {', '.join(map(str, found.missing))}"
                    if found.missing
                    else "",
                )
                if part
            ),
        )
        paths.append(write_result(result, folder))
    return paths


def describe(settings: ExperimentSettings) -> str:
    """The sizes of the experiment in a line."""
    return (
        f"{settings.documents} of the Python standard library, {settings.steps} steps of "
        f"{settings.batch_tokens:,} tokens, lengths {settings.min_length} to {settings.max_length}, "
        f"{settings.num_layers} layers of width {settings.width}, vocabulary {settings.vocab_size:,}, "
        f"lr {settings.lr:g}"
    )


def _effect_cells(entry: Mapping[str, Any]) -> list[str]:
    """Effect and interval of an answer, for a table."""
    missing = len(entry["seeds_without_value"])
    if entry["effect"] is None:
        return ["-", f"{entry['first']} has no value in any of {missing} seeds"]
    effect = f"{entry['effect']:.3f}" if entry["form"] == "ratio" else f"{entry['effect']:+.3f}"
    low, high = entry["interval"]
    return [effect, f"{low:.3f} to {high:.3f}" + (f" (no value in {missing} seeds)" if missing else "")]


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else None


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines with columns of one width, the first to the left and numbers to the right."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if column == 0 or not _is_number(rows[-1][column]) else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines


def _is_number(text: str) -> bool:
    return text.replace(",", "").replace(".", "").lstrip("+-").isdigit() or text == "-"
