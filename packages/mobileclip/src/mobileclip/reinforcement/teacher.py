"""What a teacher is, and how a teacher's rows become those of the ensemble.

Anything with these members can teach: the wrappers of `mobileclip.models.teachers`, or a class of your own.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Protocol, TypeVar, runtime_checkable

import numpy as np
from jaxtyping import Float32
from PIL import Image

Item = TypeVar("Item")


@runtime_checkable
class Teacher(Protocol):
    """An image-text model that embeds replayed images and captions; its rows have unit length.

    Attributes:
        name: what the manifest and the reports call it.
        width: numbers in a row.
        image_size: side in pixels of the square images that it takes.
        logit_scale: factor of the similarities before the softmax that gives the targets.
        fingerprint: 16 hexadecimal digits that change when the weights or the normalisation do.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (told above, as are those below)
    @property
    def width(self) -> int: ...  # noqa: D102
    @property
    def image_size(self) -> int: ...  # noqa: D102
    @property
    def logit_scale(self) -> float: ...  # noqa: D102
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def embed_images(self, images: Sequence[Image.Image]) -> Float32[np.ndarray, "images width"]:
        """Unit rows of square RGB images of side `image_size`; the teacher normalises the pixels."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Unit rows of captions; tokenising is the teacher's part."""
        ...


def unit_rows(rows: Float32[np.ndarray, "rows width"]) -> Float32[np.ndarray, "rows width"]:
    """The rows at length 1; a row of zeros stays one, for dividing it would hide that a teacher is broken."""
    lengths = np.linalg.norm(rows.astype(np.float64), axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1.0)).astype(np.float32)


def ensemble_rows(
    per_teacher: Sequence[Float32[np.ndarray, "rows width"]],
) -> Float32[np.ndarray, "rows total_width"]:
    """Each teacher's rows at length 1 by themselves, side by side in the teachers' order.

    Normalising the joined rows instead would weigh the teachers by the length of their features.

    Source: `training/dr` of apple/ml-mobileclip reads rows of two 768-d unit vectors.
    """
    return np.concatenate([unit_rows(rows) for rows in per_teacher], axis=1)


def split_teachers(
    rows: Float32[np.ndarray, "rows total_width"], widths: Sequence[int]
) -> list[Float32[np.ndarray, "rows width"]]:
    """Views of each teacher's part of the rows, in the teachers' order.

    Raises:
        ValueError: the widths do not add up to the rows' width.
    """
    if sum(widths) != rows.shape[1]:
        raise ValueError(f"teachers of widths {tuple(widths)} do not make rows of {rows.shape[1]} numbers")
    edges = np.cumsum([0, *widths])
    return [rows[:, start:stop] for start, stop in pairwise(edges)]


def equal_batches(items: Sequence[Item], batch_size: int) -> list[tuple[list[Item], int]]:
    """The items in batches of exactly `batch_size`, each with the number of its items that count.

    The last batch is filled up with copies of its last item: a matrix product of another shape may round
    differently, so that an item's row would depend on how many stand beside it.

    Raises:
        ValueError: `batch_size` is below 1.
    """
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; give 1 or more")
    batches = []
    for start in range(0, len(items), batch_size):
        batch = list(items[start : start + batch_size])
        batches.append((batch + [batch[-1]] * (batch_size - len(batch)), len(batch)))
    return batches
