"""One part of a build: some pairs in, their reinforcements out, the same whoever works on it.

A part's samples are captioned and embedded in batches of one shape, on one CPU thread, so its bytes depend
neither on the number of workers nor on what other parts hold.
"""

import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from jaxtyping import Float32
from PIL import Image
from toolkit_shared.images import BadImage, decode_image
from toolkit_shared.pairs import BadPair, PairSource
from toolkit_shared.randomness import stream

from mobileclip.reinforcement.captioner import Captioner
from mobileclip.reinforcement.dropped import Dropped
from mobileclip.reinforcement.precision import Precision, from_float32
from mobileclip.reinforcement.sample import (
    BadReinforcement,
    Reinforcement,
    TeacherInfo,
    check_reinforcement,
)
from mobileclip.reinforcement.teacher import Teacher, ensemble_rows, equal_batches
from mobileclip.replay import Augmentation, AugmentationSettings, Geometry, draw_augmentations, replay

MAX_SEED = 2**62
PRECISIONS: dict[str, Precision] = {"bf16": "bfloat16", "fp16": "float16", "fp32": "float32"}


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """What is drawn and stored of each pair.

    Attributes:
        num_augmentations: augmented views of each image.
        num_synthetic_captions: captions of the captioner for each image.
        seed: of augmentations and captions.
        precision: of the stored embeddings.
        batch_size: images, or captions, that a model is given at once; part of what the bytes depend on.
        augmentation: what augmentations are drawn from.
        geometry: whether translations are pixels at any size, as published, or scale with the teacher's size.
        max_pixels: larger images are dropped.
        with_images: carry each pair's image file along with its reinforcement.
    """

    num_augmentations: int = 10
    num_synthetic_captions: int = 5
    seed: int = 0
    precision: Precision = "bfloat16"
    batch_size: int = 32
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    geometry: Geometry = "official"
    max_pixels: int = 178_956_970
    with_images: bool = False


@dataclass(frozen=True, kw_only=True)
class _Draft:
    """A pair that can be used, before it is embedded."""

    key: str
    data: bytes
    where: str
    image_size: tuple[int, int]
    captions: tuple[str, ...]
    synthetic: tuple[str, ...]
    augmentations: tuple[Augmentation, ...]


def reinforce(
    source: PairSource,
    wanted: Sequence[tuple[int, str]],
    *,
    teachers: Sequence[Teacher],
    captioner: Captioner,
    recipe: Recipe,
    on_drop: Callable[[Dropped], None],
) -> Iterator[Reinforcement]:
    """The reinforcement of each pair that can be used, in order.

    Args:
        source: the pairs.
        wanted: numbers and keys of those to work on, in order; no key twice.
        teachers: of the ensemble, in the order of the stored vectors.
        captioner: of the synthetic captions.
        recipe: what is drawn and stored.
        on_drop: told of every pair and caption that cannot be used; it may raise.

    Source: arXiv 2311.17049, section 3; the generator of ml-mobileclip-dr.
    """
    drafts = list(_drafts(source, wanted, captioner, recipe, on_drop))
    images = _embed_views(drafts, teachers, recipe)
    texts = _embed_texts(drafts, teachers, recipe.batch_size)
    infos = tuple(TeacherInfo(teacher.name, teacher.width, teacher.logit_scale) for teacher in teachers)
    image_start = text_start = 0
    for draft in drafts:
        image_end = image_start + len(draft.augmentations)
        real_end = text_start + len(draft.captions)
        text_end = real_end + len(draft.synthetic)
        sample = Reinforcement(
            key=draft.key,
            captions=draft.captions,
            synthetic_captions=draft.synthetic,
            augmentations=draft.augmentations,
            image_embeddings=from_float32(images[image_start:image_end], recipe.precision),
            text_embeddings=from_float32(texts[text_start:real_end], recipe.precision),
            synthetic_embeddings=from_float32(texts[real_end:text_end], recipe.precision),
            precision=recipe.precision,
            teachers=infos,
            image_size=draft.image_size,
            members=_carried(draft) if recipe.with_images else {},
        )
        image_start, text_start = image_end, text_end
        try:
            yield check_reinforcement(sample, draft.where)
        except BadReinforcement as error:  # a teacher gave NaN or zeros
            on_drop(Dropped(draft.key, f"embeddings: {error.reason}", error.detail))


def _drafts(
    source: PairSource,
    wanted: Sequence[tuple[int, str]],
    captioner: Captioner,
    recipe: Recipe,
    on_drop: Callable[[Dropped], None],
) -> Iterator[_Draft]:
    for start in range(0, len(wanted), recipe.batch_size):
        usable: list[tuple[_Draft, Image.Image]] = []
        for index, key in wanted[start : start + recipe.batch_size]:
            found = _open_pair(source, index, key, recipe, on_drop)
            if found is not None:
                usable.append(found)
        written = _caption([(draft.key, image) for draft, image in usable], captioner, recipe)
        for (draft, _), texts in zip(usable, written, strict=True):
            if len(texts) < recipe.num_synthetic_captions:
                detail = (
                    f"{draft.where}: {captioner.name} has {len(texts)} of {recipe.num_synthetic_captions}"
                )
                on_drop(Dropped(draft.key, "too few synthetic captions", detail))
            else:
                yield replace(draft, synthetic=tuple(texts))


