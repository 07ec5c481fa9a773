"""Embeddings of pages, and a linear classifier on them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import read_json, write_json
from toolkit_shared.errors import InputError, require

from dclm_bench.data.page import Page
from dclm_bench.quality.scores import once_per_process, require_path
from dclm_bench.steps.step import Step

Vectors = npt.NDArray[np.float32]

# What the encoders of the BGE family take.
MAX_TOKENS = 512


@dataclass(frozen=True)
class EmbeddingSource:
    """Where a page's embedding comes from: its record, or an encoder.

    Attributes:
        func: The step that asks.
        key: Field of the record with a list of numbers, or None.
        encoder_path: Folder of an encoder in the format of transformers, or None.
        device: Where the encoder runs.
    """

    func: str
    key: str | None
    encoder_path: str | None
    device: str = "cpu"

    def __post_init__(self) -> None:
        if (self.key is None) == (self.encoder_path is None):
            raise InputError(f"{self.func}: give either embeddings_key or encoder_path")
        if self.encoder_path is not None:
            require_path(self.func, "encoder_path", self.encoder_path, folder=True)

    def of(self, pages: Sequence[Page]) -> Vectors:
        """Embeddings of unit length, shape (pages, width); rows of zeros stay zeros.

        Raises:
            InputError: a page has no embedding, or one of another width.
        """
        if self.encoder_path is not None:
            return normalized(_encoded([page.text for page in pages], self.encoder_path, self.device))
        key = str(self.key)
        return normalized(_stacked([page.record.get(key) for page in pages], self.func, key))


@dataclass(frozen=True)
class LinearClassifier:
    """Logistic regression: the probability of a good page is sigmoid(weights . x + bias)."""

    weights: npt.NDArray[np.float64]
    bias: float

    def probabilities(self, embeddings: Vectors) -> npt.NDArray[np.float64]:
        """The probability of each row, 0..1."""
        logits = embeddings.astype(np.float64) @ self.weights + self.bias
        probabilities: npt.NDArray[np.float64] = 0.5 * (1 + np.tanh(logits / 2))
        return probabilities

    def save(self, path: str | Path) -> None:
        """Write it as JSON."""
        write_json(path, {"weights": self.weights.tolist(), "bias": self.bias})


def fit_linear_classifier(
    embeddings: Vectors, labels: npt.NDArray[np.bool_], *, penalty: float = 1.0, steps: int = 100
) -> LinearClassifier:
    """The logistic regression with the lowest sum of losses plus penalty / 2 * |weights|^2, by Newton steps.

    Raises:
        InputError: one of the labels is missing.

    Source: DataComp-LM section 4.4 (a linear classifier on BGE features).
    """
    if labels.all() or not labels.any():
        raise InputError("labels: good and bad examples are needed; one kind is missing")
    inputs = np.hstack([embeddings.astype(np.float64), np.ones((len(embeddings), 1))])
    ridge = np.full(inputs.shape[1], penalty)
    ridge[-1] = 1e-9  # the bias is free, but for what keeps the system solvable
    solution = np.zeros(inputs.shape[1])
    for _ in range(steps):
        probabilities = 0.5 * (1 + np.tanh(inputs @ solution / 2))
        gradient = inputs.T @ (probabilities - labels) + ridge * solution
        curvature = (inputs * (probabilities * (1 - probabilities))[:, None]).T @ inputs + np.diag(ridge)
        step = np.linalg.solve(curvature, gradient)
        # a long step may overshoot where the curvature is small
        solution -= step / max(1.0, float(np.abs(step).max()) / 5)
        if float(np.abs(step).max()) < 1e-10:
            break
    return LinearClassifier(solution[:-1], float(solution[-1]))


def load_linear_classifier(path: str) -> LinearClassifier:
    """The classifier of a JSON file.

    Raises:
        InputError: the file is missing or holds no classifier.
    """
    value = read_json(path)
    try:
        return LinearClassifier(np.array(value["weights"], np.float64).reshape(-1), float(value["bias"]))
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: holds no 'weights' and 'bias' of numbers; fit it again") from None


def embedding_classifier_enricher(
    classifier_path: str,
    key: str = "embedding_hq_prob",
    overwrite: bool = False,
    embeddings_key: str | None = None,
    encoder_path: str | None = None,
    device: str = "cpu",
) -> Step:
    """Puts the probability of a good page by a linear classifier on embeddings under `key`.

    Args:
        classifier_path: What `LinearClassifier.save` wrote.
        key: Where the score goes.
        overwrite: Whether to replace a score.
        embeddings_key: Field with the embedding.
        encoder_path: Folder of an encoder, where the embeddings are not given.
        device: Where the encoder runs.

    Raises:
        InputError: a path is missing, or both or neither source of embeddings is given.

    Source: DataComp-LM section 4.4 (BGE features).
    """
    func = "embedding_classifier_enricher"
    require_path(func, "classifier_path", classifier_path)
    classifier = load_linear_classifier(classifier_path)
    source = EmbeddingSource(func, embeddings_key, encoder_path, device)

    def apply(page: Page) -> Sequence[float]:
        if not overwrite and key in page.record:
            raise InputError(f"{func}: the key '{key}' is there already; choose another, or overwrite: true")
        vectors = source.of([page])
        if vectors.shape[1] != len(classifier.weights):
            widths = f"{vectors.shape[1]} numbers, and the classifier {len(classifier.weights)}"
            raise InputError(f"{func}: an embedding has {widths}; use the encoder that it was fitted on")
        page.record[key] = float(classifier.probabilities(vectors)[0])
        return ()

    return Step(func, apply)


def normalized(vectors: Vectors) -> Vectors:
    """Rows of unit length; rows of zeros stay zeros."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1, keepdims=True)
    return (vectors / np.where(lengths == 0, 1, lengths)).astype(np.float32)


