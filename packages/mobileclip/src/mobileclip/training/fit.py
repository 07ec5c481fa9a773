"""One training run in a folder: started, interrupted, resumed, finished."""

import dataclasses
import logging
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from toolkit_shared.artifacts import JOB, claim_folder, sha256_file
from toolkit_shared.checkpoints import CONFIG, WEIGHTS
from toolkit_shared.errors import InputError
from toolkit_shared.training import (
    StepCheckpoint,
    StepProgress,
    Throughput,
    is_first_process,
    make_trainer,
    run_trainer,
    trainer_defaults,
)
from toolkit_shared.training.image_text import (
    ImageTextLog,
    WeightAverage,
    adam_epsilon,
)

from mobileclip.architectures import ARCHITECTURES
from mobileclip.models.architecture_file import architecture_to_json
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.factory import create_model, save_pretrained
from mobileclip.models.folding import is_folded
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.settings import (
    AdamWSettings,
    CheckSettings,
    OptimizationSettings,
    ReinforcementSettings,
    TrainingExecution,
)
from mobileclip.training.datamodule import PairDataModule
from mobileclip.training.dataset import check_shares
from mobileclip.training.module import ReinforcedTraining
from mobileclip.training.online import OnlineTeachers
from mobileclip.training.plan import DROPPED, PLAN, Plan, Sources, describe, make_plan, without_content
from mobileclip.training.report import LAST_MODEL, MODEL, RUN_KIND, TrainingReport, finish_run, report_run

CHECKPOINTS = "checkpoints"

log = logging.getLogger(__name__)
Progress = Callable[[int], None]


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings:
    """All that the result of a run depends on, beside its data.

    Attributes:
        model: Name of an architecture, its JSON file, or a folder of `save_pretrained` to start from.
        init_from: Checkpoint to start from, of any dialect, or an open_clip tag.
        online_teachers: Teachers that run along, as `load_teacher` takes them.
        augmentation: "auto": that of the store; else, and with teachers that run along, "strong".
        weight_average: Decay of the moving average of the weights, which then is the result; 0: none.
        optimization: Steps, batch, learning rate.
        adamw: The optimizer.
        reinforced: What is learned from store or teachers.
        checks: What is looked at before the first step.
    """

    model: str = "MobileCLIP-Tiny"
    init_from: str | None = None
    online_teachers: tuple[str, ...] = ()
    augmentation: str = "auto"
    weight_average: float = 0.0
    optimization: OptimizationSettings = dataclasses.field(default_factory=OptimizationSettings)
    adamw: AdamWSettings = dataclasses.field(default_factory=AdamWSettings)
    reinforced: ReinforcementSettings = dataclasses.field(default_factory=ReinforcementSettings)
    checks: CheckSettings = dataclasses.field(default_factory=CheckSettings)


