"""One training run in a folder: started, interrupted, resumed, finished."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from toolkit_shared.artifacts import claim_folder, finish_folder, sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.step_log import read_lines
from toolkit_shared.training import (
    StepCheckpoint,
    StepProgress,
    is_first_process,
    make_trainer,
    run_trainer,
    trainer_defaults,
)

from llm_compat import __version__
from llm_compat.arms import Arm
from llm_compat.model.adapters import Student
from llm_compat.model.loading import ADAPTER_CONFIG, ADAPTER_WEIGHTS
from llm_compat.settings.training import ExecutionSettings, ObjectiveSettings, OptimizationSettings
from llm_compat.training.batches import steps_per_epoch
from llm_compat.training.datamodule import RowsDataModule
from llm_compat.training.metrics import EPOCHS, STEPS, MetricsLog
from llm_compat.training.module import CompatibilityTraining
from llm_compat.training.preparing import RunRows
from llm_compat.training.selection import ADAPTER, BestAdapter
from llm_compat.training.teachers import TeacherSource

KIND = "llm-compat run"
CHECKPOINTS = "checkpoints"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a finished run did.

    Attributes:
        out: Its folder; PEFT loads `out/adapter`.
        arm: What was minimised.
        status: "new", "resumed", or "complete" when there was nothing left to do.
        steps: Optimizer steps.
        best_epoch: The epoch whose adapter was kept, from 1.
        cross_entropy: Its validation cross-entropy, in nats a token.
        mask_rate: Share of the tokens with mask 1, in the last step.
        seconds: Wall time of this process's part of the run.
    """

    out: Path
    arm: str
    status: str
    steps: int
    best_epoch: int
    cross_entropy: float | None
    mask_rate: float | None
    seconds: float

    def to_text(self) -> str:
        """Three lines for a reader."""
        loss = "not finite" if self.cross_entropy is None else f"{self.cross_entropy:.4f} nats a token"
        mask = "" if self.mask_rate is None else f", mask rate at the end {self.mask_rate:.1%}"
        return (
            f"{self.out / ADAPTER}: arm {self.arm}, {self.status} run of {self.steps:,} steps{mask}\n"
            f"kept epoch {self.best_epoch}, validation cross-entropy {loss}\n"
            f"time of this process: {self.seconds:.1f} s"
        )


