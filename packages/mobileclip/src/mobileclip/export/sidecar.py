"""What a reader of exported encoders needs besides them: preprocessing, tokenizer, logit scale, as files."""

from pathlib import Path
from typing import Any

import torch
from toolkit_shared.artifacts import write_json

from mobileclip.models.clip import ImageTextModel
from mobileclip.tokenization import write_tokenizer_json

CONFIG, TOKENIZER = "config.json", "tokenizer.json"


def describe_model(model: ImageTextModel, *, name: str, files: dict[str, str]) -> dict[str, Any]:
    """Inputs, outputs and preprocessing of both encoders, as JSON values.

    Args:
        model: The model that was exported.
        name: Of its architecture.
        files: The file of each exported encoder, by "image" and "text".
    """
    architecture = model.architecture
    image, text, preprocessing = architecture.image, architecture.text, architecture.preprocessing
    encoders: dict[str, Any] = {}
    if "image" in files:
        encoders["image"] = {
            "file": files["image"],
            "input": "image",
            "output": "image_embedding",
            "shape": ["batch", 3, image.image_size, image.image_size],
            "dtype": "float32",
            "preprocessing": {
                "color": "RGB",
                "resize": {"shortest_side": image.image_size, "interpolation": preprocessing.interpolation},
                "center_crop": image.image_size,
                "scale": 1 / 255,
                "mean": list(preprocessing.mean),
                "std": list(preprocessing.std),
            },
        }
    if "text" in files:
        encoders["text"] = {
            "file": files["text"],
            "input": "tokens",
            "output": "text_embedding",
            "shape": ["batch", text.context_length],
            "dtype": "int64",
            "tokenizer": TOKENIZER,
            "end_of_text": text.vocabulary - 1,
            "padding": 0,
        }
    with torch.no_grad():
        scale = float(model.logit_scale.exp())
    return {
        "schema": 1,
        "model": name,
        "embed_dim": architecture.embed_dim,
        "normalized": True,
        "logit_scale": scale,
        "encoders": encoders,
    }


def write_sidecar(model: ImageTextModel, folder: Path, *, name: str, files: dict[str, str]) -> None:
    """Write `config.json`, and `tokenizer.json` when the text encoder is among the files."""
    if "text" in files:
        write_tokenizer_json(folder / TOKENIZER, context_length=model.architecture.text.context_length)
    write_json(folder / CONFIG, describe_model(model, name=name, files=files))