class FinalModel(Callback):
    """Saves the trained model as a folder; the average of its weights, where there is one, and the last ones.

    Args:
        out: Folder of the run.
        average: Keeps the average.
    """

    def __init__(self, out: Path, average: WeightAverage | None = None) -> None:
        self.out, self.average = out, average

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write the folders, in the process that has the average."""
        if trainer.is_global_zero:
            self.save(pl_module)

    def save(self, module: LightningModule) -> None:
        """Write the folders, each file whole or absent."""
        model: Any = module.model
        if self.average is None:
            save_pretrained(model, self.out / MODEL)
            return
        save_pretrained(model, self.out / LAST_MODEL)
        model.load_state_dict(self.average.average)
        save_pretrained(model, self.out / MODEL)


def fit(
    pairs: str | Path,
    out: str | Path,
    settings: RunSettings | None = None,
    *,
    reinforcement: str | Path | None = None,
    image_field: str | None = None,
    caption_field: str | None = None,
    execution: TrainingExecution | None = None,
    device: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    workers: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    progress: Progress | None = None,
    check_progress: Progress | None = None,
) -> TrainingReport:
    """Train a model on pairs, in the folder `out`.

    With a store the loss is that of reinforced training; without one it is CLIP's; with teachers that run
    along it is the same as with a store, at the price of the teachers.

    The folder holds `model/`, `metrics.jsonl` (a line a step), `plan.npz` and `dropped.jsonl` (what is
    trained on and what is not), the newest checkpoint and, when all is done, `manifest.json`. A run that was
    cut off goes on from its checkpoint; on one CPU its model is bit-identical to that of a run that was not.

    Args:
        pairs: Images and captions, as `open_pairs` takes them.
        out: Folder of the run.
        settings: All that the result depends on.
        reinforcement: Folder of a store for these pairs.
        image_field: Column or extension of the images; None: the usual names.
        caption_field: Likewise of the captions.
        execution: How it is carried out.
        device: auto, cpu or cuda.
        devices: Number of devices; they divide the batch.
        strategy: auto, or a name of Lightning's.
        workers: Loading processes of each device, and processes that check the pairs.
        resume: Go on with a run that was cut off.
        overwrite: Delete what an earlier run left in `out`.
        progress: Called with the number of steps done since the last call.
        check_progress: Called with the number of pairs checked since the last call.

    Raises:
        InputError: data and settings do not fit, no pair or fewer than a batch can be used, the folder holds
            another run, or the device cannot be had.

    Source: arXiv 2311.17049, sections 4 and 5; hyper-parameters of the released training scripts.
    """
    settings, execution = settings or RunSettings(), execution or TrainingExecution()
    out, began = Path(out), time.perf_counter()
    check_shares(settings.optimization.batch_size, devices)
    sources = Sources(
        Path(pairs), None if reinforcement is None else Path(reinforcement), image_field, caption_field
    )
    source, store = sources.open()
    online = OnlineTeachers(settings.online_teachers) if settings.online_teachers else None
    teaching = _teaching(settings, store, online)
    arguments = trainer_defaults(device, devices=devices, strategy=strategy)
    if execution.precision != "auto":
        arguments["precision"] = execution.precision
    model = _student(settings, execution)
    config = _described(settings, model, source.fingerprint, store)
    dataset_arguments = _dataset_arguments(settings, model, store, online)
    average = WeightAverage(settings.weight_average) if settings.weight_average else None
    final = FinalModel(out, average)
    trainer = make_trainer(
        {**arguments, "enable_checkpointing": True},
        max_steps=settings.optimization.steps,
        gradient_clip_val=settings.adamw.gradient_clip or None,
        sync_batchnorm=execution.sync_batch_norm,
        callbacks=_callbacks(
            *(out, settings, execution, final),
            progress=None if arguments["strategy"] == "ddp_spawn" else progress,
        ),
        default_root_dir=out,
    )
    status = "resumed"
    if is_first_process():
        status = claim_folder(out, kind=RUN_KIND, config=config, resume=resume, overwrite=overwrite)
        if status != "complete":
            try:
                _plan(sources, settings, out, workers, check_progress)
            except InputError:
                if status == "new":  # nothing was trained: leave the folder to the mended command
                    for name in (PLAN, DROPPED, JOB):
                        (out / name).unlink(missing_ok=True)
                raise
    if status != "complete":
        data = PairDataModule(sources, out, workers=workers, arguments=dataset_arguments)
        module = _module(model, settings, teaching, online)
        run_trainer(trainer, module, data, out / CHECKPOINTS)
        if trainer.is_global_zero:
            if not (out / MODEL / CONFIG).exists():  # cut off between the last checkpoint and the end
                final.save(module)
            finish_run(out, config, precision=str(trainer.precision))
    seconds = time.perf_counter() - began
    return report_run(out, batch_size=settings.optimization.batch_size, status=status, seconds=seconds)


def _teaching(
    settings: RunSettings, store: ReinforcedStore | None, online: OnlineTeachers | None
) -> dict[str, Any]:
    """Widths, scales and biases of the teachers, and lambda, for the module.

    Raises:
        InputError: as many scales or biases as teachers are not given.
    """
    reinforced = settings.reinforced
    known: Sequence[Any] = ()
    if online is not None:
        known = online.teachers()
    elif store is not None:
        known = store.teachers
    if not known or reinforced.distillation_weight == 0:
        return {"distillation_weight": 0.0, "distillation": reinforced.loss}
    for name, values in (
        ("teacher-scales", reinforced.teacher_scales),
        ("teacher-biases", reinforced.teacher_biases),
    ):
        if values and len(values) != len(known):
            raise InputError(
                f"--reinforced.{name}: {len(values)} given for {len(known)} teachers "
                f"({', '.join(teacher.name for teacher in known)}); give one for each"
            )
    return {
        "teacher_widths": [teacher.width for teacher in known],
        "teacher_scales": reinforced.teacher_scales or [teacher.logit_scale for teacher in known],
        "teacher_biases": reinforced.teacher_biases or None,
        "distillation_weight": reinforced.distillation_weight,
        "distillation": reinforced.loss,
    }


def _student(settings: RunSettings, execution: TrainingExecution) -> ImageTextModel:
    # Weights of a seed must not depend on what drew random numbers before, nor change what draws them after.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(settings.optimization.seed)
        model = create_model(settings.model, pretrained=settings.init_from)
    if is_folded(model):
        raise InputError(
            f"{settings.init_from or settings.model}: is a folded model, whose branches are gone; "
            "give the weights from before the folding"
        )
    if execution.gradient_checkpointing:
        model.set_grad_checkpointing(True)
    if execution.compile:
        model.image_encoder.compile()
        model.text_encoder.compile()
    return model.train()


def _described(
    settings: RunSettings, model: ImageTextModel, pairs: str, store: ReinforcedStore | None
) -> dict[str, Any]:
    values = dataclasses.asdict(settings)
    values["checks"] = without_content(settings.checks)
    values["architecture"] = architecture_to_json(model.architecture)
    values["pairs"], values["store"] = pairs, None if store is None else store.fingerprint
    for name in ("model", "init_from"):
        values[name] = _identity(values[name])
    return values


def _identity(given: str | None) -> str | None:
    """A name as it is; a file or a model folder by its contents."""
    if given is None or not Path(given).exists():
        return given
    path = Path(given)
    return f"sha256 {sha256_file(path / WEIGHTS if path.is_dir() else path)}"


def _plan(
    sources: Sources, settings: RunSettings, out: Path, workers: int, progress: Progress | None
) -> None:
    """Make sure that the run's folder has its plan, and that it holds a batch."""
    if not (out / PLAN).exists():
        plan = make_plan(
            sources, settings.checks, settings.reinforced, workers=max(1, workers), progress=progress
        )
        plan.write(out)
    plan = Plan.read(out)
    log.info("%s", describe(plan, sources.open()[0]))
    size = settings.optimization.batch_size
    if len(plan.pairs) < size:
        raise InputError(
            f"--batch-size {size}: only {len(plan.pairs)} pairs can be used, and a batch must not hold one "
            "twice; lower it, or give more pairs"
        )


