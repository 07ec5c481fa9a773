"""Which fault explains stored rows that are not the fresh ones: by matching them with others.

A row is good when its cosine with the fresh row in its place is within the tolerance. What is bad is compared
with the fresh rows of other augmentations, captions, samples and teachers: the one that it fits names the
fault. Faults that a whole teacher has are taken out first, for they would look like faults of every sample.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, is_dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float32
from PIL import Image

from mobileclip.reinforcement.teacher import Teacher, unit_rows
from mobileclip.reinforcement.verify_report import Cosines, Fault
from mobileclip.replay import Augmentation

MOST = 0.5  # a fault of the teacher when more than this share of its rows is bad
RANKED = 0.9  # rows are those of the right images or captions when this share is nearest to its own
MAX_EXCHANGES = 8  # samples for which the images of the others are tried
MAX_RENORMALISED = 4  # samples that are shown to teachers of other normalisations

NORMALISATIONS = {
    "no normalisation": ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
    "OpenAI's": ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)),
    "ImageNet's": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "one half": ((0.5, 0.5, 0.5), (0.5, 0.5, 0.5)),
}


@dataclass(frozen=True, kw_only=True)
class Looked:
    """A sample that was embedded again; rows are lists with one array a teacher.

    Attributes:
        key: of the sample.
        num_captions: real captions; the rows of the synthetic ones follow theirs.
        stored_images: unit rows of the augmentations, as stored.
        fresh_images: the same, embedded now; None where the image could not be replayed.
        stored_texts: unit rows of the captions, as stored.
        fresh_texts: the same, embedded now.
        image: of the pair.
        augmentations: as stored.
    """

    key: str
    num_captions: int
    stored_images: Sequence[Float32[np.ndarray, "augmentations width"]]
    fresh_images: Sequence[Float32[np.ndarray, "augmentations width"]] | None
    stored_texts: Sequence[Float32[np.ndarray, "captions width"]]
    fresh_texts: Sequence[Float32[np.ndarray, "captions width"]]
    image: Image.Image | None = None
    augmentations: Sequence[Augmentation] = ()


# Embeds one augmentation of an image by a teacher.
Embed = Callable[[Teacher, Image.Image, Augmentation], Float32[np.ndarray, " width"]]


def compare_rows(looked: Sequence[Looked], teachers: Sequence[Teacher], tolerance: float) -> list[Cosines]:
    """Smallest and median cosine of stored and fresh rows, by teacher."""
    found = []
    for number, teacher in enumerate(teachers):
        images = np.concatenate(
            [
                _cosines(s.stored_images[number], s.fresh_images[number])
                for s in looked
                if s.fresh_images is not None
            ]
            or [np.ones(0)]
        )
        texts = np.concatenate(
            [_cosines(s.stored_texts[number], s.fresh_texts[number]) for s in looked] or [np.ones(0)]
        )
        found.append(
            Cosines(teacher.name, *_least_and_median(images), *_least_and_median(texts), tolerance=tolerance)
        )
    return found


def name_faults(
    looked: Sequence[Looked], teachers: Sequence[Teacher], tolerance: float, embed: Embed
) -> Iterator[Fault]:
    """The faults that explain all bad rows.

    Args:
        looked: samples, of which images and captions were embedded again.
        teachers: in the order of the rows.
        tolerance: a row is bad when its cosine with the fresh one is below 1 by more.
        embed: embeds an image otherwise than its own augmentation, to try an explanation.
    """
    images = [sample for sample in looked if sample.fresh_images is not None]
    image_teachers, text_teachers = [], []
    for number in range(len(teachers)):
        fault, bad_images, bad_texts = _of_teacher(looked, images, teachers, number, tolerance, embed)
        if fault is not None:
            yield fault
        if not bad_images:
            image_teachers.append(number)
        if not bad_texts:
            text_teachers.append(number)
    if image_teachers:
        yield from _of_images(images, teachers, image_teachers, tolerance, embed)
    if text_teachers:
        yield from _of_texts(looked, text_teachers, tolerance)


def _of_teacher(
    looked: Sequence[Looked],
    images: Sequence[Looked],
    teachers: Sequence[Teacher],
    number: int,
    tolerance: float,
    embed: Embed,
) -> tuple[Fault | None, bool, bool]:
    """The fault of a whole teacher, and whether it explains its image and its text rows."""
    name = teachers[number].name
    stored_images, fresh_images = _stacked(images, number, "images")
    stored_texts, fresh_texts = _stacked(looked, number, "texts")
    bad_images = _share_bad(stored_images, fresh_images, tolerance) > MOST
    bad_texts = _share_bad(stored_texts, fresh_texts, tolerance) > MOST
    if bad_images and bad_texts:
        for other, teacher in enumerate(teachers):
            if other != number and teacher.width == teachers[number].width:
                if _share_bad(stored_texts, _stacked(looked, other, "texts")[1], tolerance) < MOST:
                    return Fault("teachers swapped", f"{name}'s part is {teacher.name}'s"), True, True
        if (
            _share_ranked(stored_images, fresh_images) > RANKED
            and _share_ranked(stored_texts, fresh_texts) > RANKED
        ):
            least = float(
                min(_cosines(stored_images, fresh_images).min(), _cosines(stored_texts, fresh_texts).min())
            )
            return (
                Fault("coarse rows", f"{name}: cosines down to {least:.4f}, each nearest to its own"),
                True,
                True,
            )
        if _share_found(stored_texts, fresh_texts, tolerance) > MOST:
            return None, False, False  # the teacher is right, and rows are elsewhere
        return Fault("wrong teacher", f"{name}: neither images nor captions fit"), True, True
    if bad_images and not _mostly_permuted(images, number, tolerance):
        shown = _normalisation(images, teachers[number], number, tolerance, embed)
        if shown is not None:
            return Fault("wrong normalisation", f"{name}: was shown pixels of {shown}"), True, False
        if _share_ranked(stored_images, fresh_images) > RANKED:
            return (
                Fault("wrong normalisation", f"{name}: cosines are low, and each row is nearest to its own"),
                True,
                False,
            )
    return None, False, False


def _of_images(
    images: Sequence[Looked],
    teachers: Sequence[Teacher],
    numbers: Sequence[int],
    tolerance: float,
    embed: Embed,
) -> Iterator[Fault]:
    """The faults of samples' images, seen by the teachers that are right."""
    exchanged = []
    for sample in images:
        bad = _bad_images(sample, numbers, tolerance)
        if not bad.any():
            continue
        if all(_elsewhere(sample, number, bad, tolerance) for number in numbers):
            rows = ", ".join(str(row) for row in np.flatnonzero(bad)[:5])
            yield Fault(
                "permuted augmentations",
                f"rows such as {rows} are those of other augmentations",
                (sample.key,),
            )
        elif bad.all():
            exchanged.append(sample)
        else:
            rows = ", ".join(str(row) for row in np.flatnonzero(bad)[:5])
            yield Fault(
                "unmatched images",
                f"rows such as {rows} are those of no augmentation of the image",
                (sample.key,),
            )
    for place, sample in enumerate(exchanged):
        other = None
        if place < MAX_EXCHANGES:
            other = _owner(sample, exchanged, teachers[numbers[0]], numbers[0], tolerance, embed)
        detail = (
            f"{sample.key} was embedded from the image of {other}"
            if other
            else "the image embedded is not among those looked at"
        )
        yield Fault("exchanged images", detail, (sample.key,))


