"""The command that tests the paper's claims at small scale."""

from pathlib import Path
from typing import Literal


def claims(
    *,
    seeds: int = 8,
    arms: tuple[str, ...] = (),
    scenarios: tuple[str, ...] = (),
    loss_on: Literal["answer", "all"] = "answer",
    checkpoint: Literal["last", "validation-loss"] = "last",
    data: Path | None = None,
    scale: Literal["cpu", "gpu"] = "cpu",
    workers: int | None = None,
    out: Path | None = None,
    results: Path | None = None,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
) -> int:
    """Train compatibility adapters and their controls on small models, and compare them over paired seeds.

    All arms of a seed start from the same new task model and take as many steps in the same order. Exit code
    1 when muscle does not lower the negative flip rate against v2 in the scenario `same`; all other
    comparisons are reported as they fall. Finished runs are kept, so an interrupted call goes on.

    Args:
        seeds: Paired repetitions.
        arms: Arms beside v1 and v2, by name, commas between; unset: all of the paper, and the controls.
        scenarios: same (the bases differ by seed), gap (the old one is older and narrower); unset: both.
        loss_on: Train on the answer's token alone, or on all tokens.
        checkpoint: Keep the last epoch, or as the paper that of the lowest validation cross-entropy.
        data: Folder with old/ and updated/, each train, dev and test.jsonl; unset: generated requests.
        scale: gpu: larger models on one CUDA device.
        workers: Runs at a time, one thread each; unset: one a core, on a GPU one.
        out: Folder of the runs; unset: runs/claims/NAME by the other options.
        results: Folder for result files; unset: results in the folder of the runs.
        resume: Go on with an interrupted call.
        overwrite: Replace runs of other settings.
        json: Print one JSON document.
    """
    import os

    from toolkit_shared.artifacts import require_place
    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require

    for module in ("torch", "transformers", "peft"):
        require(module, toolkit="llm-compat", extra="train")
    import torch

    from llm_compat.experiment import configuration, report

    if scale == "gpu" and not torch.cuda.is_available():
        raise InputError("--scale gpu: no CUDA device can be used here; leave it out")
    if workers is not None and workers < 1:
        raise InputError(f"--workers: {workers} is not positive; give 1 or more")
    if scale == "gpu" and workers is not None and workers > 1:
        raise InputError(f"--workers: {workers} runs cannot share one cuda device; give 1")
    if seeds < 1:
        raise InputError(f"--seeds: {seeds} is not positive; give 1 or more")
    settings = configuration.settings_for(scale, loss_on=loss_on, checkpoint=checkpoint)
    chosen_arms = configuration.find_arms(_names(arms) or configuration.DEFAULT_ARMS)
    chosen_scenarios = configuration.find_scenarios(_names(scenarios) or tuple(configuration.SCENARIOS))
    parts = [
        "data" * (data is not None),
        "all-tokens" * (loss_on == "all"),
        "best-epoch" * (checkpoint != "last"),
        "gpu" * (scale == "gpu"),
    ]
    variant = "-".join(part for part in parts if part)
    folder = out or Path("runs/claims") / ("llm-compat" + f"-{variant}" * bool(variant))
    if results is not None:
        require_place(results / "any.json")
    cores = 1 if scale == "gpu" else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1
    found = report.run_and_report(
        folder,
        scenarios=chosen_scenarios,
        arms=chosen_arms,
        seeds=range(seeds),
        settings=settings,
        data=data,
        workers=workers or cores,
        resume=resume,
        overwrite=overwrite,
        results=results or folder / "results",
        variant=variant,
        command=f"llm-compat claims --seeds {seeds} --arms {','.join(chosen_arms)}"
        + f" --scenarios {','.join(scenario.name for scenario in chosen_scenarios)}"
        + " --loss-on all" * (loss_on == "all")
        + " --checkpoint validation-loss" * (checkpoint != "last")
        + " --data DIR" * (data is not None)
        + " --scale gpu" * (scale == "gpu"),
    )
    emit(found.document, f"{found.text}\n\npage: {folder / 'index.html'}", as_json=json)
    return 0 if found.document["passed"] else 1


def _names(given: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for entry in given for name in entry.split(",") if name)
