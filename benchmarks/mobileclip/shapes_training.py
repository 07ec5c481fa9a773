"""Teachers and students of the shapes experiment: real MCi0 and mct towers at 64 pixels, on one device."""

import itertools
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from mobileclip.architectures import MCI0, MCT, Architecture, TextTower, VisionTransformer
from mobileclip.models.clip import ImageTextModel
from mobileclip.objectives import clip_loss, reinforced_loss
from toolkit_shared.optimization import cosine_schedule, parameter_groups
from toolkit_shared.randomness import stream
from torch import Tensor, nn

from benchmarks.mobileclip import shapes_scenes as scenes

TEACHER_SCALE = 50.0
BETAS = (0.9, 0.95)
# by arm: strong augmentation, synthetic captions, distillation
ARMS = {
    "A": (False, False, False),
    "B": (True, False, False),
    "C": (True, True, False),
    "D": (True, False, True),
    "F": (True, True, True),
}


@dataclass(frozen=True, kw_only=True)
class Sizes:
    """Sizes of the experiment.

    Attributes:
        num_pairs: Scenes of a student's pool, and of a teacher's.
        test_pairs: Scenes of the zero-shot test.
        steps: Optimizer steps of a student.
        teacher_steps: Of a teacher.
        batch_size: Pairs of a step.
        num_augmentations: Stored for each image.
        num_synthetic: Synthetic captions of each image.
        caption_error_ratio: How often the captioner has an attribute wrong.
        lr: Highest learning rate.
        warmup_ratio: Fraction of the steps in which it rises.
        weight_decay: Of matrices.
        student: Architecture of the students.
        teacher: Architecture of the two teachers.
        device: "cpu" or "cuda".
        compiled: Whether the students' training is compiled.
    """

    num_pairs: int = 98_304  # 48 batches
    test_pairs: int = 8_192
    steps: int = 240
    teacher_steps: int = 2_000
    batch_size: int = 2_048
    num_augmentations: int = 4
    num_synthetic: int = 5
    caption_error_ratio: float = 0.25
    lr: float = 1e-3
    warmup_ratio: float = 0.1
    weight_decay: float = 0.2
    student: Architecture
    teacher: Architecture
    device: str
    compiled: bool

    def describe(self) -> str:
        """The sizes in a line."""
        return (
            f"{self.num_pairs:,} scenes of {scenes.PIXELS} pixels, {scenes.NUM_CLASSES:,} classes, batch "
            f"{self.batch_size:,}, {self.steps} steps (teachers {self.teacher_steps}), "
            f"{self.num_augmentations} augmentations and {self.num_synthetic} synthetic captions stored, "
            f"captioner's error {self.caption_error_ratio:g}, lr {self.lr:g}"
        )


def full_sizes(device: str, *, compiled: bool) -> Sizes:
    """The sizes for a GPU: MCi0 with the text tower of S0 at half its width; teachers of ViT-S's width."""
    text = replace(
        MCT, width=256, heads=4, context_length=scenes.CONTEXT_LENGTH, vocabulary=scenes.VOCABULARY
    )
    plain = replace(text, rep_blocks=False, layers=6)
    vit = VisionTransformer(
        width=384, layers=6, heads=6, patch_size=8, stem="patch", image_size=scenes.PIXELS
    )
    return Sizes(
        student=Architecture(embed_dim=256, image=replace(MCI0, image_size=scenes.PIXELS), text=text),
        teacher=Architecture(embed_dim=256, image=vit, text=plain),
        device=device,
        compiled=compiled,
    )


def smoke_sizes() -> Sizes:
    """Tiny sizes for the CPU, to see that all of it runs."""
    text = TextTower(
        width=32,
        layers=1,
        heads=1,
        causal=False,
        rep_blocks=True,
        context_length=scenes.CONTEXT_LENGTH,
        vocabulary=scenes.VOCABULARY,
    )
    image = replace(MCI0, depths=(1, 1, 1, 1), widths=(16, 32, 64, 128), image_size=scenes.PIXELS)
    vit = VisionTransformer(
        width=64, layers=1, heads=1, patch_size=16, stem="patch", image_size=scenes.PIXELS
    )
    return Sizes(
        num_pairs=64,
        test_pairs=32,
        steps=2,
        teacher_steps=2,
        batch_size=16,
        num_augmentations=2,
        num_synthetic=2,
        student=Architecture(embed_dim=16, image=image, text=text),
        teacher=Architecture(embed_dim=16, image=vit, text=replace(text, rep_blocks=False)),
        device="cpu",
        compiled=False,
    )


@dataclass(frozen=True)
class Pool:
    """Pairs on the device with what was stored of them; teachers' rows are float16, one tensor a teacher."""

    images: Tensor
    texts: Tensor
    synthetic_texts: Tensor
    weak: scenes.Views
    strong: scenes.Views
    teacher_images: tuple[Tensor, ...] = ()
    teacher_texts: tuple[Tensor, ...] = ()
    teacher_synthetic_texts: tuple[Tensor, ...] = ()


