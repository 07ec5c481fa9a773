"""Training an adapter in a plain torch loop; no trainer is needed."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from llm_compat.arms import Arm
from llm_compat.heads import Heads
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.objectives import CompatibilityLoss, fused_compatibility_loss
from llm_compat.objectives.fused import CHUNK_TOKENS
from llm_compat.training.batches import Batch
from llm_compat.training.teachers import Teachers, TeacherStates

Item = TypeVar("Item")


def train_adapter(
    model: nn.Module,
    batches: Iterable[Batch],
    *,
    arm: Arm,
    heads: Heads,
    teachers: Teachers | None = None,
    optimizer: torch.optim.Optimizer,
    schedule: Callable[[int], float] | None = None,
    accumulation: int = 1,
    first_step: int = 0,
    hidden_states: Callable[[nn.Module, Tensor], Tensor] = final_hidden_states,
    chunk_tokens: int = CHUNK_TOKENS,
    progress: Callable[[int], None] | None = None,
) -> list[dict[str, float]]:
    """Train the parameters that `optimizer` holds, one step for every `accumulation` batches.

    Args:
        model: The student, in the mode (train or eval) that it is to be trained in.
        batches: As `epoch_batches` gives them; on the model's device.
        arm: What is minimised.
        heads: The student's head, and those of the teachers that the arm reads.
        teachers: Their hidden states; None for an arm that reads neither.
        optimizer: Over the adapter's parameters.
        schedule: Learning rate of each optimizer step, from 0; None: as the optimizer has it.
        accumulation: Batches of a step.
        first_step: Number of the first step, for the schedule and the history.
        hidden_states: Final hidden states of a model for input_ids.
        chunk_tokens: Tokens whose logits exist at a time.
        progress: Called with 1 after each step.

    Returns:
        One line a step: step, loss, mask_rate, tokens, old_divergence, new_divergence and cross_entropy
        (means over the step's trained tokens; NaN for what the arm does not have), lr.
    """
    history = []
    for step, parts in enumerate(_grouped(batches, accumulation), start=first_step):
        if schedule is not None:
            for group in optimizer.param_groups:
                group["lr"] = schedule(step)
        optimizer.zero_grad(set_to_none=True)
        losses = []
        for batch in parts:
            loss = step_loss(
                model,
                batch,
                arm=arm,
                heads=heads,
                teachers=teachers,
                denominator=batch.step_tokens,
                hidden_states=hidden_states,
                chunk_tokens=chunk_tokens,
            )
            loss.loss.backward()  # type: ignore[no-untyped-call]
            losses.append(loss)
        optimizer.step()
        history.append({"step": step, **step_means(losses), "lr": optimizer.param_groups[0]["lr"]})
        if progress is not None:
            progress(1)
    return history


def step_loss(
    model: nn.Module,
    batch: Batch,
    *,
    arm: Arm,
    heads: Heads,
    teachers: Teachers | None,
    denominator: Tensor | float | None = None,
    hidden_states: Callable[[nn.Module, Tensor], Tensor] = final_hidden_states,
    chunk_tokens: int = CHUNK_TOKENS,
) -> CompatibilityLoss:
    """The loss of one batch: the student's forward pass, the teachers' states, the fused objective.

    Raises:
        ValueError: the arm reads a teacher, and there is none.
    """
    states = TeacherStates() if teachers is None else teachers(batch)
    trained = batch.trained
    return fused_compatibility_loss(
        hidden_states(model, batch.input_ids)[trained],
        batch.targets[trained],
        arm,
        heads,
        old_hidden=states.old,
        new_hidden=states.new,
        sequences=batch.sequences,
        denominator=denominator,
        chunk_tokens=chunk_tokens,
    )


def step_means(losses: Iterable[CompatibilityLoss]) -> dict[str, float]:
    """The losses of the batches of one step as one line: their sum, and means over the trained tokens."""
    parts = [torch.stack([part.detach().double() for part in loss]) for loss in losses]
    loss, masked, from_old, from_new, cross_entropy, tokens = torch.stack(parts).sum(0).tolist()

    def mean(total: float) -> float:
        return total / tokens if tokens else float("nan")

    return {
        "loss": loss,
        "mask_rate": mean(masked),
        "tokens": tokens,
        "old_divergence": mean(from_old),
        "new_divergence": mean(from_new),
        "cross_entropy": mean(cross_entropy),
    }


def _grouped(items: Iterable[Item], size: int) -> Iterator[list[Item]]:
    iterator = iter(items)
    while group := list(islice(iterator, size)):
        yield group
