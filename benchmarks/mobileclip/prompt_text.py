"""How fast are zero-shot prompts encoded by a causal text encoder, beside open_clip's?

Prompts are drawn from 1,000 ImageNet names in 80 templates (open_clip's lists). Ours sorts them by length and
cuts each batch after its last end-of-text token, which is exact where attention is causal; open_clip runs all
77 positions. The same weights (`MobileCLIP-B`), one thread, and the features of both are compared. Prompts
are tokenised before.
"""

import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
from mobileclip.models.factory import create_model
from mobileclip.models.scrambling import scramble
from mobileclip.models.truncation import encode_prompts
from mobileclip.tokenization import ClipTokenizer

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS, PEER = "ours, truncated", "open_clip, 77 positions"
NAME = "MobileCLIP-B"
BATCH_SIZE = 64
TOLERANCE = 1e-5
QUESTION = Question(
    name="prompt-text",
    toolkit="mobileclip",
    expected="at least 4 times open_clip's prompts a second",
    holds=lambda ratio: ratio >= 4.0,
    packages=["mobileclip", "torch", "open_clip_torch"],
    unit="prompts",
)


def measure(options: Options) -> Finding:
    """Time the same prompts through both encoders, in turn."""
    import open_clip

    torch.set_num_threads(1)
    peer = open_clip.create_model(NAME).eval()
    scramble(peer, seed=0)
    with tempfile.TemporaryDirectory() as folder:
        torch.save(peer.state_dict(), Path(folder, "weights.pt"))
        model = create_model(NAME, pretrained=Path(folder, "weights.pt")).eval()
    texts = draw_prompts(options.pick(8, 256))
    tokens = ClipTokenizer()(texts)
    lengths = (tokens.argmax(1) + 1).tolist()

    @torch.inference_mode()
    def ours() -> torch.Tensor:
        return encode_prompts(model, tokens, batch_size=BATCH_SIZE)

    @torch.inference_mode()
    def full() -> torch.Tensor:
        return torch.cat([peer.encode_text(part, normalize=True) for part in tokens.split(BATCH_SIZE)])

    error = float(((ours() - full()).norm(dim=1) / full().norm(dim=1)).max())
    assert error <= TOLERANCE, f"the encoders differ by {error:.1e}"
    samples = alternate(
        {
            OURS: lambda: timed(lambda: float(len(ours()))),
            PEER: lambda: timed(lambda: float(len(full()))),
        },
        repeats=options.repeats,
        warm_up=0 if options.scale == "smoke" else 1,
        progress=report_round,
    )
    return Finding(
        samples,
        OURS,
        PEER,
        f"matrix products of one core; positions alone would give {77 / float(np.mean(lengths)):.1f} x",
        note=f"{len(texts)} prompts of {np.mean(lengths):.1f} tokens (longest {max(lengths)}) in batches of "
        f"{BATCH_SIZE}; features equal to {error:.0e}",
    )


def draw_prompts(count: int) -> list[str]:
    """Prompts drawn from all names in all templates, without repetition."""
    from open_clip import IMAGENET_CLASSNAMES, OPENAI_IMAGENET_TEMPLATES

    total = len(IMAGENET_CLASSNAMES) * len(OPENAI_IMAGENET_TEMPLATES)
    chosen = np.random.default_rng(0).choice(total, count, replace=False)
    places = [divmod(int(place), len(OPENAI_IMAGENET_TEMPLATES)) for place in chosen]
    return [OPENAI_IMAGENET_TEMPLATES[template](IMAGENET_CLASSNAMES[name]) for name, template in places]


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=7)


if __name__ == "__main__":
    sys.exit(main())
