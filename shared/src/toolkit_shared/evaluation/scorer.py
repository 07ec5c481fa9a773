"""Losses of given tokens and greedy answers, in batches of rows of similar length."""

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from toolkit_shared.errors import InputError

ScoringPrecision = Literal["float32", "bfloat16"]
Progress = Callable[[int], None]
Projection = Callable[[Float[Tensor, "rows width"]], Float[Tensor, "rows vocabulary"]]
# Rows of float32 logits that exist at a time beside the model's own output.
_LOSS_ROWS = 2048


class CausalLM(Protocol):
    """Any callable that gives the logits of the token after each position, from the tokens up to there."""

    def __call__(self, input_ids: Int[Tensor, "batch tokens"], /) -> Float[Tensor, "batch tokens vocabulary"]:
        """Logits of the next token; a later token must not change an earlier position's logits."""
        ...


@dataclass(frozen=True)
class TokenScores:
    """Scores of the last tokens of one sequence, in order.

    Attributes:
        losses: Negative log-probability of each token in nats, float64 [scored].
        is_best: Whether each token is the most probable one (the lowest id on a tie), bool [scored].
    """

    losses: npt.NDArray[np.float64]
    is_best: npt.NDArray[np.bool_]


@dataclass(frozen=True, kw_only=True)
class Scorer:
    """A model, and how it is run.

    Rows are sorted by length and padded on the right; a causal model's values before the padding do not
    depend on it, and the padding's own values are never read.

    Attributes:
        model: The language model, already on `device` and in evaluation mode.
        max_length: Most input tokens of a row.
        device: Device of the model.
        precision: "bfloat16" runs the model under autocast; losses are computed in float32 either way.
        batch_tokens: Most tokens of a batch, padding included; a longer row runs alone.
        project: Makes logits of what `model` gives, [batch, tokens, width], at the positions that are read
            alone: over all positions the logits would be the largest tensor. None: `model` gives logits.
    """

    model: CausalLM
    max_length: int
    device: str = "cpu"
    precision: ScoringPrecision = "float32"
    batch_tokens: int = 16_384
    project: Projection | None = None

    def score(
        self,
        sequences: Sequence[npt.NDArray[np.integer]],
        scored: Sequence[int] | None = None,
        *,
        lengths: Sequence[int] | npt.NDArray[np.int64] | None = None,
        progress: Progress | None = None,
    ) -> Iterator[tuple[int, TokenScores]]:
        """Yield the index and the scores of each sequence, longest first; all that have a token to score.

        A sequence of n tokens is a row of n - 1 inputs; its first token has no context and no loss.

        Args:
            sequences: Token ids, [tokens] each; an item is read when its batch comes.
            scored: How many of each sequence's last tokens are scored; all but the first when None.
            lengths: Tokens of each sequence, where reading them all for it would be dear.
            progress: Called with the number of sequences done.

        Raises:
            ValueError: a sequence has more than `max_length` + 1 tokens, or fewer than `scored` + 1.
            InputError: the model gives values that are not finite.
        """
        sizes = np.array([len(sequence) for sequence in sequences] if lengths is None else lengths, np.int64)
        wanted = np.maximum(sizes - 1, 0) if scored is None else np.asarray(scored, np.int64)
        if len(sizes) and sizes.max() > self.max_length + 1:
            raise ValueError(
                f"a sequence of {sizes.max()} tokens; at most {self.max_length + 1} can be scored"
            )
        if (wanted > np.maximum(sizes - 1, 0)).any():
            raise ValueError("the first token of a sequence cannot be scored")
        for batch in self._batches(sizes, np.flatnonzero(wanted > 0)):
            yield from self._score_batch(batch, [sequences[index] for index in batch], wanted[batch])
            if progress is not None:
                progress(len(batch))

    def score_all(
        self,
        sequences: Sequence[npt.NDArray[np.integer]],
        scored: Sequence[int],
        *,
        progress: Progress | None = None,
    ) -> list[TokenScores]:
        """The scores of the last `scored` tokens of each sequence in the order given; see `score`."""
        found: dict[int, TokenScores] = dict(self.score(sequences, scored, progress=progress))
        nothing = TokenScores(np.zeros(0), np.zeros(0, np.bool_))
        return [found.get(index, nothing) for index in range(len(sequences))]

    def answer(
        self,
        prompts: Sequence[npt.NDArray[np.integer]],
        *,
        max_new_tokens: int,
        eos_id: int | None = None,
        is_complete: Callable[[list[int]], bool] | None = None,
        progress: Progress | None = None,
    ) -> list[list[int]]:
        """The most probable next tokens after each prompt, one at a time, without EOS, in the order given.

        Each prompt is an array [tokens].

        An answer ends at EOS, after `max_new_tokens`, or when `is_complete` says so of the tokens so far.

        Raises:
            ValueError: a prompt is empty, or does not leave room for `max_new_tokens`.
        """
        sizes = np.array([len(prompt) for prompt in prompts], np.int64)
        if len(sizes) and (sizes.min() < 1 or sizes.max() + max_new_tokens > self.max_length + 1):
            raise ValueError(f"a prompt is empty or leaves no room for {max_new_tokens} tokens")
        answers: list[list[int]] = [[] for _ in prompts]
        for batch in self._batches(sizes + max_new_tokens, np.arange(len(prompts))):
            running = batch
            while running:
                rows = [np.concatenate([prompts[i], np.array(answers[i], np.int64)]) for i in running]
                for index, token in zip(running, self._next_tokens(rows), strict=True):
                    answers[index].append(token)
                running = [i for i in running if not _ended(answers[i], max_new_tokens, eos_id, is_complete)]
            if progress is not None:
                progress(len(batch))
        return [tokens[:-1] if tokens and tokens[-1] == eos_id else tokens for tokens in answers]

    def _batches(self, sizes: npt.NDArray[np.int64], chosen: npt.NDArray[np.integer]) -> Iterator[list[int]]:
        # The longest first: what does not fit into memory fails at once.
        order = chosen[np.argsort(-sizes[chosen], kind="stable")]
        position = 0
        while position < len(order):
            rows = max(1, self.batch_tokens // max(int(sizes[order[position]]), 1))
            yield order[position : position + rows].tolist()
            position += rows

    def _score_batch(
        self, batch: list[int], rows: list[npt.NDArray[np.integer]], wanted: npt.NDArray[np.int64]
    ) -> Iterator[tuple[int, TokenScores]]:
        tokens = _pad(rows)
        inputs, targets = tokens[:, :-1], tokens[:, 1:]
        columns = torch.arange(inputs.shape[1])
        ends = torch.tensor([len(row) - 1 for row in rows])[:, None]
        mask = (columns < ends) & (columns >= ends - torch.from_numpy(wanted)[:, None])
        losses, is_best = self._losses(inputs, targets, mask)
        borders = np.cumsum(wanted)[:-1]
        for index, loss, best in zip(
            batch, np.split(losses, borders), np.split(is_best, borders), strict=True
        ):
            yield index, TokenScores(loss, best)

    def _losses(
        self,
        inputs: Int[Tensor, "batch tokens"],
        targets: Int[Tensor, "batch tokens"],
        mask: Bool[Tensor, "batch tokens"],
    ) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
        """Loss and rank-one flag of the targets under `mask`, row by row, each [masked]."""
        chosen = targets[mask].to(self.device)
        losses, best = [], []
        with self._inference():
            found = self.model(inputs.to(self.device))[mask.to(self.device)]
            for part, answer in zip(
                torch.split(found, _LOSS_ROWS), torch.split(chosen, _LOSS_ROWS), strict=True
            ):
                logits = self._logits(part)
                losses.append(F.cross_entropy(logits.float(), answer, reduction="none").double().cpu())
                best.append((logits.argmax(dim=-1) == answer).cpu())
        loss = torch.cat(losses).numpy()
        if not np.isfinite(loss).all():
            raise InputError(
                "model: gives a loss that is not finite; the weights are broken, or float32 is needed"
            )
        return loss, torch.cat(best).numpy()

    def _next_tokens(self, rows: list[npt.NDArray[np.integer]]) -> list[int]:
        last = torch.tensor([len(row) - 1 for row in rows], device=self.device)
        with self._inference():
            found = self.model(_pad(rows).to(self.device))[torch.arange(len(rows), device=self.device), last]
            chosen: list[int] = self._logits(found).argmax(dim=-1).tolist()
        return chosen

    def _logits(self, found: Float[Tensor, "rows width"]) -> Float[Tensor, "rows vocabulary"]:
        return found if self.project is None else self.project(found)

    @contextlib.contextmanager
    def _inference(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            stack.enter_context(torch.inference_mode())
            if self.precision == "bfloat16":
                stack.enter_context(torch.autocast(torch.device(self.device).type, dtype=torch.bfloat16))
            yield


def _pad(rows: list[npt.NDArray[np.integer]]) -> Int[Tensor, "batch tokens"]:
    padded = np.zeros((len(rows), max(len(row) for row in rows)), np.int64)
    for row, tokens in zip(padded, rows, strict=True):
        row[: len(tokens)] = tokens
    return torch.from_numpy(padded)


def _ended(
    answer: list[int], limit: int, eos_id: int | None, is_complete: Callable[[list[int]], bool] | None
) -> bool:
    if len(answer) >= limit or answer[-1] == eos_id:
        return True
    return is_complete is not None and is_complete(answer)
