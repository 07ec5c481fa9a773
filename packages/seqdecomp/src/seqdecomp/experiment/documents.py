"""The text of the experiment: tokenised documents, chosen and trimmed so that all arms see the same tokens.

Arms can only be compared fairly when they train on the same tokens in the same number of steps. Cutting
documents into powers of two normally loses each document's tail, and batches of one length normally leave a
few sequences over. So the documents themselves are made to fit, for every arm alike: each is trimmed to a
multiple of the shortest length, its end-of-text token staying its last, and a few documents are trimmed to a
single power of two so that each bucket fills whole batches. The decomposition then loses nothing, the
concatenation divides evenly into rows, and steps x batch tokens is exactly the number of tokens.
"""

import sysconfig
from collections.abc import Sequence
from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from seqdecomp.data.corpus import (
    Document,
    split_by_file,
    standard_library_functions,
    standard_library_modules,
)
from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import Tokenizer, train_bpe
from seqdecomp.decomposition import decompose
from seqdecomp.experiment.configuration import ExperimentSettings
from seqdecomp.settings import DecompositionSettings

Int64s = npt.NDArray[np.int64]


class TokenizedText(NamedTuple):
    """Documents as one flat array of ids; each ends with its end-of-text token.

    Attributes:
        tokens: uint16 [tokens].
        lengths: int64 [documents], end-of-text token included.
    """

    tokens: npt.NDArray[np.uint16]
    lengths: Int64s

    def documents(self) -> list[npt.NDArray[np.uint16]]:
        """One view, uint16 [tokens], a document."""
        return np.split(self.tokens, np.cumsum(self.lengths)[:-1]) if len(self.lengths) else []


class TokenizedCorpus(NamedTuple):
    """The training and the validation part, tokenised by what was trained on the training part alone."""

    train: TokenizedText
    validation: TokenizedText
    eos_id: int
    vocab_size: int


def read_documents(kind: str) -> list[Document]:
    """The library's functions, or the modules of it and of installed packages."""
    if kind == "functions":
        return list(standard_library_functions())
    installed = Path(sysconfig.get_path("purelib"))
    has_installed = any(installed.rglob("*.py"))
    packages = standard_library_modules(installed) if has_installed else iter(())
    return list(chain(standard_library_modules(), packages))


def tokenize_corpus(documents: Sequence[Document], vocab_size: int) -> TokenizedCorpus:
    """Documents split by file, a byte-pair tokenizer trained on the training part, and both parts as ids.

    Raises:
        InputError: one of the two parts is empty.
    """
    train, validation = split_by_file(documents)
    if not train or not validation:
        raise InputError(
            f"corpus: {len(documents)} documents are too few to train and to validate on; add text"
        )
    tokenizer = train_bpe((document.text for document in train), vocab_size)
    return TokenizedCorpus(
        _encode(tokenizer, train), _encode(tokenizer, validation), tokenizer.eos_id, tokenizer.vocab_size
    )


def save_corpus(corpus: TokenizedCorpus, path: Path) -> None:
    """Write the corpus as one `.npz` file; the caller makes the writing atomic."""
    with path.open("wb") as file:
        np.savez(
            file,
            train=corpus.train.tokens,
            train_lengths=corpus.train.lengths,
            validation=corpus.validation.tokens,
            validation_lengths=corpus.validation.lengths,
            ids=np.array([corpus.eos_id, corpus.vocab_size]),
        )


def load_corpus(path: Path) -> TokenizedCorpus:
    """The corpus that `save_corpus` wrote."""
    with np.load(path, allow_pickle=False) as file:
        return TokenizedCorpus(
            TokenizedText(file["train"], file["train_lengths"]),
            TokenizedText(file["validation"], file["validation_lengths"]),
            int(file["ids"][0]),
            int(file["ids"][1]),
        )


def training_store(corpus: TokenizedCorpus, settings: ExperimentSettings, seed: int) -> Store:
    """Documents of exactly steps x batch_tokens tokens, whose decomposition fills whole batches without loss.

    Which documents these are depends on the seed. The file's head says how they are trimmed.

    Raises:
        InputError: the corpus has too few documents for so many steps.
    """
    lengths = corpus.train.lengths
    order = stream(seed, "experiment-documents").permutation(len(lengths))
    trimmed = lengths[order] // settings.min_length * settings.min_length
    order, trimmed = order[trimmed > 0], trimmed[trimmed > 0]
    kept = _documents_that_fit(trimmed, settings)
    chosen = dict(zip(order[:kept].tolist(), trimmed[:kept].tolist(), strict=True))
    _fill_batches(chosen, order[kept:], trimmed, kept, settings)
    texts = corpus.train.documents()
    documents = []
    for document, length in chosen.items():
        ids = texts[document][:length].copy()
        ids[-1] = corpus.eos_id
        documents.append(ids)
    lengths = np.array([len(document) for document in documents], np.int64)
    cuts = DecompositionSettings(min_length=settings.min_length, max_length=settings.max_length)
    return Store.from_documents(
        documents,
        buckets=decompose(np.cumsum(lengths) - lengths, lengths, **asdict(cuts)),
        settings=cuts,
        eos_id=corpus.eos_id,
        vocab_size=corpus.vocab_size,
    )


