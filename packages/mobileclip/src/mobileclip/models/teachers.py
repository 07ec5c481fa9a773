"""Teachers from open_clip's models and from this toolkit's own folders, named by a short text.

open_clip:ViT-L-14/openai          a model and a tag of open_clip, downloaded by it when needed
open_clip:ViT-L-14@weights.pt      a model of open_clip with a checkpoint file
open_clip:my_model.json@weights.pt a configuration file of open_clip's form with a checkpoint file
open_clip:local-dir:FOLDER         a folder with open_clip_config.json and weights (or hf-hub:NAME)
mobileclip:FOLDER                  a folder that `save_pretrained` wrote
"""

import logging
import re
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Float32, Int
from PIL import Image
from toolkit_shared.errors import InputError
from torch import Tensor, nn

from mobileclip.models.devices import usable_device
from mobileclip.models.fingerprints import fingerprint_model
from mobileclip.reinforcement.sample import PUBLISHED_TEACHERS
from mobileclip.reinforcement.teacher import Teacher, unit_rows

KINDS = ("open_clip", "mobileclip")


@dataclass(frozen=True, kw_only=True)
class EncoderTeacher:
    """A teacher made of two encoders, a tokenizer and the normalisation that its images need.

    `encode_image` takes normalised pixels, `encode_text` tokens; neither needs to return unit rows.
    """

    name: str
    width: int
    image_size: int
    logit_scale: float
    fingerprint: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    encode_image: Callable[[Tensor], Tensor]
    encode_text: Callable[[Tensor], Tensor]
    tokenize: Callable[[list[str]], Int[Tensor, "texts context"]]
    device: torch.device

    def embed_images(self, images: Sequence[Image.Image]) -> Float32[np.ndarray, "images width"]:
        """Unit rows of RGB images.

        Raises:
            ValueError: an image is not RGB, or not a square of side `image_size`.
        """
        side = self.image_size
        for image in images:
            if image.size != (side, side) or image.mode != "RGB":
                raise ValueError(
                    f"{self.name} takes RGB images of {side}x{side}, not {image.mode} {image.size}"
                )
        if not images:
            return np.empty((0, self.width), np.float32)
        pixels = torch.from_numpy(np.stack([np.asarray(image) for image in images])).to(self.device)
        scaled = pixels.permute(0, 3, 1, 2).contiguous().float() / 255.0
        mean = torch.tensor(self.mean, device=self.device).view(1, 3, 1, 1)
        std = torch.tensor(self.std, device=self.device).view(1, 3, 1, 1)
        return self._rows(self.encode_image, (scaled - mean) / std)

    def embed_texts(self, texts: Sequence[str]) -> Float32[np.ndarray, "texts width"]:
        """Unit rows of captions."""
        if not texts:
            return np.empty((0, self.width), np.float32)
        return self._rows(self.encode_text, self.tokenize(list(texts)).to(self.device))

    @torch.no_grad()
    def _rows(self, encode: Callable[[Tensor], Tensor], batch: Tensor) -> Float32[np.ndarray, "rows width"]:
        features: Float[Tensor, "rows width"] = encode(batch)
        return unit_rows(features.float().cpu().numpy())


def load_teacher(spec: str, device: str = "cpu", *, logit_scale: float | None = None) -> Teacher:
    """The teacher that `spec` names, in evaluation mode, without gradients.

    Args:
        spec: one of the forms in the module's docstring.
        device: a torch device, or `auto`: CUDA where there is one.
        logit_scale: stands in for the model's own, as the published v2 set does (70 and 60).

    Raises:
        InputError: the spec names no known form, model, tag or file; the file does not fit the model; or the
            model takes other than square images.
    """
    kind, _, rest = spec.partition(":")
    if kind not in KINDS or not rest:
        raise InputError(
            f"--teacher {spec}: names no teacher; write open_clip:NAME/TAG, open_clip:NAME@FILE "
            "or mobileclip:FOLDER"
        )
    target = usable_device(device)
    load = _load_open_clip if kind == "open_clip" else _load_mobileclip
    teacher = load(spec, rest, target)
    return teacher if logit_scale is None else replace(teacher, logit_scale=float(logit_scale))


