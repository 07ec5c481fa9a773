"""The trainings of the experiment: teachers by plain CLIP, students by the loss of their arm."""

import functools
from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import torch
from toolkit_shared.contrastive import clip_loss
from toolkit_shared.optimization import cosine_schedule, parameter_groups
from toolkit_shared.randomness import stream
from torch import Tensor, nn

from mobileclip.experiment.augmenting import augment
from mobileclip.experiment.captions import full_caption, tokenize, web_caption
from mobileclip.experiment.configuration import Arm, ExperimentSettings, Regime
from mobileclip.experiment.digit_pairs import NUM_CLASSES, DigitPairs, Pool, draw_pairs
from mobileclip.experiment.reinforcing import ReinforcedPairs
from mobileclip.experiment.small_models import SmallImageTextModel, build_model
from mobileclip.objectives import reinforced_loss

BETAS = (0.9, 0.95)
CLIP_NORM = 1.0


def train_teacher(
    pool: Pool, regime: Regime, settings: ExperimentSettings, seed: int, index: int
) -> SmallImageTextModel:
    """Teacher number `index`, in evaluation mode: plain CLIP on its own pairs, augmented afresh each time."""
    rng = stream(seed, f"{regime.name} teacher", index)
    pairs = draw_pairs(pool, settings.teacher_pairs, rng)
    captions = [
        full_caption(label) if rng.random() < settings.teacher_clean_ratio else web_caption(label, rng)
        for label in pairs.classes.tolist()
    ]
    texts = torch.from_numpy(tokenize(captions))
    model = build_model(
        settings.teacher_width, settings.embed_dim, settings.word_dim, seed=int(rng.integers(2**31))
    )

    def loss(_: int) -> Tensor:
        rows = rng.choice(len(texts), min(settings.batch_size, len(texts)), replace=False)
        images = torch.from_numpy(augment(pairs.images[rows], "strong", regime, rng))
        return clip_loss(model.encode_image(images), model.encode_text(texts[rows]), model.scale())

    _fit(model, loss, settings, settings.teacher_steps)
    return model.eval()


def train_student(
    pairs: ReinforcedPairs, arm: Arm, settings: ExperimentSettings, seed: int, *, steps: int
) -> tuple[SmallImageTextModel, list[float]]:
    """A student of an arm, in evaluation mode, and the loss of every step.

    All arms of a seed begin with the same weights and see the same pairs, augmentations and captions.
    """
    model = build_model(
        settings.width,
        settings.embed_dim,
        settings.word_dim,
        seed=int(stream(seed, "student").integers(2**31)),
    )
    rng = stream(seed, "batches")

    def loss(_: int) -> Tensor:
        rows = rng.choice(len(pairs), min(settings.batch_size, len(pairs)), replace=False)
        augmentations = rng.integers(pairs.images.shape[1], size=len(rows))
        captions = rng.integers(pairs.synthetic_texts.shape[1], size=len(rows))
        return arm_loss(model, pairs, arm, settings.teacher_scale, rows, augmentations, captions)

    losses = _fit(model, loss, settings, steps)
    return model.eval(), losses


def arm_loss(
    model: SmallImageTextModel,
    pairs: ReinforcedPairs,
    arm: Arm,
    teacher_scale: float,
    rows: npt.NDArray[np.int64],
    augmentations: npt.NDArray[np.int64],
    captions: npt.NDArray[np.int64],
) -> Tensor:
    """The loss of an arm for these pairs, with one stored augmentation and one synthetic caption of each."""
    if arm.one_augmentation:
        augmentations = np.zeros_like(augmentations)
    embedded = (augmentations + 1) % pairs.images.shape[1] if arm.misaligned else augmentations
    teachers = range(arm.num_teachers)
    texts = [pairs.texts[rows]]
    teacher_texts = [[pairs.teacher_texts[teacher][rows] for teacher in teachers]]
    if arm.synthetic:
        texts.append(pairs.synthetic_texts[rows, captions])
        teacher_texts.append([pairs.teacher_synthetic_texts[teacher][rows, captions] for teacher in teachers])
    return reinforced_loss(
        model.encode_image(pairs.images[rows, augmentations]),
        [model.encode_text(tokens) for tokens in texts],
        model.scale(),
        [pairs.teacher_images[teacher][rows, embedded] for teacher in teachers],
        teacher_texts,
        [teacher_scale] * arm.num_teachers,
        distillation_weight=arm.distillation_weight,
    ).loss


@torch.no_grad()
def zero_shot_accuracy(model: SmallImageTextModel, test: DigitPairs) -> float:
    """Fraction of the test images whose own class has the most similar prompt, of 200."""
    prompts = model.encode_text(_prompts())
    scores = model.encode_image(torch.from_numpy(test.images)) @ prompts.T
    return float((scores.argmax(dim=1).numpy() == test.classes).mean())


@functools.lru_cache(maxsize=1)
def _prompts() -> Tensor:
    return torch.from_numpy(tokenize([full_caption(label) for label in range(NUM_CLASSES)]))


def _fit(
    model: nn.Module, loss_of: Callable[[int], Tensor], settings: ExperimentSettings, steps: int
) -> list[float]:
    optimizer = torch.optim.AdamW(parameter_groups(model, settings.weight_decay), lr=settings.lr, betas=BETAS)
    warmup_steps = max(1, round(settings.warmup_ratio * steps))
    losses = []
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = cosine_schedule(
                step, warmup_steps=warmup_steps, total_steps=steps, lr=settings.lr, final_lr=0.0
            )
        optimizer.zero_grad(set_to_none=True)
        loss = loss_of(step)
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(model.parameters(), CLIP_NORM)
        optimizer.step()
        losses.append(float(loss.detach()))
    return losses
