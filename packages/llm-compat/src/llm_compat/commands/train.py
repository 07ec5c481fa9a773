"""The command that trains a compatibility adapter."""

from pathlib import Path
from typing import Literal

from llm_compat.settings.training import (
    AdapterSettings,
    ExampleSettings,
    ExecutionSettings,
    ModelSettings,
    ObjectiveSettings,
    OptimizationSettings,
)


def train(
    *,
    data: Path,
    out: Path,
    arm: str = "muscle",
    cache: Path | None = None,
    validation: Path | None = None,
    device: Literal["auto", "cpu", "cuda"] = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    json: bool = False,
    new: ModelSettings = ModelSettings(),
    old: ModelSettings = ModelSettings(),
    examples: ExampleSettings = ExampleSettings(),
    adapter: AdapterSettings = AdapterSettings(),
    objective: ObjectiveSettings = ObjectiveSettings(),
    optimization: OptimizationSettings = OptimizationSettings(),
    execution: ExecutionSettings = ExecutionSettings(),
) -> None:
    """Train a compatibility adapter on the new model.

    OUT/adapter is an ordinary PEFT adapter of the new base model, with the rank of the task adapter that it
    starts from. Old and new model must have the same vocabulary.

    Args:
        data: Training examples, JSONL or parquet: prompt and completion, text, or messages.
        out: Folder of the run: adapter, metrics.jsonl, validation.jsonl, checkpoint.
        arm: muscle, v1_correct, kd_old, ce+muscle, ce+ll_token, ce+ll_seq, ce_more, kd_new, pct, pct_l2, xie,
            new_error, or task (a fresh task adapter).
        cache: Folder made by llm-compat cache; the old model is then not loaded.
        validation: Examples that the epoch is chosen by; unset: a fifth of the data.
        device: Where to train.
        devices: Number of devices (processes).
        strategy: auto (one device, or DDP), or a name of Lightning's.
        seed: Of the validation split, the order of the rows and new parts of the adapter.
        resume: Go on with a run that was cut off.
        overwrite: Replace what an earlier run left.
        json: Print one JSON document.
        new: The new task model.
        old: The old task model.
        examples: How examples become rows of tokens.
        adapter: The adapter that is trained.
        objective: Temperature, lambda, chunk size.
        optimization: AdamW, its schedule, batch and epochs.
        execution: Precision, how often to save.
    """
    from dataclasses import asdict

    from toolkit_shared.cli import emit
    from toolkit_shared.errors import require
    from toolkit_shared.progress import progress_bar

    for module in ("lightning", "transformers", "peft"):
        require(module, toolkit="llm-compat", extra="train")
    from toolkit_shared.training import is_first_process

    from llm_compat.training.running import train_compatibility_adapter

    with progress_bar(None, "train", "steps") as progress:
        report = train_compatibility_adapter(
            out,
            data=data,
            new=new,
            old=old,
            arm=arm,
            cache=cache,
            validation=validation,
            examples=examples,
            adapter=adapter,
            objective=objective,
            optimization=optimization,
            execution=execution,
            device=device,
            devices=devices,
            strategy=strategy,
            seed=seed,
            resume=resume,
            overwrite=overwrite,
            progress=progress,
        )
    if is_first_process():  # strategies that start this command once a device
        emit(asdict(report), report.to_text(), as_json=json)