def load_teachers(
    specs: Sequence[str], device: str = "cpu", logit_scales: Sequence[float] = ()
) -> tuple[Teacher, ...]:
    """The teachers of an ensemble, in the order of `specs`.

    Args:
        specs: one text for each teacher, or the name of a published set, `datacompdr` or `dfndr`.
        device: a torch device, or `auto`.
        logit_scales: one for each teacher, or none, which keeps the models' own.

    Raises:
        InputError: a teacher cannot be loaded, none is named, or there are not as many scales as teachers.
    """
    specs, logit_scales = expand_teachers(specs, logit_scales)
    if not specs:
        raise InputError("--teacher: none is named; give at least one, such as open_clip:ViT-L-14/openai")
    if logit_scales and len(logit_scales) != len(specs):
        raise InputError(
            f"--teacher-scale: {len(logit_scales)} given for {len(specs)} teachers; "
            "give one for each, or none"
        )
    scales: list[float] | list[None] = list(logit_scales) or [None] * len(specs)
    return tuple(
        load_teacher(spec, device, logit_scale=scale) for spec, scale in zip(specs, scales, strict=True)
    )


def expand_teachers(specs: Sequence[str], logit_scales: Sequence[float]) -> tuple[list[str], list[float]]:
    """Specs and scales, where the name of a published set stands for its teachers and their scales.

    Scales that are given win over the published ones.
    """
    if len(specs) != 1 or specs[0] not in PUBLISHED_TEACHERS:
        return list(specs), list(logit_scales)
    published = PUBLISHED_TEACHERS[specs[0]]
    scales = list(logit_scales) or [teacher.logit_scale for teacher in published]
    return [teacher.name for teacher in published], scales


def create_open_clip_model(spec: str, rest: str) -> tuple[nn.Module, str]:
    """An open_clip model with its weights, in evaluation mode on the CPU, and the name of its tokenizer.

    Args:
        spec: the whole text, for errors.
        rest: what stands behind `open_clip:`.

    Raises:
        InputError: there is no such model, tag or file, or the file does not fit.
    """
    import open_clip

    name, pretrained = _split_open_clip(spec, rest)
    quick_gelu = None
    if name.endswith(".json"):
        name = _register_config(spec, name)
    if pretrained is None:
        if name.startswith("local-dir:") and not Path(name.removeprefix("local-dir:")).is_dir():
            raise InputError(f"{spec}: there is no such folder; check the path")
    else:
        quick_gelu = _check_open_clip(spec, name, pretrained)
    # open_clip only warns when the activation is not the one that the tag was trained with
    changes: dict[str, Any] = {"force_quick_gelu": True} if quick_gelu else {}
    try:
        with warnings.catch_warnings(), _own_log():
            warnings.simplefilter("ignore")
            model = open_clip.create_model(name, pretrained=pretrained, require_pretrained=True, **changes)
    except (
        Exception
    ) as error:  # open_clip and the hub raise many kinds; all mean that this teacher cannot be had
        reason = " ".join(str(error).split())
        raise InputError(
            f"{spec}: open_clip cannot load it: {_shortened(reason)}; check name and weights"
        ) from None
    return model.eval().requires_grad_(False), name


@contextmanager
def _own_log() -> Iterator[None]:
    """Keep open_clip, which logs at the root, from setting up a handler there that repeats every line."""
    root, handler = logging.getLogger(), logging.NullHandler()
    root.addHandler(handler)
    try:
        yield
    finally:
        root.removeHandler(handler)


def _split_open_clip(spec: str, rest: str) -> tuple[str, str | None]:
    """Name, and tag or checkpoint file; None for a folder or a hub name, which hold their weights."""
    if re.match(r"(hf-hub|local-dir):.", rest):
        return rest, None
    name, at, file = rest.rpartition("@")
    if at:
        if not Path(file).is_file():
            raise InputError(f"{spec}: there is no file {file}; check the path")
        return name, file
    name, slash, tag = rest.rpartition("/")
    if not slash or rest.endswith(".json"):
        raise InputError(f"{spec}: names no weights; write open_clip:NAME/TAG or open_clip:NAME@FILE")
    return name, tag


def _register_config(spec: str, path: str) -> str:
    import open_clip
    from toolkit_shared.artifacts import read_json

    config = read_json(path)
    missing = [field for field in ("embed_dim", "vision_cfg", "text_cfg") if field not in config]
    if missing:
        raise InputError(
            f"{spec}: {path} has no {' and no '.join(missing)}; give a model configuration of open_clip"
        )
    name = Path(path).stem
    known = open_clip.get_model_config(name)
    if known is not None and known != config:
        raise InputError(f"{spec}: open_clip has another model {name}; rename {Path(path).name}")
    if known is None:
        open_clip.add_model_config(Path(path))
    return name