def _of_texts(looked: Sequence[Looked], numbers: Sequence[int], tolerance: float) -> Iterator[Fault]:
    """The faults of samples' captions, seen by the first teacher that is right."""
    number = numbers[0]
    owners = [
        (place, row) for place, sample in enumerate(looked) for row in range(len(sample.fresh_texts[number]))
    ]
    _, fresh = _stacked(looked, number, "texts")
    for place, sample in enumerate(looked):
        bad = np.zeros(len(sample.fresh_texts[number]), bool)
        for one in numbers:
            bad |= _bad(sample.stored_texts[one], sample.fresh_texts[one], tolerance)
        for row in np.flatnonzero(bad):
            similarity = fresh @ sample.stored_texts[number][row]
            best = int(np.argmax(similarity))
            if 1 - similarity[best] > tolerance:
                yield Fault(
                    "unmatched captions",
                    f"rows such as {row} are those of no caption looked at",
                    (sample.key,),
                )
                continue
            owner, owner_row = owners[best]
            crossed = (row < sample.num_captions) != (owner_row < looked[owner].num_captions)
            if owner == place and crossed:
                yield Fault(
                    "real and synthetic swapped",
                    "rows of real captions are those of synthetic ones",
                    (sample.key,),
                )
            else:
                yield Fault("permuted captions", "rows are those of other captions", (sample.key,))