def _dataset_arguments(
    settings: RunSettings,
    model: ImageTextModel,
    store: ReinforcedStore | None,
    online: OnlineTeachers | None,
) -> dict[str, Any]:
    architecture = model.architecture
    augmentation = settings.augmentation
    if augmentation == "auto":
        augmentation = "stored" if store is not None and online is None else "strong"
    elif store is not None and online is None and settings.reinforced.distillation_weight > 0:
        raise InputError(
            f"--augmentation {augmentation}: the stored embeddings are of other images; leave it out, give "
            "--online-teacher, or --reinforced.distillation-weight 0"
        )
    return {
        "steps": settings.optimization.steps,
        "batch_size": settings.optimization.batch_size,
        "seed": settings.optimization.seed,
        "image_size": architecture.image.image_size,
        "mean": architecture.preprocessing.mean,
        "std": architecture.preprocessing.std,
        "context_length": architecture.text.context_length,
        "settings": settings.reinforced,
        "augmentation": augmentation,
        "scale_crops": settings.checks.mismatched_sizes == "scale",
        "teacher_sizes": () if online is None else [one.image_size for one in online.teachers()],
    }


def _module(
    model: ImageTextModel,
    settings: RunSettings,
    teaching: Mapping[str, Any],
    online: OnlineTeachers | None,
) -> ReinforcedTraining:
    optimization, adamw = settings.optimization, settings.adamw
    return ReinforcedTraining(
        model,
        **teaching,
        online=online if teaching["distillation_weight"] else None,
        total_steps=optimization.steps,
        lr=optimization.lr,
        warmup_steps=optimization.warmup_steps,
        weight_decay=adamw.weight_decay,
        betas=(adamw.beta1, adamw.beta2),
        # the rule is for names: a path may say anything, and another one for the same file must not matter
        eps=adam_epsilon(settings.model if settings.model in ARCHITECTURES else "")
        if adamw.eps is None
        else adamw.eps,
    )


def _callbacks(
    out: Path,
    settings: RunSettings,
    execution: TrainingExecution,
    final: FinalModel,
    *,
    progress: Progress | None,
) -> list[Callback]:
    callbacks: list[Callback] = [] if final.average is None else [final.average]
    callbacks += [
        ImageTextLog(out, every_steps=execution.log_steps),
        Throughput(
            tokens_per_step=settings.optimization.batch_size,
            every_steps=max(50, execution.log_steps),
            report=_report_rate,
        ),
        StepCheckpoint(out / CHECKPOINTS, every_steps=execution.checkpoint_steps),
        final,
    ]
    return [*callbacks, StepProgress(progress)] if progress is not None else callbacks


def _report_rate(step: int, pairs_per_second: float) -> None:
    log.info("step %d: %.3g pairs/s", step, pairs_per_second)
