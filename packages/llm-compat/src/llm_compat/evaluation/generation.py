"""Greedy generation, and whether what came out is the expected answer to the letter."""

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import nn


def generate_greedily(
    model: nn.Module,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    end: int | None = None,
    batch_size: int = 64,
    device: str = "cpu",
) -> list[list[int]]:
    """The new tokens of each prompt, each the likeliest; `end` and what follows it are left out.

    Prompts of one length are run together, so no padding can change an answer. The whole row is read at every
    step, which any causal model can do; for long answers use the model's own cache.

    Args:
        model: A causal language model of transformers.
        prompts: Tokens of each prompt, at least one each.
        max_new_tokens: Most tokens of an answer.
        end: The token that ends an answer.
        batch_size: Rows at a time.
        device: Where the model is.

    Raises:
        ValueError: a prompt is empty.
    """
    groups: dict[int, list[int]] = {}
    for index, prompt in enumerate(prompts):
        if len(prompt) == 0:
            raise ValueError(f"prompt {index} is empty; give at least one token")
        groups.setdefault(len(prompt), []).append(index)
    found: list[list[int]] = [[] for _ in prompts]
    with torch.inference_mode():
        for _, members in sorted(groups.items()):
            for start in range(0, len(members), batch_size):
                batch = members[start : start + batch_size]
                tokens = torch.tensor([list(prompts[index]) for index in batch], device=device)
                answers = _continue(model, tokens, max_new_tokens, end)
                for index, answer in zip(batch, answers, strict=True):
                    found[index] = answer
    return found


def is_exact_match(answer: str, target: str, *, ignore_case: bool = False) -> bool:
    """Whether two texts are equal but for white space at their ends."""
    first, second = answer.strip(), target.strip()
    return first.casefold() == second.casefold() if ignore_case else first == second


def _continue(
    model: nn.Module, tokens: torch.Tensor, max_new_tokens: int, end: int | None
) -> list[list[int]]:
    width = tokens.shape[1]
    ended = torch.zeros(len(tokens), dtype=torch.bool, device=tokens.device)
    for _ in range(max_new_tokens):
        logits = cast(Any, model)(input_ids=tokens, use_cache=False).logits[:, -1]
        chosen = logits.argmax(dim=-1)
        tokens = torch.cat([tokens, chosen[:, None]], dim=1)
        if end is not None:
            ended |= chosen == end
            if bool(ended.all()):
                break
    answers = tokens[:, width:].tolist()
    return [answer[: answer.index(end)] if end in answer else answer for answer in answers]
