"""The experiment from its settings to its files: runs, answers, summary.json, index.html, result files."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import write_json, write_text
from toolkit_shared.claims import Answer, write_results
from toolkit_shared.claims import gate as passes_gate
from toolkit_shared.progress import progress_bar
from toolkit_shared.results import capture_environment, timestamp

from dclm_bench.experiment import summary
from dclm_bench.experiment.claims import count_tasks, run_claims
from dclm_bench.experiment.configuration import ExperimentSettings
from dclm_bench.experiment.page import to_page
from dclm_bench.experiment.quality_questions import answer_quality
from dclm_bench.experiment.questions import Answered, answer_all
from dclm_bench.experiment.texts import has_trafilatura

DELONG = "mean over splits of DeLong's intervals over the labelled pages; fastText with word pairs"


@dataclass(frozen=True)
class Report:
    """What was found: the JSON document, and the same as text."""

    document: dict[str, Any]
    text: str


def run_and_report(
    folder: Path,
    *,
    data: Path,
    splits: int,
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
        data: As in `run_claims`, and so are `splits` to `overwrite`.
        splits: How many.
        settings: Sizes.
        workers: Processes.
        resume: Go on in a folder that has runs.
        overwrite: Empty a folder of other settings.
        results: Folder for result files, one a question; None: no verdicts and no files.
        command: What repeats it all.
    """
    packages = (*summary.PACKAGES, *(("trafilatura",) if has_trafilatura() else ()))
    environment = capture_environment(packages, threads=1)
    started, clock = timestamp(), time.monotonic()
    with progress_bar(count_tasks(splits, settings), "claims", "runs") as progress:
        runs = run_claims(
            folder,
            data=data,
            splits=splits,
            settings=settings,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    answered = answer_all(runs.splits, runs.witnesses)
    quality = answer_quality(runs.splits)
    passed = None if results is None else passes(answered)
    document = summary.to_document(runs, answered, quality, settings, passed=passed)
    write_json(folder / "summary.json", document)
    write_text(folder / "index.html", to_page(document, summary.describe(settings)))
    if results is not None:
        notes = [_note(one, settings) for one in answered]
        notes += [DELONG] * len(quality)
        for answer, note in zip([*(one.answer for one in answered), *quality], notes, strict=True):
            write_results(
                [answer],
                results,
                toolkit="dclm-bench",
                environment=environment,
                command=command,
                started=started,
                seconds=time.monotonic() - clock,
                note=f"{_verdict(answer)}, {note}",
            )
    return Report(document, summary.to_text(document))


def passes(answered: Sequence[Answered]) -> bool:
    """Whether every gated claim that could be asked holds, and there is one."""
    gated = [one.answer for one in answered if one.asked.question.gated]
    return bool(gated) and passes_gate(gated)


def _note(one: Answered, settings: ExperimentSettings) -> str:
    found = one.interval
    what = summary.describe_witness(settings) if one.asked.witness else summary.describe(settings)
    caveat = f"; {summary.SAME_SOURCE}" if one.asked.experiment.startswith("classifier") else ""
    pages = f"{found.splits} splits and {found.pages} held-out pages"
    return f"p {found.p:.2g}, two-way over {pages}; {what}{caveat}"


def _verdict(found: Answer) -> str:
    """The interval behind the verdict, which is not that of the comparison over splits."""
    level = "99" if found.question.gated else "95"
    return f"verdict by {found.effect:+.4f}, {level} % interval {found.low:+.4f} to {found.high:+.4f}"
