"""A causal language model of a folder or file, ready to score: OpenLM, transformers, open_lm checkpoints."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError, require
from toolkit_shared.evaluation.scorer import CausalLM, Projection, Scorer, ScoringPrecision
from toolkit_shared.language_model.openlm import MODEL_TYPE, OpenLM
from toolkit_shared.language_model.weights import from_open_lm_state_dict


@dataclass(frozen=True)
class _Loaded:
    """A causal model in evaluation mode.

    Attributes:
        model: Gives the logits, or, where there is a `project`, the states that it makes them of.
        project: States to logits; None: there is no such step.
        max_length: Longest row that its positions allow; None: its configuration does not say.
        vocab_size: Number of token ids that it knows.
    """

    model: CausalLM
    project: Projection | None
    max_length: int | None
    vocab_size: int


class TransformersLM(nn.Module):
    """A causal language model of the transformers library behind the interface of `CausalLM`.

    Every row starts at position 0 and is padded on its right, where a causal model's padding changes nothing;
    so no attention mask is passed. The wrapped model's key-value cache is left off.
    """

    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    @property
    def max_length(self) -> int | None:
        """Longest row that the model's positions allow, or None where its configuration does not say."""
        config = self.model.config
        for name in ("max_position_embeddings", "n_positions", "max_sequence_length"):
            value = getattr(config, name, None)
            if isinstance(value, int) and value > 0:
                return value
        return None

    @property
    def vocab_size(self) -> int:
        """Number of token ids that the model knows."""
        return int(self.model.config.vocab_size)

    @torch.no_grad()
    def forward(self, input_ids: Int[Tensor, "batch tokens"]) -> Float[Tensor, "batch tokens vocabulary"]:
        """Logits of the token after each position."""
        logits: Tensor = self.model(input_ids=input_ids, use_cache=False).logits
        return logits


def load_scorer(
    path: str | Path,
    *,
    toolkit: str,
    extra: str,
    open_lm_length: int,
    device: str = "auto",
    precision: ScoringPrecision = "float32",
    batch_tokens: int = 16_384,
    max_length: int | None = None,
) -> tuple[Scorer, int]:
    """The model at `path`, ready to score, and the number of token ids that it knows.

    Args:
        path: Folder with config.json and weights, of OpenLM or transformers, or one with a folder `model`
            like that; or the file of an open_lm checkpoint.
        toolkit: Distribution that asks, for the message where transformers is missing.
        extra: Its extra that has transformers.
        open_lm_length: Context of an open_lm checkpoint, whose file does not tell it, without `max_length`.
        device: "auto": CUDA where there is a device, else the CPU.
        precision: "bfloat16" needs CUDA.
        batch_tokens: Most tokens of a batch.
        max_length: Use less of the model's context, or say what it is where the model does not.

    Raises:
        InputError: no model there, no such device, or a context longer than the model's.
    """
    chosen = pick_device(device)
    if precision == "bfloat16" and not chosen.startswith("cuda"):
        raise InputError(f"--precision bfloat16: only on CUDA, not on {chosen}; use float32")
    if Path(path).is_file():
        loaded = _of_open_lm(from_open_lm_state_dict(path, max_length=max_length or open_lm_length), chosen)
    else:
        loaded = _of_folder(find_model_folder(path), chosen, toolkit, extra)
    longest = loaded.max_length
    if max_length is not None and longest is not None and max_length > longest:
        raise InputError(f"--max-length {max_length}: the model {path} has a context of {longest}; lower it")
    length = max_length or longest
    if length is None:
        raise InputError(f"{path}: config.json does not tell the length of the context; give --max-length")
    scorer = Scorer(
        model=loaded.model,
        project=loaded.project,
        max_length=length,
        device=chosen,
        precision=precision,
        batch_tokens=batch_tokens,
    )
    return scorer, loaded.vocab_size


def find_model_folder(path: str | Path) -> Path:
    """The folder that holds config.json: `path` itself or `path`/model.

    Raises:
        InputError: neither does.
    """
    for folder in (Path(path), Path(path) / "model"):
        if (folder / "config.json").is_file():
            return folder
    raise InputError(f"{path}: no model here (config.json is missing); give a folder with it and the weights")


def pick_device(device: str) -> str:
    """The device that `device` names; "auto" is CUDA where there is one.

    Raises:
        InputError: no such device on this machine.
    """
    if device == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    try:
        kind = torch.device(device).type
    except RuntimeError:
        raise InputError(f"--device '{device}': no such device; use auto, cpu, cuda or cuda:N") from None
    if kind == "cuda" and not torch.cuda.is_available():
        raise InputError(f"--device {device}: no CUDA device on this machine; use cpu")
    return device


def _of_folder(folder: Path, device: str, toolkit: str, extra: str) -> _Loaded:
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or "model_type" not in config:
        raise InputError(f"{folder / 'config.json'}: field 'model_type' is missing; give a model's folder")
    if config["model_type"] == MODEL_TYPE:
        return _of_open_lm(OpenLM.from_pretrained(folder), device)
    transformers = require("transformers", toolkit=toolkit, extra=extra)
    try:
        model = TransformersLM(transformers.AutoModelForCausalLM.from_pretrained(folder))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{folder}: transformers cannot load this as a causal model: {reason}") from None
    return _Loaded(model.to(device).eval(), None, model.max_length, model.vocab_size)


def _of_open_lm(model: OpenLM, device: str) -> _Loaded:
    model = model.to(device).eval()
    longest, vocab_size = int(model.config["max_length"]), int(model.config["vocab_size"])
    return _Loaded(partial(model, project=False), model.output, longest, vocab_size)
