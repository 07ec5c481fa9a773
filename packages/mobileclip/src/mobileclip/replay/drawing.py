"""Augmentations drawn from a seed, with the distribution of torchvision's transforms."""

import math
from dataclasses import dataclass
from functools import cache

import numpy as np
from toolkit_shared.randomness import stream

from mobileclip.replay.augmentation import OPERATIONS, Augmentation

CROP_ATTEMPTS = 10  # torchvision's; after them it takes the central crop


@dataclass(frozen=True, kw_only=True)
class AugmentationSettings:
    """What is drawn from; the defaults are the released sets'.

    Attributes:
        scale: Least and largest area of the crop, as fractions of the image's.
        ratio: Least and largest aspect (width over height) of the crop.
        num_operations: Steps of RandAugment.
        magnitude: Bin of the magnitudes, of `num_magnitude_bins`.
        num_magnitude_bins: Bins between no effect and the largest.
        probability: Of RandAugment; otherwise it is skipped.
        size: Pixels to which the crop is resized, for which translations are made.
    """

    scale: tuple[float, float] = (0.08, 1.0)
    ratio: tuple[float, float] = (3 / 4, 4 / 3)
    num_operations: int = 2
    magnitude: int = 9
    num_magnitude_bins: int = 31
    probability: float = 1.0
    size: int = 224

    def __post_init__(self) -> None:
        """Refuse settings from which nothing can be drawn."""
        if not 0 < self.scale[0] <= self.scale[1] <= 1:
            raise ValueError(f"scale: {self.scale} are no fractions of an area, least first")
        if not 0 < self.ratio[0] <= self.ratio[1]:
            raise ValueError(f"ratio: {self.ratio} are no aspects, least first")
        if not 0 <= self.magnitude < self.num_magnitude_bins:
            raise ValueError(f"magnitude: {self.magnitude} is no bin of the {self.num_magnitude_bins}")
        if self.num_operations < 0 or not 0 <= self.probability <= 1 or self.size < 1:
            raise ValueError("num_operations, probability or size: out of range")


def draw_augmentations(
    key: str,
    count: int,
    image_size: tuple[int, int],
    *,
    seed: int = 0,
    settings: AugmentationSettings | None = None,
) -> tuple[Augmentation, ...]:
    """The first `count` augmentations of the sample `key`; no other sample has a part in them.

    Args:
        key: Name of the sample.
        count: How many.
        image_size: Width and height of the stored image.
        seed: Of the whole set.
        settings: What is drawn from; None: the defaults.
    """
    return tuple(
        draw_augmentation(image_size, stream(seed, f"augmentation of {key}", index), settings)
        for index in range(count)
    )


def draw_augmentation(
    image_size: tuple[int, int],
    generator: np.random.Generator,
    settings: AugmentationSettings | None = None,
) -> Augmentation:
    """One random augmentation for an image of `image_size` (width, height).

    Source: MobileCLIP section 3.3; the distribution is that of torchvision's RandomResizedCrop and
    RandAugment, not its stream of random numbers.
    """
    settings = settings or AugmentationSettings()
    crop = _draw_crop(image_size, generator, settings)
    if generator.random() >= settings.probability:
        return Augmentation(crop, None)
    sizes = magnitudes(settings)
    operations = []
    for _ in range(settings.num_operations):
        index = int(generator.integers(len(OPERATIONS)))
        size, signed = sizes[index]
        if signed and generator.integers(2):
            size = -size
        operations.append((index, size))
    return Augmentation(crop, tuple(operations))


@cache
def magnitudes(settings: AugmentationSettings) -> tuple[tuple[float, bool], ...]:
    """Magnitude of each operation, and whether its sign is drawn, in the order of `OPERATIONS`.

    Values are those of float32 arithmetic, as the released sets hold them.

    Source: torchvision's RandAugment at the given bin; translations by 150/331 of the size at the most.
    """
    import torch

    bins, chosen = settings.num_magnitude_bins, settings.magnitude
    largest = {
        "ShearX": 0.3,
        "ShearY": 0.3,
        "TranslateX": 150.0 / 331.0 * settings.size,
        "TranslateY": 150.0 / 331.0 * settings.size,
        "Rotate": 30.0,
        "Brightness": 0.9,
        "Color": 0.9,
        "Contrast": 0.9,
        "Sharpness": 0.9,
    }
    # its own linspace: NumPy's rounds the last bit otherwise
    found = {name: (float(torch.linspace(0.0, top, bins)[chosen]), True) for name, top in largest.items()}
    found["Posterize"] = (float(8 - torch.round(torch.arange(bins) / ((bins - 1) / 4)).int()[chosen]), False)
    found["Solarize"] = (float(torch.linspace(255.0, 0.0, bins)[chosen]), False)
    return tuple(found.get(name, (0.0, False)) for name in OPERATIONS)


def _draw_crop(
    image_size: tuple[int, int], generator: np.random.Generator, settings: AugmentationSettings
) -> tuple[int, int, int, int]:
    width, height = image_size
    least, most = settings.ratio
    for _ in range(CROP_ATTEMPTS):
        area = width * height * generator.uniform(*settings.scale)
        aspect = math.exp(generator.uniform(math.log(least), math.log(most)))
        crop_width, crop_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < crop_width <= width and 0 < crop_height <= height:
            top = int(generator.integers(height - crop_height + 1))
            left = int(generator.integers(width - crop_width + 1))
            return top, left, crop_height, crop_width
    # for very long or tiny images: the largest central box of an allowed aspect
    crop_width, crop_height = width, height
    if width / height < least:
        crop_height = min(max(round(width / least), 1), height)
    elif width / height > most:
        crop_width = min(max(round(height * most), 1), width)
    return (height - crop_height) // 2, (width - crop_width) // 2, crop_height, crop_width
