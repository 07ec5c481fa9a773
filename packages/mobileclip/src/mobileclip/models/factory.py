"""Models by name, file or folder, with the preprocessing and the tokenizer that belong to them.

The names and the shape of the calls are open_clip's:

    model, preprocess_train, preprocess = create_model_and_transforms("MobileCLIP-S0", pretrained="s0.pt")
    tokens = get_tokenizer("MobileCLIP-S0")(["a cat", "a dog"])
    features = model.encode_image(preprocess(image)[None], normalize=True)
"""

import logging
from pathlib import Path
from typing import Any, Literal

import torch
from toolkit_shared.artifacts import read_json
from toolkit_shared.checkpoints import CONFIG, load_pretrained
from toolkit_shared.checkpoints import save_pretrained as write_model_folder
from toolkit_shared.errors import InputError

from mobileclip.architectures import ARCHITECTURES, Architecture
from mobileclip.models.architecture_file import architecture_from_json, architecture_to_json
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import fold, folded_form, is_folded
from mobileclip.models.pretrained import (
    canonical_name,
    checkpoint_path,
    list_models,
    list_pretrained,
    nearest_name,
)
from mobileclip.models.weights import load_weights, read_state_dict
from mobileclip.preprocessing import (
    EvaluationTransform,
    TrainingTransform,
    evaluation_transform,
    training_transform,
)
from mobileclip.tokenization import ClipTokenizer

__all__ = [
    "create_model",
    "create_model_and_transforms",
    "from_pretrained",
    "get_architecture",
    "get_tokenizer",
    "list_models",
    "list_pretrained",
    "save_pretrained",
]

KIND = "mobileclip model"
_logger = logging.getLogger(__name__)

Compatibility = Literal["official", "open_clip"]


def create_model(
    name_or_folder: str | Path,
    *,
    pretrained: str | Path | None = None,
    folded: bool = False,
    device: str | torch.device = "cpu",
    compat: Compatibility | None = None,
    drop_path_ratio: float = 0.0,
) -> ImageTextModel:
    """A model in evaluation mode, with random weights unless told where to find some.

    Call `train()` before training: batch norms use their running statistics otherwise.

    Args:
        name_or_folder: a name of `list_models()` (case and `-` or `_` do not count), a JSON file with an
            architecture, or a folder that `save_pretrained` wrote, whose weights the model then has.
        pretrained: a checkpoint file of any dialect, or a tag of `list_pretrained()`, which is then fetched
            from the Hugging Face Hub.
        folded: merge the branches of training into single convolutions; such a model cannot be trained.
        device: where the model is put.
        compat: "open_clip" computes MobileCLIP-B as open_clip does instead of as it was trained; by default
            "official", or what a folder says.
        drop_path_ratio: largest probability of skipping a block in training.

    Raises:
        InputError: unknown name or tag, unreadable file, or weights that do not fit; one line says which.
    """
    if _is_model_folder(name_or_folder) and pretrained is None:
        model = from_pretrained(name_or_folder, compat=compat, drop_path_ratio=drop_path_ratio)
    else:
        architecture = get_architecture(name_or_folder)
        if pretrained is None:
            model = ImageTextModel(
                architecture, compat=compat or "official", drop_path_ratio=drop_path_ratio
            ).eval()
        else:
            name = canonical_name(str(name_or_folder)) or str(name_or_folder)
            path = checkpoint_path(name, pretrained)
            loaded = load_weights(
                read_state_dict(path),
                architecture,
                where=str(path),
                compat=compat or "official",
                drop_path_ratio=drop_path_ratio,
            )
            model = loaded.model
            _logger.info("weights %s, names %s, folding %s", path, loaded.dialect, loaded.folding or "none")
    if folded and not is_folded(model):
        model = fold(model)
    return model.to(device)


