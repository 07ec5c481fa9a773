"""One training run in a folder: started, interrupted, resumed, finished."""

import dataclasses
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
    write_json,
    write_text,
)
from toolkit_shared.checkpoints import CONFIG, WEIGHTS
from toolkit_shared.errors import InputError
from toolkit_shared.language_model import OpenLM, build_model
from toolkit_shared.training import (
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

import dclm_bench
from dclm_bench.references import Hyperparameters, ModelReference, friendly_name
from dclm_bench.scales import Scale
from dclm_bench.training.contexts import check_shares
from dclm_bench.training.datamodule import ContextDataModule
from dclm_bench.training.dataset import TrainingData
from dclm_bench.training.official_terms import hyperparameters, open_lm_arguments
from dclm_bench.training.open_lm_files import write_checkpoint
from dclm_bench.training.settings import ExecutionSettings, Overrides

KIND = "dclm-bench run"
CHECKPOINTS = "checkpoints"
PARAMETERS = "params.txt"
REFERENCE = "model.json"
CPU_CHUNK_TOKENS = 2048

log = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TrainingReport:
    """What a finished run did.

    Attributes:
        out: Its folder; `OpenLM.from_pretrained(out)` loads the model.
        name: Official name of the model.
        scale: Of the run.
        status: "new", "resumed", or "complete" when there was nothing left to do.
        steps: Optimizer steps.
        tokens: Tokens that were predicted, fill not counted.
        unique_tokens: Those of contexts seen for the first time.
        epochs: Passes over the data.
        loss: Mean cross-entropy of the last tenth of the steps, in nats a token; None when not finite.
        seconds: Wall time of this process's part of the run.
    """

    out: Path
    name: str
    scale: str
    status: str
    steps: int
    tokens: int
    unique_tokens: int
    epochs: float
    loss: float | None
    seconds: float

    def to_text(self) -> str:
        """Four lines for a reader."""
        loss = "not finite" if self.loss is None else f"{self.loss:.4f} nats a token"
        return (
            f"{self.out}: {self.status} run at scale {self.scale}, {self.steps:,} steps\n"
            f"{self.tokens:,} tokens, {self.unique_tokens:,} of them unique, {self.epochs:.3f} epochs\n"
            f"loss over the last tenth of the steps: {loss}\n"
            f"model {self.name}"
        )


def fit(
    data: TrainingData,
    scale: Scale,
    out: str | Path,
    *,
    overrides: Overrides | None = None,
    execution: ExecutionSettings | None = None,
    repeat: bool = False,
    device: str = "auto",
    devices: int = 1,
    accumulation: int = 1,
    strategy: str = "auto",
    precision: str = "auto",
    workers: int = 0,
    weights: str | Path | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> TrainingReport:
    """Train a model of `scale` on `data`, in the folder `out`.

    The folder holds the weights (`model.safetensors`, `config.json`), `metrics.jsonl`, the model reference
    `model.json`, all settings in `params.txt`, the newest checkpoint and, when all is done, `manifest.json`.
    A run that was cut off goes on from its checkpoint, with any number of devices; on one CPU its weights are
    bit-identical to those of a run that was not.

    Args:
        data: The tokenised dataset.
        scale: Model, optimizer and token budget.
        out: Folder of the run.
        overrides: Values in place of the scale's.
        execution: Compilation, how often to save and log.
        repeat: Whether the data may be seen more than once.
        device: auto, cpu or cuda.
        devices: Number of devices.
        accumulation: Micro-batches of each device in a step.
        strategy: auto, fsdp2, or a name of Lightning's.
        precision: auto (the scale's on a GPU, float32 on a CPU) or a name of Lightning's.
        workers: Loading processes of each device.
        weights: Start from these, a model folder or an open_lm checkpoint.
        resume: Go on with a run that was cut off.
        overwrite: Delete what an earlier run left in `out`.
        progress: Called with the number of steps done since the last call.

    Raises:
        InputError: data and scale do not fit, the data are too few without `repeat`, the folder holds another
            run, or the device or strategy cannot be had.

    Source: section 2.6 of the specification.
    """
    overrides, execution = overrides or Overrides(), execution or ExecutionSettings()
    out, began, scale = Path(out), time.perf_counter(), overrides.apply(scale)
    length = data.context_length - 1
    steps = scale.steps(sequence_length=length)
    check_shares(scale.sequences_per_step, devices, accumulation)
    _check_budget(scale, data, steps, repeat)
    arguments = trainer_defaults(device, devices=devices, strategy=strategy)
    on_cuda = arguments["accelerator"] == "cuda"
    if precision != "auto" or on_cuda:
        arguments["precision"] = scale.precision if precision == "auto" else precision
    sizes = scale.model_arguments(vocab_size=data.vocab_size, sequence_length=length)
    model = build_model(sizes, seed=scale.seed, low_precision_norm=True, weights=weights)
    parameters = hyperparameters(scale, model, accumulation=accumulation)
    name = friendly_name(data.reference.name, parameters)
    config = _described(scale, overrides, model, data, weights)
    trainer = make_trainer(
        {**arguments, "enable_checkpointing": True},
        max_steps=steps,
        accumulate_grad_batches=accumulation,
        gradient_clip_val=scale.gradient_clip or None,
        callbacks=_callbacks(
            out, scale, length, execution, None if arguments["strategy"] == "ddp_spawn" else progress
        ),
        default_root_dir=out,
    )
    status = "resumed"
    if is_first_process():
        status = claim_folder(out, kind=KIND, config=config, resume=resume, overwrite=overwrite)
    if status != "complete":
        module = _training_module(model, scale, steps, execution, on_cuda=on_cuda)
        contexts = ContextDataModule(
            data.shards,
            workers=workers,
            arguments={
                "context_length": data.context_length,
                "vocab_size": model.config["vocab_size"],
                "steps": steps,
                "sequences_per_step": scale.sequences_per_step,
                "seed": scale.seed,
                "eot_id": data.eot_id,
                "pad_id": data.pad_id,
                "train_on_pads": overrides.train_on_pads,
            },
        )
        log.info("scale %s, precision %s, %d devices, folder %s", scale.name, trainer.precision, devices, out)
        run_trainer(trainer, module, contexts, out / CHECKPOINTS)
        if trainer.is_global_zero:
            _finish(trainer, out, config, data, parameters, name, execution)
    return _report(out, scale, name, status, time.perf_counter() - began)


def _check_budget(scale: Scale, data: TrainingData, steps: int, repeat: bool) -> None:
    """Refuse a budget of no step, and hidden epochs.

    Source: the official trainer also stops when the data end, unless `--multiple-data-passes` is given.
    """
    needed = steps * scale.sequences_per_step
    if steps == 0:
        raise InputError(
            f"--tokens {scale.budget_tokens():,}: less than one step of {scale.sequences_per_step} sequences "
            f"of {data.context_length - 1} tokens; raise it"
        )
    epochs = needed / data.num_contexts
    if epochs > 1 and not repeat:
        raise InputError(
            f"{data.path}: holds {data.num_contexts:,} contexts and the token budget needs {needed:,} "
            f"({epochs:.2f} epochs); pass --repeat to see them more than once, or lower --tokens"
        )
    if steps <= scale.warmup_steps:
        log.warning("the warm-up of %d steps outlasts the run of %d", scale.warmup_steps, steps)
    log.info("%d steps, %.3f epochs of %d contexts", steps, epochs, data.num_contexts)


def _training_module(
    model: OpenLM, scale: Scale, steps: int, execution: ExecutionSettings, *, on_cuda: bool
) -> NextTokenTraining:
    compiled = on_cuda if execution.compile is None else execution.compile
    chunk_tokens = execution.chunk_tokens
    if chunk_tokens is None:
        chunk_tokens = 0 if on_cuda else CPU_CHUNK_TOKENS
    return NextTokenTraining(
        model,
        total_steps=steps,
        lr=scale.lr,
        final_lr=scale.final_lr,
        warmup_steps=scale.warmup_steps,
        weight_decay=scale.weight_decay,
        decay_vectors=True,
        betas=(scale.beta1, scale.beta2),
        eps=scale.eps,
        z_loss=scale.z_loss,
        chunk_tokens=chunk_tokens,
        compile_backend="inductor" if compiled else None,
    )


def _callbacks(
    out: Path,
    scale: Scale,
    length: int,
    execution: ExecutionSettings,
    progress: Callable[[int], None] | None,
) -> list[Callback]:
    callbacks: list[Callback] = [
        MetricsLog(out, every_steps=execution.log_steps, label_fields=("tokens", "new_tokens", "epoch")),
        Throughput(
            tokens_per_step=scale.sequences_per_step * length, every_steps=max(50, execution.log_steps)
        ),
        StepCheckpoint(out / CHECKPOINTS, every_steps=execution.checkpoint_steps),
        FinalWeights(out),
    ]
    return [*callbacks, StepProgress(progress)] if progress is not None else callbacks


def _described(
    scale: Scale, overrides: Overrides, model: OpenLM, data: TrainingData, weights: str | Path | None
) -> dict[str, Any]:
    from toolkit_shared.language_model import weights_hash

    settings = dataclasses.asdict(scale)
    for name in ("accumulation", "precision", "h100_hours"):  # how it is carried out is no other run
        del settings[name]
    return {
        "scale": settings,
        "train_on_pads": overrides.train_on_pads,
        "model": model.config,
        "data": {
            "name": data.reference.name,
            "fingerprint": data.fingerprint,
            "contexts": data.num_contexts,
            "context_length": data.context_length,
        },
        "initial_weights": f"seed {scale.seed}" if weights is None else weights_hash(weights),
    }


def _finish(
    trainer: Trainer,
    out: Path,
    config: Mapping[str, Any],
    data: TrainingData,
    parameters: Hyperparameters,
    name: str,
    execution: ExecutionSettings,
) -> None:
    settings = {"name": name, **dataclasses.asdict(parameters), "precision": str(trainer.precision)}
    write_text(out / PARAMETERS, "".join(f"{key}: {value}\n" for key, value in settings.items()))
    checkpoint = out.resolve() / WEIGHTS
    if execution.open_lm_files:
        checkpoint, _ = write_checkpoint(
            OpenLM.from_pretrained(out), out.resolve() / CHECKPOINTS, epoch=1, name=name
        )
    reference = ModelReference(
        name=name,
        dataset_name=data.reference.name,
        dataset_uuid=data.reference.uuid,
        hyperparameters=parameters,
        checkpoint_url=str(checkpoint),
        open_lm_version=f"dclm-bench {dclm_bench.__version__}",
        open_lm_args=open_lm_arguments(parameters, data, name),
        results=[],
        params_url=str(out.resolve() / PARAMETERS),
    )
    write_json(out / REFERENCE, reference.to_json())
    counts = _counts(out)
    finish_folder(
        out,
        {
            "schema": 1,
            "toolkit_version": dclm_bench.__version__,
            "kind": KIND,
            "config": dict(config),
            "name": name,
            "counts": counts,
            "precision": str(trainer.precision),
            "hashes": {file: sha256_file(out / file) for file in (WEIGHTS, CONFIG, METRICS)},
        },
    )


def _counts(out: Path) -> dict[str, Any]:
    rows = list(read_metrics(out))
    return {
        "steps": len(rows),
        "tokens": sum(row["tokens"] for row in rows),
        "unique_tokens": sum(row["new_tokens"] for row in rows),
        "epochs": rows[-1]["epoch"] if rows else 0.0,
    }


def _report(out: Path, scale: Scale, name: str, status: str, seconds: float) -> TrainingReport:
    rows = list(read_metrics(out))
    losses = [row["loss"] for row in rows][-max(1, len(rows) // 10) :]
    path = out / "manifest.json"
    counts = read_json(path)["counts"] if path.exists() else _counts(out)  # other ranks may be early
    return TrainingReport(
        out=out,
        name=name,
        scale=scale.name,
        status=status,
        loss=sum(losses) / len(losses) if losses and None not in losses else None,
        seconds=seconds,
        **counts,
    )
