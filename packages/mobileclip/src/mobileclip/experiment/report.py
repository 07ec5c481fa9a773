"""The experiment from its settings to its files: runs, answers, summary.json, index.html, result files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import write_json, write_text
from toolkit_shared.claims import write_results
from toolkit_shared.progress import progress_bar
from toolkit_shared.results import capture_environment, timestamp

from mobileclip.experiment import summary
from mobileclip.experiment.claims import EFFICIENCY, run_claims
from mobileclip.experiment.configuration import MILD, ExperimentSettings, Regime
from mobileclip.experiment.page import to_page
from mobileclip.experiment.questions import answer_regimes


@dataclass(frozen=True)
class Report:
    """What was found: the JSON document, and the same as text."""

    document: dict[str, Any]
    text: str


def run_and_report(
    folder: Path,
    *,
    regimes: Sequence[Regime],
    seeds: Sequence[int],
    settings: ExperimentSettings,
    workers: int,
    resume: bool,
    overwrite: bool,
    results: Path | None,
    command: str,
) -> Report:
    """Do what is missing of the runs, answer the questions, and write everything; the report.

    Args:
        folder: Of the runs, of summary.json and of index.html.
        regimes: As in `run_claims`, and so are `seeds` to `overwrite`.
        seeds: Paired repetitions.
        settings: Sizes.
        workers: Processes.
        resume: Go on in a folder that has runs.
        overwrite: Empty a folder of other settings.
        results: Folder for result files, one a question; None: no verdict and no files.
        command: What repeats it all.
    """
    environment = capture_environment(summary.PACKAGES, threads=1)
    started, clock = timestamp(), time.monotonic()
    with progress_bar(len(regimes) * len(seeds), "claims", "runs") as progress:
        found = run_claims(
            folder,
            regimes=regimes,
            seeds=seeds,
            settings=settings,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    answers = answer_regimes(found)
    passed = None if results is None else summary.passes(found, answers)
    document = summary.to_document(found, answers, settings, passed=passed)
    descriptions = {regime.name: summary.describe(settings, regime) for regime in regimes}
    write_json(folder / "summary.json", document)
    write_text(folder / "index.html", to_page(document, descriptions))
    if results is not None:
        for part, own in answers.items():
            described = descriptions[MILD.name if part == EFFICIENCY else part]
            write_results(
                own,
                results,
                toolkit="mobileclip",
                environment=environment,
                command=command,
                started=started,
                seconds=time.monotonic() - clock,
                variant=f"mobileclip-{part}",
                note=f"{described}; scikit-learn's digits in pairs; {summary.HONEST}",
            )
    return Report(document, summary.to_text(document))
