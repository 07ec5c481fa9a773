"""Which names a checkpoint uses, told by the names alone.

official: the first generation's files; our models have the same names. open_clip: those of open_clip with
timm's image encoders, which the second generation was trained in. Either may be folded: as the official code
and timm do it (each block's branches are one convolution), or fully, which is our own form.
"""

import re
from collections.abc import Collection, Mapping
from typing import Literal

from toolkit_shared.errors import InputError
from torch import Tensor

from mobileclip.architectures import Architecture
from mobileclip.models.clip import ImageTextModel
from mobileclip.models.folding import Form, is_folded
from mobileclip.models.weights.open_clip_names import from_open_clip_state_dict, head_bias_name

Dialect = Literal["official", "open_clip"]

_MERGED = re.compile(r"\.(reparam_conv|lkb_reparam)\.")
_FULL = re.compile(r"convffn\.conv\.bias$|patch_emb\.0\.conv\.weight$")


def dialect_of(names: Collection[str], *, where: str) -> Dialect:
    """Whose names these are.

    Raises:
        InputError: nobody's whose files can be read here; the first name is shown.
    """
    if any(name.startswith(("image_encoder.", "text_encoder.")) for name in names):
        return "official"
    if any(name.startswith(("visual.trunk.", "text.")) for name in names):
        return "open_clip"
    first = min(names, default="nothing")
    raise InputError(
        f"{where}: no weights of a MobileCLIP model: the first name is '{first}'; expected names such as "
        "image_encoder.model... (official) or visual.trunk... (open_clip)"
    )


def folding_of(names: Collection[str]) -> Form | None:
    """How far the model was folded whose weights have these names; None for the form that trains."""
    if any(_FULL.search(name) for name in names):
        return "full"
    return "official" if any(_MERGED.search(name) for name in names) else None


def has_head_bias(state: Mapping[str, Tensor], architecture: Architecture) -> bool:
    """Whether the image projection of these weights adds a bias that is not all zeros."""
    own = ("image_encoder.model.head.bias", "image_encoder.model.classifier.bias")
    biases = [state[name] for name in (*own, head_bias_name(architecture)) if name in state]
    return any(bool(bias.any()) for bias in biases)


def to_native_state_dict(
    state: Mapping[str, Tensor], architecture: Architecture, names: Collection[str], dialect: Dialect
) -> dict[str, Tensor]:
    """The weights under the names of the model that is to take them; what has no such name keeps its own."""
    if dialect == "open_clip":
        return from_open_clip_state_dict(state, architecture, names)
    native = dict(state)
    for name in ("image_encoder.model.head.bias", "image_encoder.model.classifier.bias"):
        if name in native and name not in names and not native[name].any():
            del native[name]
    return native


def to_official_state_dict(model: ImageTextModel) -> dict[str, Tensor]:
    """The weights as the official code of the first generation names them.

    A model in the official folded form gives the names of that form.

    Raises:
        InputError: the official classes have no place for them: the model is fully folded, its image
            projection has a bias that is not zero, or its image encoder is one of the second generation.
    """
    if is_folded(model):
        raise InputError(
            "to_official_state_dict: a fully folded model has other layers than the official one; convert "
            "the model before folding it"
        )
    image = model.architecture.image
    if getattr(image, "stem", "conv") != "conv" or len(getattr(image, "depths", ())) == 5:
        raise InputError(
            "to_official_state_dict: the official first-generation code has no such image encoder (S3, S4, "
            "L/14); use to_open_clip_state_dict"
        )
    state = {name: tensor.detach() for name, tensor in model.state_dict().items()}
    for name in ("image_encoder.model.head.bias", "image_encoder.model.classifier.bias"):
        if name in state and state.pop(name).any():
            raise InputError(
                f"to_official_state_dict: {name} is not zero, and the official classes have no bias there; "
                "use to_open_clip_state_dict"
            )
    return state
