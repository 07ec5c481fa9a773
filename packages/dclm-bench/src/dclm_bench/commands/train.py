"""The command that trains a model of a scale on a tokenised dataset."""

from pathlib import Path
from typing import Literal

from dclm_bench.training.settings import ExecutionSettings, Overrides, Precision


def train(
    data: Path,
    /,
    *,
    out: Path,
    scale: str = "400m-1x",
    tokens: int | None = None,
    multiplier: float | None = None,
    repeat: bool = False,
    weights: Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    accumulate: int = 1,
    strategy: str = "auto",
    precision: Precision = "auto",
    workers: int = 0,
    seed: int | None = None,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
    overrides: Overrides = Overrides(),
    execution: ExecutionSettings = ExecutionSettings(),
) -> None:
    """Train a model of a DataComp-LM scale on tokenised shards.

    Args:
        data: Folder of dclm-bench tokenize or mix, its manifest.jsonl, or a dataset reference.
        out: Folder of the run: weights, metrics.jsonl, model reference, checkpoint.
        scale: 400m-1x, 1b-1x, 3b-1x, 7b-1x, 7b-2x, or tiny (bytes, on a CPU).
        tokens: Token budget; unset: the scale's.
        multiplier: Token budget as a multiple of the scale's.
        repeat: See the data more than once where the budget needs it.
        weights: Start from these, a model folder or an open_lm checkpoint; unset: from random ones.
        device: Where to train.
        devices: Number of devices (processes).
        accumulate: Micro-batches of each device in a step.
        strategy: auto (one device, or DDP), fsdp2, or a name of Lightning's.
        precision: auto: the scale's on a GPU, 32-true on a CPU.
        workers: Loading processes of each device.
        seed: Of initial weights and order; unset: the scale's, 124.
        resume: Go on with a run that was cut off.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
        overrides: Values in place of the scale's, outside the competition.
        execution: Compilation, memory, how often to save.
    """
    from dataclasses import asdict, replace

    from toolkit_shared.cli import emit
    from toolkit_shared.errors import InputError, require
    from toolkit_shared.progress import progress_bar

    from dclm_bench.scales import find_scale

    require("lightning", toolkit="dclm-bench", extra="train")
    from toolkit_shared.training import is_first_process

    from dclm_bench.training.dataset import TrainingData
    from dclm_bench.training.fit import fit

    if tokens is not None and multiplier is not None:
        raise InputError("--tokens, --multiplier: both are given; give one of them")
    chosen = find_scale(scale)
    try:
        if tokens is not None:
            chosen = replace(chosen, tokens=tokens, multiplier=1)
        if multiplier is not None:
            chosen = replace(chosen, multiplier=multiplier)
        if seed is not None:
            chosen = replace(chosen, seed=seed)
    except ValueError as error:
        raise InputError(f"--{error}") from None
    with progress_bar(None, "train", "steps") as progress:
        report = fit(
            TrainingData.open(data),
            chosen,
            out,
            overrides=overrides,
            execution=execution,
            repeat=repeat,
            device=device,
            devices=devices,
            accumulation=accumulate,
            strategy=strategy,
            precision=precision,
            workers=workers,
            weights=weights,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if is_first_process():  # strategies that start this command once a device
        emit(asdict(report), report.to_text(), as_json=json)
