"""Training a language model on rows of tokens: the LightningModule, its step log, its final weights."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from toolkit_shared.checkpoints import save_pretrained
from toolkit_shared.language_model import OpenLM
from toolkit_shared.language_model.objectives import (
    LossSums,
    chunked_next_token_loss,
    next_token_loss,
    weighted_loss,
)
from toolkit_shared.optimization import cosine_schedule, parameter_groups
from toolkit_shared.step_log import StepLog, read_lines
from toolkit_shared.training.trainer import recount_micro_steps

METRICS = "metrics.jsonl"
Batch = Mapping[str, Any]


class NextTokenTraining(LightningModule):
    """Trains a causal language model.

    A batch has `input_ids` and `targets` [rows, tokens], `document_ids` where attention stays inside
    documents, and `weight`, by which the sums of the micro-batch are multiplied (see `weighted_loss`).

    Args:
        model: The model, as built.
        total_steps: Optimizer steps at which the cosine ends.
        lr: Highest learning rate.
        final_lr: Learning rate at `total_steps`.
        warmup_steps: Steps of linear warm-up.
        weight_decay: On matrices only, or on all parameters with `decay_vectors`.
        decay_vectors: Decay the gains of the norms too, as the scales of arXiv 2406.11794 do.
        betas: Decays of AdamW's moments.
        eps: AdamW's epsilon.
        z_loss: Coefficient of the squared log partition function.
        chunk_tokens: Tokens whose logits exist at a time; 0: all.
        compile_backend: Compile model and objective with this backend of `torch.compile`; None: do not.
        shapes: (rows, length) of every micro-batch, the longest first: each is run once before training, so
            that a lack of memory or a compilation comes at the start.

    Source: the 1B training script released with arXiv 2405.13226, and the training of arXiv 2406.11794
    (appendix on training), which is that of open_lm: AdamW, linear warm-up, cosine.
    """

    def __init__(
        self,
        model: OpenLM,
        *,
        total_steps: int,
        lr: float = 3e-3,
        final_lr: float = 3e-5,
        warmup_steps: int = 0,
        weight_decay: float = 0.033,
        decay_vectors: bool = False,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        z_loss: float = 1e-4,
        chunk_tokens: int = 0,
        compile_backend: str | Callable[..., Any] | None = None,
        shapes: Sequence[tuple[int, int]] = (),
    ) -> None:
        super().__init__()
        self.model = model
        self.total_steps, self.lr, self.final_lr, self.warmup_steps = total_steps, lr, final_lr, warmup_steps
        self.weight_decay, self.decay_vectors = weight_decay, decay_vectors
        self.betas, self.eps, self.z_loss = betas, eps, z_loss
        self.chunk_tokens, self.shapes = chunk_tokens, tuple(shapes)
        self.compile_backend = compile_backend
        self._compiled: Callable[..., LossSums] | None = None

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The weighted loss of one micro-batch, and its two terms for the log."""
        sums = self.losses(batch["input_ids"], batch["targets"], batch.get("document_ids"))
        loss = weighted_loss(sums, batch["weight"], z_loss_coefficient=self.z_loss)
        terms = torch.stack([sums.cross_entropy, sums.z]).detach() * batch["weight"]
        return {"loss": loss, "terms": terms}

    def losses(self, input_ids: Tensor, targets: Tensor, document_ids: Tensor | None = None) -> LossSums:
        """The sums of the objective, through the compiled graph where there is one."""
        if self.compile_backend is None:
            return self._losses(input_ids, targets, document_ids)
        if self._compiled is None:
            limit = 2 * len(self.shapes) + 8
            torch._dynamo.config.recompile_limit = max(torch._dynamo.config.recompile_limit, limit)
            self._compiled = torch.compile(self._losses, dynamic=False, backend=self.compile_backend)
        return self._compiled(input_ids, targets, document_ids)

    def warm_up(self) -> None:
        """Run forward and backward once for each shape, the longest first; weights and gradients stay."""
        for rows, length in self.shapes:
            tokens = torch.zeros(rows, length, dtype=torch.int64, device=self.device)
            with self.trainer.precision_plugin.train_step_context():
                # the same tensor twice would be a graph of its own
                sums = self.losses(tokens, tokens.clone())
            weighted_loss(sums, 0.0, z_loss_coefficient=self.z_loss).backward()  # type: ignore[no-untyped-call]
            self.zero_grad(set_to_none=True)

    def learning_rate(self, step: int) -> float:
        """Learning rate of optimizer step `step`, from 0."""
        return cosine_schedule(
            step,
            warmup_steps=self.warmup_steps,
            total_steps=self.total_steps,
            lr=self.lr,
            final_lr=self.final_lr,
        )

    def configure_optimizers(self) -> Any:
        """AdamW with its schedule, one value a step."""
        groups = parameter_groups(self.model, self.weight_decay, decay_vectors=self.decay_vectors)
        fused = all(parameter.is_cuda for parameter in self.model.parameters())
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=fused)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.learning_rate(step) / self.lr
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def configure_model(self) -> None:
        """Shard the layers over the devices when the strategy is FSDP2."""
        if self.device_mesh is None:
            return
        from torch.distributed.fsdp import FSDPModule, fully_shard

        if not isinstance(self.model, FSDPModule):
            mesh = self.device_mesh["data_parallel"]
            for layer in self.model.layers:
                fully_shard(layer, mesh=mesh)
            fully_shard(self.model, mesh=mesh)

    def on_train_start(self) -> None:
        """Warm up the shapes."""
        self.warm_up()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Count finished steps in micro-batches of this run, whose accumulation may be another."""
        recount_micro_steps(checkpoint, self.trainer.accumulate_grad_batches)

    def _losses(self, input_ids: Tensor, targets: Tensor, document_ids: Tensor | None) -> LossSums:
        if self.chunk_tokens == 0:
            return next_token_loss(self.model(input_ids, document_ids), targets)
        hidden = self.model(input_ids, document_ids, project=False)
        return chunked_next_token_loss(hidden, self.model.output, targets, chunk_tokens=self.chunk_tokens)


class MetricsLog(StepLog):
    """Writes a line of `metrics.jsonl` for every step, over all ranks: what names it, its losses, its lr.

    Losses are means over the tokens that the whole step predicts; the z-loss is without its coefficient.

    Args:
        folder: Folder of the run.
        every_steps: Steps between writes.
        label_fields: Fields of a batch that name its step and stand first in the line; without them it has
            `step`, from 0.
    """

    def __init__(
        self, folder: str | Path, *, every_steps: int = 10, label_fields: Sequence[str] = ()
    ) -> None:
        super().__init__(Path(folder) / METRICS, every_steps=every_steps)
        self.label_fields = tuple(label_fields)

    def label(self, batch: Batch, step: int) -> dict[str, Any]:
        """The fields that name a step."""
        return {"step": step, **{name: batch[name] for name in self.label_fields}}

    def row(
        self, label: Mapping[str, Any], terms: Sequence[float], trainer: Trainer, module: Any
    ) -> Mapping[str, Any]:
        """The row of a step."""
        loss, z_loss = (term / (trainer.accumulate_grad_batches * trainer.world_size) for term in terms)
        return {**label, "loss": loss, "z_loss": z_loss, "lr": module.learning_rate(label["step"])}


def read_metrics(path: str | Path) -> Iterator[dict[str, Any]]:
    """The lines of a metrics file, or of the one in a run's folder; a line that was cut off is left out.

    Each has `step` (from 0), `loss` and `z_loss` (means over the step's predicted tokens, null when not
    finite), `lr`, and what its log was told to add. A missing file has no lines.
    """
    path = Path(path)
    return read_lines(path / METRICS if path.is_dir() else path)


class FinalWeights(Callback):
    """Saves the model while the process group still stands, for sharded weights must be gathered."""

    def __init__(self, out: str | Path) -> None:
        self.out = Path(out)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Write `model.safetensors` and `config.json`."""
        assert isinstance(pl_module, NextTokenTraining)
        state = trainer.strategy.lightning_module_state_dict()
        if trainer.is_global_zero:
            weights = {name.removeprefix("model."): value for name, value in state.items()}
            save_pretrained(self.out, weights, pl_module.model.config)
