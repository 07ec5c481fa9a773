"""What does a training step cost with stored embeddings, against two teachers that run along?

Pairs a second of whole optimizer steps of one student: the images decoded and replayed, both caption
streams, forward, backward and AdamW. One arm reads the teachers' rows from a store; the other draws a fresh
augmentation and embeds images and captions by the teachers in every step, as distillation without a store has
to. Student and teachers have random weights, on which the time does not depend.

Before the timing both ways must have the same loss on the same batch: the store is written by the teachers.
"""

import gc
import io
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from mobileclip.architectures import OPENAI_MEAN, OPENAI_STD
from mobileclip.models.factory import create_model
from mobileclip.models.teachers import EncoderTeacher
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter
from mobileclip.reinforcement.teacher import ensemble_rows
from mobileclip.replay import draw_augmentations, replay
from mobileclip.settings import CheckSettings, ReinforcementSettings
from mobileclip.tokenization import ClipTokenizer
from mobileclip.training.dataset import StepDataset
from mobileclip.training.module import ReinforcedTraining
from mobileclip.training.online import OnlineTeachers
from mobileclip.training.plan import Sources, make_plan
from PIL import Image
from toolkit_shared.artifacts import claim_folder
from toolkit_shared.randomness import stream
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.measurement import alternate, timed
from benchmarks.question import Finding, Options, Question, answer, report_round

STORED, ONLINE = "stored embeddings", "two teachers run along"
STUDENT, TEACHER = "MobileCLIP-S0", "ViT-L-14"
SEED = 0
PARITY = 1e-4  # of the loss: rows of float32 products in batches of another order
QUESTION = Question(
    name="reinforced-step",
    toolkit="mobileclip",
    expected="at least 3 times the pairs/s of two ViT-L/14 teachers that run along (13 by multiply-adds)",
    holds=lambda ratio: ratio >= 3.0,
    packages=["mobileclip", "torch", "open_clip_torch"],
    unit="pairs",
)


def make_teachers(smoke: bool) -> list[EncoderTeacher]:
    """Two teachers with random weights of two seeds: open_clip's ViT-L/14, or small ones."""
    teachers = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        if smoke:
            small = create_model("MobileCLIP-Tiny")
            model, size, width = small, small.architecture.image.image_size, small.architecture.embed_dim
        else:
            import open_clip

            model, size, width = open_clip.create_model(TEACHER, pretrained=None).eval(), 224, 768
        teachers.append(
            EncoderTeacher(
                name=f"{TEACHER if not smoke else 'tiny'} of seed {seed}",
                width=width,
                image_size=size,
                logit_scale=100.0,
                fingerprint=f"seed {seed}",
                mean=OPENAI_MEAN,
                std=OPENAI_STD,
                encode_image=model.encode_image,
                encode_text=model.encode_text,
                tokenize=ClipTokenizer(),
                device=torch.device("cpu"),
            )
        )
    return teachers


def write_pairs(folder: Path, count: int) -> Path:
    """JPEG images of DataComp's size, smooth so that they compress as photographs do, with captions."""
    folder.mkdir()
    for number in range(count):
        random = stream(SEED, "benchmark image", number)
        coarse = random.integers(0, 256, (24, 32, 3), dtype=np.uint8)
        image = Image.fromarray(coarse).resize((512, 384), Image.Resampling.BICUBIC)
        image.save(folder / f"{number:04d}.jpg", quality=90)
        (folder / f"{number:04d}.txt").write_text(f"photograph number {number} of a blurred field\n")
    return folder


def write_store(folder: Path, pairs: Path, teachers: list[EncoderTeacher]) -> Path:
    """A store of one augmentation, one real and one synthetic caption a pair, embedded by the teachers."""
    claim_folder(folder, kind=STORE_KIND, config={})
    infos = tuple(TeacherInfo(one.name, one.width, one.logit_scale) for one in teachers)
    samples = []
    for path in sorted(pairs.glob("*.jpg")):
        image = Image.open(io.BytesIO(path.read_bytes())).convert("RGB")
        augmentations = draw_augmentations(path.stem, 1, image.size, seed=SEED)
        captions = (path.with_suffix(".txt").read_text().strip(),)
        synthetic = (f"a soft picture, {path.stem}",)
        images, real, invented = (
            [one.embed_images([replay(image, augmentations[0], size=one.image_size)]) for one in teachers],
            [one.embed_texts(captions) for one in teachers],
            [one.embed_texts(synthetic) for one in teachers],
        )
        samples.append(
            Reinforcement(
                key=path.stem,
                captions=captions,
                synthetic_captions=synthetic,
                augmentations=augmentations,
                image_embeddings=ensemble_rows(images),
                text_embeddings=ensemble_rows(real),
                synthetic_embeddings=ensemble_rows(invented),
                precision="float32",
                teachers=infos,
                image_size=image.size,
            )
        )
    writer = StoreWriter(folder=folder, teachers=infos, precision="float32")
    writer.write_part(0, samples)
    writer.finish(1)
    return folder


