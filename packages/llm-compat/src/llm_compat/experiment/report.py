"""The experiment from its settings to its files: runs, answers, summary.json, index.html, result files."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import write_json, write_text
from toolkit_shared.claims import Answer, Runs, answer_all, gate, write_results
from toolkit_shared.progress import progress_bar
from toolkit_shared.results import capture_environment, timestamp

from llm_compat.experiment import summary
from llm_compat.experiment.claims import count_steps, run_claims
from llm_compat.experiment.configuration import ExperimentSettings, Scenario
from llm_compat.experiment.page import to_page
from llm_compat.experiment.questions import GAP_QUESTION, questions_for, runs_across
from llm_compat.experiment.task import read_task


@dataclass(frozen=True)
class Report:
    """What was found: the JSON document, and the same as text."""

    document: dict[str, Any]
    text: str


def run_and_report(
    folder: Path,
    *,
    scenarios: Sequence[Scenario],
    arms: Sequence[str],
    seeds: Sequence[int],
    settings: ExperimentSettings,
    data: Path | None,
    workers: int,
    resume: bool,
    overwrite: bool,
    results: Path,
    variant: str,
    command: str,
) -> Report:
    """Do what is missing of the runs, answer the questions, and write everything; the report.

    Args:
        folder: Of the runs, of summary.json and of index.html.
        scenarios: As in `run_claims`, and so are `arms` to `overwrite`.
        arms: Beside v1 and v2.
        seeds: Paired repetitions.
        settings: Sizes.
        data: Folder of a data-update task; None: generated requests.
        workers: Processes.
        resume: Go on in a folder that has runs.
        overwrite: Empty a folder of other settings.
        results: Folder for result files, one a question.
        variant: Part of their names that tells experiments of other settings apart.
        command: What repeats it all.
    """
    environment = capture_environment(summary.PACKAGES, threads=1)
    started, clock = timestamp(), time.monotonic()
    with progress_bar(count_steps(scenarios, arms, seeds), "claims", "runs") as progress:
        found = run_claims(
            folder,
            scenarios=scenarios,
            arms=arms,
            seeds=seeds,
            settings=settings,
            data=data,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    task = read_task(folder / "task" if data is None else data, min_count=settings.min_count)
    answers = answer_scenarios(found)
    words = "generated requests of 60 intents" if data is None else "the data-update task that was given"
    document = summary.to_document(
        found, answers, task.test.labels.tolist(), settings, data=words, passed=passes(answers)
    )
    write_json(folder / "summary.json", document)
    write_text(folder / "index.html", to_page(document, found, summary.describe(settings)))
    for scenario, own in answers.items():
        write_results(
            own,
            results,
            toolkit="llm-compat",
            environment=environment,
            command=command,
            started=started,
            seconds=time.monotonic() - clock,
            variant="-".join(part for part in (variant, scenario) if part),
            note=f"{words}; {summary.describe(settings)}",
        )
    return Report(document, summary.to_text(document))


def answer_scenarios(found: Mapping[str, Runs]) -> dict[str, list[Answer]]:
    """Answers by scenario; under "" the one across both, where both ran."""
    answers = {scenario: answer_all(questions_for(scenario), runs) for scenario, runs in found.items()}
    across = answer_all([GAP_QUESTION], runs_across(found))
    return {**answers, "": across} if across else answers


def passes(answers: Mapping[str, Sequence[Answer]]) -> bool:
    """Whether the gated claim stands, or was not put because its scenario or arm did not run."""
    every = [answer for own in answers.values() for answer in own]
    return gate(every) if any(answer.question.gated for answer in every) else True
