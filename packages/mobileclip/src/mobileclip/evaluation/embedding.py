"""Images and texts to files of unit rows, by a model that is known to be trained."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32
from numpy import ndarray
from toolkit_shared.artifacts import fingerprint
from toolkit_shared.errors import InputError
from toolkit_shared.images import decode_image
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import BadPair, PairSource, open_pairs

from mobileclip.embedding.files import Embeddings
from mobileclip.embedding.writing import Dtype, EmbeddingReport, write_embeddings
from mobileclip.evaluation.features import (
    Encoders,
    StoredImage,
    encode_images,
    encode_texts,
    load_encoders,
)
from mobileclip.models.factory import get_architecture
from mobileclip.models.folding import is_folded
from mobileclip.models.pretrained import canonical_name, list_pretrained

BLOCK_BATCHES = 16  # what a killed run has to do again at most


def load_trained_encoders(
    model: str,
    *,
    checkpoint: str | None = None,
    random_weights: bool = False,
    device: str = "cpu",
    folded: bool = True,
) -> Encoders:
    """The encoders of a model that has weights; random ones only on demand, for their answers mean nothing.

    Args:
        model: name, JSON file, or a folder with weights.
        checkpoint: file of weights, or a tag of open_clip.
        random_weights: take random ones.
        device: "auto", "cpu", "cuda", ...
        folded: merge the branches of training.

    Raises:
        InputError: there are no weights, or both kinds; else as `load_encoders`.
    """
    if random_weights and checkpoint is not None:
        raise InputError("--random-weights and --checkpoint exclude each other; give one of them")
    name = canonical_name(model)
    if name is None:
        get_architecture(model)  # a name that is not known comes before weights that are missing
    if checkpoint is None and not random_weights and (name or not Path(model).is_dir()):
        tags = ", ".join(tag for known, tag in list_pretrained() if known == name) if name else ""
        hint = f" or a tag ({tags})" if tags else ""
        raise InputError(
            f"{model}: no weights are given; pass --checkpoint with a file{hint}, "
            "or a model folder as --model"
        )
    return load_encoders(model, checkpoint=checkpoint, device=device, folded=folded)


def load_encoders_of(
    embeddings: Embeddings,
    *,
    model: str | None = None,
    checkpoint: str | None = None,
    random_weights: bool = False,
    device: str = "cpu",
    folded: bool = True,
) -> Encoders:
    """The encoders that embeddings were made with, or those named, which must be the same.

    Raises:
        InputError: the file does not say which, or other weights are named; else as `load_trained_encoders`.
    """
    manifest = embeddings.manifest or {}
    if model is None:
        if "model" not in manifest:
            raise InputError(f"{embeddings.path}: does not say which model it was made with; pass --model")
        model = str(manifest["model"])
        if checkpoint is None and manifest.get("checkpoint") is not None:
            checkpoint = str(manifest["checkpoint"])
    encoders = load_trained_encoders(
        model, checkpoint=checkpoint, random_weights=random_weights, device=device, folded=folded
    )
    made_with = manifest.get("config", {}).get("model")
    if made_with is not None and made_with != encoders.fingerprint:
        raise InputError(
            f"{embeddings.path}: was made with other weights than {checkpoint or model}; pass "
            + " ".join(f"--{name} {manifest[name]}" for name in ("model", "checkpoint") if manifest.get(name))
        )
    return encoders


def encode_queries(
    encoders: Encoders, texts: Sequence[str], images: Sequence[Path]
) -> Float32[ndarray, "queries embed_dim"]:
    """Unit rows of texts, then of image files.

    Raises:
        InputError: an image cannot be used.
    """
    rows = [encode_texts(encoders, texts)] if texts else []
    if images:
        source = open_pairs(images, require_captions=False)
        pairs = [source[number] for number in range(len(source))]
        for pair in pairs:
            decode_image(pair.image, where=pair.where)  # here a broken one is the user's, not to be counted
        stored = [StoredImage(pair.image, pair.where, None) for pair in pairs]
        rows.append(encode_images(encoders, stored, losses=Losses())[1])
    return np.concatenate(rows)


def embed_images(
    encoders: Encoders,
    source: PairSource,
    out: str | Path,
    *,
    dtype: Dtype = "float32",
    batch_size: int = 64,
    workers: int = 1,
    losses: Losses | None = None,
    notes: Mapping[str, Any] | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> EmbeddingReport:
    """Write a unit row for each image that can be decoded, with its key and place; see `write_embeddings`.

    `workers` threads decode; the bytes do not depend on their number.

    Raises:
        InputError: no image can be used, or one cannot and `losses` is strict.
    """

    def encode_block(
        block: range, lost: Losses
    ) -> tuple[list[dict[str, Any]], Float32[ndarray, "images embed_dim"]]:
        return encode_images(
            encoders, _images(source, block, lost), losses=lost, batch_size=batch_size, workers=workers
        )

    return write_embeddings(
        out,
        num_items=len(source),
        block_items=BLOCK_BATCHES * batch_size,
        encode_block=encode_block,
        config=_config(encoders, "images", source.fingerprint, batch_size),
        notes=notes or {},
        width=encoders.model.architecture.embed_dim,
        dtype=dtype,
        losses=losses,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def embed_texts(
    encoders: Encoders,
    texts: Sequence[str],
    out: str | Path,
    *,
    dtype: Dtype = "float32",
    batch_size: int = 64,
    notes: Mapping[str, Any] | None = None,
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> EmbeddingReport:
    """Write a unit row for each text; see `write_embeddings`."""

    def encode_block(
        block: range, lost: Losses
    ) -> tuple[list[dict[str, Any]], Float32[ndarray, "texts embed_dim"]]:
        chosen = [texts[number] for number in block]
        return [{"text": text} for text in chosen], encode_texts(encoders, chosen, batch_size=batch_size)

    return write_embeddings(
        out,
        num_items=len(texts),
        block_items=BLOCK_BATCHES * batch_size,
        encode_block=encode_block,
        config=_config(encoders, "texts", fingerprint(list(texts)), batch_size),
        notes=notes or {},
        width=encoders.model.architecture.embed_dim,
        dtype=dtype,
        resume=resume,
        overwrite=overwrite,
        progress=progress,
    )


def read_texts(path: Path) -> list[str]:
    """The lines of a text file, without empty ones.

    Raises:
        InputError: it cannot be read, is not UTF-8 or has no text.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; check the path") from None
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: is not UTF-8 (byte {error.start}); convert it first") from None
    texts = [line.strip() for line in lines if line.strip()]
    if not texts:
        raise InputError(f"{path}: holds no text; write one a line")
    return texts


def _images(source: PairSource, block: range, losses: Losses) -> Iterator[StoredImage[dict[str, Any]]]:
    for number in block:
        try:
            pair = source[number]
        except BadPair as error:
            losses.lose_error(error)
            continue
        yield StoredImage(pair.image, pair.where, {"key": pair.key, "path": pair.where})


def _config(encoders: Encoders, what: str, mark: str, batch_size: int) -> dict[str, Any]:
    """All that the rows depend on: a name or a number each, so that a difference can be shown."""
    return {
        "what": what,
        "input": mark,
        "model": encoders.fingerprint,
        "folded": is_folded(encoders.model),
        "batch_size": batch_size,
        "device": encoders.device.type,
    }
