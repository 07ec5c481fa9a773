"""The question of `training_step` on one GPU: MobileCLIP-S0, batches of 256 pairs, bfloat16 autocast.

Here the images lie on the device already, at the student's and at the teachers' size, and tokens are random,
so neither arm waits for decoding. The stored arm reads three rows of both teachers a pair from a file that is
mapped into memory, and copies them to the device. Teachers are timm's ViT-L/14 with a text encoder of this
toolkit at CLIP's sizes (width 768, 12 layers): open_clip need not be there. Both arms must have the same loss
on rows that the teachers made. At scale smoke the same code runs with small models on the CPU.
"""

import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from mobileclip.architectures import ARCHITECTURES, TextTower
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.text_encoder import build_text_encoder
from mobileclip.objectives import reinforced_loss, split_teachers
from toolkit_shared.optimization import parameter_groups
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

STORED, ONLINE = "stored embeddings", "two teachers run along"
LOGIT_SCALE = 100.0
PARITY = 2e-2  # of the loss; products in bfloat16, logits of up to 100
QUESTION = Question(
    name="reinforced-step-gpu",
    toolkit="mobileclip",
    expected="at least 3 times the pairs/s of two ViT-L/14 teachers that run along",
    holds=lambda ratio: ratio >= 3.0,
    packages=["mobileclip", "torch", "timm"],
    unit="pairs",
    scale="gpu",
)


@dataclass(frozen=True)
class Sizes:
    """What is timed."""

    device: str
    student: str
    teacher: str
    teacher_text: TextTower
    width: int
    image_size: int
    batch_size: int
    steps: int


FULL = Sizes(
    device="cuda",
    student="MobileCLIP-S0",
    teacher="vit_large_patch14_clip_224",
    teacher_text=TextTower(width=768, layers=12, heads=12, causal=True),
    width=768,
    image_size=224,
    batch_size=256,
    steps=4,
)
SMOKE = Sizes(
    device="cpu",
    student="MobileCLIP-Tiny",
    teacher="vit_tiny_patch16_224",
    teacher_text=TextTower(width=64, layers=1, heads=1, causal=True),
    width=32,
    image_size=224,
    batch_size=2,
    steps=1,
)


class Teacher(nn.Module):
    """A teacher of the sizes of open_clip's ViT-L/14, with random weights."""

    def __init__(self, sizes: Sizes, seed: int) -> None:
        super().__init__()
        import timm

        torch.manual_seed(seed)
        self.image_encoder = timm.create_model(sizes.teacher, num_classes=sizes.width)
        self.text_encoder = build_text_encoder(sizes.teacher_text, sizes.width)
        self.eval().requires_grad_(False)

    @torch.no_grad()
    def forward(self, images: Tensor, streams: list[Tensor]) -> list[Tensor]:
        """Unit rows of the images and of each stream of texts."""
        texts = self.text_encoder(torch.cat(streams)).split([len(stream) for stream in streams])
        return [F.normalize(rows.float(), dim=1) for rows in (self.image_encoder(images), *texts)]