def create_model_and_transforms(
    name_or_folder: str | Path,
    *,
    pretrained: str | Path | None = None,
    folded: bool = False,
    device: str | torch.device = "cpu",
    compat: Compatibility | None = None,
    drop_path_ratio: float = 0.0,
) -> tuple[ImageTextModel, TrainingTransform, EvaluationTransform]:
    """As `create_model`, with the transforms of images for training and for evaluation."""
    model = create_model(
        name_or_folder,
        pretrained=pretrained,
        folded=folded,
        device=device,
        compat=compat,
        drop_path_ratio=drop_path_ratio,
    )
    size, preprocessing = model.architecture.image.image_size, model.architecture.preprocessing
    return model, training_transform(size, preprocessing), evaluation_transform(size, preprocessing)


def get_tokenizer(name_or_folder: str | Path) -> ClipTokenizer:
    """The tokenizer of a model: CLIP's, with rows as long as its text encoder takes.

    Raises:
        InputError: no such model.
    """
    return ClipTokenizer(get_architecture(name_or_folder).text.context_length)


def get_architecture(name_or_folder: str | Path) -> Architecture:
    """The sizes and the preprocessing of a name, a JSON file or a folder of `save_pretrained`.

    Raises:
        InputError: none of the three.
    """
    if name := canonical_name(str(name_or_folder)):
        return ARCHITECTURES[name]
    path = Path(name_or_folder)
    if path.is_file() and path.suffix == ".json":
        return architecture_from_json(read_json(path), where=str(path))
    if path.is_dir():
        return _architecture_of(read_json(path / CONFIG), str(path / CONFIG))
    if path.is_file():
        raise InputError(f"{path}: is no JSON file; give it as the weights, and a name as the model")
    raise InputError(
        f"{name_or_folder}: no model of this name, no file and no folder; "
        f"{nearest_name(str(name_or_folder), list_models())}"
    )


def save_pretrained(model: ImageTextModel, folder: str | Path) -> None:
    """Write `model.safetensors` and `config.json`; the only form that holds a fully folded model.

    The configuration has the architecture, the preprocessing and how far the model is folded, so that
    `from_pretrained` needs the folder alone. Equal models give equal bytes.
    """
    architecture = model.architecture
    published = [name for name, known in ARCHITECTURES.items() if known == architecture]
    config: dict[str, Any] = {
        "kind": KIND,
        # two generations share some architectures; the first name stands for both
        "name": published[0] if published else None,
        "architecture": architecture_to_json(architecture),
        "compat": model.compat,
        "folding": folded_form(model),
    }
    write_model_folder(folder, model.state_dict(), config)


def from_pretrained(
    folder_or_hub_id: str | Path,
    *,
    device: str | torch.device = "cpu",
    compat: Compatibility | None = None,
    drop_path_ratio: float = 0.0,
) -> ImageTextModel:
    """The model that `save_pretrained` wrote, in evaluation mode; `owner/name` is fetched from the Hub.

    Raises:
        InputError: no such folder, or its two files are broken, do not fit each other, or are of something
            else.
    """
    state, config = load_pretrained(folder_or_hub_id)
    where = f"{folder_or_hub_id}/{CONFIG}"
    architecture = _architecture_of(config, where)
    saved = config.get("compat", "official")
    if saved not in ("official", "open_clip"):
        raise InputError(f"{where}: compat is {saved!r}; expected 'official' or 'open_clip'")
    loaded = load_weights(
        state,
        architecture,
        where=str(folder_or_hub_id),
        compat=compat or saved,
        drop_path_ratio=drop_path_ratio,
    )
    return loaded.model.to(device)


def _architecture_of(config: Any, where: str) -> Architecture:
    if not isinstance(config, dict) or config.get("kind") != KIND:
        raise InputError(f"{where}: is not of a {KIND}; give a folder that save_pretrained wrote")
    return architecture_from_json(config.get("architecture"), where=where)


def _is_model_folder(name_or_folder: str | Path) -> bool:
    return canonical_name(str(name_or_folder)) is None and Path(name_or_folder).is_dir()
