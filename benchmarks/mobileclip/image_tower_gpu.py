"""How fast is the image encoder on one GPU, beside the one that open_clip makes?

`MobileCLIP2-S0`, batches of 256 that lie on the device, the same weights, features compared. open_clip's
encoder is timm's `fastvit_mci0`, which is made here without open_clip; it runs as created in float32, and
under bfloat16 autocast, which is the denominator. Ours is folded, bfloat16, channels last and compiled.
"""

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from mobileclip.models.factory import create_model
from mobileclip.models.folding import fold
from mobileclip.models.scrambling import scramble
from torch import Tensor, nn

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

OURS = "ours folded, bfloat16, channels last, compiled"
PLAIN, AUTOCAST = "timm as created, float32", "timm as created, bfloat16 autocast"
TOLERANCE = 0.05  # bfloat16 keeps 8 bits, and errors add up over some fifty layers
QUESTION = Question(
    name="image-tower-gpu",
    toolkit="mobileclip",
    expected="at least 2 times the eager encoder of timm and open_clip under bfloat16 autocast",
    holds=lambda ratio: ratio >= 2.0,
    packages=["mobileclip", "torch", "timm"],
    unit="images",
    scale="gpu",
)


def measure(options: Options) -> Finding | None:
    """Time batches in turn; nothing where there is no GPU."""
    smoke = options.scale == "smoke"
    if not smoke and not torch.cuda.is_available():
        print("image tower gpu: skipped, there is no CUDA device")
        return None
    device, batch_size, batches = ("cpu", 2, 1) if smoke else ("cuda", 256, 20)
    images = torch.rand(batch_size, 3, 256, 256, device=device)
    arms = build(device, images, compile=not smoke)

    def run(arm: Callable[[], Tensor]) -> float:
        with torch.inference_mode():
            for _ in range(batches):
                arm()
        if not smoke:
            torch.cuda.synchronize()
        return float(batches * batch_size)

    error = check_parity(arms)
    samples = alternate(
        {name: lambda arm=arm: timed(lambda: run(arm)) for name, arm in arms.items()},  # type: ignore[misc]
        repeats=options.repeats,
        warm_up=2,
        progress=report_round,
    )
    return Finding(
        samples,
        OURS,
        AUTOCAST,
        "memory bandwidth: 58 MB of activations an image in bfloat16",
        note=f"batch {batch_size}, 256 x 256 pixels; features within {error:.1e} of float32",
    )


def build(device: str, images: Tensor, *, compile: bool) -> dict[str, Callable[[], Tensor]]:
    """The arms, each a function that gives features of the same images."""
    import timm

    peer = timm.create_model("fastvit_mci0", num_classes=512).eval()
    scramble(peer, seed=0)
    with torch.no_grad():
        peer.head.fc.bias.zero_()  # as in every released checkpoint
    weights = {f"visual.trunk.{name}": value for name, value in peer.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        torch.save({**weights, **text_weights()}, Path(folder, "weights.pt"))
        model = create_model("MobileCLIP2-S0", pretrained=Path(folder, "weights.pt"))
    ours: nn.Module = fold(model).image_encoder
    ours = ours.to(device, torch.bfloat16, memory_format=torch.channels_last)
    laid = images.to(torch.bfloat16).contiguous(memory_format=torch.channels_last)
    fast = torch.compile(ours) if compile else ours
    peer = peer.to(device)

    def autocast() -> Tensor:
        with torch.autocast(device, dtype=torch.bfloat16):
            features: Tensor = peer(images)
        return features

    return {OURS: lambda: fast(laid), AUTOCAST: autocast, PLAIN: lambda: peer(images)}


def text_weights() -> dict[str, Tensor]:
    """Weights of the text encoder under open_clip's names; whatever they are, they are not timed."""
    from mobileclip.models.weights import to_open_clip_state_dict

    weights = to_open_clip_state_dict(create_model("MobileCLIP2-S0"))
    return {name: value for name, value in weights.items() if not name.startswith("visual.")}


def check_parity(arms: dict[str, Callable[[], Tensor]]) -> float:
    """The mean relative error of our features against float32; an AssertionError when it is too large."""
    with torch.inference_mode():
        expected = arms[PLAIN]().float()
        error = float(((arms[OURS]().float() - expected).norm(dim=1) / expected.norm(dim=1)).mean())
    assert error <= TOLERANCE, f"the encoders differ by {error:.1e}"
    return error


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=7)


if __name__ == "__main__":
    sys.exit(main())
