"""One training run in a folder: started, interrupted, resumed, finished."""

import dataclasses
import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from lightning.pytorch import Callback, Trainer
from toolkit_shared.artifacts import (
    claim_folder,
    finish_folder,
    read_json,
    sha256_file,
    write_bytes,
    write_json,
)
from toolkit_shared.checkpoints import CONFIG, WEIGHTS
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import OpenLM
from toolkit_shared.training import (
    AtomicCheckpointIO,
    StepCheckpoint,
    StepProgress,
    Throughput,
    is_first_process,
    make_trainer,
    run_trainer,
    trainer_defaults,
)
from toolkit_shared.training.next_token import (
    METRICS,
    FinalWeights,
    MetricsLog,
    NextTokenTraining,
    read_metrics,
)

from seqdecomp import __version__
from seqdecomp.data.loading import StepDataset
from seqdecomp.data.store import Store
from seqdecomp.plan import Plan
from seqdecomp.planning import plan_for
from seqdecomp.settings import ExecutionSettings, ModelSettings, OptimizationSettings
from seqdecomp.training.datamodule import PlanDataModule
from seqdecomp.training.step_times import StepTimesLog

KIND = "seqdecomp-run"
CHECKPOINTS = "checkpoints"
TOKENIZER = "tokenizer.json"

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a finished run did.

    Attributes:
        out: Its folder; `OpenLM.from_pretrained(out)` loads the model.
        steps: Optimizer steps.
        tokens: Input positions of all steps.
        loss: Mean cross-entropy of the last tenth of the steps, in nats a token; None when not finite.
        seconds: Wall time of this process's part of the run.
        status: "new", "resumed", or "complete" when there was nothing left to do.
    """

    out: Path
    steps: int
    tokens: int
    loss: float | None
    seconds: float
    status: str

    def to_text(self) -> str:
        """Three lines for a reader."""
        loss = "not finite" if self.loss is None else f"{self.loss:.4f} nats a token"
        return (
            f"{self.out}: {self.status} run, {self.steps:,} steps, {self.tokens:,} tokens\n"
            f"loss over the last tenth of the steps: {loss}\n"
            f"time of this process: {self.seconds:.1f} s"
        )


def model_arguments(sizes: ModelSettings, store: Store, plan: Plan) -> dict[str, Any]:
    """Keyword arguments of `OpenLM` for a store's vocabulary and the longest rows of a run.

    Raises:
        InputError: the store's vocabulary is not known, or a size that was given is too small.
    """
    longest = 0
    ancestor: Plan | None = plan
    while ancestor is not None:
        longest = max([longest, *(group.length for group in ancestor.groups if len(group.rows))])
        ancestor = ancestor.previous
    if store.vocab_size == 0 and sizes.vocab_size is None:
        raise InputError(f"{store.path}: the vocabulary's size is not known; give --architecture.vocab-size")
    try:
        return sizes.arguments(vocab_size=store.vocab_size, max_length=longest)
    except ValueError as error:
        raise InputError(f"architecture: {error}") from None


def fit(
    model: OpenLM,
    plan: Plan,
    store: Store,
    out: str | Path,
    *,
    optimization: OptimizationSettings | None = None,
    execution: ExecutionSettings | None = None,
    config: Mapping[str, Any] | None = None,
    accumulation: int = 1,
    device: str = "auto",
    devices: int = 1,
    strategy: str = "auto",
    workers: int = 0,
    resume: bool = True,
    overwrite: bool = False,
    replan: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TrainingReport:
    """Train `model` on every step of `plan`, in the folder `out`.

    The folder holds the weights (`model.safetensors`, `config.json`), the store's tokenizer, `metrics.jsonl`,
    `step_times.json`, the newest checkpoint and, when all is done, `manifest.json`. A run that was cut off
    goes on from its checkpoint, with any number of devices; on one CPU its weights are bit-identical to those
    of a run that was not.

    Args:
        model: With its initial weights; trained in place.
        plan: All steps.
        store: The tokens of the plan.
        out: Folder of the run.
        optimization: AdamW, schedule and objective.
        execution: Precision, compilation, how often to save.
        config: What else makes this run what it is, for the manifest and the comparison on resume.
        accumulation: Micro-batches of each device in a step.
        device: auto, cpu or cuda.
        devices: Number of devices.
        strategy: auto, fsdp2, or a name of Lightning's.
        workers: Loading processes of each device.
        resume: Go on with a run that was cut off.
        overwrite: Delete what an earlier run left in `out`.
        replan: Go on with a run of another plan, of which `plan` takes what is unread (see `plan_run`).
        progress: Called with the number of steps done since the last call.

    Raises:
        InputError: the folder holds another run, or the batch cannot be shared out.
    """
    optimization, execution = optimization or OptimizationSettings(), execution or ExecutionSettings()
    out, began = Path(out), time.perf_counter()
    plan.check_ranks(devices, accumulation)
    if workers < 0:
        raise InputError(f"workers: {workers} is negative; give 0 or more")
    arguments = trainer_defaults(device, devices=devices, strategy=strategy)
    if execution.precision != "auto":
        arguments["precision"] = execution.precision
    described = _described(model, plan, store, optimization, config or {})
    picklable = arguments["strategy"] != "ddp_spawn"
    trainer = make_trainer(
        {**arguments, "enable_checkpointing": True},
        max_steps=plan.steps,
        accumulate_grad_batches=accumulation,
        gradient_clip_val=optimization.gradient_clip or None,
        callbacks=_callbacks(out, plan, execution, progress if picklable else None),
        default_root_dir=out,
    )
    status = "resumed"
    if is_first_process():
        if replan and not overwrite:
            _adopt(out, described)
        status = claim_folder(out, kind=KIND, config=described, resume=resume, overwrite=overwrite)
    if status != "complete":
        module = _training_module(
            model, plan, store, optimization, execution, devices * accumulation, arguments
        )
        data = PlanDataModule(
            store,
            plan,
            workers=workers,
            static_rows=execution.compile,
            vocab_size=model.config["vocab_size"],
        )
        _run(trainer, module, data, out)
        if trainer.is_global_zero:
            if store.path is not None and (store.path / TOKENIZER).exists():
                write_bytes(out / TOKENIZER, (store.path / TOKENIZER).read_bytes())
            finish_folder(out, _manifest(described, plan, store, out, arguments["precision"]))
    losses = [row["loss"] for row in read_metrics(out)][-max(1, plan.steps // 10) :]
    return TrainingReport(
        out=out,
        steps=plan.steps,
        tokens=plan.tokens_before(plan.steps),
        loss=sum(losses) / len(losses) if losses and None not in losses else None,
        seconds=time.perf_counter() - began,
        status=status,
    )


def plan_run(
    store: Store, out: str | Path, *, replan: bool = False, overwrite: bool = False, **settings: Any
) -> Plan:
    """The plan of a run in the folder `out`, which may have begun.

    Args:
        store: The tokens.
        out: Folder of the run; its newest checkpoint tells how much is read.
        replan: Whether settings may differ from those of the run; what is unread is then planned anew.
        overwrite: Plan from the first step, whatever the folder holds.
        settings: As in `seqdecomp.planning.plan_for`.

    Raises:
        InputError: settings are impossible, or differ from those of the run without `replan`.
    """
    checkpoint = None if overwrite else StepCheckpoint.newest(Path(out) / CHECKPOINTS)
    if checkpoint is None:
        return plan_for(store, **settings)
    state = AtomicCheckpointIO().load_checkpoint(checkpoint)[PlanDataModule.__qualname__]
    return plan_for(store, state=state["plan"], step=state["step"], replan=replan, **settings)


def _adopt(out: Path, described: Mapping[str, Any]) -> None:
    """Make the run in `out` one with the new plan, if only that changed; else leave it to be refused."""
    path = next((out / name for name in ("job.json", "manifest.json") if (out / name).exists()), None)
    held = {} if path is None else read_json(path)
    now = json.loads(json.dumps(described))
    changed = {**held.get("config", {}), "plan": now["plan"]}
    changed["model"] = {**changed.get("model", {}), "max_length": now["model"]["max_length"]}
    if held.get("kind") == KIND and changed == now != held["config"]:
        write_json(out / "job.json", {"kind": KIND, "config": now})
        (out / "manifest.json").unlink(missing_ok=True)


def _run(trainer: Trainer, module: NextTokenTraining, data: PlanDataModule, out: Path) -> None:
    log.info("precision %s, %d devices, folder %s", trainer.precision, trainer.num_devices, out)
    run_trainer(trainer, module, data, out / CHECKPOINTS)


def _training_module(
    model: OpenLM,
    plan: Plan,
    store: Store,
    optimization: OptimizationSettings,
    execution: ExecutionSettings,
    shares: int,
    arguments: Mapping[str, Any],
) -> NextTokenTraining:
    warm = execution.compile or arguments["accelerator"] == "cuda"
    return NextTokenTraining(
        model,
        total_steps=plan.steps,
        lr=optimization.lr,
        final_lr=optimization.final_lr,
        warmup_steps=optimization.warmup(plan.steps),
        weight_decay=optimization.weight_decay,
        betas=(optimization.beta1, optimization.beta2),
        eps=optimization.eps,
        z_loss=optimization.z_loss,
        chunk_tokens=execution.chunk_tokens,
        compile_backend="inductor" if execution.compile else None,
        shapes=StepDataset(store, plan, world_size=shares).shapes() if warm else (),
    )


def _callbacks(
    out: Path, plan: Plan, execution: ExecutionSettings, progress: Callable[[int], None] | None
) -> list[Callback]:
    callbacks: list[Callback] = [
        StepTimesLog(out, batch_tokens=plan.batch_tokens),
        MetricsLog(out, every_steps=execution.log_steps, label_fields=("step", "length")),
        Throughput(tokens_per_step=plan.batch_tokens, every_steps=max(50, execution.log_steps)),
        StepCheckpoint(out / CHECKPOINTS, every_steps=execution.checkpoint_steps),
        FinalWeights(out),
    ]
    return [*callbacks, StepProgress(progress)] if progress is not None else callbacks


def _described(
    model: OpenLM, plan: Plan, store: Store, optimization: OptimizationSettings, config: Mapping[str, Any]
) -> dict[str, Any]:
    return {
        **config,
        "model": model.config,
        "optimization": dataclasses.asdict(optimization),
        "plan": plan.settings,
        "store": store.fingerprint,
    }


def _manifest(
    described: Mapping[str, Any], plan: Plan, store: Store, out: Path, precision: str
) -> dict[str, Any]:
    return {
        "schema": 1,
        "toolkit_version": __version__,
        "kind": KIND,
        "config": dict(described),
        "steps": plan.steps,
        "tokens": plan.tokens_before(plan.steps),
        "precision": precision,
        "tokenizer": store.manifest.get("tokenizer"),
        "hashes": {name: sha256_file(out / name) for name in (WEIGHTS, CONFIG, METRICS)},
    }
