"""Class names and prompt templates as the weights of a linear classifier."""

import re
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

Float32Array = npt.NDArray[np.float32]

_PLACE = re.compile(r"\{c?\}")


def classifier_weights(
    encode_text: Callable[[Sequence[str]], npt.NDArray[np.floating]],
    classnames: Sequence[str],
    templates: Sequence[str],
    *,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Float32Array:
    """Unit row of each class, float32 (classes, width): the mean of its prompts' unit rows, made unit again.

    Each prompt is made unit before the mean, so a template with long features has no more say than another.
    The sum over the templates is in float64 and does not depend on `batch_size`.

    Args:
        encode_text: Features of a batch of prompts, (prompts, width), of any length above 0.
        classnames: One name a class, in the order of the labels.
        templates: Prompts with a `{}` or `{c}` where the name goes.
        batch_size: Prompts given to `encode_text` at once.
        progress: Called with the number of prompts encoded.

    Raises:
        ValueError: no class, no template, a template without a place for the name, a `batch_size` below 1, or
            features that are not finite, are 0 or cancel each other.

    Source: Radford et al. 2021, section 3.1.4; open_clip's build_zero_shot_classifier.
    """
    if not classnames or not templates:
        raise ValueError(f"{len(classnames)} classes and {len(templates)} templates make no classifier")
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}; it is 1 or more")
    count = len(templates)
    sums: npt.NDArray[np.float64] | None = None
    for start in range(0, len(classnames) * count, batch_size):
        places = range(start, min(start + batch_size, len(classnames) * count))
        prompts = [fill_template(templates[place % count], classnames[place // count]) for place in places]
        rows = unit_rows(np.asarray(encode_text(prompts), np.float64))
        if sums is None:
            sums = np.zeros((len(classnames), rows.shape[1]))
        # one after the other in the order of the prompts, so the batch borders do not show in the sum
        np.add.at(sums, np.array(places) // count, rows)
        if progress is not None:
            progress(len(prompts))
    assert sums is not None
    return unit_rows(sums / count).astype(np.float32)


def fill_template(template: str, classname: str) -> str:
    """The prompt of a class: every `{}` or `{c}` of the template replaced by the name.

    Nothing else is interpreted, so a file of templates cannot reach into objects as `str.format` could.

    Raises:
        ValueError: the template has no place for the name.
    """
    if not _PLACE.search(template):
        raise ValueError(f"the template {template!r} has no {{}} for the name of the class")
    return _PLACE.sub(lambda place: classname, template)


def unit_rows(features: npt.NDArray[np.floating]) -> npt.NDArray[np.float64]:
    """The rows, each divided by its Euclidean length, float64.

    Raises:
        ValueError: the features are no matrix, or a row is 0 or not finite.
    """
    rows = np.asarray(features, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"features of shape {rows.shape} are no matrix of rows")
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    if not (np.isfinite(lengths).all() and (lengths > 0).all()):
        place = int(np.flatnonzero(~(np.isfinite(lengths[:, 0]) & (lengths[:, 0] > 0)))[0])
        raise ValueError(f"row {place} of the features is 0 or not finite, so it has no direction")
    unit: npt.NDArray[np.float64] = rows / lengths
    return unit
