"""A model that knows colours and nothing else, so that evaluations have exact answers."""

import io
import re
import tarfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import torch
from mobileclip.architectures import Preprocessing
from mobileclip.evaluation.features import Encoders
from mobileclip.preprocessing import evaluation_transform
from PIL import Image
from torch import Tensor

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "yellow": (255, 255, 0),
    "magenta": (255, 0, 255),
    "cyan": (0, 255, 255),
}
NAMES = tuple(COLOURS)


class ColourModel:
    """Features of an image: its mean colour less grey; of a text: the colour that it names first."""

    architecture = SimpleNamespace(embed_dim=3)
    text_encoder = SimpleNamespace(causal=False)

    def encode_image(self, images: Tensor, normalize: bool = False) -> Tensor:
        """Unit rows."""
        return torch.nn.functional.normalize(images.mean(dim=(2, 3)) - 0.5, dim=-1)

    def encode_text(self, tokens: Tensor, normalize: bool = False, truncate: Any = False) -> Tensor:
        """Unit rows."""
        table = torch.tensor(list(COLOURS.values())) / 255 - 0.5
        return torch.nn.functional.normalize(table[tokens[:, 0]], dim=-1)


def colour_tokens(texts: Sequence[str]) -> Tensor:
    """The number of the first colour that each text names."""
    found = [re.search("|".join(NAMES), text) for text in texts]
    return torch.tensor([[NAMES.index(match[0] if match else "red")] for match in found])


def colour_encoders() -> Encoders:
    """Encoders around the model."""
    return Encoders(
        cast(Any, ColourModel()),
        evaluation_transform(16, Preprocessing()),
        cast(Any, colour_tokens),
        torch.device("cpu"),
        "colours",
        None,
        "colours",
    )


def picture(colour: str, *, size: tuple[int, int] = (20, 16), kind: str = "PNG") -> bytes:
    """The bytes of a picture of one colour."""
    stream = io.BytesIO()
    Image.new("RGB", size, COLOURS[colour]).save(stream, kind)
    return stream.getvalue()


def write_tar(path: Path, members: Mapping[str, bytes]) -> None:
    """A tar of files."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))


def array_bytes(values: Sequence[int]) -> bytes:
    """An array as an `.npy` file."""
    stream = io.BytesIO()
    np.save(stream, np.array(values))
    return stream.getvalue()