class Steps:
    """A student with its optimizer, both teachers, and a batch on the device.

    Args:
        sizes: Of all.
        folder: Where the stored rows lie.
    """

    def __init__(self, sizes: Sizes, folder: Path) -> None:
        self.sizes = sizes
        torch.manual_seed(0)
        architecture = ARCHITECTURES[sizes.student]
        model = ImageTextModel(architecture).train().to(sizes.device)
        # On the CPU of torch 2.15 the backward pass of these encoders in channels-last corrupts the heap.
        on_gpu = sizes.device == "cuda"
        self.layout = torch.channels_last if on_gpu else torch.contiguous_format
        self.model = model.to(memory_format=self.layout)
        self.teachers = [Teacher(sizes, seed).to(sizes.device) for seed in (1, 2)]
        self.optimizer = torch.optim.AdamW(
            parameter_groups(model, 0.2), lr=1e-4, betas=(0.9, 0.95), fused=on_gpu
        )
        generator = torch.Generator().manual_seed(0)

        def images(size: int) -> Tensor:
            pixels = torch.rand(sizes.batch_size, 3, size, size, generator=generator)
            return pixels.to(sizes.device).contiguous(memory_format=self.layout)

        self.images, self.views = images(architecture.image.image_size), images(sizes.image_size)
        context = architecture.text.context_length
        self.streams = [
            torch.randint(1, 49_407, (sizes.batch_size, context), generator=generator).to(sizes.device)
            for _ in range(2)
        ]
        for tokens in self.streams:
            tokens[:, -1] = 49_407
        self.path = folder / "rows.f32"
        rows = np.stack([part.cpu().numpy() for part in self._taught()])
        rows.tofile(self.path)
        self.shape = rows.shape  # images and two streams, pairs, width of both teachers

    def step(self, *, online: bool) -> float:
        """Optimizer steps; their pairs."""
        for _ in range(self.sizes.steps):
            loss = self.loss(online=online)
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
            self.optimizer.step()
        if self.sizes.device == "cuda":
            torch.cuda.synchronize()
        return float(self.sizes.steps * self.sizes.batch_size)

    def loss(self, *, online: bool) -> Tensor:
        """The reinforced loss at lambda 1."""
        rows = self._taught() if online else self._stored()
        images, *texts = (split_teachers(part, [self.sizes.width] * 2) for part in rows)
        with self._autocast():
            encoded = self.model.encode_image(self.images, normalize=True)
            both = self.model.encode_text(torch.cat(self.streams), normalize=True, truncate=False)
        streams = list(torch.split(both, self.sizes.batch_size))
        scale: Tensor = self.model.logit_scale.exp()
        loss: Tensor = reinforced_loss(encoded, streams, scale, images, texts, [LOGIT_SCALE] * 2).loss
        return loss

    def _taught(self) -> list[Tensor]:
        with self._autocast():
            found = [teacher(self.views, self.streams) for teacher in self.teachers]
        return [torch.cat(parts, dim=1) for parts in zip(*found, strict=True)]

    def _stored(self) -> list[Tensor]:
        mapped = np.memmap(self.path, dtype=np.float32, mode="r", shape=self.shape)
        rows = torch.from_numpy(np.array(mapped))  # what a loader hands over
        if self.sizes.device == "cuda":
            rows = rows.pin_memory()
        return list(rows.to(self.sizes.device, non_blocking=True))

    def _autocast(self) -> torch.autocast:
        return torch.autocast(self.sizes.device, torch.bfloat16, enabled=self.sizes.device == "cuda")


def measure(options: Options) -> Finding | None:
    """Time steps of both arms in turn; nothing where there is no GPU."""
    smoke = options.scale == "smoke"
    if not smoke and not torch.cuda.is_available():
        print("reinforced step gpu: skipped, there is no CUDA device")
        return None
    with tempfile.TemporaryDirectory() as name:
        steps = Steps(SMOKE if smoke else FULL, Path(name))
        losses = [steps.loss(online=online).item() for online in (False, True)]
        assert abs(losses[0] - losses[1]) <= PARITY * abs(losses[1]), f"losses {losses}"
        samples = alternate(
            {
                STORED: lambda: timed(lambda: steps.step(online=False)),
                ONLINE: lambda: timed(lambda: steps.step(online=True)),
            },
            repeats=options.repeats,
            warm_up=options.pick(1, 2),
            progress=report_round,
        )
    note = f"batches of {steps.sizes.batch_size}, eager, bfloat16 autocast, channels last"
    if not smoke:
        memory = torch.cuda.max_memory_allocated() / 2**30
        note += f"; {torch.cuda.get_device_name()}, peak memory of both arms together {memory:.1f} GiB"
    return Finding(samples, STORED, ONLINE, "kernels of the student, most of them memory-bound", note=note)


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=5)


if __name__ == "__main__":
    sys.exit(main())
