"""Tokens a second of training the 160M model on one GPU: dataset decomposition against plain rows of 8192.

bfloat16 autocast, compiled with one static graph a length, fused AdamW; as many tokens from each bucket of
256 to 8192. A third arm trains on the rows of 8192 with attention kept inside documents by the
variable-length kernel: it pays for the documents' own contexts, so it is the rival to watch
(`gpu_throughput_masked`). At scale smoke the same code runs with a tiny model on the CPU.
"""

import sys
from collections.abc import Callable
from typing import Any

import torch
from seqdecomp.settings import ModelSettings
from toolkit_shared.language_model import OpenLM
from toolkit_shared.language_model.objectives import next_token_loss
from torch import Tensor

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round
from benchmarks.seqdecomp.step_cost import document_numbers

SHORTEST, LONGEST = 256, 8192
OURS, PLAIN = "decomposed, equal tokens a bucket", "rows of 8192"
MASKED = f"{PLAIN}, documents by varlen_attn"
QUESTION = Question(
    name="gpu-throughput",
    toolkit="seqdecomp",
    expected="at least 1.2 times the tokens/s of plain rows of 8192 (moonshot 1.35)",
    holds=lambda ratio: ratio >= 1.2,
    packages=["seqdecomp", "torch"],
    scale="gpu",
)


class Trainer:
    """A compiled model and its optimizer on one device."""

    def __init__(self, name: str, device: str, longest: int, micro_batch_tokens: int) -> None:
        torch.manual_seed(0)
        self.device, self.micro_batch_tokens = device, micro_batch_tokens
        arguments = ModelSettings(name=name).arguments(vocab_size=50_432, max_length=longest)
        if device == "cpu":
            arguments["vocab_size"] = 512
        model = OpenLM(**arguments).to(device)
        self.vocab_size: int = arguments["vocab_size"]
        self.optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=device == "cuda")
        self.loss: Callable[..., Tensor] = _loss_of(model)
        if device == "cuda":
            torch._dynamo.config.cache_size_limit = 32  # one graph a length, with and without documents
            self.loss = torch.compile(self.loss, dynamic=False)

    def step(self, length: int, document_ids: Tensor | None = None) -> float:
        """One optimisation step of one micro-batch in rows of `length`; its tokens."""
        shape = (self.micro_batch_tokens // length, length + 1)
        rows = torch.randint(self.vocab_size, shape, device=self.device)
        with torch.autocast(self.device, torch.bfloat16, enabled=self.device == "cuda"):
            loss = self.loss(rows[:, :-1].contiguous(), rows[:, 1:].contiguous(), document_ids)
        loss.backward()  # type: ignore[no-untyped-call]
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        return float(self.micro_batch_tokens)


def measure(options: Options, denominator: str = PLAIN) -> Finding | None:
    """Time as many steps of each arm in turn; nothing where there is no GPU."""
    smoke = options.scale == "smoke"
    if not smoke and not torch.cuda.is_available():
        print("gpu throughput: skipped, there is no CUDA device")
        return None
    device, longest, micro_batch_tokens = ("cpu", 512, 512) if smoke else ("cuda", LONGEST, 1 << 15)
    lengths = [SHORTEST << i for i in range((longest // SHORTEST).bit_length())]
    trainer = Trainer("tiny" if smoke else "160m", device, longest, micro_batch_tokens)
    rows = micro_batch_tokens // longest
    # The same documents in every step: their number and the longest would be constants of new graphs else.
    documents = (
        document_numbers(micro_batch_tokens, mean=options.pick(64, 812)).view(rows, longest).to(device)
    )
    turns = options.pick(1, 8)

    def steps(document_ids: Tensor | None, of: list[int]) -> float:
        tokens = sum(trainer.step(length, document_ids) for _ in range(turns) for length in of)
        if device == "cuda":
            torch.cuda.synchronize()
        return tokens

    arms = {
        OURS: lambda: timed(lambda: steps(None, lengths)),
        PLAIN: lambda: timed(lambda: steps(None, [longest] * len(lengths))),
        MASKED: lambda: timed(lambda: steps(documents, [longest] * len(lengths))),
    }
    samples = alternate(arms, repeats=options.repeats, warm_up=options.pick(1, 2), progress=report_round)
    note = (
        f"micro-batches of {micro_batch_tokens} tokens; {len(torch.unique(documents))} documents where masked"
    )
    return Finding(samples, OURS, denominator, "matrix products and attention of the GPU", note=note)


def _loss_of(model: Any) -> Callable[..., Tensor]:
    def loss(inputs: Tensor, targets: Tensor, document_ids: Tensor | None) -> Tensor:
        sums = next_token_loss(model(inputs, document_ids), targets)
        mean: Tensor = sums.cross_entropy / targets.numel()
        return mean

    return loss


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
