"""Tokens a second on one GPU: dataset decomposition against variable-length document attention.

The arms of `gpu_throughput`, with the masked arm below the line. Its mean context (930 tokens in the paper's
data) is shorter than that of decomposed sequences (1344), so it has less attention to compute; what is left
on the other side are dense kernels and steps without per-batch metadata.
"""

import sys

from benchmarks.question import Finding, Options, Question, answer
from benchmarks.seqdecomp.gpu_throughput import MASKED
from benchmarks.seqdecomp.gpu_throughput import measure as measure_arms

QUESTION = Question(
    name="gpu-throughput-masked",
    toolkit="seqdecomp",
    expected="at least 0.95 times the tokens/s of rows of 8192 with documents masked by varlen_attn",
    holds=lambda ratio: ratio >= 0.95,
    packages=["seqdecomp", "torch"],
    scale="gpu",
)


def measure(options: Options) -> Finding | None:
    """The arms of `gpu_throughput` against the masked one."""
    return measure_arms(options, MASKED)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv)


if __name__ == "__main__":
    sys.exit(main())
