"""Scenes of one textured shape on a ground, drawn in batches on any device, with captions full and noisy.

A scene has a shape, a colour, a texture, a size and a ground: 3,072 classes, which a caption names in words.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.nn import functional

PIXELS = 64
SHAPES = ("circle", "square", "triangle", "cross", "ring", "diamond", "bar", "moon")
COLOURS = ("red", "green", "blue", "yellow", "purple", "orange", "cyan", "pink")
TEXTURES = ("plain", "striped", "checked", "dotted")
SIZES = ("small", "medium", "large")
GROUNDS = ("black", "grey", "white", "brown")
ATTRIBUTES = (SIZES, TEXTURES, COLOURS, SHAPES, GROUNDS)
NUM_CLASSES = int(np.prod([len(words) for words in ATTRIBUTES]))
JUNK = tuple(
    "sale new shop best home buy free online now get city day view page click more info deal gift baby car "
    "house paper set stock vintage print poster card design kit store hot".split()
)
WORDS = ("a", "photo", "of", "on", "ground", *(word for words in ATTRIBUTES for word in words), *JUNK)
ROW = {word: row + 2 for row, word in enumerate(WORDS)}  # 0 is padding, 1 begins a text
END = len(WORDS) + 2
VOCABULARY = END + 1
CONTEXT_LENGTH = 16
TEMPLATE = "a photo of a SIZE TEXTURE COLOUR SHAPE on a GROUND ground".split()
SLOTS = ("SIZE", "TEXTURE", "COLOUR", "SHAPE", "GROUND")
# what a web caption is: full, junk, some attributes among junk, of another scene; the rest unordered
WEB_SHARES = (0.20, 0.25, 0.30, 0.10)

_RGB = torch.tensor(
    [
        [0.85, 0.15, 0.15],
        [0.15, 0.65, 0.20],
        [0.15, 0.25, 0.85],
        [0.95, 0.85, 0.15],
        [0.50, 0.20, 0.65],
        [0.95, 0.55, 0.10],
        [0.15, 0.80, 0.85],
        [0.95, 0.60, 0.75],
    ]
)
_GROUND_RGB = torch.tensor([[0.05, 0.05, 0.05], [0.5, 0.5, 0.5], [0.95, 0.95, 0.95], [0.4, 0.28, 0.16]])

Parts = npt.NDArray[np.int64]
Tokens = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Views:
    """Parameters of augmentations, [images, augmentations] each; what is replayed depends on nothing else.

    Attributes:
        scale: Side of the crop over that of the image.
        left: Place of the crop's centre, -1..1 of what the scale leaves free.
        top: Likewise.
        contrast: Factor about the middle grey.
        brightness: What is added.
    """

    scale: Tensor
    left: Tensor
    top: Tensor
    contrast: Tensor
    brightness: Tensor


def draw_parts(count: int, rng: np.random.Generator) -> Parts:
    """Attributes of `count` scenes, int64 [scenes, 5], in the order of `ATTRIBUTES`."""
    return np.stack([rng.integers(len(words), size=count) for words in ATTRIBUTES], axis=1)


def classes_of(parts: Parts) -> npt.NDArray[np.int64]:
    """The class of each scene, int64 [scenes]."""
    found: Parts = np.ravel_multi_index(tuple(parts.T), [len(words) for words in ATTRIBUTES])
    return found


def all_parts() -> Parts:
    """The attributes of every class, in the order of the classes."""
    indices = np.unravel_index(np.arange(NUM_CLASSES), [len(words) for words in ATTRIBUTES])
    return np.stack(indices, axis=1).astype(np.int64)


def render(parts: Tensor, generator: torch.Generator) -> Tensor:
    """Scenes of these attributes at random places and angles, uint8 [scenes, 3, 64, 64]."""
    device = parts.device
    size, texture, colour, shape, ground = parts.T
    count = len(parts)

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, 1, 1, generator=generator, device=device)

    radius = torch.tensor([0.26, 0.42, 0.62], device=device)[size][:, None, None] * uniform(0.93, 1.07)
    free = 1.0 - radius
    line = torch.linspace(-1, 1, PIXELS, device=device)
    y, x = torch.meshgrid(line, line, indexing="ij")
    x = (x[None] - free * uniform(-0.8, 0.8)) / radius
    y = (y[None] - free * uniform(-0.8, 0.8)) / radius
    angle = uniform(-0.35, 0.35)
    x, y = x * angle.cos() + y * angle.sin(), y * angle.cos() - x * angle.sin()
    inside = _distances(x, y).gather(0, shape[None, :, None, None].expand(1, -1, PIXELS, PIXELS))[0]
    mask = (inside * 8).sigmoid()
    pattern = torch.stack(
        [
            torch.ones_like(x),
            ((x * 9).sin() > 0).float(),
            (((x * 7).sin() * (y * 7).sin()) > 0).float(),
            (((x * 8).sin() * (y * 8).sin()) < 0.35).float(),
        ]
    ).gather(0, texture[None, :, None, None].expand(1, -1, PIXELS, PIXELS))[0]
    ink = _RGB.to(device)[colour][:, :, None, None] * (0.45 + 0.55 * pattern)[:, None]
    back = _GROUND_RGB.to(device)[ground][:, :, None, None]
    image = back + (ink - back) * mask[:, None]
    image = image + 0.04 * torch.randn(image.shape, generator=generator, device=device)
    return (image.clamp(0, 1) * 255).round().to(torch.uint8)


def draw_views(count: int, augmentations: int, *, strong: bool, generator: torch.Generator) -> Views:
    """Parameters of augmentations; weak ones are crops of nearly everything."""
    device = generator.device

    def uniform(low: float, high: float) -> Tensor:
        return low + (high - low) * torch.rand(count, augmentations, generator=generator, device=device)

    low, contrast, brightness = (0.6, 0.3, 0.15) if strong else (0.95, 0.0, 0.0)
    return Views(
        scale=uniform(low, 1.0),
        left=uniform(-1, 1),
        top=uniform(-1, 1),
        contrast=uniform(1 - contrast, 1 + contrast),
        brightness=uniform(-brightness, brightness),
    )


def replay(images: Tensor, views: Views, rows: Tensor, augmentations: Tensor) -> Tensor:
    """One stored augmentation of each of the images `rows`, float32 [rows, 3, 64, 64] in about 0..1."""
    place = (rows, augmentations)
    scale = views.scale[place]
    free = 1 - scale
    matrix = torch.zeros(len(rows), 2, 3, device=images.device)
    matrix[:, 0, 0] = matrix[:, 1, 1] = scale
    matrix[:, 0, 2] = views.left[place] * free
    matrix[:, 1, 2] = views.top[place] * free
    grid = functional.affine_grid(matrix, [len(rows), 3, PIXELS, PIXELS], align_corners=False)
    pixels = images[rows].float() / 255
    crop = functional.grid_sample(pixels, grid, mode="bilinear", padding_mode="border", align_corners=False)
    contrast, brightness = views.contrast[place], views.brightness[place]
    return (crop - 0.5) * contrast[:, None, None, None] + 0.5 + brightness[:, None, None, None]


def full_captions(parts: Parts) -> Tokens:
    """The whole truth about each scene as tokens, int64 [scenes, 16]; also the prompts."""
    rows = np.zeros((len(parts), CONTEXT_LENGTH), np.int64)
    rows[:, 0] = 1
    for place, word in enumerate(TEMPLATE, start=1):
        if word in SLOTS:
            slot = SLOTS.index(word)
            rows[:, place] = np.array([ROW[name] for name in ATTRIBUTES[slot]])[parts[:, slot]]
        else:
            rows[:, place] = ROW[word]
    rows[:, len(TEMPLATE) + 1] = END
    return rows


def synthetic_captions(parts: Parts, error_ratio: float, rng: np.random.Generator) -> Tokens:
    """Captions of a captioner that has each attribute wrong with probability `error_ratio`."""
    seen = parts.copy()
    for slot, words in enumerate(ATTRIBUTES):
        wrong = rng.random(len(parts)) < error_ratio
        seen[wrong, slot] = (seen[wrong, slot] + rng.integers(1, len(words), size=wrong.sum())) % len(words)
    return full_captions(seen)


def web_captions(parts: Parts, rng: np.random.Generator) -> Tokens:
    """Captions as the web has them: full in 20 %, and else junk, fragments, another scene's or unordered."""
    count = len(parts)
    kind = np.searchsorted(np.cumsum(WEB_SHARES), rng.random(count), side="right")
    rows = full_captions(parts)
    other = kind == 3
    rows[other] = full_captions(draw_parts(int(other.sum()), rng))
    words = np.stack(
        [np.array([ROW[n] for n in names])[parts[:, slot]] for slot, names in enumerate(ATTRIBUTES)], axis=1
    )
    junk = np.array([ROW[word] for word in JUNK])
    for row in np.flatnonzero((kind == 1) | (kind == 2) | (kind == 4)):
        if kind[row] == 4:  # some of the attributes in any order, and nothing else
            tokens = rng.permutation(words[row])[: rng.integers(3, 6)]
        else:
            tokens = junk[rng.integers(len(junk), size=rng.integers(3, 9))]
            if kind[row] == 2:
                tokens = np.concatenate([tokens, rng.permutation(words[row])[: rng.integers(1, 3)]])
                tokens = rng.permutation(tokens)
        rows[row] = 0
        rows[row, 0] = 1
        rows[row, 1 : 1 + len(tokens)] = tokens
        rows[row, 1 + len(tokens)] = END
    return rows


def _distances(x: Tensor, y: Tensor) -> Tensor:
    """How far inside each shape a place lies, in parts of its radius times a factor; [shapes, ...]."""
    far = (x * x + y * y).sqrt()
    square = torch.maximum(x.abs(), y.abs())
    cross = torch.maximum(
        torch.minimum(0.9 - x.abs(), 0.3 - y.abs()), torch.minimum(0.3 - x.abs(), 0.9 - y.abs())
    )
    triangle = torch.minimum(0.6 - y, 0.5 * (y + 0.9) - 0.85 * x.abs())
    bite = ((x - 0.45) ** 2 + y * y).sqrt() - 0.65
    return 4 * torch.stack(
        [
            0.9 - far,
            0.8 - square,
            triangle,
            cross,
            torch.minimum(0.95 - far, far - 0.55),
            0.95 - (x.abs() + y.abs()),
            torch.minimum(0.95 - x.abs(), 0.3 - y.abs()),
            torch.minimum(0.9 - far, bite),
        ]
    )
