"""The command that tests the paper's claims at small scale."""

from pathlib import Path
from typing import Literal


def claims(
    *,
    seeds: int | None = None,
    steps: int | None = None,
    arms: tuple[str, ...] = (),
    max_length: int | None = None,
    gate: bool = False,
    stability: bool = False,
    scale: Literal["cpu", "gpu"] = "cpu",
    workers: int | None = None,
    out: Path | None = None,
    results: Path | None = None,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Train small models on variable and on fixed sequence lengths, and compare them over paired seeds.

    All arms of a seed have the same weights, documents, tokens and steps. Exit code 1 when decomposition
    against concat does not hold on training time or on the loss of the first 64 tokens; all other
    comparisons are reported as they fall. Finished runs are kept, so an interrupted call goes on.

    Args:
        seeds: Paired repetitions; unset: 5, and 2 with --gate.
        steps: Optimizer steps of a run; unset: 160 on a CPU.
        arms: Arms to compare, by name, commas between; unset: all eight.
        max_length: Longest sequence; 4096 makes attention most of the cost.
        gate: Only concat against dd-grow-p2-8, in minutes.
        stability: Learning rate 1e-2 without clipping; counts spikes of the loss.
        scale: gpu: a larger model on one CUDA device.
        workers: Runs at a time, one thread each; unset: one a core, on a GPU one.
        out: Folder of the runs; unset: runs/claims/NAME by the other options.
        results: Folder for result files; unset: results in the folder of the runs.
        resume: Go on with an interrupted call.
        overwrite: Replace runs of other settings.
        json: Print one JSON document.
    """
    import os
    import time

    from toolkit_shared.artifacts import require_place, write_json, write_text
    from toolkit_shared.claims import answer_all, write_results
    from toolkit_shared.claims import gate as passes_gate
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar
    from toolkit_shared.results import capture_environment, timestamp

    from seqdecomp.experiment import configuration, summary
    from seqdecomp.experiment.claims import run_claims
    from seqdecomp.experiment.page import to_page
    from seqdecomp.experiment.questions import QUESTIONS, STABILITY_QUESTIONS

    torch = require("torch", toolkit="seqdecomp", extra="train")
    if scale == "gpu" and not torch.cuda.is_available():
        raise InputError("--scale gpu: no CUDA device can be used here; leave it out")
    if workers is not None and workers < 1:
        raise InputError(f"--workers: {workers} is not positive; give 1 or more")
    if gate and stability:
        raise InputError("--stability: has no gated claim; drop --gate")
    number = (2 if gate else 5) if seeds is None else seeds
    if number < 1:
        raise InputError(f"--seeds: {number} is not positive; give 1 or more")
    try:
        settings = configuration.settings_for(scale, steps=steps, max_length=max_length, stability=stability)
    except ValueError as error:
        field, _, reason = str(error).partition(":")
        raise InputError(f"--{field.replace('_', '-')}:{reason}") from None
    default = (
        configuration.GATE_ARMS
        if gate
        else configuration.STABILITY_ARMS
        if stability
        else configuration.DEFAULT_ARMS
    )
    names = tuple(name for given in arms for name in given.split(",") if name) or default
    chosen = configuration.find_arms(names)
    parts = ["gate" * gate, "stability" * stability, str(max_length or ""), "gpu" * (scale == "gpu")]
    variant = "-".join(part for part in parts if part)
    folder = out or Path("runs/claims") / ("seqdecomp" + f"-{variant}" * bool(variant))
    cores = 1 if scale == "gpu" else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    if results is not None:
        require_place(results / "any.json")
    environment = capture_environment(summary.PACKAGES, threads=1)
    started, clock = timestamp(), time.monotonic()
    with progress_bar(number * len(chosen), "claims", "runs") as progress:
        runs = run_claims(
            folder,
            arms=chosen,
            seeds=range(number),
            settings=settings,
            workers=workers or cores,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    questions = STABILITY_QUESTIONS if stability else QUESTIONS
    answers = answer_all(questions, runs)
    gated = any(found.question.gated for found in answers)
    passed = passes_gate(answers) if gated else True
    document = summary.to_document(runs, answers, settings, passed)
    write_json(folder / "summary.json", document)
    write_text(folder / "index.html", to_page(document, runs, summary.describe(settings)))
    write_results(
        answers,
        results or folder / "results",
        toolkit="seqdecomp",
        environment=environment,
        command=f"seqdecomp claims --seeds {number} --steps {settings.steps} --arms {','.join(names)}"
        + (f" --max-length {max_length}" if max_length else "")
        + " --stability" * stability
        + " --scale gpu" * (scale == "gpu"),
        started=started,
        seconds=time.monotonic() - clock,
        variant=variant,
        note=summary.describe(settings),
    )
    emit(document, f"{summary.to_text(document)}\n\npage: {folder / 'index.html'}", as_json=json)
    return 0 if passed else 1