def validation_documents(
    corpus: TokenizedCorpus, max_length: int, budget_tokens: int
) -> list[npt.NDArray[np.uint16]]:
    """Whole validation documents in a fixed random order, up to a number of tokens, cut at `max_length`.

    Each is uint16 [tokens]. Documents of fewer than two tokens, which hold nothing to predict, are left out.
    """
    documents = corpus.validation.documents()
    chosen = []
    for index in stream(0, "experiment-validation").permutation(len(documents)).tolist():
        if budget_tokens <= 0:
            break
        document = documents[index][:max_length]
        if len(document) > 1:
            chosen.append(document)
            budget_tokens -= len(document)
    return chosen


def _encode(tokenizer: Tokenizer, documents: Sequence[Document]) -> TokenizedText:
    encoded = tokenizer.encode_batch([document.text for document in documents])
    lengths = np.array([len(ids) + 1 for ids in encoded], np.int64)
    tokens = np.full(int(lengths.sum()), tokenizer.eos_id, np.uint16)
    for start, ids in zip((np.cumsum(lengths) - lengths).tolist(), encoded, strict=True):
        tokens[start : start + len(ids)] = ids
    return TokenizedText(tokens, lengths)


def _piece_tokens(trimmed: Int64s, settings: ExperimentSettings) -> Int64s:
    """Tokens that each document gives to each bucket, int64 [documents, buckets], shortest bucket first."""
    levels = _levels(settings)
    taken = trimmed[:, None] & levels[None]
    taken[:, -1] = trimmed // settings.max_length * settings.max_length
    return taken


def _levels(settings: ExperimentSettings) -> Int64s:
    first, last = settings.min_length.bit_length() - 1, settings.max_length.bit_length()
    return np.array([1 << i for i in range(first, last)], np.int64)


def _documents_that_fit(trimmed: Int64s, settings: ExperimentSettings) -> int:
    """How many documents from the front need at most the given steps, each bucket's last batch filled."""
    tokens = np.cumsum(_piece_tokens(trimmed, settings), axis=0)
    steps = (-(-tokens // settings.batch_tokens)).sum(axis=1)
    fits = int(np.searchsorted(steps, settings.steps, side="right"))
    return fits


def _fill_batches(
    chosen: dict[int, int], spare: Int64s, trimmed: Int64s, kept: int, settings: ExperimentSettings
) -> None:
    """Adds spare documents, each trimmed to one power of two, until every bucket fills whole batches.

    Steps that are then left go to the bucket that has the most tokens of those with documents enough.
    """
    levels, batch = _levels(settings), settings.batch_tokens
    tokens = _piece_tokens(trimmed[:kept], settings).sum(axis=0)
    pool = dict(zip(spare.tolist(), trimmed[kept:].tolist(), strict=True))

    def add(bucket: int, sequences: int) -> bool:
        level = int(levels[bucket])
        # First those that lose least by the trimming, so that long documents remain for the long buckets.
        fitting = sorted((document for document in pool if pool[document] >= level), key=pool.__getitem__)
        if len(fitting) < sequences:
            return False
        for document in fitting[:sequences]:
            chosen[document] = level
            del pool[document]
        tokens[bucket] += sequences * level
        return True

    for bucket in reversed(range(len(levels))):
        missing = int(-tokens[bucket] % batch) // int(levels[bucket])
        if not add(bucket, missing):
            raise InputError(_too_small(settings))
    while (left := settings.steps - int(tokens.sum()) // batch) > 0:
        by_tokens = np.argsort(-tokens, kind="stable").tolist()
        if not any(add(bucket, batch // int(levels[bucket])) for bucket in by_tokens):
            raise InputError(f"{_too_small(settings)} ({left} steps short)")


def _too_small(settings: ExperimentSettings) -> str:
    tokens = settings.steps * settings.batch_tokens
    return (
        f"corpus: too few documents for {settings.steps} steps ({tokens:,} tokens) with sequences of "
        f"{settings.min_length} to {settings.max_length}; give fewer --steps or a smaller --max-length"
    )
