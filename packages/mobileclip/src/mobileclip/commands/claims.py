"""The command that tests the paper's claims at small scale."""

from pathlib import Path
from typing import Literal


def claims(
    *,
    seeds: int | None = None,
    scale: Literal["cpu", "smoke"] = "cpu",
    workers: int | None = None,
    out: Path | None = None,
    results: Path | None = None,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Train small students with each part of reinforced training, and compare them over paired seeds.

    From plain CLIP (A, B) over synthetic captions (C) and distillation (D, E) to the full method (F, G), on
    pairs of handwritten digits; then F and B with fewer steps and fewer pairs. Exit code 1 when A < B < C < D
    < F does not hold in every seed of the mild regime, or when F with a tenth does not beat B; all else,
    the harsh regime above all, is reported as it falls. Finished runs are kept.

    Args:
        seeds: Paired repetitions; unset: 8, and 1 at scale smoke.
        scale: smoke: tiny, in seconds and without verdicts, to see that all of it runs.
        workers: Runs at a time, one thread each; unset: one a core.
        out: Folder of the runs; unset: runs/claims/mobileclip, with -smoke at that scale.
        results: Folder for result files; unset: results in the folder of the runs.
        resume: Go on with an interrupted call.
        overwrite: Replace runs of other settings.
        json: Print one JSON document.
    """
    import os

    from toolkit_shared.artifacts import require_place
    from toolkit_shared.cli import emit
    from toolkit_shared.cli.bounds import require_at_least
    from toolkit_shared.errors import require

    require_at_least(1, workers=workers, seeds=seeds)
    smoke = scale == "smoke"
    number = (1 if smoke else 8) if seeds is None else seeds
    require("sklearn", toolkit="mobileclip", extra="claims")
    from mobileclip.experiment.configuration import regimes_for, settings_for
    from mobileclip.experiment.report import run_and_report

    folder = out or Path("runs/claims") / ("mobileclip" + "-smoke" * smoke)
    if results is not None:
        require_place(results / "any.json")
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    found = run_and_report(
        folder,
        regimes=regimes_for(scale),
        seeds=range(number),
        settings=settings_for(scale),
        workers=workers or cores,
        resume=resume,
        overwrite=overwrite,
        results=None if smoke else results or folder / "results",
        command=f"mobileclip claims --seeds {number}" + " --scale smoke" * smoke,
    )
    emit(found.document, f"{found.text}\n\npage: {folder / 'index.html'}", as_json=json)
    return 1 if found.document["passed"] is False else 0