class Steps:
    """Optimizer steps of one arm.

    Args:
        sources: Pairs and their store.
        student: Name of the student.
        teachers: The two.
        batch_size: Pairs of a step.
        online: Whether the teachers run along.
    """

    def __init__(
        self,
        sources: Sources,
        student: str,
        teachers: list[EncoderTeacher],
        *,
        batch_size: int,
        online: bool,
    ) -> None:
        torch.manual_seed(SEED)
        model = create_model(student).train()
        self.module = ReinforcedTraining(
            model,
            teacher_widths=[one.width for one in teachers],
            teacher_scales=[one.logit_scale for one in teachers],
            distillation_weight=1.0,
            online=OnlineTeachers(loaded=teachers) if online else None,
            total_steps=1000,
            lr=1e-4,
        )
        self.optimizer = self.module.configure_optimizers()["optimizer"]
        self.sources, self.model, self.batch_size, self.steps = sources, model, batch_size, 0
        self.sizes = [one.image_size for one in teachers]
        self.dataset = self.batches("strong" if online else "stored", self.sizes if online else [])

    def batches(self, augmentation: str, teacher_sizes: list[int]) -> StepDataset:
        """The batches of an arm."""
        architecture = self.model.architecture
        pairs, store = self.sources.open()
        return StepDataset(
            *(pairs, store, make_plan(self.sources, CheckSettings(images="header"))),
            steps=1000,
            batch_size=self.batch_size,
            seed=SEED,
            image_size=architecture.image.image_size,
            mean=architecture.preprocessing.mean,
            std=architecture.preprocessing.std,
            context_length=architecture.text.context_length,
            settings=ReinforcementSettings(),
            augmentation=augmentation,
            teacher_sizes=teacher_sizes,
        )

    def step(self) -> float:
        """One optimizer step, its batch included; its pairs."""
        loss, _ = self.module.losses(self.dataset[self.steps])
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.module.parameters(), 1.0)
        self.optimizer.step()
        self.steps += 1
        return float(self.batch_size)

    def loss_of_stored_augmentations(self) -> float:
        """The loss of the first batch, on the augmentations of the store, however the teachers' rows come."""
        with torch.no_grad():
            return float(self.module.losses(self.batches("stored", self.sizes)[0])[0])


def measure(options: Options) -> Finding:
    """Time steps of both arms in turn."""
    torch.set_num_threads(1)
    smoke = options.scale == "smoke"
    student, batch_size = ("MobileCLIP-Tiny", 2) if smoke else (STUDENT, 4)
    teachers = make_teachers(smoke)
    with tempfile.TemporaryDirectory() as name:
        pairs = write_pairs(Path(name, "pairs"), batch_size)
        sources = Sources(pairs, write_store(Path(name, "store"), pairs, teachers))
        arms = {
            name: Steps(sources, student, teachers, batch_size=batch_size, online=online)
            for name, online in ((STORED, False), (ONLINE, True))
        }
        losses = {name: arm.loss_of_stored_augmentations() for name, arm in arms.items()}
        assert abs(losses[STORED] - losses[ONLINE]) <= PARITY * abs(losses[ONLINE]), f"losses {losses}"
        gc.collect()
        samples = alternate(
            {name: lambda arm=arm: timed(arm.step) for name, arm in arms.items()},  # type: ignore[misc]
            repeats=options.repeats,
            progress=report_round,
        )
    note = describe(arms[STORED], teachers)
    return Finding(samples, STORED, ONLINE, "matrix products and convolutions of the student", note=note)


def describe(steps: Steps, teachers: list[EncoderTeacher]) -> str:
    """Multiply-adds of a pair in each arm, of which a student's backward pass takes twice the forward's."""
    model, one = steps.model.eval(), teachers[0]
    architecture = model.architecture
    tokens = ClipTokenizer(architecture.text.context_length)("a text")
    size = architecture.image.image_size
    image = multiply_adds(model.encode_image, torch.zeros(1, 3, size, size))
    text = multiply_adds(model.encode_text, tokens)
    view = torch.zeros(1, 3, one.image_size, one.image_size)
    taught = multiply_adds(one.encode_image, view)
    taught += 2 * multiply_adds(one.encode_text, one.tokenize(["a text"]))
    student, teacher = 3 * (image + 2 * text), len(teachers) * taught
    return (
        f"batches of {steps.batch_size}, one thread, float32; by multiply-adds a pair costs "
        f"{student / 1e9:.1f} G with the store and {(student + teacher) / 1e9:.1f} G with the teachers, "
        f"{(student + teacher) / student:.1f} times as much; losses of both arms agree on the same batch"
    )


def multiply_adds(function: Callable[[Tensor], Tensor], inputs: Tensor) -> int:
    """Multiply-adds of convolutions and matrix products in one call, as torch's own counter finds them."""
    fast = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # one fused operator, which is not counted
    try:
        with FlopCounterMode(display=False) as counter:  # its hooks need gradients to be recorded
            function(inputs)
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
    return int(counter.get_total_flops()) // 2


def main(argv: list[str] | None = None) -> int:
    """Answer the question; the exit code."""
    return answer(QUESTION, measure, argv, repeats=5)


if __name__ == "__main__":
    sys.exit(main())
