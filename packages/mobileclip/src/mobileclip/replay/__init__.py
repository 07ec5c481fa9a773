"""Image augmentations as numbers: drawn once, stored in the official form, and replayed to the bit."""

from mobileclip.replay.augmentation import OPERATIONS, Augmentation, CropOutside, parse_augmentations
from mobileclip.replay.drawing import AugmentationSettings, draw_augmentation, draw_augmentations
from mobileclip.replay.replaying import Geometry, normalize_image, replay

__all__ = [
    "OPERATIONS",
    "Augmentation",
    "AugmentationSettings",
    "CropOutside",
    "Geometry",
    "draw_augmentation",
    "draw_augmentations",
    "normalize_image",
    "parse_augmentations",
    "replay",
]
