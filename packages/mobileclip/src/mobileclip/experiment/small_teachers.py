"""Teachers for the demonstration: a small convolutional network and a bag of words, trained in seconds."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float32
from PIL import Image
from toolkit_shared.contrastive import clip_loss
from toolkit_shared.randomness import stream
from torch import Tensor, nn
from torch.nn import functional

from mobileclip.data.generated import COLOURS, GROUNDS, JUNK, SHAPES, GeneratedPair
from mobileclip.reinforcement.teacher import unit_rows
from mobileclip.replay import AugmentationSettings, draw_augmentations, replay

WORDS = ("a", "on", *COLOURS, *SHAPES, *GROUNDS, *JUNK)
VIEWS = 2
# crops of the published sets (from 8 % of the area on) leave little of a shape that is small already
AUGMENTATION = AugmentationSettings(scale=(0.5, 1.0))
LOGIT_SCALE = 25.0


class SmallTeacher(nn.Module):
    """A teacher as `mobileclip.reinforcement.teacher.Teacher` asks for it.

    Words that are not known count for nothing, and their order does not count either.
    """

    def __init__(self, name: str, width: int, image_size: int = 32, channels: int = 16) -> None:
        super().__init__()
        self.name, self.width, self.image_size, self.logit_scale = name, width, image_size, LOGIT_SCALE
        self.fingerprint = ""
        layers: list[nn.Module] = []
        inputs = 3
        for outputs in (channels, 2 * channels, 2 * channels):
            layers += [nn.Conv2d(inputs, outputs, 3, 2, 1), nn.GELU()]
            inputs = outputs
        side = image_size // 8
        self.image_encoder = nn.Sequential(*layers, nn.Flatten(), nn.Linear(inputs * side * side, width))
        self.text_encoder = nn.Sequential(nn.Linear(len(WORDS), 64), nn.GELU(), nn.Linear(64, width))

    @torch.no_grad()
    def embed_images(self, images: Sequence[Image.Image]) -> Float32[np.ndarray, "images width"]:
        """Unit rows of square RGB images of side `image_size`."""
        return unit_rows(self.image_encoder(pixels_of(images)).numpy())

    @torch.no_grad()
    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Unit rows of captions."""
        return unit_rows(self.text_encoder(counts_of(texts)).numpy())


def train_teachers(
    pairs: Sequence[GeneratedPair], names: Sequence[str], *, seed: int, steps: int, batch_size: int = 64
) -> list[SmallTeacher]:
    """Teachers of these names, trained with CLIP's loss on augmented views of the pairs and true captions."""
    size = SmallTeacher(names[0], 8).image_size
    views = []
    for pair in pairs:
        image = Image.open(io.BytesIO(pair.image)).convert("RGB")
        augmentations = draw_augmentations(pair.key, VIEWS, image.size, seed=seed, settings=AUGMENTATION)
        views.append(pixels_of([replay(image, one, size=size) for one in augmentations]))
    images, texts = torch.stack(views), counts_of([pair.scene.caption for pair in pairs])
    return [
        _train(name, 32 + 16 * number, images, texts, stream(seed, "teacher", number), steps, batch_size)
        for number, name in enumerate(names)
    ]


def pixels_of(images: Sequence[Image.Image]) -> Tensor:
    """Images of one size as float32 [images, 3, height, width] about 0."""
    array = np.stack([np.asarray(image, np.float32) for image in images])
    return torch.from_numpy(array).permute(0, 3, 1, 2) / 127.5 - 1


def counts_of(texts: Sequence[str]) -> Tensor:
    """How often each known word occurs, float32 [texts, words]."""
    rows = [[text.split().count(word) for word in WORDS] for text in texts]
    return torch.tensor(rows, dtype=torch.float32)


def _train(
    name: str,
    width: int,
    images: Tensor,
    texts: Tensor,
    rng: np.random.Generator,
    steps: int,
    batch_size: int,
) -> SmallTeacher:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(int(rng.integers(2**31)))
        teacher = SmallTeacher(name, width)
    optimizer = torch.optim.AdamW(teacher.parameters(), lr=3e-3, betas=(0.9, 0.95), weight_decay=0.05)
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = 3e-3 * (1 - step / steps)
        rows = rng.choice(len(images), min(batch_size, len(images)), replace=False)
        seen = teacher.image_encoder(images[rows, rng.integers(VIEWS, size=len(rows))])
        read = teacher.text_encoder(texts[rows])
        loss = clip_loss(functional.normalize(seen), functional.normalize(read), teacher.logit_scale)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    digest = hashlib.sha256(name.encode())
    for tensor in teacher.state_dict().values():
        digest.update(tensor.numpy().tobytes())
    teacher.fingerprint = digest.hexdigest()[:16]
    return teacher.eval().requires_grad_(False)
