"""A model to evaluate: this package's own, one of the transformers library, or an open_lm checkpoint."""

from pathlib import Path

import torch
from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError, require
from toolkit_shared.language_model.openlm import MODEL_TYPE, OpenLM
from toolkit_shared.language_model.weights import from_open_lm_state_dict

from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import Tokenizer, load_tokenizer
from seqdecomp.evaluation.causal_lm import TransformersLM
from seqdecomp.evaluation.scoring import Scorer, ScoringPrecision


def load_scorer(
    path: str | Path,
    *,
    device: str = "auto",
    precision: ScoringPrecision = "float32",
    batch_tokens: int = 16_384,
    max_length: int | None = None,
) -> tuple[Scorer, int]:
    """The model at `path`, ready to score, and the number of token ids that it knows.

    Args:
        path: Folder with config.json and weights, such as a run of `seqdecomp train`; or the file of an
            open_lm checkpoint, whose context is `max_length` or the paper's 8192.
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
        model, longest, vocab_size = _load_open_lm(Path(path), max_length or 8192)
    else:
        model, longest, vocab_size = _load(find_model_folder(path))
    if max_length is not None and longest is not None and max_length > longest:
        raise InputError(f"--max-length {max_length}: the model {path} has a context of {longest}; lower it")
    length = max_length or longest
    if length is None:
        raise InputError(f"{path}: config.json does not tell the length of the context; give --max-length")
    model = model.to(chosen).eval()
    scorer = Scorer(
        model=model, max_length=length, device=chosen, precision=precision, batch_tokens=batch_tokens
    )
    return scorer, vocab_size


def find_model_folder(path: str | Path) -> Path:
    """The folder that holds config.json: `path` itself or `path`/model.

    Raises:
        InputError: neither does.
    """
    for folder in (Path(path), Path(path) / "model"):
        if (folder / "config.json").is_file():
            return folder
    raise InputError(
        f"{path}: no model here (config.json is missing); give a folder written by seqdecomp train"
    )


def find_tokenizer(spec: str | None, model: str | Path, store: Store | None = None) -> Tokenizer:
    """The tokenizer that `spec` names, else that of the store, else that in the model's folder.

    Raises:
        InputError: none of them is there.
    """
    if spec:
        return load_tokenizer(spec)
    if store is not None and store.path is not None:
        if (store.path / "tokenizer.json").is_file():
            return load_tokenizer(store.path / "tokenizer.json")
        if store.manifest["tokenizer"].get("name") == "bytes":
            return load_tokenizer("bytes")
    path = Path(model)
    for folder in (path.parent,) if path.is_file() else (path, find_model_folder(path)):
        if (folder / "tokenizer.json").is_file():
            return load_tokenizer(folder / "tokenizer.json")
        if (folder / "manifest.json").is_file():  # of a run, which names the tokenizer of its store
            named = read_json(folder / "manifest.json")
            if isinstance(named, dict) and (named.get("tokenizer") or {}).get("name") == "bytes":
                return load_tokenizer("bytes")
    raise InputError(
        f"{model}: no tokenizer.json here; give --tokenizer bytes, a tokenizer.json or a hub name"
    )


def require_vocabulary(
    model: str | Path, vocab_size: int, tokenizer: Tokenizer | None, store: Store | None
) -> None:
    """Check that the model knows every token id of the tokenizer and of the store.

    Raises:
        InputError: it has fewer ids; looking one up would fail in the middle of the run.
    """
    for name, needed in (
        (f"tokenizer {tokenizer.spec}" if tokenizer else "", tokenizer.vocab_size if tokenizer else 0),
        (f"store {store.path}" if store else "", store.vocab_size if store else 0),
    ):
        if needed > vocab_size:
            raise InputError(
                f"{model}: knows {vocab_size} token ids, but {name} has {needed}; "
                "give the tokenizer that the model was trained with"
            )


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


def _load_open_lm(path: Path, max_length: int) -> tuple[torch.nn.Module, int | None, int]:
    model = from_open_lm_state_dict(path, max_length=max_length)
    return model, max_length, int(model.config["vocab_size"])


def _load(folder: Path) -> tuple[torch.nn.Module, int | None, int]:
    config = read_json(folder / "config.json")
    if not isinstance(config, dict) or "model_type" not in config:
        raise InputError(f"{folder / 'config.json'}: field 'model_type' is missing; give a model's folder")
    if config["model_type"] == MODEL_TYPE:
        model = OpenLM.from_pretrained(folder)
        return model, int(model.config["max_length"]), int(model.config["vocab_size"])
    transformers = require("transformers", toolkit="seqdecomp", extra="huggingface")
    try:
        wrapped = TransformersLM(transformers.AutoModelForCausalLM.from_pretrained(folder))
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:160]
        raise InputError(f"{folder}: transformers cannot load this as a causal model: {reason}") from None
    return wrapped, wrapped.max_length, wrapped.vocab_size
