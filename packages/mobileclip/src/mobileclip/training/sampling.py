"""What of a reinforced pair is used when it is seen: an augmentation, a real caption, a synthetic one."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from mobileclip.reinforcement.sample import UNIT_TOLERANCE
from mobileclip.reinforcement.store import Counts, Drawn, ReinforcedStore
from mobileclip.replay import Augmentation
from mobileclip.settings import ReinforcementSettings


@dataclass(frozen=True)
class Draw:
    """The numbers of what is used.

    Attributes:
        augmentation: Of the augmentations, and of their embeddings.
        caption: Of the real captions.
        synthetic: Of the synthetic captions; None: none is used.
        replaces: Whether the synthetic caption stands in for the real one (a mixed stream).
    """

    augmentation: int
    caption: int
    synthetic: int | None
    replaces: bool


@dataclass(frozen=True, eq=False)
class Taken:
    """What is used of a pair.

    Attributes:
        augmentation: Of the image.
        caption: The text of the first stream.
        synthetic: The text of the second stream; None: there is none.
        embeddings: Float32 rows [width of all teachers] of the augmented image (`teacher_images`), of the
            caption (`teacher_texts`) and of the second stream's (`teacher_synthetic_texts`).
    """

    augmentation: Augmentation
    caption: str
    synthetic: str | None
    embeddings: Mapping[str, npt.NDArray[np.float32]]


def draw(
    key: str,
    counts: Counts,
    settings: ReinforcementSettings,
    *,
    seed: int,
    epoch: int,
    groups: Sequence[tuple[str, int]] | None = None,
) -> Draw:
    """Which augmentation and captions of the sample `key` are used in `epoch`.

    The draw depends on seed, key and epoch, on no other sample, process or worker. A captioner is drawn
    first, and then one of its captions.

    Args:
        key: Of the sample.
        counts: How much is stored of it.
        settings: How to draw.
        seed: Of the run.
        epoch: Pass over the data, from 0.
        groups: Name of each captioner and the number of its captions; None: all captions are of one.

    Raises:
        InputError: synthetic captions are asked for, and the sample has none of the wanted captioners.

    Source: arXiv 2311.17049, section 3.3; `preprocess_dr` of the official patches (at random by default;
    in turn by epoch with `sample_sequential`; mixing replaces the real caption by chance).
    """
    random = stream(seed, f"mobileclip: draw of {key}", epoch)
    # a number is drawn for each part in any mode, so that no part depends on the mode of another
    augmentation, caption = int(random.integers(counts.augmentations)), int(random.integers(counts.captions))
    chance, which_group, which = random.random(), int(random.integers(2**32)), int(random.integers(2**32))
    if settings.sampling == "sequential":
        augmentation, caption, which = epoch % counts.augmentations, epoch % counts.captions, epoch
    if settings.synthetic == "none":
        return Draw(augmentation, caption, None, replaces=False)
    groups = groups or [("all", counts.synthetic)]
    wanted = wanted_groups(groups, settings.caption_groups)
    if not wanted:
        names = ", ".join(name for name, number in groups if number) or "none"
        raise InputError(
            f"sample {key}: has no synthetic captions of '{settings.caption_groups}' (it has: {names}); give "
            "another --reinforced.caption-groups, or --reinforced.synthetic none"
        )
    first, count = wanted[which_group % len(wanted)]
    synthetic = first + which % count
    if settings.synthetic == "mix":
        replaces = chance < settings.mix_ratio
        return Draw(augmentation, caption, synthetic if replaces else None, replaces=replaces)
    return Draw(augmentation, caption, synthetic, replaces=False)


def take(store: ReinforcedStore, index: int, chosen: Draw) -> Taken:
    """The augmentation, the captions and the embeddings of a draw from sample `index`.

    Raises:
        InputError: a row or the augmentation is not what was written, such as rows that are not finite.
    """
    rows = store.draw(index, chosen.augmentation, chosen.caption, chosen.synthetic)
    _require_unit_rows(rows, store, index)
    augmentation = _whole(store.augmentation(index, chosen.augmentation), store, index)
    embeddings = {"teacher_images": rows.image, "teacher_texts": rows.text}
    if chosen.synthetic is None or rows.synthetic is None:
        return Taken(augmentation, store.caption(index, chosen.caption), None, embeddings)
    synthetic = store.synthetic_caption(index, chosen.synthetic)
    if chosen.replaces:
        return Taken(augmentation, synthetic, None, {**embeddings, "teacher_texts": rows.synthetic})
    embeddings["teacher_synthetic_texts"] = rows.synthetic
    return Taken(augmentation, store.caption(index, chosen.caption), synthetic, embeddings)


def wanted_groups(groups: Sequence[tuple[str, int]], pattern: str) -> list[tuple[int, int]]:
    """First number and count of the captions of every captioner whose name begins as `pattern` says.

    Args:
        groups: Name of each captioner and the number of its captions, in their order.
        pattern: Regular expression.
    """
    found, first = [], 0
    for name, count in groups:
        if count and re.match(pattern, name):
            found.append((first, count))
        first += count
    return found


def _whole(augmentation: Augmentation, store: ReinforcedStore, index: int) -> Augmentation:
    """The augmentation, when it is one: a file of numbers can hold anything."""
    try:
        return Augmentation.from_json(augmentation.to_json())
    except InputError as error:
        raise InputError(f"{store.path}: sample {store.key(index)}: {error}") from None


def _require_unit_rows(rows: Drawn, store: ReinforcedStore, index: int) -> None:
    """Make sure that the rows of a draw are unit vectors by teacher, which NaN and zeros are not.

    A store is checked when it is written; this finds what happened to its files since.

    Raises:
        InputError: they are not.
    """
    starts = np.cumsum([0, *(teacher.width for teacher in store.teachers[:-1])])
    for row in rows:
        if row is None:
            continue
        lengths = np.sqrt(np.add.reduceat(row * row, starts))
        if not (np.abs(lengths - 1) <= UNIT_TOLERANCE).all():
            raise InputError(
                f"{store.path}: sample {store.key(index)}: a stored row has the lengths {lengths.tolist()}, "
                "by teacher, instead of 1; run dr verify, and restore the file or build again"
            )
