"""Scores and comparisons as tables, sentences and JSON documents."""

from collections.abc import Sequence
from typing import Any

from toolkit_shared.report.text_table import text_table

from dclm_bench.evaluation.aggregates import Aggregate, aggregate, category_means, mmlu
from dclm_bench.evaluation.score_file import ScoreFile, mismatches, suspicions, version_of_plain_key
from dclm_bench.evaluation.significance import Comparison, Interval, Verdict, holm
from dclm_bench.evaluation.tasks import SUITES, Version


def scores_document(files: Sequence[ScoreFile], version: Version) -> dict[str, Any]:
    """`files`: of each its means with errors, what is missing, and what does not agree with what it says."""
    return {"version": version, "files": [_scores_of(file, version) for file in files]}


def scores_text(files: Sequence[ScoreFile], version: Version, *, check: bool = False) -> str:
    """A row a file, in points (hundredths), with standard errors; below it the gaps, and with `check` more.

    With `check`: what is stored and not what the scores give, and scores that cannot be right.
    """
    rows = []
    for file in files:
        core, extended = (aggregate(file.scores, suite, version) for suite in SUITES)
        found = mmlu(file.scores)
        rows.append(
            [
                file.model,
                *_points(core.value, core.standard_error),
                *(_points(*found) if found else ("-", "-")),
                *_points(extended.value, extended.standard_error),
                _short(file),
            ]
        )
    lines = text_table(
        ["model", f"CORE {version}", "+-", "MMLU", "+-", f"EXTENDED {version}", "+-", "file"], rows
    )
    for file in files:
        lines += [f"{file.path}: {line}" for line in _gaps(file, version)]
        lines += [f"{file.path}: {note}" for note in file.notes]
        if check:
            lines += mismatches(file)
            lines += [f"{file.path}: {line}" for line in suspicions(file)]
            for suite in SUITES:
                plain = version_of_plain_key(file, suite)
                if plain is not None and plain != "v2":
                    lines.append(f"{file.path}: the key '{suite}' holds version {plain}")
    if check and not any(mismatches(file) for file in files):
        lines.append(f"{len(files)} files: every stored mean is what the scores give")
    return "\n".join(lines)


def comparison_document(
    files: Sequence[ScoreFile], comparisons: Sequence[Sequence[Comparison]]
) -> dict[str, Any]:
    """`baseline`, and `comparisons`: an entry for each other file and suite, p corrected for the files."""
    entries = []
    for suite_index in range(len(comparisons[0])):
        column = [found[suite_index] for found in comparisons]
        questions_p, tasks_p = _corrected(column)
        for file, found, p, q in zip(files[1:], column, questions_p, tasks_p, strict=True):
            verdict = found.verdict_of(p, q)
            entries.append(
                {
                    "file": str(file.path),
                    "model": file.model,
                    "suite": found.suite,
                    "version": found.version,
                    "baseline_value": found.value_a,
                    "value": found.value_b,
                    "difference": found.difference,
                    "standard_error": found.standard_error,
                    "questions": {**_interval(found.questions), "p_corrected": p},
                    "tasks": {**_interval(found.tasks), "p_corrected": q},
                    "verdict": verdict,
                    "sentence": sentence(files[0], file, found, verdict),
                    "skipped_tasks": list(found.skipped),
                    "by_task": {
                        row.task.name: {
                            "baseline_score": row.score_a,
                            "score": row.score_b,
                            "centred_difference": row.difference,
                            "standard_error": row.standard_error,
                        }
                        for row in found.by_task
                    },
                }
            )
    first = comparisons[0][0]
    return {
        "baseline": str(files[0].path),
        "confidence": first.confidence,
        "item_correlation": first.item_correlation,
        "seed_deviation": first.seed_deviation,
        "comparisons": entries,
    }


