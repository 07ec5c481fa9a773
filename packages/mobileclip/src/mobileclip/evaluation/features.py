"""Features of images and texts for an evaluation, with everything that could not be used by name."""

import logging
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Generic, TypeVar

import numpy as np
import torch
from jaxtyping import Float32
from numpy import ndarray
from toolkit_shared.errors import InputError
from toolkit_shared.images import BadImage, decode_image
from toolkit_shared.losses import Losses
from torch import Tensor

from mobileclip.models.clip import ImageTextModel
from mobileclip.models.devices import usable_device
from mobileclip.models.factory import create_model_and_transforms
from mobileclip.models.fingerprints import fingerprint_model
from mobileclip.models.folding import fold, is_folded
from mobileclip.models.truncation import encode_prompts
from mobileclip.preprocessing import EvaluationTransform
from mobileclip.tokenization import ClipTokenizer

logger = logging.getLogger(__name__)

BATCHES_AHEAD = 2
"""Batches that are decoded while the model works on one: enough to keep it busy, little in memory."""

Kept = TypeVar("Kept")


@dataclass(frozen=True, slots=True)
class StoredImage(Generic[Kept]):
    """The file of an image on its way to the model.

    Attributes:
        data: Its bytes, which nobody holds any longer than needed.
        where: File and place, for messages.
        kept: What is wanted beside its features, such as the label.
    """

    data: bytes
    where: str
    kept: Kept


@dataclass(frozen=True)
class Encoders:
    """A model with what belongs to it, ready to encode.

    Attributes:
        model: In evaluation mode, on its device.
        transform: Image to tensor.
        tokenizer: Texts to tokens.
        device: Where the model is.
        name: The model's name, file or folder.
        checkpoint: The name of the file of the weights, or None.
        fingerprint: Of the name, shape and value of every weight.
    """

    model: ImageTextModel
    transform: EvaluationTransform
    tokenizer: ClipTokenizer
    device: torch.device
    name: str
    checkpoint: str | None
    fingerprint: str


def load_encoders(
    name: str,
    *,
    checkpoint: str | None = None,
    device: str = "cpu",
    folded: bool = True,
    seed: int = 0,
) -> Encoders:
    """The encoders of a model by name, file or folder.

    Without a checkpoint, a name gives random weights that depend on `seed` alone: for trying things out.

    Args:
        name: As `create_model` takes it.
        checkpoint: A file of weights, or a tag of open_clip.
        device: "auto", "cpu", "cuda", ...
        folded: Merge the branches of training first; the features are the same to rounding, in less time.
        seed: Of random weights.

    Raises:
        InputError: the model, the checkpoint or the device is not there.
    """
    place = usable_device(device)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model, _, transform = create_model_and_transforms(name, pretrained=checkpoint)
    if checkpoint is None and not Path(name).is_dir():
        logger.warning("%s has random weights; pass --checkpoint for trained ones", name)
    mark = fingerprint_model(model)
    if folded:
        model = model if is_folded(model) else fold(model)
    model = model.to(place).eval()
    model.image_encoder.to(memory_format=torch.channels_last)  # 1.1 to 2 times faster
    tokenizer = ClipTokenizer(model.architecture.text.context_length)
    weights = None if checkpoint is None else Path(checkpoint).name
    return Encoders(model, transform, tokenizer, place, name, weights, mark)


def encode_texts(
    encoders: Encoders,
    texts: Sequence[str],
    *,
    batch_size: int = 256,
    progress: Callable[[int], None] | None = None,
) -> Float32[ndarray, "texts embed_dim"]:
    """Unit rows of texts; in causal towers without computing the padding, which is exact."""
    with torch.inference_mode():
        features = encode_prompts(
            encoders.model,
            encoders.tokenizer(list(texts)),
            batch_size=batch_size,
            device=encoders.device,
            progress=progress,
        )
    return features.float().numpy()


def encode_images(
    encoders: Encoders,
    images: Iterable[StoredImage[Kept]],
    *,
    losses: Losses,
    batch_size: int = 64,
    workers: int = 1,
    progress: Callable[[int], None] | None = None,
) -> tuple[list[Kept], Float32[ndarray, "images embed_dim"]]:
    """What is kept of the images that could be decoded, and their unit rows, in order.

    Images are read here and decoded by threads, so the answer does not depend on `workers`. It depends on
    `batch_size` by rounding only.

    Args:
        encoders: The model.
        images: Read as they are needed.
        losses: Counts every image that cannot be decoded.
        batch_size: Images given to the model at once.
        workers: Threads that decode.
        progress: Told the number of images done.

    Raises:
        InputError: `batch_size` or `workers` below 1; an image cannot be decoded and `losses` is strict.
    """
    for option, value in (("--batch-size", batch_size), ("--workers", workers)):
        if value < 1:
            raise InputError(f"{option}: {value} is not positive; give 1 or more")
    kept: list[Kept] = []
    features: list[Float32[ndarray, "batch embed_dim"]] = []

    def load(image: StoredImage[Kept]) -> Tensor | BadImage:
        try:
            return encoders.transform(decode_image(image.data, where=image.where))
        except BadImage as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        for batch, loaded in _ahead(_batches(images, batch_size), pool, load):
            tensors = []
            for extra, outcome in zip(batch, loaded, strict=True):
                if not isinstance(outcome, BadImage):
                    kept.append(extra)
                    tensors.append(outcome)
                else:
                    losses.lose_error(outcome)
            if tensors:
                features.append(_encode(encoders, tensors))
            if progress is not None:
                progress(len(batch))
    width = encoders.model.architecture.embed_dim
    return kept, np.concatenate(features) if features else np.empty((0, width), np.float32)


def _encode(encoders: Encoders, tensors: list[Tensor]) -> Float32[ndarray, "batch embed_dim"]:
    with torch.inference_mode():
        images = torch.stack(tensors).to(encoders.device, memory_format=torch.channels_last)
        rows = encoders.model.encode_image(images, normalize=True)
    found: Float32[ndarray, "batch embed_dim"] = rows.float().cpu().numpy()
    return found


def _batches(images: Iterable[StoredImage[Kept]], size: int) -> Iterator[list[StoredImage[Kept]]]:
    iterator = iter(images)
    while batch := list(islice(iterator, size)):
        yield batch


def _ahead(
    batches: Iterator[list[StoredImage[Kept]]],
    pool: ThreadPoolExecutor,
    load: Callable[[StoredImage[Kept]], Tensor | BadImage],
) -> Iterator[tuple[list[Kept], list[Tensor | BadImage]]]:
    """Each batch with what `load` made of its images, the next ones being worked on meanwhile."""
    waiting: deque[tuple[list[Kept], list[Future[Tensor | BadImage]]]] = deque()
    try:
        for batch in batches:
            waiting.append(([image.kept for image in batch], [pool.submit(load, image) for image in batch]))
            if len(waiting) > BATCHES_AHEAD:
                kept, futures = waiting.popleft()
                yield kept, [future.result() for future in futures]
        while waiting:
            kept, futures = waiting.popleft()
            yield kept, [future.result() for future in futures]
    finally:
        for _, futures in waiting:
            for future in futures:
                future.cancel()
