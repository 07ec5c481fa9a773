"""Answers of a causal language model where an answer is one of several: the likeliest of them."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from llm_compat.heads import Head
from llm_compat.model.head import head_of
from llm_compat.model.hidden_states import final_hidden_states


def label_log_probabilities(logits: Tensor, labels: Tensor) -> Tensor:
    """Log-probabilities of the label tokens among the whole vocabulary, [items, labels], in float32.

    Args:
        logits: [items, vocabulary], at the position before the answer.
        labels: int64 [labels], the token of each label.
    """
    return torch.log_softmax(logits.float(), dim=-1)[:, labels]


def choice_log_likelihoods(
    model: nn.Module,
    contexts: Sequence[Sequence[int]],
    choices: Sequence[Sequence[Sequence[int]]],
    *,
    batch_size: int = 64,
    device: str = "cpu",
) -> list[list[float]]:
    """The summed log-likelihood of every choice after its context, in nats: one list an item.

    Works for choices of any number of tokens; the likeliest of an item is its argmax, ties to the first.
    Results do not depend on `batch_size` but for rounding.

    Args:
        model: A causal language model of transformers.
        contexts: Tokens of each item, at least one each.
        choices: Tokens of each item's choices, at least one each.
        batch_size: Rows at a time.
        device: Where the model is.

    Raises:
        InputError: the model's head is of a kind that is not known.
        ValueError: a context or a choice is empty, or the numbers of items differ.
    """
    pairs = [
        (item, number, [*context, *choice], len(choice))
        for item, (context, own) in enumerate(zip(contexts, choices, strict=True))
        for number, choice in enumerate(own)
    ]
    for item, _, row, length in pairs:
        if length == 0 or length == len(row):
            raise ValueError(f"item {item}: an empty context or choice has no likelihood")
    found = [[0.0] * len(own) for own in choices]
    head = head_of(model)
    by_length = sorted(pairs, key=lambda pair: len(pair[2]), reverse=True)
    with torch.inference_mode():
        for start in range(0, len(by_length), batch_size):
            batch = by_length[start : start + batch_size]
            for (item, number, _, _), value in zip(batch, _sums(model, head, batch, device), strict=True):
                found[item][number] = value
    return found


def _sums(
    model: nn.Module, head: Head, batch: Sequence[tuple[int, int, list[int], int]], device: str
) -> list[float]:
    longest, widest = len(batch[0][2]), max(length for *_, length in batch)
    # what fills a row stands behind its end, where a causal model does not look
    tokens = torch.tensor([row + [0] * (longest - len(row)) for _, _, row, _ in batch], device=device)
    starts = torch.tensor([[len(row) - length] for _, _, row, length in batch], device=device)
    lengths = torch.tensor([[length] for *_, length in batch], device=device)
    within = torch.arange(widest, device=device).expand(len(batch), -1)
    places = (starts + within).clamp(max=longest - 1)
    rows = torch.arange(len(batch), device=device).unsqueeze(1)
    logits = head.logits(final_hidden_states(model, tokens)[rows, places - 1]).float()
    each = torch.log_softmax(logits, dim=-1).gather(-1, tokens[rows, places].unsqueeze(-1)).squeeze(-1)
    return torch.where(within < lengths, each.double(), 0.0).sum(dim=1).tolist()