def _check_open_clip(spec: str, name: str, pretrained: str) -> bool:
    """Whether a tag's weights need the quick GELU; refuses names and tags that open_clip does not know."""
    import open_clip

    names = open_clip.list_models()
    if name not in names:
        raise InputError(f"{spec}: open_clip has no model {name}{_hint(name, names)}")
    if Path(pretrained).is_file():
        return False
    tags = open_clip.list_pretrained_tags_by_model(name)
    if pretrained not in tags:
        raise InputError(f"{spec}: {name} has no weights {pretrained}; it has {', '.join(tags) or 'none'}")
    tagged = bool((open_clip.get_pretrained_cfg(name, pretrained) or {}).get("quick_gelu", False))
    if not tagged and (open_clip.get_model_config(name) or {}).get("quick_gelu", False):
        raise InputError(
            f"{spec}: {pretrained} was trained without quick GELU; name the model without -quickgelu"
        )
    return tagged


def _hint(name: str, names: Sequence[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, names, n=1)
    return f"; did you mean {near[0]}?" if near else "; open_clip.list_models() lists them"


def _shortened(reason: str, limit: int = 300) -> str:
    return reason if len(reason) <= limit else reason[:limit] + " ..."


def _load_open_clip(spec: str, rest: str, device: torch.device) -> EncoderTeacher:
    import open_clip

    model, name = create_open_clip_model(spec, rest)
    settings = open_clip.get_model_preprocess_cfg(model)
    size = settings["size"]
    height, width = (size, size) if isinstance(size, int) else size
    if height != width:
        raise InputError(f"{spec}: takes images of {height}x{width}; a teacher's images are square")
    mean, std = tuple(settings["mean"]), tuple(settings["std"])
    fingerprint = fingerprint_model(model, name, size, mean, std)
    model = model.to(device)
    try:
        with _own_log():
            tokenize = open_clip.get_tokenizer(name)
    except Exception as error:  # tokenizers of the hub raise many kinds when they cannot be had
        raise InputError(f"{spec}: its tokenizer cannot be loaded: {_shortened(str(error))}") from None
    encode_image: Any = model.encode_image
    encode_text: Any = model.encode_text
    with torch.no_grad():
        probe = encode_text(tokenize([""]).to(device))
    return EncoderTeacher(
        name=_short_name(rest),
        width=int(probe.shape[1]),
        image_size=int(height),
        logit_scale=float(model.logit_scale.detach().exp().flatten()[0]),  # type: ignore[operator]
        fingerprint=fingerprint,
        mean=mean,
        std=std,
        encode_image=encode_image,
        encode_text=encode_text,
        tokenize=tokenize,
        device=device,
    )


def _load_mobileclip(spec: str, rest: str, device: torch.device) -> EncoderTeacher:
    if not Path(rest).is_dir():
        raise InputError(f"{spec}: there is no such folder; name one that save_pretrained wrote")
    from mobileclip.models.factory import create_model
    from mobileclip.tokenization import ClipTokenizer

    model = create_model(rest, folded=True).eval().requires_grad_(False)
    architecture = model.architecture
    preprocessing, image_size = architecture.preprocessing, architecture.image.image_size
    fingerprint = fingerprint_model(model, image_size, preprocessing.mean, preprocessing.std)
    model = model.to(device)
    return EncoderTeacher(
        name=Path(rest).resolve().name,
        width=architecture.embed_dim,
        image_size=image_size,
        logit_scale=float(model.logit_scale.detach().exp()),
        fingerprint=fingerprint,
        mean=preprocessing.mean,
        std=preprocessing.std,
        encode_image=model.encode_image,
        encode_text=model.encode_text,
        tokenize=ClipTokenizer(architecture.text.context_length),
        device=device,
    )


def _short_name(rest: str) -> str:
    """The spec without its kind and without the folders of its files, which differ between machines."""
    if re.match(r"(hf-hub|local-dir):.", rest):
        return rest if rest.startswith("hf-hub:") else Path(rest.removeprefix("local-dir:")).resolve().name
    name, at, file = rest.rpartition("@")
    if not at:
        return rest
    return f"{Path(name).stem if name.endswith('.json') else name}@{Path(file).name}"
