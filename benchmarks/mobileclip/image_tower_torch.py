"""How fast is the folded image encoder in torch beside the one that open_clip makes, on a CPU?

The arms of `image_tower`; the ratio is that of the two that run in torch.
"""

import sys
from dataclasses import replace

from benchmarks.mobileclip import image_tower
from benchmarks.mobileclip.image_arms import OURS
from benchmarks.question import Finding, Options, answer

QUESTION = replace(
    image_tower.QUESTION,
    name="image-tower-torch",
    expected="the folded encoder in torch at least 1.3 times open_clip's encoder as created",
    holds=lambda ratio: ratio >= 1.3,
)


def measure(options: Options) -> Finding:
    """Time one image a call, in turn."""
    return image_tower.measure(options, numerator=OURS)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=20)


if __name__ == "__main__":
    sys.exit(main())
