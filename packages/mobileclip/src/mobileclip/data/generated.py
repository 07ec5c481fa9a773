"""Generated photograph-like pairs with a known truth: one coloured shape on a ground, and captions of it."""

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.randomness import stream
from toolkit_shared.shards import TarWriter

COLOURS = {
    "red": (205, 40, 45),
    "green": (45, 160, 60),
    "blue": (40, 70, 200),
    "yellow": (235, 205, 45),
    "purple": (135, 50, 165),
    "white": (240, 240, 235),
}
SHAPES = ("circle", "square", "triangle", "cross")
GROUNDS = {"grass": (70, 110, 50), "sand": (205, 180, 130), "water": (50, 95, 130)}
JUNK = "sale new best photo shop online free cheap big now my img stock print nice summer".split()
SIZES = ((96, 72), (72, 96), (88, 88))


@dataclass(frozen=True)
class Scene:
    """What an image shows."""

    colour: str
    shape: str
    ground: str

    @property
    def caption(self) -> str:
        """The whole truth in words."""
        return f"a {self.colour} {self.shape} on {self.ground}"


@dataclass(frozen=True)
class GeneratedPair:
    """An image with captions, and what it shows.

    Attributes:
        key: Name, unique within a set.
        image: Bytes of a JPEG file.
        captions: Real ones, of which some may be wrong.
        scene: The truth.
    """

    key: str
    image: bytes
    captions: tuple[str, ...]
    scene: Scene


def all_scenes() -> list[Scene]:
    """Every scene once, in a fixed order."""
    return [Scene(colour, shape, ground) for colour in COLOURS for shape in SHAPES for ground in GROUNDS]


def generate_pairs(
    count: int, *, seed: int = 0, noise_ratio: float = 0.0, prefix: str = "g"
) -> list[GeneratedPair]:
    """`count` pairs of scenes that come in turn; the first ones are the same for any count.

    Args:
        count: How many.
        seed: Of images and captions.
        noise_ratio: Fraction of captions that are junk, fragments or of another scene.
        prefix: Of the keys.
    """
    scenes = all_scenes()
    pairs = []
    for index in range(count):
        rng = stream(seed, f"generated pair {prefix}", index)
        scene = scenes[index % len(scenes)]
        image = render_scene(scene, SIZES[index % len(SIZES)], rng)
        caption = noisy_caption(scene, rng) if rng.random() < noise_ratio else scene.caption
        pairs.append(GeneratedPair(f"{prefix}{index:05d}", _jpeg(image), (caption,), scene))
    return pairs


def render_scene(scene: Scene, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """An RGB image of `size` (width, height): grain and light on the ground, the shape somewhere on it."""
    width, height = size
    y, x = np.mgrid[0:height, 0:width]
    waves = np.sin(x / rng.uniform(6, 14) + rng.uniform(0, 6)) + np.sin(
        y / rng.uniform(4, 12) + rng.uniform(0, 6)
    )
    light = rng.uniform(0.8, 1.15) + 0.1 * waves
    ground = np.array(GROUNDS[scene.ground])[None, None] * light[..., None]
    ground = ground + rng.normal(0, 9, (height, width, 1))
    image = Image.fromarray(np.clip(ground, 0, 255).astype(np.uint8))
    radius = rng.uniform(0.28, 0.40) * min(size)
    centre = (rng.uniform(radius, width - radius), rng.uniform(radius, height - radius))
    colour = np.array(COLOURS[scene.colour]) + rng.integers(-18, 19, 3)
    _draw_shape(image, scene.shape, centre, radius, tuple(np.clip(colour, 0, 255).tolist()))
    return image


def noisy_caption(scene: Scene, rng: np.random.Generator) -> str:
    """Junk, one word of the truth among junk, or the caption of another scene."""
    kind = rng.random()
    if kind < 0.2:
        return all_scenes()[int(rng.integers(len(all_scenes())))].caption
    words = [JUNK[index] for index in rng.integers(len(JUNK), size=int(rng.integers(3, 7)))]
    if kind < 0.7:
        words.insert(int(rng.integers(len(words) + 1)), (scene.colour, scene.shape)[int(rng.integers(2))])
    return " ".join(words)


def described(scene: Scene, count: int, error_ratio: float, rng: np.random.Generator) -> list[str]:
    """Captions as of a captioner that has colour, shape and ground wrong with `error_ratio` each."""
    captions = []
    for _ in range(count):
        seen = [
            str(rng.choice(list(words))) if rng.random() < error_ratio else truth
            for words, truth in ((COLOURS, scene.colour), (SHAPES, scene.shape), (GROUNDS, scene.ground))
        ]
        captions.append(Scene(*seen).caption)
    return captions


def write_parquet(path: Path, pairs: Sequence[GeneratedPair]) -> None:
    """A Parquet file with the columns key, image and captions, as `open_pairs` reads it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table(
        {
            "key": [pair.key for pair in pairs],
            "image": [pair.image for pair in pairs],
            "captions": [list(pair.captions) for pair in pairs],
        }
    )
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def write_labelled_parquet(path: Path, pairs: Sequence[GeneratedPair]) -> None:
    """A Parquet file of images with the class of colour and shape, for zero-shot classification."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    classes = [f"{colour} {shape}" for colour in COLOURS for shape in SHAPES]
    labels = [classes.index(f"{pair.scene.colour} {pair.scene.shape}") for pair in pairs]
    table = pa.table({"image": [pair.image for pair in pairs], "label": labels})
    table = table.replace_schema_metadata({"classes": ",".join(classes)})
    with atomic_path(path) as temporary:
        pq.write_table(table, temporary)


def write_tar(path: Path, pairs: Sequence[GeneratedPair]) -> None:
    """A webdataset tar of KEY.jpg and KEY.txt, or KEY.json where there are several captions."""
    with TarWriter(path) as writer:
        for pair in pairs:
            several = {"json": json.dumps({"captions": list(pair.captions)}).encode()}
            texts = {"txt": pair.captions[0].encode()} if len(pair.captions) == 1 else several
            writer.write(pair.key, {"jpg": pair.image, **texts})


def _jpeg(image: Image.Image) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=92)
    return buffer.getvalue()


def _draw_shape(
    image: Image.Image, shape: str, centre: tuple[float, float], radius: float, colour: tuple[int, ...]
) -> None:
    draw, (x, y), r = ImageDraw.Draw(image), centre, radius
    if shape == "circle":
        draw.ellipse([x - r, y - r, x + r, y + r], fill=colour)
    elif shape == "square":
        draw.rectangle([x - 0.85 * r, y - 0.85 * r, x + 0.85 * r, y + 0.85 * r], fill=colour)
    elif shape == "triangle":
        draw.polygon([(x, y - r), (x - 0.95 * r, y + 0.75 * r), (x + 0.95 * r, y + 0.75 * r)], fill=colour)
    else:
        draw.rectangle([x - r, y - 0.33 * r, x + r, y + 0.33 * r], fill=colour)
        draw.rectangle([x - 0.33 * r, y - r, x + 0.33 * r, y + r], fill=colour)
