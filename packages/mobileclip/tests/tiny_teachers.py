"""Small teachers and captioners of the real kinds with random weights, and images to show them."""

import io
import json
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from mobileclip.reinforcement.teacher import unit_rows
from PIL import Image

SIDE = 32


def tiny_open_clip_config(width: int = 64, side: int = SIDE) -> dict[str, object]:
    """A configuration of open_clip's form, of two thin layers a tower."""
    return {
        "embed_dim": width,
        "vision_cfg": {"image_size": side, "layers": 2, "width": 64, "patch_size": 8, "head_width": 32},
        "text_cfg": {"context_length": 77, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    }


def tiny_coca_config() -> dict[str, object]:
    """A CoCa configuration of open_clip's form, one layer a tower."""
    return {
        "embed_dim": 32,
        "vision_cfg": {
            "image_size": SIDE,
            "layers": 1,
            "width": 32,
            "patch_size": 16,
            "head_width": 16,
            "attentional_pool": True,
            "attn_pooler_heads": 2,
            "attn_pooler_queries": 8,
            "output_tokens": True,
        },
        "text_cfg": {
            "context_length": 76,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
            "embed_cls": True,
            "output_tokens": True,
        },
        "multimodal_cfg": {
            "context_length": 76,
            "vocab_size": 49408,
            "width": 32,
            "heads": 2,
            "layers": 1,
            "attn_pooler_heads": 2,
        },
        "custom_text": True,
    }


def write_tiny_open_clip(folder: Path, name: str, config: dict[str, object], seed: int = 0) -> str:
    """Write NAME.json and NAME.pt with random weights; the text that names them, without its kind."""
    import open_clip

    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.json"
    path.write_text(json.dumps(config))
    if name not in open_clip.list_models():
        open_clip.add_model_config(path)
    torch.manual_seed(seed)
    model = open_clip.create_model(name)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        # CoCa leaves its output projection uninitialised, and under the usual small values images look alike
        for tensor in model.state_dict().values():
            if tensor.is_floating_point() and tensor.ndim > 1:
                fan_in = tensor[0].numel()
                tensor.copy_(torch.randn(tensor.shape, generator=generator) * 1.5 / fan_in**0.5)
    torch.save(model.state_dict(), folder / f"{name}.pt")
    return f"{path}@{folder / name}.pt"


def generated_image(index: int, size: tuple[int, int] = (48, 40)) -> Image.Image:
    """A picture of smooth colours and a rectangle; other indices look different."""
    generator = np.random.default_rng([7, index])
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    waves = [
        np.sin(generator.uniform(0.05, 0.6) * x + generator.uniform(0.05, 0.6) * y + generator.uniform(0, 6))
        for _ in range(3)
    ]
    pixels = np.stack(waves, axis=-1) * 100 + generator.uniform(60, 190, size=3)
    left, top = int(generator.integers(0, width // 2)), int(generator.integers(0, height // 2))
    pixels[top : top + height // 3, left : left + width // 3] = generator.uniform(0, 255, size=3)
    return Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8))


def png(image: Image.Image) -> bytes:
    """The bytes of a PNG file."""
    stream = io.BytesIO()
    image.save(stream, "PNG")
    return stream.getvalue()


class ProjectionTeacher:
    """A teacher of a fixed random projection of pixels, or of letters; as quick as one can be."""

    def __init__(self, name: str, width: int = 24, image_size: int = 16, seconds: float = 0.0) -> None:
        self.name, self.width, self.image_size = name, width, image_size
        self.logit_scale = 50.0
        self.fingerprint = name
        self.seconds = seconds
        seed = sum(name.encode())
        self.projection = np.random.default_rng(seed).normal(size=(image_size * image_size * 3, width))
        self.letters = np.random.default_rng(seed + 1).normal(size=(256 * 8, width))

    def embed_images(self, images: Sequence[Image.Image]) -> np.ndarray:
        time.sleep(self.seconds)
        pixels = np.stack([np.asarray(image, dtype=np.float64).ravel() / 127.5 - 1 for image in images])
        return unit_rows(((pixels + 0.01) @ self.projection).astype(np.float32))

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        rows = np.zeros((len(texts), self.width))
        for row, text in zip(rows, texts, strict=True):
            for place, byte in enumerate(text.encode()):
                row += self.letters[place % 8 * 256 + byte]
        return unit_rows(np.tanh(rows).astype(np.float32))


class EchoCaptioner:
    """Writes captions that name the key and the seed."""

    name, fingerprint = "echo", "echo"

    def caption(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int], keys: Sequence[str]
    ) -> list[list[str]]:
        return [
            [f"{number} {seed % 997} of {key} {image.width}" for number in range(count)]
            for image, seed, key in zip(images, seeds, keys, strict=True)
        ]


def projection_teachers(seconds: float = 0.0) -> tuple[ProjectionTeacher, ...]:
    """Two teachers of different widths and image sizes."""
    return ProjectionTeacher("first", 24, 16, seconds), ProjectionTeacher("second", 16, 20)


def echo_captioner() -> EchoCaptioner:
    """The captioner of the tests."""
    return EchoCaptioner()


def write_pairs(path: Path, pairs: Sequence[tuple[str, bytes, Sequence[str]]]) -> Path:
    """A Parquet file of keys, image files and captions."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    keys, images, captions = zip(*pairs, strict=True)
    table = pa.table(
        {"key": list(keys), "image": list(images), "captions": [list(texts) for texts in captions]}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, path)
    return path


def generated_pairs(count: int, start: int = 0) -> list[tuple[str, bytes, list[str]]]:
    """Pairs of one or two captions, and images of several sizes."""
    sizes = [(48, 40), (60, 33), (40, 52)]
    words = ["a red dog", "two cats on a mat", "green hills", "a boat at sea", "old town", "a man who reads"]
    return [
        (
            f"k{index:03d}",
            png(generated_image(index, sizes[index % 3])),
            [f"{words[index % 6]} number {index}", f"view {index} of {words[(index * 5 + 1) % 6]}"][
                : 1 + index % 2
            ],
        )
        for index in range(start, start + count)
    ]