def _owner(
    sample: Looked,
    candidates: Sequence[Looked],
    teacher: Teacher,
    number: int,
    tolerance: float,
    embed: Embed,
) -> str | None:
    """The key of the sample from whose image the first row was made."""
    for other in candidates:
        if (
            other is sample
            or other.image is None
            or sample.image is None
            or other.image.size != sample.image.size
        ):
            continue
        row = embed(teacher, other.image, sample.augmentations[0])
        if 1 - float(row @ sample.stored_images[number][0]) <= tolerance:
            return other.key
    return None


def _normalisation(
    images: Sequence[Looked], teacher: Teacher, number: int, tolerance: float, embed: Embed
) -> str | None:
    """The normalisation under which the teacher gives the stored rows, where it can be changed at all."""
    if not is_dataclass(teacher) or not hasattr(teacher, "mean") or not hasattr(teacher, "std"):
        return None
    for label, (mean, std) in NORMALISATIONS.items():
        changes: dict[str, Any] = {"mean": mean, "std": std}
        other: Any = replace(teacher, **changes)
        tried = [sample for sample in images[:MAX_RENORMALISED] if sample.image is not None]
        rows = [
            embed(other, sample.image, sample.augmentations[0])
            for sample in tried
            if sample.image is not None
        ]
        stored = [sample.stored_images[number][0] for sample in tried]
        if rows and not _bad(np.stack(stored), np.stack(rows), tolerance).any():
            return label if label == "no normalisation" else f"{label} normalisation"
    return None


def _bad_images(
    sample: Looked, numbers: Sequence[int], tolerance: float
) -> Bool[np.ndarray, " augmentations"]:
    assert sample.fresh_images is not None
    bad = np.zeros(len(sample.augmentations), bool)
    for number in numbers:
        bad |= _bad(sample.stored_images[number], sample.fresh_images[number], tolerance)
    return bad


def _elsewhere(
    sample: Looked, number: int, bad: Bool[np.ndarray, " augmentations"], tolerance: float
) -> bool:
    """Whether every bad row fits some augmentation of the same image."""
    assert sample.fresh_images is not None
    similarity = sample.stored_images[number][bad] @ sample.fresh_images[number].T
    return bool((1 - similarity.max(axis=1) <= tolerance).all())


def _mostly_permuted(images: Sequence[Looked], number: int, tolerance: float) -> bool:
    """Whether most samples' rows fit other augmentations of the same image."""
    permuted = [_elsewhere(s, number, np.ones(len(s.augmentations), bool), tolerance) for s in images]
    return bool(np.mean(permuted) > MOST)


def _stacked(
    looked: Sequence[Looked], number: int, kind: str
) -> tuple[Float32[np.ndarray, "rows width"], Float32[np.ndarray, "rows width"]]:
    """Stored and fresh rows of all samples, of one teacher."""
    if not looked:
        return np.zeros((0, 1), np.float32), np.zeros((0, 1), np.float32)
    stored = np.concatenate([getattr(sample, f"stored_{kind}")[number] for sample in looked])
    fresh = np.concatenate([getattr(sample, f"fresh_{kind}")[number] for sample in looked])
    return stored, fresh


def _cosines(stored: np.ndarray, fresh: np.ndarray) -> np.ndarray:
    cosines: np.ndarray = np.einsum("rw,rw->r", unit_rows(stored), unit_rows(fresh), dtype=np.float64)
    return cosines


def _bad(stored: np.ndarray, fresh: np.ndarray, tolerance: float) -> np.ndarray:
    bad: np.ndarray = ~(1 - _cosines(stored, fresh) <= tolerance)  # NaN is bad
    return bad


def _share_bad(stored: np.ndarray, fresh: np.ndarray, tolerance: float) -> float:
    return float(_bad(stored, fresh, tolerance).mean()) if len(stored) else 0.0


def _share_ranked(stored: np.ndarray, fresh: np.ndarray) -> float:
    """The share of rows to which no other fresh row is nearer than their own, ties aside."""
    if not len(stored):
        return 0.0
    similarity = stored @ fresh.T
    return float((similarity.diagonal() >= similarity.max(axis=1) - 1e-5).mean())


def _share_found(stored: np.ndarray, fresh: np.ndarray, tolerance: float) -> float:
    """The share of rows that fit some fresh row."""
    return float((1 - (stored @ fresh.T).max(axis=1) <= tolerance).mean()) if len(stored) else 0.0


def _least_and_median(cosines: np.ndarray) -> tuple[float, float]:
    return (float(cosines.min()), float(np.median(cosines))) if len(cosines) else (1.0, 1.0)
