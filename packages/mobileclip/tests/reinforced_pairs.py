"""Small pairs, a store for them, and small architectures, for the tests of training."""

import dataclasses
import json

import numpy as np
from mobileclip.architectures import Architecture, ConvolutionalTower, TextTower, VisionTransformer
from mobileclip.models.architecture_file import architecture_to_json
from mobileclip.reinforcement.precision import from_float32
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter
from mobileclip.replay import draw_augmentations
from PIL import Image
from toolkit_shared.artifacts import claim_folder
from toolkit_shared.randomness import stream

COLOURS = {"red": (220, 30, 30), "green": (30, 200, 40), "blue": (40, 60, 220), "white": (240, 240, 240)}
TEACHERS = (TeacherInfo("first", 6, 30.0), TeacherInfo("second", 4, 20.0))
SIZE = (40, 32)

# without batch norms, so that the loss of two processes is that of one
TRANSFORMERS = Architecture(
    embed_dim=16,
    image=VisionTransformer(width=64, layers=1, heads=1, patch_size=16, stem="patch", image_size=32),
    text=TextTower(width=32, layers=1, heads=1, causal=True, context_length=12),
)
CONVOLUTIONS = Architecture(
    embed_dim=16,
    image=ConvolutionalTower(
        depths=(1, 1, 1, 1),
        widths=(8, 16, 32, 64),
        mlp_ratio=2,
        mixers=("rep", "rep", "rep", "attention"),
        downsample_squeeze_excite=(False, False, True, True),
        image_size=32,
    ),
    text=TextTower(width=32, layers=1, heads=1, causal=False, rep_blocks=True, context_length=12),
)


def write_architecture(path, architecture):
    path.write_text(json.dumps(architecture_to_json(architecture)))
    return str(path)


def write_pairs(folder, *, count=24):
    """A folder of images of one colour with a bar, and their captions; keys are `0000`, `0001` ..."""
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(count):
        name = list(COLOURS)[number % len(COLOURS)]
        pixels = np.full((SIZE[1], SIZE[0], 3), COLOURS[name], np.uint8)
        pixels[:, number % SIZE[0]] = 0
        Image.fromarray(pixels).save(folder / f"{number:04d}.png")
        (folder / f"{number:04d}.txt").write_text(f"a {name} field with a bar\n")
    return folder


def reinforcement(number, *, key=None, size=SIZE, groups=(), teachers=TEACHERS, augmentations=3):
    """The reinforcement of pair `number`: 3 augmentations, 2 real captions, 3 synthetic ones."""
    key = key or f"{number:04d}"
    name = list(COLOURS)[number % len(COLOURS)]

    def rows(what, count):
        values = stream(1, f"{what} of {key}").normal(size=(count, sum(one.width for one in teachers)))
        start = 0
        for one in teachers:
            values[:, start : start + one.width] /= np.linalg.norm(
                values[:, start : start + one.width], axis=1, keepdims=True
            )
            start += one.width
        return from_float32(values.astype(np.float32), "float32")

    return Reinforcement(
        key=key,
        captions=(f"a {name} field with a bar", f"{name} ground"),
        synthetic_captions=(f"{name}", f"a {name} picture", f"the colour {name}"),
        augmentations=draw_augmentations(key, augmentations, size),
        image_embeddings=rows("image", augmentations),
        text_embeddings=rows("text", 2),
        synthetic_embeddings=rows("synthetic", 3),
        precision="float32",
        teachers=teachers,
        image_size=size,
        synthetic_groups=groups,
    )


def write_store(folder, samples, *, teachers=TEACHERS):
    claim_folder(folder, kind=STORE_KIND, config={})
    writer = StoreWriter(folder=folder, teachers=teachers, precision="float32")
    writer.write_part(0, samples)
    writer.finish(1)
    return folder


def open_store(folder, count=4, **options):
    return ReinforcedStore.open(
        write_store(folder, [reinforcement(number, **options) for number in range(count)])
    )


def changed(sample, **values):
    return dataclasses.replace(sample, **values)
