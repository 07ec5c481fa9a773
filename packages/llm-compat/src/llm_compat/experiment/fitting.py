"""Trainings of the experiment: the package's plain loop, epoch by epoch, with one checkpoint kept."""

import math
from dataclasses import dataclass, field
from typing import Any

import torch
from toolkit_shared.randomness import stream
from torch import Tensor, nn
from torch.nn import functional

from llm_compat.arms import Arm
from llm_compat.data.token_rows import TokenRows
from llm_compat.experiment.configuration import ExperimentSettings
from llm_compat.experiment.models import plain_head, trainable
from llm_compat.experiment.teachers import states_at
from llm_compat.heads import Heads
from llm_compat.training.batches import epoch_batches, steps_per_epoch
from llm_compat.training.loop import train_adapter
from llm_compat.training.schedule import linear_schedule
from llm_compat.training.teachers import Teachers

# More than a batch has: with so small a vocabulary, chunks cost time and save nothing.
CHUNK_TOKENS = 1 << 14


@dataclass
class Training:
    """What a training did, one entry an epoch in each list.

    Attributes:
        losses: Mean training loss.
        mask_rates: Mean share of trained tokens whose mask is 1; empty for an arm without a mask.
        validation_losses: Cross-entropy of the validation part after the epoch, in nats a token.
        kept_epoch: The epoch whose weights the model has, from 1; 0 where nothing was trained.
        steps: Optimizer steps.
    """

    losses: list[float] = field(default_factory=list)
    mask_rates: list[float] = field(default_factory=list)
    validation_losses: list[float] = field(default_factory=list)
    kept_epoch: int = 0
    steps: int = 0


def fit(
    model: nn.Module,
    train: TokenRows,
    validation: TokenRows,
    arm: Arm,
    settings: ExperimentSettings,
    *,
    epochs: int,
    lr: float,
    order: int,
    teachers: Teachers | None = None,
    heads: Heads | None = None,
) -> Training:
    """Train what is trainable in `model`, and leave it with the weights of the kept epoch.

    Args:
        model: A causal model of transformers, with or without an adapter.
        train: What to train on.
        validation: What is measured after each epoch; it may choose the epoch (`settings.checkpoint`).
        arm: What is minimised.
        settings: Batch size, clipping, device, which checkpoint is kept.
        epochs: Passes over the data.
        lr: Learning rate of the first step; it falls linearly to 0.
        order: Seed of the order; trainings of one order see the same batches.
        teachers: Of an arm that has any.
        heads: The student's and the teachers'; None: the student's alone.
    """
    optimizer = _optimizer(trainable(model), lr, settings.clip_norm)
    a_epoch = steps_per_epoch(train, rows_per_step=settings.batch_size)
    done, best = Training(), math.inf
    kept: dict[str, Tensor] = {}
    for epoch in range(epochs):
        model.train()
        history = train_adapter(
            model,
            (batch.to(settings.device) for batch in _batches(train, settings, order, epoch)),
            arm=arm,
            heads=heads or Heads(plain_head(model)),
            teachers=teachers,
            optimizer=optimizer,
            schedule=lambda step: linear_schedule(step, warmup_steps=0, total_steps=epochs * a_epoch, lr=lr),
            first_step=done.steps,
            chunk_tokens=CHUNK_TOKENS,
        )
        done.steps += len(history)
        done.losses.append(_mean(history, "loss"))
        if arm.mask != "none":
            done.mask_rates.append(_mean(history, "mask_rate"))
        done.validation_losses.append(cross_entropy(model, validation, settings.device))
        if settings.checkpoint == "last" or done.validation_losses[-1] < best:
            best, done.kept_epoch = done.validation_losses[-1], epoch + 1
            if settings.checkpoint != "last":
                kept = _snapshot(model)
    if kept:
        model.load_state_dict(kept, strict=False)
    model.eval()
    return done


def order_of(seed: int, what: str) -> int:
    """A seed for the order of one purpose, from the seed of the run."""
    return int(stream(seed, f"claims {what}").integers(1 << 31))


def cross_entropy(model: nn.Module, rows: TokenRows, device: str) -> float:
    """Mean cross-entropy of the trained tokens of some rows, in nats."""
    model.eval()
    head = plain_head(model)
    total = 0.0
    with torch.no_grad():
        for batch, states in states_at(model, rows, device):
            targets = batch.targets[batch.trained]
            total += functional.cross_entropy(head.logits(states), targets, reduction="sum").item()
    return total / rows.trained_tokens


def _batches(train: TokenRows, settings: ExperimentSettings, order: int, epoch: int) -> Any:
    return epoch_batches(train, batch_size=settings.batch_size, seed=order, epoch=epoch)


def _optimizer(parameters: list[nn.Parameter], lr: float, clip_norm: float) -> torch.optim.Optimizer:
    optimizer = torch.optim.AdamW(parameters, lr=lr, betas=(0.9, 0.999), weight_decay=0.0)

    def clip(*_: Any) -> None:
        nn.utils.clip_grad_norm_(parameters, clip_norm)

    optimizer.register_step_pre_hook(clip)
    return optimizer


def _mean(history: list[dict[str, float]], name: str) -> float:
    return math.fsum(line[name] for line in history) / len(history)


def _snapshot(model: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.detach().clone()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
