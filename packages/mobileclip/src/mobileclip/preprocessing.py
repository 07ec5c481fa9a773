"""Photographs to tensors: the transforms that the released image encoders were trained with.

Three of them live side by side, and mixing them up costs accuracy without an error: S0, S1, S2 and B of both
generations take pixels in 0..1 as they are; S3, S4 and L/14 take them normalised by OpenAI's statistics, and
L/14 resizes bicubically. `Architecture.preprocessing` says which.
"""

import math
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float
from PIL import Image
from torch import Tensor
from torchvision.transforms import InterpolationMode, RandomResizedCrop, functional

from mobileclip.architectures import Preprocessing

CROP_SCALE = (0.9, 1.0)  # open_clip's default for training
CROP_RATIO = (3 / 4, 4 / 3)


def image_to_tensor(
    image: Image.Image, preprocessing: Preprocessing
) -> Float[Tensor, "channels height width"]:
    """An image as (3, height, width) float32: pixels over 255, minus `mean`, over `std`.

    With mean 0 and std 1 the pixels stay in 0..1.
    """
    # a division, as in ToTensor; torchvision's to_dtype multiplies by 1 / 255, which rounds differently
    tensor: Tensor = functional.pil_to_tensor(_as_rgb(image)).contiguous().to(torch.float32).div_(255)
    if any(preprocessing.mean) or set(preprocessing.std) != {1.0}:
        tensor = functional.normalize(tensor, list(preprocessing.mean), list(preprocessing.std), inplace=True)
    return tensor


@dataclass(frozen=True)
class EvaluationTransform:
    """The middle of an image, resized so that its shorter side is `image_size`, as a tensor.

    Equal to open_clip's transform to the bit for RGB images. Others are turned into RGB first, where
    open_clip does so last: resizing a palette would mix colour numbers.

    Source: the official `create_model_and_transforms`; open_clip's `image_transform`.
    """

    image_size: int
    preprocessing: Preprocessing

    def __call__(self, image: Image.Image) -> Float[Tensor, "channels height width"]:
        """The image as (3, image_size, image_size) float32."""
        resized = functional.resize(
            _as_rgb(image), [self.image_size], interpolation=_interpolation(self.preprocessing.interpolation)
        )
        return image_to_tensor(
            functional.center_crop(resized, [self.image_size, self.image_size]), self.preprocessing
        )


@dataclass(frozen=True)
class TrainingTransform:
    """A random crop of an image, resized to a square, as a tensor.

    With `generator` the crop depends on that generator alone. Without, it is drawn from torch's global one,
    as torchvision does; open_clip's transform then gives the same bits.

    Source: open_clip's training transform (random resized crop, bicubic).
    """

    image_size: int
    preprocessing: Preprocessing
    scale: tuple[float, float] = CROP_SCALE
    ratio: tuple[float, float] = CROP_RATIO
    interpolation: str = "bicubic"

    def __call__(
        self, image: Image.Image, generator: np.random.Generator | None = None
    ) -> Float[Tensor, "channels height width"]:
        """The crop as (3, image_size, image_size) float32."""
        image = _as_rgb(image)
        if generator is None:
            box = RandomResizedCrop.get_params(image, list(self.scale), list(self.ratio))
        else:
            box = draw_crop(image.size, generator, scale=self.scale, ratio=self.ratio)
        cropped = functional.resized_crop(
            image,
            *box,
            size=[self.image_size, self.image_size],
            interpolation=_interpolation(self.interpolation),
        )
        return image_to_tensor(cropped, self.preprocessing)


def evaluation_transform(image_size: int, preprocessing: Preprocessing) -> EvaluationTransform:
    """The transform of images that are to be encoded; see `EvaluationTransform`."""
    return EvaluationTransform(image_size, preprocessing)


def training_transform(
    image_size: int,
    preprocessing: Preprocessing,
    *,
    scale: tuple[float, float] = CROP_SCALE,
    ratio: tuple[float, float] = CROP_RATIO,
    interpolation: str = "bicubic",
) -> TrainingTransform:
    """The transform of images that are trained on; see `TrainingTransform`.

    Raises:
        ValueError: `scale` or `ratio` is not an interval of positive numbers, or `scale` goes beyond 1.
    """
    if not 0 < scale[0] <= scale[1] <= 1:
        raise ValueError(f"scale {scale} is no interval within 0 to 1")
    if not 0 < ratio[0] <= ratio[1]:
        raise ValueError(f"ratio {ratio} is no interval of positive numbers")
    _interpolation(interpolation)
    return TrainingTransform(image_size, preprocessing, scale, ratio, interpolation)


def draw_crop(
    size: tuple[int, int],
    generator: np.random.Generator,
    *,
    scale: tuple[float, float] = CROP_SCALE,
    ratio: tuple[float, float] = CROP_RATIO,
) -> tuple[int, int, int, int]:
    """A random box (top, left, height, width) within an image of `size` (width, height).

    Its share of the area is uniform in `scale` and the logarithm of width over height uniform in `ratio`.
    After ten draws that do not fit, the largest box in the middle with an allowed ratio.

    Source: the random resized crop of Inception, with torchvision's order of draws.
    """
    width, height = size
    for _ in range(10):
        area = width * height * generator.uniform(*scale)
        aspect = math.exp(generator.uniform(math.log(ratio[0]), math.log(ratio[1])))
        box_width, box_height = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < box_width <= width and 0 < box_height <= height:
            top = int(generator.integers(height - box_height + 1))
            left = int(generator.integers(width - box_width + 1))
            return top, left, box_height, box_width
    box_width = min(width, max(1, round(height * ratio[1])))
    box_height = min(height, max(1, round(width / ratio[0])))
    return (height - box_height) // 2, (width - box_width) // 2, box_height, box_width


def _as_rgb(image: Image.Image) -> Image.Image:
    return image if image.mode == "RGB" else image.convert("RGB")


def _interpolation(name: str) -> InterpolationMode:
    modes = {"bilinear": InterpolationMode.BILINEAR, "bicubic": InterpolationMode.BICUBIC}
    if name not in modes:
        raise ValueError(f"interpolation '{name}' is neither {' nor '.join(modes)}")
    return modes[name]
