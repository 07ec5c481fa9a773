"""What is compared with what: regimes, arms and sizes; plain values only.

The regimes were fixed before the runs of the claims. `MILD` was chosen after `HARSH` had been seen once, in a
prototype; therefore the harsh ladder is reported beside it.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

Augmenting = Literal["weak", "strong"]

WEAK_CLIP, STRONG_CLIP, SYNTHETIC_CLIP = "A", "B", "C"
DISTILL_REAL, ONE_TEACHER, REINFORCED, MIXED_LOSS = "D", "E", "F", "G"
ONE_AUGMENTATION, MISALIGNED, WEAK_STORED = "F-one-augmentation", "F-misaligned", "F-weak"


@dataclass(frozen=True, kw_only=True)
class Regime:
    """How hard the images are augmented, how many pairs there are, and how often the captioner errs.

    Attributes:
        name: Name in tables and files.
        noise: Standard deviation of the noise of a strong augmentation; pixels are in 0..1.
        roll_pixels: Largest shift of the whole image, in pixels, each way.
        num_pairs: Training pairs of a student.
        caption_error_ratio: How often a synthetic caption has a digit wrong, each of the two apart.
    """

    name: str
    noise: float
    roll_pixels: int
    num_pairs: int
    caption_error_ratio: float


MILD = Regime(name="mild", noise=0.1, roll_pixels=0, num_pairs=1000, caption_error_ratio=0.35)
HARSH = Regime(name="harsh", noise=0.2, roll_pixels=1, num_pairs=1500, caption_error_ratio=0.1)
REGIMES: Mapping[str, Regime] = {regime.name: regime for regime in (MILD, HARSH)}


@dataclass(frozen=True, kw_only=True)
class Arm:
    """One way to train a student.

    Attributes:
        name: Name in tables and files.
        words: What it is.
        augmentation: Which augmentations were stored.
        synthetic: Whether a second stream has synthetic captions; the losses of the two are added.
        num_teachers: How many teachers' embeddings are used; 0 for plain CLIP.
        distillation_weight: Lambda of the loss, 0..1.
        one_augmentation: Only the first of the stored augmentations is ever used.
        misaligned: The image's embedding is that of the augmentation after the one that is replayed: a
            planted fault.
    """

    name: str
    words: str
    augmentation: Augmenting = "strong"
    synthetic: bool = False
    num_teachers: int = 0
    distillation_weight: float = 0.0
    one_augmentation: bool = False
    misaligned: bool = False


_FULL = Arm(
    name=REINFORCED,
    words="reinforced: distillation from 2 teachers, real and synthetic captions",
    synthetic=True,
    num_teachers=2,
    distillation_weight=1.0,
)
ARMS: Mapping[str, Arm] = {
    arm.name: arm
    for arm in (
        Arm(name=WEAK_CLIP, words="CLIP, weak augmentation", augmentation="weak"),
        Arm(name=STRONG_CLIP, words="CLIP, strong augmentation"),
        Arm(name=SYNTHETIC_CLIP, words="CLIP, and synthetic captions", synthetic=True),
        Arm(
            name=DISTILL_REAL,
            words="distillation from 2 teachers, real captions alone",
            num_teachers=2,
            distillation_weight=1.0,
        ),
        replace(_FULL, name=ONE_TEACHER, words="as F, with 1 teacher", num_teachers=1),
        _FULL,
        replace(_FULL, name=MIXED_LOSS, words="as F, with 0.3 of the CLIP loss", distillation_weight=0.7),
        replace(_FULL, name=ONE_AUGMENTATION, words="as F, 1 stored augmentation", one_augmentation=True),
        replace(_FULL, name=MISALIGNED, words="as F, embeddings of the next augmentation", misaligned=True),
        replace(_FULL, name=WEAK_STORED, words="as F, weak augmentations stored", augmentation="weak"),
    )
}
LADDER = (WEAK_CLIP, STRONG_CLIP, SYNTHETIC_CLIP, DISTILL_REAL, ONE_TEACHER, REINFORCED, MIXED_LOSS)
ARMS_OF: Mapping[str, tuple[str, ...]] = {
    MILD.name: LADDER,
    HARSH.name: (*LADDER, ONE_AUGMENTATION, MISALIGNED, WEAK_STORED),
}
CURVE_ARMS = (STRONG_CLIP, REINFORCED)


@dataclass(frozen=True, kw_only=True)
class ExperimentSettings:
    """Sizes that all arms share.

    Attributes:
        steps: Optimizer steps of a student.
        batch_size: Pairs of a step; all of them where there are fewer.
        lr: Highest learning rate.
        warmup_ratio: Fraction of the steps in which it rises; then it falls along a cosine to 0.
        weight_decay: Of weight matrices.
        width: Hidden units of both towers of a student.
        embed_dim: Width of the common space.
        word_dim: Width of a word's embedding; a caption's 12 are laid side by side.
        num_augmentations: Stored for each pair.
        num_synthetic: Synthetic captions of each pair.
        teacher_width: Hidden units of a teacher.
        teacher_steps: Optimizer steps of a teacher.
        teacher_pairs: Its training pairs, from digits that no student trains on.
        teacher_clean_ratio: Fraction of its captions that are full and right.
        teacher_scale: Scale of a teacher's logits in the distillation; 1 over the temperature.
        test_pairs: Pairs of the zero-shot test, from digits that nothing trains on.
        curve_step_ratios: Fractions of `steps` of the learning curve over steps; the last is 1.
        curve_pair_ratios: Fractions of the pairs of the curve over pairs; the last is 1.
    """

    steps: int = 600
    batch_size: int = 256
    lr: float = 2e-3
    warmup_ratio: float = 0.05
    weight_decay: float = 0.2
    width: int = 96
    embed_dim: int = 32
    word_dim: int = 16
    num_augmentations: int = 10
    num_synthetic: int = 5
    teacher_width: int = 256
    teacher_steps: int = 1000
    teacher_pairs: int = 12_000
    teacher_clean_ratio: float = 0.6
    teacher_scale: float = 20.0
    test_pairs: int = 2000
    curve_step_ratios: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
    curve_pair_ratios: tuple[float, ...] = (0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)

    def as_dict(self) -> dict[str, Any]:
        """All fields by name, as JSON values."""
        return {
            name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()
        }


SMOKE = ExperimentSettings(
    steps=12,
    batch_size=32,
    num_augmentations=3,
    teacher_width=32,
    teacher_steps=20,
    teacher_pairs=400,
    test_pairs=100,
    curve_step_ratios=(0.1, 0.5, 1.0),
    curve_pair_ratios=(0.1, 0.5, 1.0),
)


def settings_for(scale: Literal["cpu", "smoke"]) -> ExperimentSettings:
    """The sizes of a scale: "cpu" for an answer, "smoke" to see that all of it runs.

    Source: widths, steps, batch, learning rate, betas, weight decay and the teachers' sizes follow the
    prototype of this experiment; the schedule and the clipping of gradients are the paper's training. The
    rest is our choice.
    """
    return SMOKE if scale == "smoke" else ExperimentSettings()


def regimes_for(scale: Literal["cpu", "smoke"]) -> tuple[Regime, ...]:
    """Both regimes; at scale smoke with few pairs."""
    if scale == "smoke":
        return tuple(replace(regime, num_pairs=48) for regime in REGIMES.values())
    return tuple(REGIMES.values())