def _open_pair(
    source: PairSource, index: int, key: str, recipe: Recipe, on_drop: Callable[[Dropped], None]
) -> tuple[_Draft, Image.Image] | None:
    """The pair with its decoded image, or None when it was dropped."""
    try:
        pair = source[index]
    except BadPair as error:
        on_drop(Dropped(key, error.reason, str(error)))
        return None
    try:
        image = decode_image(pair.image, where=pair.where, max_pixels=recipe.max_pixels)
    except BadImage as error:
        on_drop(Dropped(pair.key, f"image: {error.reason}", str(error)))
        return None
    drawn = draw_augmentations(
        pair.key, recipe.num_augmentations, image.size, seed=recipe.seed, settings=recipe.augmentation
    )
    draft = _Draft(
        key=pair.key,
        data=pair.image,
        where=pair.where,
        image_size=image.size,
        captions=pair.captions,
        synthetic=(),
        augmentations=drawn,
    )
    return draft, image


def _caption(
    images: Sequence[tuple[str, Image.Image]], captioner: Captioner, recipe: Recipe
) -> list[list[str]]:
    """Synthetic captions of at most a batch of images."""
    if not recipe.num_synthetic_captions or not images:
        return [[] for _ in images]
    [(batch, count)] = equal_batches(images, recipe.batch_size)
    seeds = [int(stream(recipe.seed, f"captions of {key}").integers(MAX_SEED)) for key, _ in batch]
    captions = captioner.caption(
        [image for _, image in batch], recipe.num_synthetic_captions, seeds, [key for key, _ in batch]
    )
    return captions[:count]


def _embed_views(
    drafts: Sequence[_Draft], teachers: Sequence[Teacher], recipe: Recipe
) -> Float32[np.ndarray, "views total_width"]:
    """Rows of all augmented images, of one sample after the other."""
    rows: list[list[np.ndarray]] = [[] for _ in teachers]
    for views, count in _batches_of_views(drafts, teachers, recipe):
        for teacher, found in zip(teachers, rows, strict=True):
            found.append(teacher.embed_images(views[teacher.image_size])[:count])
    return _joined(rows, teachers)


def _batches_of_views(
    drafts: Sequence[_Draft], teachers: Sequence[Teacher], recipe: Recipe
) -> Iterator[tuple[Mapping[int, list[Image.Image]], int]]:
    """Batches of augmented images by size, and how many of a batch count; one image is decoded at a time."""
    sizes = sorted({teacher.image_size for teacher in teachers})
    wanted = [(draft, augmentation) for draft in drafts for augmentation in draft.augmentations]
    decoded: tuple[str, Image.Image] | None = None
    for batch, count in equal_batches(wanted, recipe.batch_size):
        views: dict[int, list[Image.Image]] = {size: [] for size in sizes}
        for draft, augmentation in batch[:count]:
            if decoded is None or decoded[0] != draft.key:
                image = decode_image(draft.data, where=draft.where, max_pixels=recipe.max_pixels)
                decoded = draft.key, image
            for size, found in views.items():
                found.append(replay(decoded[1], augmentation, size=size, geometry=recipe.geometry))
        for found in views.values():
            found += [found[-1]] * (recipe.batch_size - count)
        yield views, count


def _embed_texts(
    drafts: Sequence[_Draft], teachers: Sequence[Teacher], batch_size: int
) -> Float32[np.ndarray, "texts total_width"]:
    """Rows of all captions: of each sample the real ones, then the synthetic ones."""
    texts = [text for draft in drafts for text in (*draft.captions, *draft.synthetic)]
    rows: list[list[np.ndarray]] = [[] for _ in teachers]
    for batch, count in equal_batches(texts, batch_size):
        for teacher, found in zip(teachers, rows, strict=True):
            found.append(teacher.embed_texts(batch)[:count])
    return _joined(rows, teachers)


def _joined(rows: Sequence[Sequence[np.ndarray]], teachers: Sequence[Teacher]) -> np.ndarray:
    return ensemble_rows(
        [
            np.concatenate(found) if found else np.empty((0, teacher.width), np.float32)
            for found, teacher in zip(rows, teachers, strict=True)
        ]
    )


def _carried(draft: _Draft) -> dict[str, bytes]:
    """The image's file under the extension of its format; one of a rarer format as PNG of the same pixels."""
    data = draft.data
    if data.startswith(b"\xff\xd8"):
        return {"jpg": data}
    if data.startswith(b"\x89PNG"):
        return {"png": data}
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return {"webp": data}
    file = io.BytesIO()
    decode_image(data, where=draft.where).save(file, "PNG")
    return {"png": file.getvalue()}
