"""Answers as plain values, as a text table, and as result files."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from toolkit_shared.claims.verdicts import PAIRS_FOR_INTERVAL, Answer
from toolkit_shared.report.text_table import text_table
from toolkit_shared.results import (
    Arm,
    Comparison,
    Environment,
    Result,
    current_commit,
    paired_comparison,
    ratio_comparison,
    write_result,
)


def answer_entries(answers: Sequence[Answer]) -> list[dict[str, Any]]:
    """One JSON object an answer: question, arms, seeds, effect with interval, verdict."""
    return [
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
    ]


def answer_lines(entries: Sequence[Mapping[str, Any]], *, digits: int = 3) -> list[str]:
    """The lines of a table of `answer_entries`, and of what a reader must know of it.

    Args:
        entries: The answers.
        digits: Decimals of effects and intervals.
    """
    header = ["question", "compared", "effect", "95 % interval", "verdict", "gated"]
    rows = [
        [
            entry["question"],
            f"{entry['first']} {'/' if entry['form'] == 'ratio' else '-'} {entry['second']}",
            *_effect_cells(entry, digits),
            entry["verdict"],
            "yes" if entry["gated"] else "",
        ]
        for entry in entries
    ]
    lines = text_table(header, rows)
    if any(0 < len(entry["seeds"]) < PAIRS_FOR_INTERVAL for entry in entries):
        lines += [
            "",
            f"Fewer than {PAIRS_FOR_INTERVAL} seeds: intervals are ranges, and a verdict asks that all seeds "
            "agree.",
        ]
    gated = [entry for entry in entries if entry["gated"]]
    if gated:
        holds = all(entry["verdict"] == "holds" for entry in gated)
        lines += ["", "gated claims: " + ("all hold" if holds else "NOT all hold")]
    return lines


def write_results(
    answers: Sequence[Answer],
    folder: str | Path,
    *,
    toolkit: str,
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
        toolkit: The distribution whose claims they are.
        environment: As it was before the runs.
        command: What repeats them.
        started: When they began.
        seconds: How long they took; runs that a resumed call found are not in it.
        variant: Part of the names of the questions, to tell scenarios or experiments of other sizes apart.
        note: What a reader has to know of the sizes.
    """
    commit = current_commit()
    paths = []
    for found in answers:
        question = found.question
        result = Result(
            toolkit=toolkit,
            question="-".join(part for part in ("claims", variant, question.name) if part),
            kind="claim",
            arms=_arms(found),
            comparison=_comparison(found),
            expected=question.expected,
            verdict=found.verdict,
            environment=environment,
            command=command,
            commit=commit,
            started=started,
            seconds=seconds,
            note="; ".join(part for part in (note, *_seed_notes(found)) if part),
        )
        paths.append(write_result(result, folder))
    return paths


def _arms(found: Answer) -> tuple[Arm, ...]:
    question = found.question
    return tuple(
        Arm(
            name=name,
            metric=question.metric,
            unit=question.unit,
            higher_is_better=question.higher_is_better,
            values=values,
        )
        for name, values in found.values.items()
    )


def _comparison(found: Answer) -> Comparison | None:
    by_name = {arm.name: arm for arm in _arms(found)}
    question = found.question
    if len(found.seeds) > 1:
        return paired_comparison(by_name[question.first], by_name[question.second], form=question.form)
    if found.seeds and question.form == "ratio":
        return ratio_comparison(by_name[question.first], by_name[question.second])
    return None


def _seed_notes(found: Answer) -> list[str]:
    notes = []
    if found.seeds:
        notes.append(f"seeds {', '.join(map(str, found.seeds))}")
    if found.missing:
        seeds = ", ".join(map(str, found.missing))
        notes.append(f"no value of {found.question.first} in seeds {seeds}")
    return notes


def _effect_cells(entry: Mapping[str, Any], digits: int) -> list[str]:
    """Effect and interval of an answer, for a table."""
    missing = len(entry["seeds_without_value"])
    if entry["effect"] is None:
        return ["-", f"{entry['first']} has no value in any of {missing} seeds"]
    sign = "" if entry["form"] == "ratio" else "+"
    low, high = entry["interval"]
    interval = f"{low:.{digits}f} to {high:.{digits}f}"
    return [
        f"{entry['effect']:{sign}.{digits}f}",
        interval + (f" (no value in {missing} seeds)" if missing else ""),
    ]