def comparison_text(
    files: Sequence[ScoreFile], comparisons: Sequence[Sequence[Comparison]], *, by_task: bool = True
) -> str:
    """The table of the differences, by task where two files are compared, and a sentence for each gap."""
    document = comparison_document(files, comparisons)["comparisons"]
    rows = [
        [
            _mean_name(entry["suite"], entry["version"], len(entry["by_task"]), len(entry["skipped_tasks"])),
            entry["model"],
            *_points(entry["baseline_value"], entry["value"]),
            f"{100 * entry['difference']:+.2f}",
            _range(entry["questions"]),
            f"{entry['questions']['p_corrected']:.2g}",
            _range(entry["tasks"]),
            f"{entry['tasks']['p_corrected']:.2g}",
        ]
        for entry in document
    ]
    lines = text_table(
        ["mean", "file", "A", "B", "B - A", "by questions and seeds", "p", "by tasks", "p"], rows
    )
    if by_task and len(files) == 2:
        extended = max(comparisons[0], key=lambda found: len(found.by_task))
        table = [
            [
                row.task.name,
                *_points(row.score_a, row.score_b),
                f"{100 * row.difference:+.2f}",
                f"{100 * row.standard_error:.2f}",
                "*" if abs(row.difference) > 1.96 * row.standard_error else "",
            ]
            for row in extended.by_task
        ]
        lines += ["", *text_table(["task", "A", "B", "centred B - A", "+-", ""], table)]
        lines.append("* more than 1.96 standard errors; with so many tasks some are by chance")
    first = comparisons[0][0]
    lines += [
        "",
        f"Questions and seeds: binomial noise, correlation {first.item_correlation:g} between the models, "
        f"{100 * first.seed_deviation:.2f} points a seed. Tasks: drawn again, signs flipped.",
        *(entry["sentence"] for entry in document),
    ]
    return "\n".join(lines)


def sentence(a: ScoreFile, b: ScoreFile, found: Comparison, verdict: Verdict) -> str:
    """Whether the gap is real, in one sentence."""
    better, worse = (b, a) if found.difference >= 0 else (a, b)
    over = _mean_name(found.suite, found.version, len(found.by_task), len(found.skipped))
    gap = f"{over}: {_short(better)} is {100 * abs(found.difference):.2f} points"
    error = f"standard error {100 * found.standard_error:.2f}"
    return {
        "real": f"{gap} above {_short(worse)} ({error}): the gap is real by both noises.",
        "not shown": f"{gap} above {_short(worse)} ({error}): no gap is shown, by neither noise.",
        "depends on the noise": f"{gap} above {_short(worse)} ({error}): the gap is shown by one noise only, "
        + (
            "that of questions and seeds; on other tasks it may vanish."
            if found.questions.p < found.tasks.p
            else "that of the tasks; the same tasks with other questions or seeds may not show it."
        ),
    }[verdict]


def _mean_name(suite: str, version: str, num_tasks: int, num_skipped: int) -> str:
    name = f"{suite.upper()} {version}"
    return f"{name} over {num_tasks} of {num_tasks + num_skipped} tasks" if num_skipped else name


def _scores_of(file: ScoreFile, version: Version) -> dict[str, Any]:
    found = mmlu(file.scores)
    return {
        "file": str(file.path),
        "model": file.model,
        **{suite: _aggregate(aggregate(file.scores, suite, version)) for suite in SUITES},
        "MMLU": None if found is None else {"value": found[0], "standard_error": found[1]},
        "categories": category_means(file.scores, version),
        "missing": list(file.missing),
        "unscored": list(file.unscored),
        "notes": list(file.notes),
        "mismatches": mismatches(file),
        "suspicions": suspicions(file),
    }


def _aggregate(found: Aggregate) -> dict[str, Any]:
    return {"value": found.value, "standard_error": found.standard_error, "missing": list(found.missing)}


def _gaps(file: ScoreFile, version: Version) -> list[str]:
    return [
        f"{suite.upper()} {version}: {found.stored}"
        for suite in SUITES
        if (found := aggregate(file.scores, suite, version)).missing
    ]


def _corrected(column: Sequence[Comparison]) -> tuple[list[float], list[float]]:
    return holm([found.questions.p for found in column]), holm([found.tasks.p for found in column])


def _interval(found: Interval) -> dict[str, float]:
    return {"low": found.low, "high": found.high, "p": found.p}


def _points(*values: float | None) -> tuple[str, ...]:
    return tuple("-" if value is None else f"{100 * value:.2f}" for value in values)


def _range(entry: dict[str, float]) -> str:
    return f"{100 * entry['low']:+.2f} to {100 * entry['high']:+.2f}"


def _short(file: ScoreFile) -> str:
    name = file.path.stem.removeprefix("evaluation_").removesuffix("_heavy")
    return name if len(name) <= 60 else f"{name[:57]}..."
