"""Rows of tokens for a model: a context and what is scored after it, or a prompt to go on with."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from toolkit_shared.errors import InputError

Encode = Callable[[Sequence[str]], Sequence[npt.NDArray[Any]]]


@dataclass(frozen=True)
class Row:
    """A sequence of tokens to score or to go on with.

    Attributes:
        ids: int64 [tokens].
        num_scored: How many of the last ones are the continuation; 0 for a prompt.
        is_cut: Whether the beginning of the context was cut away to fit the model.
    """

    ids: npt.NDArray[np.int64]
    num_scored: int
    is_cut: bool


def continuation_rows(
    pairs: Sequence[tuple[str, str]], *, encode: Encode, end_of_text: int, max_length: int
) -> list[Row]:
    """A row for each pair of a context and its continuation, of which the latter's tokens are scored.

    The two are tokenised apart, so a continuation has the same tokens after any context; blanks at the end of
    the context go with the continuation, as they would in running text. Where both are too long the beginning
    of the context is cut away. A continuation after nothing follows end of text.

    Args:
        pairs: Context, which may be empty, and continuation.
        encode: Token ids of each text, without end of text.
        end_of_text: Its id.
        max_length: Most input tokens of the model.

    Raises:
        InputError: a continuation has no token, or alone does not fit.

    Source: LLM-Foundry, `InContextLearningMultipleChoiceTaskDataset`.
    """
    bare = [context.rstrip(" ") for context, _ in pairs]
    texts = [context[len(b) :] + end for (context, end), b in zip(pairs, bare, strict=True)]
    rows = []
    ids = zip(_encoded(encode, bare), _encoded(encode, texts), texts, strict=True)
    for before, scored, text in ids:
        if not 0 < len(scored) <= max_length:
            raise InputError(
                f"answer {text[:40]!r}: has {len(scored)} tokens; 1 to {max_length} fit the model's context"
            )
        # the last token is only predicted, so that one more fits
        rows.append(_row(before, scored, max_length + 1 - len(scored), end_of_text))
    return rows


def prompt_rows(
    prompts: Sequence[str], *, encode: Encode, end_of_text: int, max_length: int, max_new_tokens: int
) -> list[Row]:
    """A row for each prompt, cut at its beginning to leave room for `max_new_tokens`; nothing is scored.

    Blanks at the end of a prompt are left out: they would be tokens that no running text has there.

    Raises:
        InputError: there is no room.
    """
    room = max_length + 1 - max_new_tokens
    if room < 1:
        raise InputError(
            f"max_new_tokens: {max_new_tokens} do not fit the model's context {max_length}; lower it"
        )
    nothing = np.zeros(0, np.int64)
    bare = [prompt.rstrip(" ") for prompt in prompts]
    return [_row(ids, nothing, room, end_of_text) for ids in _encoded(encode, bare)]


def _row(before: npt.NDArray[Any], scored: npt.NDArray[Any], room: int, end_of_text: int) -> Row:
    context = before if len(before) else np.array([end_of_text])
    ids = np.concatenate([context[-room:], scored]).astype(np.int64)
    return Row(ids, len(scored), len(context) > room)


def _encoded(encode: Encode, texts: Sequence[str]) -> list[npt.NDArray[Any]]:
    # a context is often that of several continuations
    distinct = list(dict.fromkeys(texts))
    ids = dict(zip(distinct, encode(distinct), strict=True))
    return [ids[text] for text in texts]
