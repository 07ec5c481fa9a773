"""Augmentations of digit images as stored parameters: replayed from them, the same pixels come out."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.randomness import stream

from mobileclip.experiment.configuration import Augmenting, Regime
from mobileclip.experiment.digit_pairs import Images

CONTRAST = (0.75, 1.25)
BRIGHTNESS = 0.1
WEAK_NOISE = 0.02


@dataclass(frozen=True)
class StoredAugmentations:
    """Parameters of augmentations, [images, augmentations] each.

    Attributes:
        contrast: Factor about the middle grey.
        brightness: What is added.
        down: Pixels by which the image is rolled down.
        right: Pixels by which it is rolled to the right.
        noise: Standard deviation of the noise.
        noise_seeds: Of the noise of each augmentation.
    """

    contrast: npt.NDArray[np.float32]
    brightness: npt.NDArray[np.float32]
    down: npt.NDArray[np.int64]
    right: npt.NDArray[np.int64]
    noise: float
    noise_seeds: npt.NDArray[np.int64]


def draw_augmentations(
    num_images: int, count: int, kind: Augmenting, regime: Regime, rng: np.random.Generator
) -> StoredAugmentations:
    """Parameters of `count` augmentations of each image; weak ones are a little noise alone."""
    shape = (num_images, count)
    strong = kind == "strong"
    roll = regime.roll_pixels if strong else 0
    low, high = CONTRAST if strong else (1.0, 1.0)
    shift = BRIGHTNESS if strong else 0.0
    return StoredAugmentations(
        contrast=rng.uniform(low, high, shape).astype(np.float32),
        brightness=rng.uniform(-shift, shift, shape).astype(np.float32),
        down=rng.integers(-roll, roll + 1, shape),
        right=rng.integers(-roll, roll + 1, shape),
        noise=regime.noise if strong else WEAK_NOISE,
        noise_seeds=rng.integers(2**31, size=shape),
    )


def replay(images: Images, stored: StoredAugmentations) -> Images:
    """Every image under each of its stored augmentations, float32 [images, augmentations, height, width]."""
    noise = np.empty((*stored.noise_seeds.shape, *images.shape[1:]), np.float32)
    for place, seed in np.ndenumerate(stored.noise_seeds):
        noise[place] = stream(int(seed), "noise").standard_normal(images.shape[1:], dtype=np.float32)
    return _transform(images, stored, noise)


def augment(images: Images, kind: Augmenting, regime: Regime, rng: np.random.Generator) -> Images:
    """Each image under a fresh augmentation of which nothing is stored, as teachers are trained."""
    drawn = draw_augmentations(len(images), 1, kind, regime, rng)
    noise = rng.standard_normal((len(images), 1, *images.shape[1:]), dtype=np.float32)
    return _transform(images, drawn, noise)[:, 0]


def _transform(images: Images, stored: StoredAugmentations, noise: Images) -> Images:
    out = (images[:, None] - 0.5) * stored.contrast[..., None, None]
    out += 0.5 + stored.brightness[..., None, None]
    if stored.down.any() or stored.right.any():
        height, width = images.shape[1:]
        rows = (np.arange(height) - stored.down[..., None]) % height
        columns = (np.arange(width) - stored.right[..., None]) % width
        out = np.take_along_axis(out, rows[..., :, None], axis=2)
        out = np.take_along_axis(out, columns[..., None, :], axis=3)
    return np.asarray(out + stored.noise * noise, np.float32)
