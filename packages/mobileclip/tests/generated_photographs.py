"""Images with soft and sharp parts, generated from a number; the same on every machine."""

import numpy as np
from PIL import Image
from toolkit_shared.randomness import stream


def photograph(number: int, size: tuple[int, int]) -> Image.Image:
    """An RGB image of `size` (width, height): colour ramps, blocks with edges, and grain."""
    width, height = size
    rng = stream(0, "photograph", number)
    rows, columns = np.mgrid[0:height, 0:width]
    ramp = (rows * rng.integers(1, 4) + columns * rng.integers(1, 4))[:, :, None] // rng.integers(1, 6, 3)
    blocks = rng.integers(0, 256, (height // 16 + 1, width // 16 + 1, 3)).repeat(16, 0).repeat(16, 1)
    grain = rng.integers(0, 24, (height, width, 3))
    pixels = (ramp % 256 + blocks[:height, :width]) // 2 + grain
    return Image.fromarray(np.minimum(pixels, 255).astype(np.uint8))
