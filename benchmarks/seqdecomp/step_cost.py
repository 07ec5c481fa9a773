"""What does a training step of dataset decomposition cost on a CPU, against concatenate-and-chunk?

The same model takes steps of as many tokens: in rows of the longest length, and in one step of each bucket
(equal tokens from each, as in the paper's mixture of lengths from 256 on). The sizes are such that attention
dominates the cost law 6 N + 6 L d s, and the measured ratio is held against the law's. Two more arms keep
attention inside documents on the concatenated rows: a dense product under a mask, which costs what the paper
charges its masked baseline, and one product a document, which costs what a variable-length kernel does.
"""

import sys
from typing import Literal

import numpy as np
import torch
from seqdecomp.cost import mean_length_by_token, relative_cost
from toolkit_shared.language_model import OpenLM
from toolkit_shared.language_model.objectives import next_token_loss
from torch import Tensor

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.documents import document_lengths

LONGEST, SHORTEST = 8192, 256
WIDTH, LAYERS, HEADS, VOCAB_SIZE = 128, 2, 2, 512
LENGTHS = [SHORTEST << i for i in range((LONGEST // SHORTEST).bit_length())]
PREDICTED = relative_cost(
    mean_length_by_token({length: 1.0 for length in LENGTHS}),
    LONGEST,
    width=WIDTH,
    num_layers=LAYERS,
    vocab_size=VOCAB_SIZE,
)
OURS, CHUNKS = "decomposed, one step a bucket", f"concatenate-and-chunk {LONGEST}"
MASKED, LOOP = f"{CHUNKS}, dense document mask", f"{CHUNKS}, one product a document"
QUESTION = Question(
    name="step-cost",
    toolkit="seqdecomp",
    expected=f"cost ratio within 15 % of the cost law's {PREDICTED:.3f}",
    holds=lambda ratio: abs(ratio / PREDICTED - 1) <= 0.15,
    packages=["seqdecomp", "torch"],
    metric="cost",
    clock="cpu",
)


class Trainer:
    """A model and its optimizer, taking steps on random tokens in rows of any length."""

    def __init__(self, longest: int, width: int, attention: Literal["masked", "loop"] = "loop") -> None:
        torch.manual_seed(0)
        self.tokens = longest
        self.model = OpenLM(
            vocab_size=VOCAB_SIZE,
            width=width,
            num_layers=LAYERS,
            num_heads=HEADS,
            max_length=longest,
            attention=attention,
        )
        self.optimizer = torch.optim.AdamW(self.model.parameters(), lr=1e-4)

    def step(self, length: int, document_ids: Tensor | None = None) -> float:
        """One optimisation step in rows of `length`; its tokens."""
        rows = torch.randint(VOCAB_SIZE, (self.tokens // length, length + 1))
        loss = (
            next_token_loss(self.model(rows[:, :-1], document_ids), rows[:, 1:]).cross_entropy / self.tokens
        )
        loss.backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(self.tokens)


def measure(options: Options) -> Finding:
    """Time as many steps of each arm in turn."""
    torch.set_num_threads(1)
    longest, width = options.pick(512, LONGEST), options.pick(32, WIDTH)
    lengths = [length for length in LENGTHS if length <= longest]
    documents = document_numbers(longest, mean=options.pick(64, 812))
    plain = Trainer(longest, width)
    masked, loop = Trainer(longest, width, "masked"), Trainer(longest, width, "loop")
    steps = len(lengths)
    arms = {
        OURS: lambda: timed(lambda: sum(plain.step(length) for length in lengths)),
        CHUNKS: lambda: timed(lambda: sum(plain.step(longest) for _ in range(steps))),
        MASKED: lambda: timed(lambda: sum(masked.step(longest, documents) for _ in range(steps))),
        LOOP: lambda: timed(lambda: sum(loop.step(longest, documents) for _ in range(steps))),
    }
    samples = alternate(arms, repeats=options.repeats, progress=report_round)
    ratios = [
        ours.cpu_seconds / theirs.cpu_seconds
        for ours, theirs in zip(samples[OURS], samples[CHUNKS], strict=True)
    ]
    bound = "arithmetic of one core; attention in blocks, feed-forward and head as matrix products"
    note = (
        f"measured / predicted {float(np.median(ratios)) / PREDICTED:.3f}; d {width}, {LAYERS} layers, "
        f"{longest} tokens a step, {len(torch.unique(documents))} documents a row of the masked arms"
    )
    return Finding(samples, OURS, CHUNKS, bound, note=note)


def document_numbers(tokens: int, *, mean: float = 812.0) -> Tensor:
    """The document of each token of one row of concatenated documents, int64 [1, tokens]."""
    lengths = document_lengths(tokens, mean=mean)
    numbers = np.repeat(np.arange(len(lengths)), lengths)[:tokens]
    return torch.from_numpy(numbers)[None]


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=5)


if __name__ == "__main__":
    sys.exit(main())
