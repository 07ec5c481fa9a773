"""The command that tests the paper's claims at small scale."""

from pathlib import Path
from typing import Literal


def claims(
    *,
    data: Path | None = None,
    splits: int | None = None,
    scale: Literal["cpu", "smoke"] | None = None,
    workers: int | None = None,
    out: Path | None = None,
    results: Path | None = None,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Compare extractors, filters, deduplication and selectors by what equal bytes of their pages are worth.

    For each split, small language models are trained on the same number of bytes of every arm, and predict
    the gold text of articles held out. Exit code 1 when main content against all text, the English filter, or
    deduplication of planted copies does not hold at p < 0.01; all else is reported as it falls. Finished runs
    are kept, so an interrupted call goes on.

    Args:
        data: Folder with articles/html/ID.html.gz and articles/ground-truth.json, and if possible with
            quality/*.jsonl (text, label 0 or 1) and pages/ (more HTML, in any language).
        splits: Random divisions of the articles; unset: 20, and 2 at scale smoke.
        scale: smoke: on generated pages and without verdicts, to see that all of it runs; unset: cpu with
            --data, smoke without.
        workers: Runs at a time, one thread each; unset: one a core.
        out: Folder of the runs; unset: runs/claims/dclm-bench, with -smoke at that scale.
        results: Folder for result files; unset: results in the folder of the runs.
        resume: Go on with an interrupted call.
        overwrite: Replace runs of other settings.
        json: Print one JSON document.
    """
    import contextlib
    import os
    import tempfile

    from toolkit_shared.artifacts import require_place
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require

    scale = scale or ("smoke" if data is None else "cpu")
    if scale == "cpu" and data is None:
        raise InputError(
            "--data: is missing; give a folder with articles/ (the article-extraction-benchmark has one), or "
            "--scale smoke to see it run on generated pages"
        )
    if scale == "smoke" and data is not None:
        raise InputError("--data: --scale smoke makes its own pages; leave one of the two out")
    if workers is not None and workers < 1:
        raise InputError(f"--workers: {workers} is not positive; give 1 or more")
    number = (2 if scale == "smoke" else 20) if splits is None else splits
    if number < 2:
        raise InputError(f"--splits: {number} gives no interval; give 2 or more")
    require("torch", toolkit="dclm-bench", extra="train")
    from dclm_bench.experiment.configuration import settings_for
    from dclm_bench.experiment.report import run_and_report
    from dclm_bench.experiment.sample_data import write_sample_data

    folder = out or Path("runs/claims") / ("dclm-bench" + "-smoke" * (scale == "smoke"))
    if results is not None:
        require_place(results / "any.json")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    with contextlib.ExitStack() as stack:
        if data is None:
            data = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            write_sample_data(data)
        found = run_and_report(
            folder,
            data=data,
            splits=number,
            settings=settings_for(scale),
            workers=workers or cores,
            resume=resume,
            overwrite=overwrite,
            results=None if scale == "smoke" else results or folder / "results",
            command=f"dclm-bench claims --splits {number}"
            + (" --scale smoke" if scale == "smoke" else " --data DIR"),
        )
    emit(found.document, f"{found.text}\n\npage: {folder / 'index.html'}", as_json=json)
    return 1 if found.document["passed"] is False else 0
