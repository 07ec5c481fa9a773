"""A stored augmentation applied to its image again, bit for bit as when it was stored."""

import math
from collections.abc import Sequence
from functools import cache
from typing import Literal

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode
from torchvision.transforms import functional as F

from mobileclip.replay.augmentation import OPERATIONS, Augmentation

Geometry = Literal["official", "corrected"]
REFERENCE_SIZE = 224  # the pixels in which the released sets store translations
_BY_FACTOR = {
    "Brightness": F.adjust_brightness,
    "Color": F.adjust_saturation,
    "Contrast": F.adjust_contrast,
    "Sharpness": F.adjust_sharpness,
}


def replay(
    image: Image.Image,
    augmentation: Augmentation,
    *,
    size: int = REFERENCE_SIZE,
    geometry: Geometry = "official",
    reference_size: int = REFERENCE_SIZE,
) -> Image.Image:
    """The augmented image, RGB of `size` x `size` pixels, before it becomes a tensor.

    The crop is resized with an antialiased bicubic filter; then the operations follow in their order, the
    geometric ones with the nearest pixel and black where there is none.

    Args:
        image: The stored image at its stored size, RGB.
        augmentation: What was drawn for it.
        size: Pixels of the student's or teacher's input.
        geometry: "official" takes translations as pixels at any size, as the released code does; "corrected"
            scales them with the size, so the content moves by the same fraction of the image.
        reference_size: Size for which translations were drawn; used by "corrected".

    Raises:
        CropOutside: the crop box leaves the image.
        ValueError: the image is not RGB.

    Source: section 3.3; open_clip's patch of the released code (`preprocess_dr`, `Compose.reapply`).
    """
    if image.mode != "RGB":
        raise ValueError(f"the image is {image.mode}, not RGB; decode it with toolkit_shared.images")
    augmentation.require_inside(*image.size)
    top, left, height, width = augmentation.crop
    # not resize(box=...): its filter would see the pixels around the box
    view = image.crop((left, top, left + width, top + height))
    view = view.resize((size, size), Image.Resampling.BICUBIC)
    for index, magnitude in augmentation.operations or ():
        name = OPERATIONS[index]
        if geometry == "corrected" and name in ("TranslateX", "TranslateY"):
            magnitude = magnitude * size / reference_size
        view = _apply(view, name, magnitude)
    return view


def normalize_image(
    image: Image.Image, mean: Sequence[float], std: Sequence[float]
) -> Float[Tensor, "3 height width"]:
    """The image as float32, from 0 to 1, then normalised by channel; to the bit ToTensor and Normalize.

    A pixel has 256 values, so each channel is a look-up in a table of them.

    Args:
        image: RGB.
        mean: Of red, green, blue.
        std: Of red, green, blue; not 0.
    """
    # asarray gives a view of the image's memory, which a tensor could not be made of without a copy
    pixels = np.asarray(image)
    out = np.empty((3, image.height, image.width), dtype=np.float32)
    for channel, table in enumerate(_tables(tuple(mean), tuple(std))):
        # the index is at most 255, and "clip" saves the check
        np.take(table, pixels[:, :, channel], out=out[channel], mode="clip")
    return torch.from_numpy(out)


@cache
def _tables(mean: tuple[float, ...], std: tuple[float, ...]) -> np.ndarray:
    values = torch.arange(256, dtype=torch.uint8).to(torch.float32).div(255)
    rows = values[None].expand(3, -1).clone()
    rows.sub_(torch.tensor(mean)[:, None]).div_(torch.tensor(std)[:, None])
    return rows.numpy()


def _apply(view: Image.Image, name: str, magnitude: float) -> Image.Image:
    """One operation of RandAugment on a PIL image."""
    changed: Image.Image
    if name in ("ShearX", "ShearY"):
        # the magnitude is a slope, and the corner stays
        degrees = math.degrees(math.atan(magnitude))
        changed = _affine(view, shear=[degrees, 0.0] if name == "ShearX" else [0.0, degrees], center=[0, 0])
    elif name in ("TranslateX", "TranslateY"):
        pixels = int(magnitude)
        changed = _affine(view, translate=[pixels, 0] if name == "TranslateX" else [0, pixels])
    elif name == "Rotate":
        changed = F.rotate(view, magnitude, interpolation=InterpolationMode.NEAREST, fill=None)
    elif name in _BY_FACTOR:
        changed = _BY_FACTOR[name](view, 1.0 + magnitude)
    elif name == "Posterize":
        changed = F.posterize(view, int(magnitude))
    elif name == "Solarize":
        changed = F.solarize(view, magnitude)
    elif name == "AutoContrast":
        changed = F.autocontrast(view)
    elif name == "Equalize":
        changed = F.equalize(view)
    else:  # Identity
        changed = view
    return changed


def _affine(
    view: Image.Image,
    *,
    translate: list[int] | None = None,
    shear: list[float] | None = None,
    center: list[int] | None = None,
) -> Image.Image:
    changed: Image.Image = F.affine(
        view,
        angle=0.0,
        translate=translate or [0, 0],
        scale=1.0,
        shear=shear or [0.0, 0.0],
        interpolation=InterpolationMode.NEAREST,
        fill=None,
        center=center,
    )
    return changed