def _stacked(values: Sequence[Any], func: str, key: str) -> Vectors:
    try:
        vectors = np.array([np.asarray(value, np.float32).reshape(-1) for value in values], np.float32)
    except (TypeError, ValueError):
        raise InputError(f"{func}: '{key}' is missing, no list of numbers, or not of one length") from None
    if not np.isfinite(vectors).all():
        raise InputError(f"{func}: '{key}' is missing, or holds a number that is not finite")
    return vectors.reshape(len(values), -1 if len(values) else 0)


def load_encoder(path: str, device: str) -> tuple[Any, Any]:
    """Model and tokeniser of an encoder's folder; nothing is fetched, no code of the folder is run.

    Raises:
        InputError: the folder holds no such model.
        MissingExtra: transformers or torch is not installed.
    """
    transformers = require("transformers", toolkit="dclm-bench", extra="quality")
    given: dict[str, Any] = {"local_files_only": True, "trust_remote_code": False}
    try:
        model = transformers.AutoModel.from_pretrained(path, use_safetensors=True, **given)
        tokenizer = transformers.AutoTokenizer.from_pretrained(path, **given)
    except (OSError, ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:200]
        raise InputError(f"{path}: no usable encoder: {reason}; mend the folder") from None
    return model.to(device).eval(), tokenizer


def _encoded(texts: Sequence[str], path: str, device: str) -> Vectors:
    """The vector of the first token of each text, as BGE encoders are meant to be read."""
    torch = require("torch", toolkit="dclm-bench", extra="quality")
    model, tokenizer = once_per_process(load_encoder, path, device)
    vectors = []
    with torch.inference_mode():
        for text in texts:  # one by one, so that a page's vector does not depend on its neighbours
            tokens = tokenizer(text, truncation=True, max_length=MAX_TOKENS, return_tensors="pt").to(device)
            vectors.append(model(**tokens).last_hidden_state[0, 0].float().cpu().numpy())
    return np.array(vectors, np.float32).reshape(len(texts), -1 if len(texts) else 0)
