"""The command that trains a language model on a store."""

from pathlib import Path
from typing import Literal

from seqdecomp.settings import (
    CurriculumSettings,
    ExecutionSettings,
    LengthRange,
    ModelSettings,
    OptimizationSettings,
)


def train(
    store: Path,
    /,
    *,
    out: Path,
    tokens: int | None = None,
    batch_tokens: int = 524_288,
    arm: str = "dd",
    model: str | None = None,
    weights: Path | None = None,
    curriculum: str | None = None,
    cycles: int | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    strategy: str = "auto",
    accumulate: int = 1,
    workers: int = 0,
    seed: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    replan: bool = False,
    json: bool = False,
    architecture: ModelSettings = ModelSettings(),
    schedule: CurriculumSettings = CurriculumSettings(),
    lengths: LengthRange = LengthRange(),
    optimization: OptimizationSettings = OptimizationSettings(),
    execution: ExecutionSettings = ExecutionSettings(),
) -> None:
    """Train a language model on a store.

    Args:
        store: Folder made by seqdecomp build.
        out: Folder of the run: weights, metrics.jsonl, checkpoint.
        tokens: Tokens of the whole run; unset: as many as the store and the mixture give.
        batch_tokens: Tokens of an optimizer step, all devices together.
        arm: dd, or a baseline: concat, concat+mask, best-fit+mask, semantic, single-LENGTH ...
        model: tiny, 160m, 410m, 1b, 3b or 7b; goes before architecture.name.
        weights: Start from these, a model folder or an open_lm checkpoint; unset: from random ones.
        curriculum: Name or odds such as 32:16:8:4:2:1; goes before schedule.curriculum.
        cycles: How often the curriculum starts anew; goes before schedule.cycles.
        device: Where to train.
        devices: Number of devices (processes).
        strategy: auto (one device, or DDP), fsdp2, or a name of Lightning's.
        accumulate: Micro-batches of each device in a step.
        workers: Loading processes of each device.
        seed: Of the initial weights, the order of the data and the curriculum.
        resume: Go on with a run that was cut off.
        overwrite: Replace what an earlier run left.
        replan: Let batch, lengths, mixture or curriculum differ from those of the run that goes on.
        json: Print one JSON document.
        architecture: Sizes of the model.
        schedule: Mixture and curriculum.
        lengths: Range of the sequence lengths.
        optimization: AdamW, its schedule and the objective.
        execution: Precision, compilation, how often to save.
    """
    from dataclasses import asdict, replace

    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    from seqdecomp.data.store import Store

    require("lightning", toolkit="seqdecomp", extra="train")
    from toolkit_shared.language_model import build_model, weights_hash
    from toolkit_shared.training import is_first_process

    from seqdecomp.training import fit, model_arguments, plan_run

    try:
        sizes = architecture if model is None else replace(architecture, name=model)
        schedule = schedule if curriculum is None else replace(schedule, curriculum=curriculum)
        schedule = schedule if cycles is None else replace(schedule, cycles=cycles)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    opened = Store.open(store)
    plan = plan_run(
        opened,
        out,
        replan=replan,
        overwrite=overwrite,
        batch_tokens=batch_tokens,
        tokens=tokens,
        arm=arm,
        min_length=lengths.min,
        max_length=lengths.max,
        seed=seed,
        **asdict(schedule),
    )
    arguments = model_arguments(sizes, opened, plan)
    built = build_model(arguments, seed=seed, attention=sizes.attention, weights=weights)
    with progress_bar(plan.steps, "train", "steps") as progress:
        report = fit(
            built,
            plan,
            opened,
            out,
            optimization=optimization,
            execution=execution,
            config={"initial_weights": f"seed {seed}" if weights is None else weights_hash(weights)},
            accumulation=accumulate,
            device=device,
            devices=devices,
            strategy=strategy,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            replan=replan,
            progress=progress,
        )
    if is_first_process():  # strategies that start this command once a device
        emit(asdict(report), report.to_text(), as_json=json)
