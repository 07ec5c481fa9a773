"""Reinforced digit pairs: stored augmentations and captions, and what the teachers make of exactly those."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from toolkit_shared.randomness import stream
from torch import Tensor

from mobileclip.experiment.augmenting import draw_augmentations, replay
from mobileclip.experiment.captions import synthetic_caption, tokenize, web_caption
from mobileclip.experiment.configuration import Augmenting, ExperimentSettings, Regime
from mobileclip.experiment.digit_pairs import DigitPairs
from mobileclip.experiment.small_models import SmallImageTextModel

TEACHER_CHUNK = 4096


@dataclass(frozen=True)
class ReinforcedPairs:
    """Pairs with all that was stored of them.

    Attributes:
        images: float32 [pairs, augmentations, height, width]: the replayed augmentations.
        texts: int64 [pairs, slots]: real captions.
        synthetic_texts: int64 [pairs, captions, slots].
        teacher_images: One float32 [pairs, augmentations, dim] a teacher, unit rows; row [i, n] belongs to
            images[i, n] and to no other.
        teacher_texts: One [pairs, dim] a teacher.
        teacher_synthetic_texts: One [pairs, captions, dim] a teacher.
    """

    images: Tensor
    texts: Tensor
    synthetic_texts: Tensor
    teacher_images: tuple[Tensor, ...]
    teacher_texts: tuple[Tensor, ...]
    teacher_synthetic_texts: tuple[Tensor, ...]

    def __len__(self) -> int:
        return len(self.images)


def reinforce(
    pairs: DigitPairs,
    teachers: Sequence[SmallImageTextModel],
    kind: Augmenting,
    regime: Regime,
    settings: ExperimentSettings,
    seed: int,
) -> ReinforcedPairs:
    """Draw augmentations and captions of pairs, and embed exactly these with every teacher.

    What a student of another arm sees of a pair is the same; only the kind of augmentation may differ.
    """
    count = len(pairs.images)
    stored = draw_augmentations(
        count, settings.num_augmentations, kind, regime, stream(seed, f"{kind} augmentations")
    )
    images = torch.from_numpy(replay(pairs.images, stored))
    labels = pairs.classes.tolist()
    texts = torch.from_numpy(
        tokenize([web_caption(label, stream(seed, "web caption", i)) for i, label in enumerate(labels)])
    )
    synthetic = []
    for i, label in enumerate(labels):
        rng = stream(seed, "captioner", i)
        synthetic += [
            synthetic_caption(label, regime.caption_error_ratio, rng) for _ in range(settings.num_synthetic)
        ]
    synthetic_texts = torch.from_numpy(tokenize(synthetic).reshape(count, settings.num_synthetic, -1))
    return ReinforcedPairs(
        images=images,
        texts=texts,
        synthetic_texts=synthetic_texts,
        teacher_images=tuple(_embed(teacher.encode_image, images, 2) for teacher in teachers),
        teacher_texts=tuple(_embed(teacher.encode_text, texts, 1) for teacher in teachers),
        teacher_synthetic_texts=tuple(
            _embed(teacher.encode_text, synthetic_texts, 2) for teacher in teachers
        ),
    )


def first_pairs(pairs: ReinforcedPairs, count: int) -> ReinforcedPairs:
    """The first `count` pairs with all that was stored of them."""
    return ReinforcedPairs(
        images=pairs.images[:count],
        texts=pairs.texts[:count],
        synthetic_texts=pairs.synthetic_texts[:count],
        teacher_images=tuple(rows[:count] for rows in pairs.teacher_images),
        teacher_texts=tuple(rows[:count] for rows in pairs.teacher_texts),
        teacher_synthetic_texts=tuple(rows[:count] for rows in pairs.teacher_synthetic_texts),
    )


def _embed(encode: Callable[[Tensor], Tensor], inputs: Tensor, leading: int) -> Tensor:
    """Features of all inputs; their first `leading` axes stay as they are."""
    flat = inputs.flatten(0, leading - 1)
    with torch.no_grad():
        features = torch.cat([encode(chunk) for chunk in torch.split(flat, TEACHER_CHUNK)])
    return features.reshape(*inputs.shape[:leading], -1)
