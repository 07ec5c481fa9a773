"""Training a model of images and texts contrastively: the LightningModule, its step log, averaged weights."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import torch
from jaxtyping import Float, Int
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor, nn

from toolkit_shared.contrastive import (
    MAX_LOGIT_SCALE,
    clamp_logit_scale,
    clip_loss,
    gather_features,
    own_rows,
)
from toolkit_shared.optimization import cosine_schedule, parameter_groups
from toolkit_shared.step_log import StepLog, read_lines

METRICS = "metrics.jsonl"
Batch = Mapping[str, Any]

__all__ = [
    "METRICS",
    "ImageTextLog",
    "ImageTextModel",
    "ImageTextTraining",
    "WeightAverage",
    "adam_epsilon",
    "read_lines",
]


class ImageTextModel(Protocol):
    """What is trained: a model as open_clip's and MobileCLIP's are.

    Attributes:
        logit_scale: Parameter, the logarithm of the inverse temperature.
    """

    logit_scale: nn.Parameter

    def encode_image(self, images: Tensor, normalize: bool = False) -> Tensor:
        """Features of images."""
        ...

    def encode_text(self, tokens: Tensor, normalize: bool = False) -> Tensor:
        """Features of texts."""
        ...


def adam_epsilon(model_name: str) -> float:
    """AdamW's epsilon for a model of this name: 1e-6 where it says "vit", else 1e-8.

    Source: the defaults of open_clip's trainer, which the published runs left as they are.
    """
    return 1e-6 if "vit" in model_name.lower() else 1e-8


class ImageTextTraining(LightningModule):
    """Trains a model of images and texts with CLIP's loss; a subclass puts another loss in `losses`.

    A batch has `images` [rows, 3, height, width] and `texts` [rows, tokens], of this process; all processes
    give as many rows. Accumulating gradients would not give a larger contrastive batch; do not.

    Args:
        model: The model, as built.
        total_steps: Optimizer steps at which the cosine ends.
        lr: Highest learning rate.
        final_lr: Learning rate at `total_steps`.
        warmup_steps: Steps of linear warm-up.
        weight_decay: On tensors of two and more dimensions: not on biases, norms and the logit scale.
        betas: Decays of AdamW's moments.
        eps: AdamW's epsilon.
        max_logit_scale: Bound of the inverse temperature.

    Attributes:
        term_names: Of the numbers that `losses` gives for the log.

    Source: open_clip's trainer with `--local-loss --gather-with-grad`.
    """

    term_names: tuple[str, ...] = ("contrastive",)

    def __init__(
        self,
        model: nn.Module,
        *,
        total_steps: int,
        lr: float = 1e-3,
        final_lr: float = 0.0,
        warmup_steps: int = 0,
        weight_decay: float = 0.2,
        betas: tuple[float, float] = (0.9, 0.95),
        eps: float = 1e-8,
        max_logit_scale: float = MAX_LOGIT_SCALE,
    ) -> None:
        super().__init__()
        self.model = model
        self.total_steps, self.lr, self.final_lr, self.warmup_steps = total_steps, lr, final_lr, warmup_steps
        self.weight_decay, self.betas, self.eps = weight_decay, betas, eps
        self.max_logit_scale = max_logit_scale

    def on_fit_start(self) -> None:
        """Put the model into train mode: factories give it for inference, and Lightning leaves it so."""
        self.model.train()

    def training_step(self, batch: Batch, batch_idx: int) -> dict[str, Tensor]:
        """The loss of this process's rows, and the numbers of its line in the log."""
        loss, terms = self.losses(batch)
        scale: Tensor = self.model.logit_scale.exp()  # type: ignore[operator]
        numbers = torch.stack([loss, *terms, scale]).detach().float()
        return {"loss": loss, "terms": numbers}

    def losses(self, batch: Batch) -> tuple[Tensor, Sequence[Tensor]]:
        """The loss of a batch, and its terms in the order of `term_names`."""
        images, (texts,), scale = self.encode(batch["images"], [batch["texts"]])
        rows = len(batch["images"])
        loss = clip_loss(images, texts, scale, offset=own_rows(rows), num_rows=rows)
        return loss, [loss]

    def encode(
        self,
        images: Float[Tensor, "rows 3 height width"],
        texts: Sequence[Int[Tensor, "rows tokens"]],
    ) -> tuple[Float[Tensor, "batch width"], list[Float[Tensor, "batch width"]], Float[Tensor, ""]]:
        """Unit features of the images and of each stream of texts, of all processes, and the logit scale.

        Streams go through the text encoder as one batch, as in the official trainer: a batch norm in it
        sees them together.
        """
        model: Any = self.model
        encoded = model.encode_text(torch.cat(list(texts)), normalize=True)
        streams = [gather_features(part) for part in encoded.split([len(part) for part in texts])]
        gathered = gather_features(model.encode_image(images, normalize=True))
        return gathered, streams, model.logit_scale.exp()

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
        # of this module, not of its model: a subclass may have parameters of its own, such as a bias
        groups = parameter_groups(self, self.weight_decay)
        fused = all(parameter.is_cuda for parameter in self.parameters())
        optimizer = torch.optim.AdamW(groups, lr=self.lr, betas=self.betas, eps=self.eps, fused=fused)
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.learning_rate(step) / self.lr
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def optimizer_step(self, *arguments: Any, **options: Any) -> None:
        """Step, and hold the logit scale in its bounds before any callback saves or averages it."""
        super().optimizer_step(*arguments, **options)
        clamp_logit_scale(self.model.logit_scale, self.max_logit_scale)  # type: ignore[arg-type]


