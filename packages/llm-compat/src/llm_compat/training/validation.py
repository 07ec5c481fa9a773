"""Validation of the student: cross-entropy, accuracy and negative flips of next tokens."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from llm_compat.data.token_rows import TokenRows
from llm_compat.heads import Head
from llm_compat.model.hidden_states import final_hidden_states
from llm_compat.objectives import token_log_likelihood
from llm_compat.training.batches import collate
from llm_compat.training.teachers import Teachers


class ValidationSums(NamedTuple):
    """Sums over the trained tokens of validation rows, float64 scalars."""

    cross_entropy: Tensor
    right: Tensor
    flips: Tensor
    """Tokens that the old model predicts and the student does not; 0 without an old model."""
    tokens: Tensor


def validate(
    model: nn.Module,
    head: Head,
    rows: TokenRows,
    indices: range,
    *,
    device: torch.device,
    batch_size: int,
    chunk_tokens: int,
    old_right: Tensor | None = None,
) -> ValidationSums:
    """The sums over some of the rows; the model is in eval mode meanwhile, and no logits of whole rows exist.

    Args:
        model: The student.
        head: Its output head.
        rows: Validation rows.
        indices: Which of them.
        device: Where the model is.
        batch_size: Rows at a time.
        chunk_tokens: Tokens whose logits exist at a time.
        old_right: Bool [trained tokens of all rows], from `right_tokens` of the old model.
    """
    training = model.training
    model.eval()
    sums = torch.zeros(4, dtype=torch.float64, device=device)
    with torch.no_grad():
        for start in range(0, len(indices), batch_size):
            taken = list(indices[start : start + batch_size])
            batch = collate(rows, taken).to(device)
            hidden = final_hidden_states(model, batch.input_ids)[batch.trained]
            likelihood, right = _judge(head, hidden, batch.targets[batch.trained], chunk_tokens)
            sums[0] -= likelihood.double().sum()
            sums[1] += right.sum()
            sums[3] += len(right)
            if old_right is not None:
                offsets = rows.trained_offsets
                held = [old_right[offsets[row] : offsets[row + 1]] for row in taken]
                sums[2] += (torch.cat(held).to(device) & ~right).sum()
    model.train(training)
    return ValidationSums(*sums.unbind())


def right_tokens(
    teachers: Teachers,
    head: Head,
    rows: TokenRows,
    *,
    first_row: int,
    device: torch.device,
    batch_size: int,
    chunk_tokens: int,
) -> Tensor:
    """Bool [trained tokens of the rows]; whether the old model's likeliest next token is the true one.

    Args:
        teachers: They give the old model's hidden states.
        head: The old model's.
        rows: Validation rows.
        first_row: Number of the first of them among the rows that the teachers know.
        device: Where the teachers are.
        batch_size: Rows at a time.
        chunk_tokens: Tokens whose logits exist at a time.
    """
    found = [torch.zeros(0, dtype=torch.bool)]
    with torch.no_grad():
        for start in range(0, len(rows), batch_size):
            batch = collate(rows, range(start, min(start + batch_size, len(rows))))
            batch = batch._replace(rows=batch.rows + first_row).to(device)
            hidden = teachers(batch).old
            assert hidden is not None
            found.append(_judge(head, hidden, batch.targets[batch.trained], chunk_tokens)[1].cpu())
    return torch.cat(found)


def _judge(head: Head, hidden: Tensor, targets: Tensor, chunk_tokens: int) -> tuple[Tensor, Tensor]:
    """Log-likelihood of each target, and whether it is the likeliest token."""
    likelihoods, right = [hidden.new_zeros(0)], [torch.zeros(0, dtype=torch.bool, device=hidden.device)]
    for rows, truth in zip(
        torch.split(hidden, chunk_tokens), torch.split(targets, chunk_tokens), strict=True
    ):
        if len(truth):
            logits = head.logits(rows)
            likelihoods.append(token_log_likelihood(logits, truth))
            right.append(logits.argmax(-1) == truth)
    return torch.cat(likelihoods), torch.cat(right)