class ShapesExperiment:
    """Teachers that all seeds share, and one student whose weights are set anew for every arm and seed.

    The student is one object because a compiled model is compiled for that object.
    """

    def __init__(self, sizes: Sizes, report: Callable[[str], None]) -> None:
        self.sizes, self.report = sizes, report
        self.test_parts = scenes.draw_parts(sizes.test_pairs, stream(0, "test scenes"))
        self.test_images = self._render(self.test_parts, "test scenes")
        self.prompts = self._tensor(scenes.full_captions(scenes.all_parts()))
        self.teachers = [self._teacher(index) for index in range(2)]
        self.teacher_accuracy = [self.accuracy(teacher) for teacher in self.teachers]
        report(f"teachers: {', '.join(f'{100 * value:.1f} %' for value in self.teacher_accuracy)}")
        self.student = self._build(sizes.student, 0)
        # only training is compiled, where all batches have one shape; evaluation would compile it all again
        self.encoders = (self.student.encode_image, self.student.encode_text)
        if sizes.compiled:
            self.encoders = (torch.compile(self.encoders[0]), torch.compile(self.encoders[1]))

    def run_seed(self, seed: int) -> dict[str, Any]:
        """Every arm of a seed: accuracies, last losses and seconds, as JSON values."""
        started = time.monotonic()
        pool = self._pool(seed)
        found: dict[str, Any] = {"seed": seed, "arms": {}}
        turn = seed % len(ARMS)
        for arm in (*list(ARMS)[turn:], *list(ARMS)[:turn]):
            clock = time.monotonic()
            loss = self._train_student(arm, pool, seed)
            value = self.accuracy(self.student)
            seconds = time.monotonic() - clock
            found["arms"][arm] = {"accuracy": value, "last_loss": loss, "seconds": seconds}
            self.report(f"seed {seed}, arm {arm}: {100 * value:.2f} %, {seconds:.1f} s")
        found["arms"] = {arm: found["arms"][arm] for arm in ARMS}
        return {**found, "seconds": time.monotonic() - started}

    @torch.no_grad()
    def accuracy(self, model: ImageTextModel) -> float:
        """Fraction of the test scenes whose own class has the most similar prompt."""
        model.eval()
        with self._autocast():
            prompts = torch.cat(
                [model.encode_text(part, normalize=True) for part in torch.split(self.prompts, 1024)]
            )
            hits = 0
            truth = self._tensor(scenes.classes_of(self.test_parts))
            for images, labels in zip(
                torch.split(self.test_images, 1024), torch.split(truth, 1024), strict=True
            ):
                features = model.encode_image(_layout(images.float() / 255), normalize=True)
                hits += int(((features.float() @ prompts.float().T).argmax(1) == labels).sum())
        return hits / len(truth)

    def _teacher(self, index: int) -> ImageTextModel:
        sizes = self.sizes
        rng = stream(0, "teacher", index)
        parts = scenes.draw_parts(sizes.num_pairs, rng)
        images, texts = self._render(parts, f"teacher {index}"), self._tensor(scenes.full_captions(parts))
        generator = self._generator(f"teacher {index} views")
        views = scenes.draw_views(len(parts), sizes.num_augmentations, strong=True, generator=generator)
        model = self._build(sizes.teacher, 1 + index)

        def loss() -> Tensor:
            rows, which = self._draw(rng, len(parts), sizes.num_augmentations)
            with self._autocast():
                seen = model.encode_image(_layout(scenes.replay(images, views, rows, which)), normalize=True)
                read = model.encode_text(texts[rows], normalize=True)
            value: Tensor = clip_loss(seen.float(), read.float(), model.logit_scale.exp())
            return value

        self._fit(model, loss, sizes.teacher_steps)
        return model.eval()

    def _pool(self, seed: int) -> Pool:
        """Pairs of a seed, with the teachers' embeddings of the strong augmentations and of all captions."""
        sizes = self.sizes
        parts = scenes.draw_parts(sizes.num_pairs, stream(seed, "student scenes"))
        generator = self._generator(f"views {seed}")
        weak, strong = (
            scenes.draw_views(len(parts), sizes.num_augmentations, strong=kind, generator=generator)
            for kind in (False, True)
        )
        rng = stream(seed, "captioner")
        synthetic = [
            scenes.synthetic_captions(parts, sizes.caption_error_ratio, rng)
            for _ in range(sizes.num_synthetic)
        ]
        pool = Pool(
            images=self._render(parts, f"student {seed}"),
            texts=self._tensor(scenes.web_captions(parts, stream(seed, "web captions"))),
            synthetic_texts=self._tensor(np.stack(synthetic, axis=1)),
            weak=weak,
            strong=strong,
        )
        return replace(
            pool,
            teacher_images=tuple(self._embed_views(teacher, pool) for teacher in self.teachers),
            teacher_texts=tuple(self._embed_texts(teacher, pool.texts) for teacher in self.teachers),
            teacher_synthetic_texts=tuple(
                self._embed_texts(teacher, pool.synthetic_texts) for teacher in self.teachers
            ),
        )

    def _train_student(self, arm: str, pool: Pool, seed: int) -> float:
        sizes, model = self.sizes, self.student
        strong, synthetic, distilled = ARMS[arm]
        encode_image, encode_text = self.encoders
        model.load_state_dict(_fresh(sizes.student, 100 + seed).state_dict())
        model.train()
        views = pool.strong if strong else pool.weak
        rng = stream(seed, "batches")
        teachers = range(2 if distilled else 0)

        def loss() -> Tensor:
            rows, which = self._draw(rng, len(pool.texts), sizes.num_augmentations)
            caption = torch.from_numpy(rng.integers(sizes.num_synthetic, size=len(rows))).to(rows.device)
            texts = [pool.texts[rows]]
            taught = [[pool.teacher_texts[teacher][rows].float() for teacher in teachers]]
            if synthetic:
                texts.append(pool.synthetic_texts[rows, caption])
                taught.append(
                    [pool.teacher_synthetic_texts[teacher][rows, caption].float() for teacher in teachers]
                )
            with self._autocast():
                seen = encode_image(_layout(scenes.replay(pool.images, views, rows, which)), True)
                read = [encode_text(tokens, True).float() for tokens in texts]
            value: Tensor = reinforced_loss(
                seen.float(),
                read,
                model.logit_scale.exp(),
                [pool.teacher_images[teacher][rows, which].float() for teacher in teachers],
                taught,
                [TEACHER_SCALE] * len(teachers),
                distillation_weight=1.0 if distilled else 0.0,
            ).loss
            return value

        return self._fit(model, loss, sizes.steps)

    def _fit(self, model: ImageTextModel, loss_of: Callable[[], Tensor], steps: int) -> float:
        sizes = self.sizes
        optimizer = torch.optim.AdamW(
            parameter_groups(model, sizes.weight_decay),
            lr=sizes.lr,
            betas=BETAS,
            fused=sizes.device == "cuda",
        )
        loss = torch.zeros(())
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = cosine_schedule(
                    step,
                    warmup_steps=max(1, round(sizes.warmup_ratio * steps)),
                    total_steps=steps,
                    lr=sizes.lr,
                    final_lr=0.0,
                )
            optimizer.zero_grad(set_to_none=True)
            loss = loss_of()
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            model.clamp_logit_scale_()
        return float(loss.detach())

    @torch.no_grad()
    def _embed_views(self, teacher: ImageTextModel, pool: Pool) -> Tensor:
        found = []
        every = torch.arange(len(pool.images), device=self.sizes.device)
        with self._autocast():
            for which in range(self.sizes.num_augmentations):
                parts = [
                    teacher.encode_image(
                        _layout(scenes.replay(pool.images, pool.strong, rows, torch.full_like(rows, which))),
                        True,
                    ).half()
                    for rows in torch.split(every, self.sizes.batch_size)
                ]
                found.append(torch.cat(parts))
        return torch.stack(found, dim=1)

    @torch.no_grad()
    def _embed_texts(self, teacher: ImageTextModel, texts: Tensor) -> Tensor:
        flat = texts.flatten(0, -2)
        with self._autocast():
            rows = [
                teacher.encode_text(part, True).half() for part in torch.split(flat, self.sizes.batch_size)
            ]
        return torch.cat(rows).reshape(*texts.shape[:-1], -1)

    def _build(self, architecture: Architecture, seed: int) -> ImageTextModel:
        return _fresh(architecture, seed).to(self.sizes.device, memory_format=_layout_of(self.sizes.device))

    def _draw(self, rng: np.random.Generator, count: int, augmentations: int) -> tuple[Tensor, Tensor]:
        size = min(self.sizes.batch_size, count)
        rows, which = rng.choice(count, size, replace=False), rng.integers(augmentations, size=size)
        return self._tensor(rows), self._tensor(which)

    def _render(self, parts: scenes.Parts, what: str) -> Tensor:
        generator = self._generator(what)
        return torch.cat([scenes.render(part, generator) for part in torch.split(self._tensor(parts), 2048)])

    def _generator(self, what: str) -> torch.Generator:
        return torch.Generator(self.sizes.device).manual_seed(int(stream(0, what).integers(2**31)))

    def _tensor(self, values: Any) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(values)).to(self.sizes.device)

    def _autocast(self) -> torch.autocast:
        cuda = self.sizes.device == "cuda"
        return torch.autocast(self.sizes.device, torch.bfloat16, enabled=cuda)


def _fresh(architecture: Architecture, seed: int) -> ImageTextModel:
    torch.manual_seed(seed)
    return ImageTextModel(architecture)


def _layout(images: Tensor) -> Tensor:
    return images.contiguous(memory_format=_layout_of(images.device.type))


def _layout_of(device: str) -> torch.memory_format:
    # on the CPU, torch 2.15 corrupts memory in depthwise convolutions of weights that are channels last
    return torch.channels_last if device == "cuda" else torch.contiguous_format


def order_broken(runs: Sequence[dict[str, Any]]) -> list[int]:
    """Seeds in which A < B < C < D < F does not hold."""
    broken = []
    for run in runs:
        values = [run["arms"][arm]["accuracy"] for arm in ARMS]
        if any(low >= high for low, high in itertools.pairwise(values)):
            broken.append(run["seed"])
    return broken
