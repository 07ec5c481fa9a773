"""The command that trains a model on pairs, with a store, with teachers that run along, or plainly."""

from pathlib import Path
from typing import Annotated, Literal

from toolkit_shared.cli import Flat

from mobileclip.settings import (
    AdamWSettings,
    CheckSettings,
    OptimizationSettings,
    ReinforcementSettings,
    TrainingExecution,
)


def train(
    pairs: Path,
    /,
    *,
    out: Path,
    reinforcement: Path | None = None,
    model: str = "MobileCLIP-Tiny",
    init_from: str | None = None,
    online_teacher: tuple[str, ...] = (),
    augmentation: Literal["auto", "weak", "strong"] = "auto",
    weight_average: float = 0.0,
    image_field: str | None = None,
    caption_field: str | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    strategy: str = "auto",
    workers: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
    optimization: Annotated[OptimizationSettings, Flat] = OptimizationSettings(),
    adamw: AdamWSettings = AdamWSettings(),
    reinforced: ReinforcementSettings = ReinforcementSettings(),
    checks: CheckSettings = CheckSettings(),
    execution: TrainingExecution = TrainingExecution(),
) -> None:
    """Train a model on image-text pairs, reinforced or plain.

    Args:
        pairs: Parquet, tar shards, a table of image paths, or a folder of images.
        out: Folder of the run: model, metrics.jsonl, what was dropped, checkpoint.
        reinforcement: Store of dr build or dr convert for these pairs; unset: CLIP's loss on pairs alone.
        model: Name, JSON file of an architecture, or a model folder to go on from.
        init_from: Checkpoint to start from, of any dialect, or an open_clip tag.
        online_teacher: Run this teacher along instead of reading stored embeddings; may be repeated.
        augmentation: auto: the stored one, or else strong.
        weight_average: Decay of a moving average of the weights, which then is the model; 0: none.
        image_field: Column or extension of the images; unset: the usual names.
        caption_field: Column or extension of the captions.
        device: Where to train.
        devices: Number of devices (processes).
        strategy: auto (one device, or DDP), or a name of Lightning's.
        workers: Loading processes of each device.
        resume: Go on with a run that was cut off.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
        optimization: Steps, batch, learning rate.
        adamw: The optimizer.
        reinforced: What is learned from the store or the teachers.
        checks: What is looked at before the first step.
        execution: Precision, memory, how often to save.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    require("lightning", toolkit="mobileclip", extra="train")
    from toolkit_shared.training import is_first_process

    from mobileclip.training.fit import RunSettings, fit

    if not 0 <= weight_average < 1:
        raise InputError(f"--weight-average {weight_average:g}: is not from 0 to below 1")
    settings = RunSettings(
        model=model,
        init_from=init_from,
        online_teachers=online_teacher,
        augmentation=augmentation,
        weight_average=weight_average,
        optimization=optimization,
        adamw=adamw,
        reinforced=reinforced,
        checks=checks,
    )
    with (
        progress_bar(None, "check", "pairs") as check_progress,
        progress_bar(optimization.steps, "train", "steps") as progress,
    ):
        report = fit(
            pairs,
            out,
            settings,
            reinforcement=reinforcement,
            image_field=image_field,
            caption_field=caption_field,
            execution=execution,
            device=device,
            devices=devices,
            strategy=strategy,
            workers=workers,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
            check_progress=check_progress,
        )
    if is_first_process():  # strategies that start this command once a device
        emit(asdict(report), report.to_text(), as_json=json)
