"""One image augmentation as numbers, and its compact JSON form."""

import json
import math
from dataclasses import dataclass
from typing import Any, Self

from toolkit_shared.errors import InputError

# The order is the stored form's: operation 5 is Rotate in every published set.
OPERATIONS = (
    "Identity",
    "ShearX",
    "ShearY",
    "TranslateX",
    "TranslateY",
    "Rotate",
    "Brightness",
    "Color",
    "Contrast",
    "Sharpness",
    "Posterize",
    "Solarize",
    "AutoContrast",
    "Equalize",
)
MAX_OPERATIONS = 16
MAX_COORDINATE = 2**31 - 1


class CropOutside(InputError):
    """A crop box leaves the image: it was drawn for an image of another size."""


@dataclass(frozen=True)
class Augmentation:
    """A random resized crop, then RandAugment.

    Attributes:
        crop: Top, left, height and width in pixels of the stored image.
        operations: Index into `OPERATIONS` and signed magnitude of each step; None: RandAugment was skipped.

    Source: MobileCLIP section 3.3; the compact form of the released sets.
    """

    crop: tuple[int, int, int, int]
    operations: tuple[tuple[int, float], ...] | None

    def to_json(self) -> list[Any]:
        """The official form, `[[top, left, height, width], [[operation, magnitude], ...] or null]`."""
        operations = None if self.operations is None else [list(step) for step in self.operations]
        return [list(self.crop), operations]

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """The augmentation of one official entry.

        An entry of the crop alone (a configuration without RandAugment) is one whose RandAugment was skipped.

        Raises:
            InputError: it is no such entry; one with more parts comes from a configuration with other
                transforms (resize, flip, erase, mixing), which are not read.
        """
        if not isinstance(value, list | tuple) or not 1 <= len(value) <= 2:
            raise InputError(
                f"augmentation {_short(value)}: is not [crop, operations]; only a random resized crop with "
                "RandAugment can be read"
            )
        crop, operations = value[0], value[1] if len(value) == 2 else None
        return cls(_crop(crop), None if operations is None else _operations(operations))

    def require_inside(self, width: int, height: int) -> None:
        """Make sure that the crop box lies within an image of `width` x `height` pixels.

        Raises:
            CropOutside: it does not, so the image is not the one for which the box was drawn.
        """
        top, left, crop_height, crop_width = self.crop
        if top + crop_height > height or left + crop_width > width:
            raise CropOutside(
                f"crop box (top {top}, left {left}, height {crop_height}, width {crop_width}): leaves the "
                f"image of {width} x {height} pixels; the image was resized after the augmentation was stored"
            )

    def fit_to(self, stored_size: tuple[int, int], new_size: tuple[int, int]) -> "Augmentation":
        """The augmentation for the same image at `new_size`, where it was drawn at `stored_size`.

        Sizes are (width, height). The crop box is scaled and rounded to whole pixels; the operations act
        after the crop was resized, so they stay.

        Raises:
            InputError: the two sizes differ in aspect by more than rounding, so the image was cropped or
                stretched.
        """
        if stored_size == new_size:
            return self
        if not same_aspect(stored_size, new_size):
            raise InputError(
                f"image of {new_size[0]} x {new_size[1]} pixels: has another aspect than the stored "
                f"{stored_size[0]} x {stored_size[1]}; use the images of the build"
            )
        top, left, height, width = self.crop
        new_top, new_height = _scaled(top, height, new_size[1] / stored_size[1], new_size[1])
        new_left, new_width = _scaled(left, width, new_size[0] / stored_size[0], new_size[0])
        return Augmentation((new_top, new_left, new_height, new_width), self.operations)


def parse_augmentations(value: Any) -> tuple[Augmentation, ...]:
    """The augmentations of a sample, from the list of `param_aug` or from that list as a JSON string.

    Raises:
        InputError: it is neither, an entry is wrong, or there is none.
    """
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            raise InputError(
                f"param_aug {_short(value)}: is a string that holds no JSON; mend the file"
            ) from None
    if not isinstance(value, list) or not value:
        raise InputError(f"param_aug {_short(value)}: is no list of augmentations; mend the file")
    return tuple(Augmentation.from_json(entry) for entry in value)


def same_aspect(first: tuple[int, int], second: tuple[int, int]) -> bool:
    """Whether one size (width, height) is the other one resized, up to a pixel of rounding."""
    scale = max(second) / max(first)
    return all(abs(b - a * scale) <= 1.0 for a, b in zip(first, second, strict=True))


def _crop(value: Any) -> tuple[int, int, int, int]:
    if not isinstance(value, list | tuple) or len(value) != 4:
        raise InputError(f"crop {_short(value)}: is not [top, left, height, width]; mend the file")
    numbers = [_whole(number, value) for number in value]
    top, left, height, width = numbers
    if top < 0 or left < 0 or height < 1 or width < 1:
        raise InputError(f"crop {_short(value)}: is no box with an area; mend the file")
    return top, left, height, width


def _whole(number: Any, crop: Any) -> int:
    # 12.0 is what some JSON writers make of 12
    good = isinstance(number, int | float) and not isinstance(number, bool)
    if not good or not math.isfinite(number) or number != int(number) or abs(number) > MAX_COORDINATE:
        raise InputError(f"crop {_short(crop)}: {number!r} is no whole number of pixels; mend the file")
    return int(number)


def _operations(value: Any) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, list | tuple) or len(value) > MAX_OPERATIONS:
        raise InputError(
            f"operations {_short(value)}: are no list of [operation, magnitude] of at most {MAX_OPERATIONS}"
        )
    return tuple(_operation(step) for step in value)


def _operation(step: Any) -> tuple[int, float]:
    if not isinstance(step, list | tuple) or len(step) != 2:
        raise InputError(f"operation {_short(step)}: is not [operation, magnitude]; mend the file")
    index, magnitude = step
    if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < len(OPERATIONS):
        raise InputError(
            f"operation {_short(step)}: {index!r} is no index of the {len(OPERATIONS)} operations; "
            "mend the file"
        )
    number = isinstance(magnitude, int | float) and not isinstance(magnitude, bool)
    if not number or not abs(magnitude) < 1e9:
        raise InputError(f"operation {_short(step)}: {magnitude!r} is no magnitude; mend the file")
    return index, float(magnitude)


def _scaled(start: int, length: int, scale: float, limit: int) -> tuple[int, int]:
    """Start and length of an interval at another resolution: ends rounded, not empty, inside `limit`."""
    new_start = min(round(start * scale), limit - 1)
    new_end = min(max(round((start + length) * scale), new_start + 1), limit)
    return new_start, new_end - new_start


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
