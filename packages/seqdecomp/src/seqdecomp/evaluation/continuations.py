"""Scores of texts that continue other texts: tokenised, cut to the context, put through the model."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from toolkit_shared.evaluation.rows import continuation_rows, prompt_rows
from toolkit_shared.evaluation.scorer import Progress, Scorer

from seqdecomp.data.tokenizer import Tokenizer


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
    rows = continuation_rows(
        pairs, encode=tokenizer.encode_batch, end_of_text=tokenizer.eos_id, max_length=scorer.max_length
    )
    scores = scorer.score_all([row.ids for row in rows], [row.num_scored for row in rows], progress=progress)
    return [
        ContinuationScore(float(score.losses.sum()), len(score.losses), bool(score.is_best.all()), row.is_cut)
        for score, row in zip(scores, rows, strict=True)
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
    rows = prompt_rows(
        prompts,
        encode=tokenizer.encode_batch,
        end_of_text=tokenizer.eos_id,
        max_length=scorer.max_length,
        max_new_tokens=max_new_tokens,
    )
    answers = scorer.answer(
        [row.ids for row in rows],
        max_new_tokens=max_new_tokens,
        eos_id=tokenizer.eos_id,
        is_complete=None if is_complete is None else lambda ids: is_complete(tokenizer.decode(ids)),
        progress=progress,
    )
    return [tokenizer.decode(ids) for ids in answers], sum(row.is_cut for row in rows)
