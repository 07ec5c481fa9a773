"""One image encoder as open_clip makes it, and ours with the same weights, in torch and in ONNX Runtime."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mobileclip.export.onnx import open_session, write_graph
from mobileclip.export.towers import UnitTower, sample_images
from mobileclip.models.factory import create_model
from mobileclip.models.folding import fold
from mobileclip.models.scrambling import scramble
from numpy.typing import NDArray

PEER, OURS, ONNX = "open_clip as created", "ours folded, torch", "ours folded, ONNX Runtime"
TOLERANCE = 1e-5


@dataclass(frozen=True)
class ImageArms:
    """Functions that give the features of one batch, by arm.

    Attributes:
        arms: Each returns (batch, width) float32.
        batch_size: Images of a call.
    """

    arms: dict[str, Callable[[], NDArray[Any]]]
    batch_size: int

    def call(self, name: str) -> float:
        """Run an arm once; the number of images."""
        self.arms[name]()
        return float(self.batch_size)

    def check_parity(self) -> float:
        """The largest relative error of an arm against the peer; an AssertionError when it is too large."""
        expected = self.arms[PEER]()
        norms = np.linalg.norm(expected, axis=1)
        worst = max(
            float((np.linalg.norm(arm() - expected, axis=1) / norms).max()) for arm in self.arms.values()
        )
        assert worst <= TOLERANCE, f"the encoders differ by {worst:.1e}"
        return worst


def build_arms(folder: Path, *, name: str, batch_size: int, threads: int) -> ImageArms:
    """The three arms with the same random weights.

    Batch statistics, gains, biases and layer scales are drawn too: as initialised, layer scales of 1e-5 hide
    every difference.

    Args:
        folder: For the weights and the ONNX file.
        name: Architecture that open_clip has as well.
        batch_size: Images of a call.
        threads: Of torch and ONNX Runtime.
    """
    import open_clip

    torch.set_num_threads(threads)
    peer = open_clip.create_model(name).eval()
    scramble(peer, seed=0)
    weights = folder / "weights.pt"
    torch.save(peer.state_dict(), weights)
    ours = UnitTower(fold(create_model(name, pretrained=weights)).image_encoder).eval()
    images = sample_images(batch_size, ours_size(name), seed=0)
    path = folder / "image_encoder.onnx"
    write_graph(ours, images.repeat(2, 1, 1, 1)[:2], path, tower="image")
    session, values = open_session(path, threads=threads), images.numpy()
    fast = ours.to(memory_format=torch.channels_last)
    laid = images.contiguous(memory_format=torch.channels_last)

    def run_peer() -> NDArray[Any]:
        with torch.inference_mode():
            features: NDArray[Any] = peer.encode_image(images, normalize=True).numpy()
            return features

    def run_ours() -> NDArray[Any]:
        with torch.inference_mode():
            features: NDArray[Any] = fast(laid).numpy()
            return features

    def run_onnx() -> NDArray[Any]:
        features: NDArray[Any] = session.run(None, {"image": values})[0]
        return features

    return ImageArms({ONNX: run_onnx, OURS: run_ours, PEER: run_peer}, batch_size)


def ours_size(name: str) -> int:
    """The side of the images, in pixels."""
    from mobileclip.architectures import ARCHITECTURES

    return ARCHITECTURES[name].image.image_size
