"""A generated reinforced set of the published dimensions, as official containers and as a store."""

import gzip
import io
import json
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

import numpy as np
import torch
from mobileclip.reinforcement.precision import Precision, from_float32
from mobileclip.reinforcement.sample import DATACOMPDR, Reinforcement
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter
from mobileclip.replay import draw_augmentations
from PIL import Image
from toolkit_shared.artifacts import claim_folder
from toolkit_shared.randomness import stream

AUGMENTATIONS, SYNTHETIC = 30, 5
IMAGE_SIZE = (512, 384)  # the longest side of the released set's images
WORDS = "a photo of two dogs on the beach near red boats at sunset with people walking behind".split()


class Draw(NamedTuple):
    """Which rows of which sample are read."""

    sample: int
    augmentation: int
    synthetic: int


def generated_samples(number: int, precision: Precision) -> list[Reinforcement]:
    """Samples with unit vectors of two teachers, 30 augmentations, one real and five synthetic captions."""
    return [_sample(index, precision) for index in range(number)]


def write_store(folder: Path, samples: list[Reinforcement]) -> ReinforcedStore:
    """The samples as a store."""
    claim_folder(folder, kind=STORE_KIND, config={})
    writer = StoreWriter(folder=folder, teachers=DATACOMPDR, precision=samples[0].precision)
    writer.write_part(0, samples)
    writer.finish(1)
    return ReinforcedStore.open(folder)


def npz_members(samples: list[Reinforcement]) -> list[bytes]:
    """Each sample's embeddings as a float32 npz, not compressed, which is the quickest to read."""
    packed = []
    for sample in samples:
        sink = io.BytesIO()
        np.savez(sink, image_emb=sample.image_embeddings, text_emb=_texts(sample))
        packed.append(sink.getvalue())
    return packed


def pth_gz_members(samples: list[Reinforcement]) -> list[bytes]:
    """Each sample's bfloat16 embeddings as a gzipped torch file, as the released generator writes it."""
    packed = []
    for sample in samples:
        arrays = {"image_emb": sample.image_embeddings, "text_emb": _texts(sample)}
        sink = io.BytesIO()
        torch.save({name: torch.from_numpy(a).view(torch.bfloat16) for name, a in arrays.items()}, sink)
        packed.append(gzip.compress(sink.getvalue()))
    return packed


def json_members(samples: list[Reinforcement]) -> list[tuple[bytes, bytes, bytes]]:
    """The `txt`, `syn.json` and `paug.json` of each sample."""
    return [
        (
            sample.captions[0].encode(),
            json.dumps({"syn_text": list(sample.synthetic_captions)}).encode(),
            json.dumps({"param_aug": [one.to_json() for one in sample.augmentations]}).encode(),
        )
        for sample in samples
    ]


def jpegs(number: int) -> list[bytes]:
    """JPEG files with soft and sharp parts."""
    return [_jpeg(index) for index in range(number)]


def random_draws(samples: int, number: int, seed: int = 0) -> list[Draw]:
    """Samples, augmentations and synthetic captions in random order."""
    rng = stream(seed, "draws")
    columns = [rng.integers(high, size=number).tolist() for high in (samples, AUGMENTATIONS, SYNTHETIC)]
    return [Draw(*values) for values in zip(*columns, strict=True)]


def load_pth_gz(data: bytes) -> dict[str, torch.Tensor]:
    """The tensors of a `pth.gz`, as webdataset's decoder reads them for the released loader."""
    loaded: dict[str, torch.Tensor] = torch.load(
        io.BytesIO(gzip.decompress(data)), map_location="cpu", weights_only=True
    )
    return loaded


def stream_pth_gz(data: bytes) -> dict[str, torch.Tensor]:
    """The same tensors, as the released generator's own reader reads them."""
    with gzip.GzipFile(fileobj=io.BytesIO(data)) as stream_in:
        file = cast(BinaryIO, stream_in)
        loaded: dict[str, torch.Tensor] = torch.load(file, map_location="cpu", weights_only=True)
    return loaded


def _texts(sample: Reinforcement) -> np.ndarray:
    return np.concatenate([sample.text_embeddings, sample.synthetic_embeddings])


def _sample(index: int, precision: Precision) -> Reinforcement:
    rng = stream(index, "reinforced sample")
    values = rng.standard_normal((AUGMENTATIONS + 1 + SYNTHETIC, 2, 768)).astype(np.float32)
    values /= np.linalg.norm(values, axis=2, keepdims=True)
    rows = from_float32(values.reshape(len(values), -1), precision)
    captions = [" ".join(rng.choice(WORDS, 12).tolist()) for _ in range(1 + SYNTHETIC)]
    return Reinforcement(
        key=f"{index:08d}",
        captions=(captions[0],),
        synthetic_captions=tuple(captions[1:]),
        augmentations=draw_augmentations(f"{index}", AUGMENTATIONS, IMAGE_SIZE),
        image_embeddings=rows[:AUGMENTATIONS],
        text_embeddings=rows[AUGMENTATIONS : AUGMENTATIONS + 1],
        synthetic_embeddings=rows[AUGMENTATIONS + 1 :],
        precision=precision,
        teachers=DATACOMPDR,
        image_size=IMAGE_SIZE,
    )


def _jpeg(index: int) -> bytes:
    rng = stream(index, "reinforced image")
    width, height = IMAGE_SIZE
    coarse = Image.fromarray(rng.integers(0, 256, (12, 16, 3), dtype=np.uint8)).resize((width, height), 3)
    pixels = np.asarray(coarse).astype(np.int16) + rng.integers(-12, 13, (height, width, 3))
    pixels[::48] = 0
    sink = io.BytesIO()
    Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(sink, "JPEG", quality=90)
    return sink.getvalue()