def fit(
    student: Student,
    source: TeacherSource,
    arm: Arm,
    rows: RunRows,
    out: str | Path,
    *,
    objective: ObjectiveSettings | None = None,
    optimization: OptimizationSettings | None = None,
    execution: ExecutionSettings | None = None,
    config: Mapping[str, Any] | None = None,
    facts: Mapping[str, Any] | None = None,
    device: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    seed: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TrainingReport:
    """Train the student's adapter on every row for every epoch, in the folder `out`.

    The folder holds `adapter/` (plain PEFT, of the best epoch), `metrics.jsonl`, `validation.jsonl`, the
    newest checkpoint and, when all is done, `manifest.json`. A run that was cut off goes on from its
    checkpoint; on one CPU its adapter is bit-identical to that of a run that was not.

    Args:
        student: The model under its adapters; trained in place.
        source: Of the teachers.
        arm: What is minimised, with its temperature and lambda.
        rows: Training and validation rows.
        out: Folder of the run.
        objective: Chunk size; the rest is in `arm`.
        optimization: AdamW, schedule, batch and epochs.
        execution: Precision, how often to save.
        config: What else makes this run what it is, for the manifest and the comparison on resume.
        facts: What else the manifest says.
        device: auto, cpu or cuda.
        devices: Number of devices.
        strategy: auto, or a name of Lightning's.
        seed: Of the order of the rows, and of dropout.
        resume: Go on with a run that was cut off.
        overwrite: Delete what an earlier run left in `out`.
        progress: Called with the number of steps done since the last call.

    Raises:
        InputError: the folder holds another run, or the device or strategy cannot be had.
    """
    objective, execution = objective or ObjectiveSettings(), execution or ExecutionSettings()
    optimization, out, began = optimization or OptimizationSettings(), Path(out), time.perf_counter()
    if optimization.select_by == "nfr" and not arm.needs_old:
        raise InputError(
            f"optimization.select_by: 'nfr' needs the old model, which arm '{arm.name}' does not read; "
            "take cross-entropy"
        )
    per_step = optimization.batch_size * optimization.accumulate * devices
    per_epoch = steps_per_epoch(rows.training, rows_per_step=per_step)
    steps = per_epoch * optimization.epochs
    arguments = trainer_defaults(device, devices=devices, strategy=strategy)
    if execution.precision != "auto":
        arguments["precision"] = execution.precision
    best = BestAdapter(
        out,
        rows.validation,
        first_row=len(rows.training),
        steps_per_epoch=per_epoch,
        batch_size=optimization.batch_size,
        select_by=optimization.select_by,
    )
    picklable = arguments["strategy"] != "ddp_spawn"
    trainer = make_trainer(
        {**arguments, "enable_checkpointing": True},
        max_steps=steps,
        accumulate_grad_batches=optimization.accumulate,
        gradient_clip_val=optimization.gradient_clip or None,
        callbacks=_callbacks(out, execution, best, progress if picklable else None),
        default_root_dir=out,
    )
    described = _described(arm, rows, optimization, seed, config or {}, rows_per_step=per_step)
    status = "resumed"
    if is_first_process():
        status = claim_folder(out, kind=KIND, config=described, resume=resume, overwrite=overwrite)
    if status != "complete":
        module = _training_module(student, source, arm, steps, objective, optimization, seed)
        data = RowsDataModule(
            rows.training, epochs=optimization.epochs, batch_size=optimization.batch_size, seed=seed
        )
        _run(trainer, module, data, out)
        if trainer.is_global_zero:
            _finish(out, described, facts or {}, module, rows, arguments["precision"])
    return _report(out, arm, status, steps, optimization.select_by, time.perf_counter() - began)


def _callbacks(
    out: Path, execution: ExecutionSettings, best: BestAdapter, progress: Callable[[int], None] | None
) -> list[Callback]:
    callbacks: list[Callback] = [
        MetricsLog(out, every_steps=execution.log_steps),
        best,
        StepCheckpoint(out / CHECKPOINTS, every_steps=execution.checkpoint_steps),
    ]
    return [*callbacks, StepProgress(progress)] if progress is not None else callbacks


def _training_module(
    student: Student,
    source: TeacherSource,
    arm: Arm,
    steps: int,
    objective: ObjectiveSettings,
    optimization: OptimizationSettings,
    seed: int,
) -> CompatibilityTraining:
    return CompatibilityTraining(
        student,
        source,
        arm,
        total_steps=steps,
        lr=optimization.lr,
        warmup_steps=optimization.warmup_steps,
        weight_decay=optimization.weight_decay,
        betas=(optimization.beta1, optimization.beta2),
        chunk_tokens=objective.chunk_tokens,
        seed=seed,
    )


def _run(trainer: Trainer, module: CompatibilityTraining, data: RowsDataModule, out: Path) -> None:
    if module.warmup_steps >= module.total_steps:
        log.warning("the warm-up of %d steps outlasts the run of %d", module.warmup_steps, module.total_steps)
    log.info(
        "arm %s, precision %s, %d devices, folder %s",
        module.arm.name,
        trainer.precision,
        trainer.num_devices,
        out,
    )
    module.train()
    run_trainer(trainer, module, data, out / CHECKPOINTS)


def _finish(
    out: Path,
    described: Mapping[str, Any],
    facts: Mapping[str, Any],
    module: CompatibilityTraining,
    rows: RunRows,
    precision: str,
) -> None:
    names = [f"{ADAPTER}/{ADAPTER_WEIGHTS}", f"{ADAPTER}/{ADAPTER_CONFIG}", STEPS, EPOCHS]
    manifest = {
        "schema": 1,
        "toolkit_version": __version__,
        "kind": KIND,
        "config": dict(described),
        "records": {name: dataclasses.asdict(counts) for name, counts in rows.counts.items()},
        "frozen": module.frozen_hashes(),
        "precision": precision,
        "hashes": {name: sha256_file(out / name) for name in names},
        **facts,
    }
    finish_folder(out, manifest)


def _described(
    arm: Arm,
    rows: RunRows,
    optimization: OptimizationSettings,
    seed: int,
    config: Mapping[str, Any],
    *,
    rows_per_step: int,
) -> dict[str, Any]:
    chosen = dataclasses.asdict(optimization)
    for name in ("batch_size", "accumulate"):  # how a step is shared out does not make another run
        del chosen[name]
    return {
        **config,
        "arm": dataclasses.asdict(arm),
        "optimization": {**chosen, "rows_per_step": rows_per_step},
        "rows": {"training": rows.training.fingerprint, "validation": rows.validation.fingerprint},
        "seed": seed,
    }


def _report(out: Path, arm: Arm, status: str, steps: int, select_by: str, seconds: float) -> TrainingReport:
    epochs, lines = list(read_lines(out / EPOCHS)), list(read_lines(out / STEPS))
    key = {"cross-entropy": "cross_entropy", "nfr": "nfr"}.get(select_by, "")
    scored = [row for row in epochs if row.get(key) is not None]
    best = min(scored, key=lambda row: row[key]) if scored else epochs[0 if key else -1]
    return TrainingReport(
        out=out,
        arm=arm.name,
        status=status,
        steps=steps,
        best_epoch=best["epoch"],
        cross_entropy=best["cross_entropy"],
        mask_rate=lines[-1]["mask_rate"] if lines else None,
        seconds=seconds,
    )