class ImageTextLog(StepLog):
    """Writes a line of `metrics.jsonl` for every step: its loss, the terms, the logit scale, the lr.

    Losses are means over the rows of all processes; the logit scale is that of which the loss was computed.

    Args:
        folder: Folder of the run.
        every_steps: Steps between writes.
    """

    def __init__(self, folder: str | Path, *, every_steps: int = 10) -> None:
        super().__init__(Path(folder) / METRICS, every_steps=every_steps)

    def row(
        self, label: Mapping[str, Any], terms: Sequence[float], trainer: Trainer, module: Any
    ) -> Mapping[str, Any]:
        """The row of a step."""
        names = ("loss", *module.term_names, "logit_scale")
        means = [term / trainer.world_size for term in terms]
        return {
            **label,
            **dict(zip(names, means, strict=True)),
            "lr": module.learning_rate(label["step"]),
        }


class WeightAverage(Callback):
    """Keeps the exponential moving average of a module's `model`, parameters and buffers, in float32.

    After step n the average is decay_n x average + (1 - decay_n) x weights, with
    decay_n = min(decay, (1 + n) / (10 + n)), so that the random weights of the start are soon forgotten.
    Integers (counts of batches) are taken over. The average is in every checkpoint.

    Args:
        decay: Of the average, from 0 to below 1.

    Source: the warm-up of the decay is that of TensorFlow's ExponentialMovingAverage.
    """

    def __init__(self, decay: float) -> None:
        self.decay = decay
        self.average: dict[str, Tensor] = {}
        self._step = 0

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Begin with the weights as they are, or go on with those of the checkpoint."""
        self._step = trainer.global_step
        device = pl_module.device
        if self.average:
            self.average = {name: value.to(device) for name, value in self.average.items()}
            return
        for name, value in _state(pl_module).items():
            self.average[name] = (
                value.detach().clone().float() if value.is_floating_point() else value.clone()
            )

    def on_train_batch_end(
        self, trainer: Trainer, pl_module: LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Move the average when an optimizer step is done."""
        if trainer.global_step == self._step:
            return
        self._step = trainer.global_step
        decay = min(self.decay, (1 + self._step) / (10 + self._step))
        with torch.no_grad():
            for name, value in _state(pl_module).items():
                if value.is_floating_point():
                    self.average[name].lerp_(value.float(), 1 - decay)
                else:
                    self.average[name].copy_(value)

    def state_dict(self) -> dict[str, Any]:
        """The average."""
        return {"average": self.average}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The average of a checkpoint."""
        self.average = dict(state_dict["average"])


def _state(module: LightningModule) -> dict[str, Tensor]:
    model: Any = module.model
    state: dict[str, Tensor] = model.state_dict()
    return state
