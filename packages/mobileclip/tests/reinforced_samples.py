"""Generated reinforcement for tests: small, valid, and different for each number."""

import gzip
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from generated_photographs import photograph
from mobileclip.reinforcement.precision import Precision, from_float32
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.replay import draw_augmentations
from toolkit_shared.randomness import stream
from toolkit_shared.shards import TarWriter

TEACHERS = (TeacherInfo("first", 12, 100.0), TeacherInfo("second", 4, 60.0))
SIZE = (64, 48)


def unit_rows(number: int, what: str, rows: int, precision: Precision = "float32") -> np.ndarray:
    """Rows of the teachers' unit vectors, one after the other."""
    generator = stream(number, what)
    parts = []
    for teacher in TEACHERS:
        values = generator.standard_normal((rows, teacher.width)).astype(np.float32)
        parts.append(values / np.linalg.norm(values, axis=1, keepdims=True))
    return from_float32(np.concatenate(parts, axis=1), precision)


def reinforcement(
    number: int,
    *,
    precision: Precision = "float32",
    augmentations: int = 3,
    captions: int = 1,
    synthetic: int = 2,
    **fields: Any,
) -> Reinforcement:
    """A valid sample named `k<number>`."""
    values: dict[str, Any] = {
        "key": f"k{number:03d}",
        "captions": tuple(f"real caption {number}.{c} é" for c in range(captions)),
        "synthetic_captions": tuple(f"synthetic {number}.{s}" for s in range(synthetic)),
        "augmentations": draw_augmentations(f"k{number}", augmentations, SIZE),
        "image_embeddings": unit_rows(number, "image", augmentations, precision),
        "text_embeddings": unit_rows(number, "text", captions, precision),
        "synthetic_embeddings": unit_rows(number, "synthetic", synthetic, precision),
        "precision": precision,
        "teachers": TEACHERS,
        "image_size": SIZE,
    }
    return Reinforcement(**{**values, **fields})


def jpeg(number: int, size: tuple[int, int] = SIZE) -> bytes:
    """The bytes of a JPEG file."""
    stream_out = io.BytesIO()
    photograph(number, size).save(stream_out, "JPEG", quality=90)
    return stream_out.getvalue()


def plain_members(number: int, *, form: str = "npz", **arrays: np.ndarray | None) -> dict[str, bytes]:
    """An official sample as the released generator writes it, made without this package's writer.

    `arrays` replace or (None) remove the embeddings of the same name.
    """
    sample = reinforcement(number)
    joined = np.concatenate([sample.text_embeddings, sample.synthetic_embeddings])
    embeddings: dict[str, Any] = {"image_emb": sample.image_embeddings, "text_emb": joined, **arrays}
    embeddings = {name: array for name, array in embeddings.items() if array is not None}
    stream_out = io.BytesIO()
    if form == "npz":
        np.savez(stream_out, **embeddings)
        packed = stream_out.getvalue()
    else:
        tensors = {name: torch.tensor(array, dtype=torch.bfloat16) for name, array in embeddings.items()}
        torch.save(tensors, stream_out)
        packed = gzip.compress(stream_out.getvalue())
    return {
        "url.txt": f"https://example.org/{number}".encode(),
        "txt": sample.captions[0].encode(),
        "syn.json": json.dumps({"syn_text": list(sample.synthetic_captions)}).encode(),
        "paug.json": json.dumps({"param_aug": [one.to_json() for one in sample.augmentations]}).encode(),
        form: packed,
        "json": json.dumps({"uid": sample.key, "width": SIZE[0], "height": SIZE[1]}).encode(),
    }


def write_tar(path: Path, samples: Mapping[str, Mapping[str, bytes]]) -> Path:
    """A tar of the samples."""
    with TarWriter(path) as tar:
        for key, members in samples.items():
            tar.write(key, members)
    return path


def equal(first: Reinforcement, second: Reinforcement, *, members: bool = True) -> bool:
    """Whether two samples are the same to the bit."""
    for name in ("image_embeddings", "text_embeddings", "synthetic_embeddings"):
        a, b = getattr(first, name), getattr(second, name)
        if a.dtype != b.dtype or a.shape != b.shape or a.tobytes() != b.tobytes():
            return False
    plain = ("key", "captions", "synthetic_captions", "augmentations", "precision", "teachers", "image_size")
    plain += ("groups", "other_fields", "joined", *(("members",) if members else ()))
    return all(getattr(first, name) == getattr(second, name) for name in plain)
