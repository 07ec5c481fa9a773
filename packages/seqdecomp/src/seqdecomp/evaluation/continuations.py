"""Scores of texts that continue other texts: tokenised, cut to the context, put through the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.tokenizer import Tokenizer
from seqdecomp.evaluation.scoring import Progress, Scorer


@dataclass(frozen=True)
class ContinuationScore:
    """How well a model expects one text after another.

    Attributes:
        loss_sum: Sum of the continuation's token losses, nats.
        tokens: Number of its tokens.
        is_greedy: Whether every token of it is the most probable one, so that greedy decoding writes it.
        is_cut: Whether the start of the context was cut away to fit.
    """

    loss_sum: float
    tokens: int
    is_greedy: bool
    is_cut: bool

    @property
    def mean_loss(self) -> float:
        """Mean loss of a token of the continuation, nats."""
        return self.loss_sum / self.tokens


def score_continuations(
    scorer: Scorer,
    tokenizer: Tokenizer,
    pairs: Sequence[tuple[str, str]],
    *,
    progress: Progress | None = None,
) -> list[ContinuationScore]:
    """The score of the second text of each pair after the first.

    The two are tokenised apart, so that a continuation's tokens do not depend on what stands before; blanks
    at the end of the first text go with the second. A text after nothing is scored after EOS.

    Raises:
        InputError: a continuation has no token, or alone is longer than the model's context.
    """
    moved = [_move_blanks(context, continuation) for context, continuation in pairs]
    contexts = _encode(tokenizer, [context for context, _ in moved])
    continuations = _encode(tokenizer, [continuation for _, continuation in moved])
    rows, cut = [], []
    for context, continuation, (_, text) in zip(contexts, continuations, moved, strict=True):
        if not 0 < len(continuation) <= scorer.max_length:
            raise InputError(
                f"answer {text[:40]!r}: has {len(continuation)} tokens; "
                f"1 to {scorer.max_length} fit the model's context"
            )
        room = scorer.max_length + 1 - len(continuation)
        if len(context) == 0:
            context = np.array([tokenizer.eos_id])
        rows.append(np.concatenate([context[-room:], continuation]).astype(np.int64))
        cut.append(len(context) > room)
    scores = scorer.score_all(rows, [len(continuation) for continuation in continuations], progress=progress)
    return [
        ContinuationScore(float(score.losses.sum()), len(score.losses), bool(score.is_best.all()), is_cut)
        for score, is_cut in zip(scores, cut, strict=True)
    ]


def answer_prompts(
    scorer: Scorer,
    tokenizer: Tokenizer,
    prompts: Sequence[str],
    *,
    max_new_tokens: int,
    is_complete: Callable[[str], bool] | None = None,
    progress: Progress | None = None,
) -> tuple[list[str], int]:
    """The greedy answer to each prompt, and how many prompts lost their start to fit the context.

    An answer ends at EOS, after `max_new_tokens`, or when `is_complete` says so of its text.

    Raises:
        InputError: the context is too short for `max_new_tokens` and one token of a prompt.
    """
    room = scorer.max_length + 1 - max_new_tokens
    if room < 1:
        raise InputError(
            f"max_new_tokens: {max_new_tokens} do not fit the model's context {scorer.max_length}; lower it"
        )
    # Blanks at the end would be tokens of their own that no running text has there.
    encoded = _encode(tokenizer, [prompt.rstrip(" ") for prompt in prompts])
    rows = [ids[-room:] if len(ids) else np.array([tokenizer.eos_id]) for ids in encoded]
    answers = scorer.answer(
        rows,
        max_new_tokens=max_new_tokens,
        eos_id=tokenizer.eos_id,
        is_complete=None if is_complete is None else lambda ids: is_complete(tokenizer.decode(ids)),
        progress=progress,
    )
    return [tokenizer.decode(ids) for ids in answers], sum(len(ids) > room for ids in encoded)


def _move_blanks(context: str, continuation: str) -> tuple[str, str]:
    bare = context.rstrip(" ")
    return bare, context[len(bare) :] + continuation


def _encode(tokenizer: Tokenizer, texts: Sequence[str]) -> list[npt.NDArray[np.uint32]]:
    # A context is often that of several continuations.
    distinct = list(dict.fromkeys(texts))
    ids = dict(zip(distinct, tokenizer.encode_batch(distinct), strict=True))
    return [ids[text] for text in texts]
