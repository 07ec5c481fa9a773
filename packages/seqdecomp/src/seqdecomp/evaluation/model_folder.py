"""A model to evaluate and its tokenizer, and that the two fit."""

from functools import partial
from pathlib import Path

from toolkit_shared.artifacts import read_json
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation import model_folder
from toolkit_shared.evaluation.model_folder import find_model_folder

from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import Tokenizer, load_tokenizer

# the paper's context, where an open_lm checkpoint does not tell its own
load_scorer = partial(model_folder.load_scorer, toolkit="seqdecomp", extra="huggingface", open_lm_length=8192)


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
