"""Loss of whole documents, each from its own first token, by position band."""

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.evaluation.scorer import Progress, Scorer

from seqdecomp.data.store import Store


@dataclass(frozen=True)
class BandLoss:
    """Loss at the input positions `start` to `stop` - 1, over all documents.

    Attributes:
        start: First position; position p is that of the token which predicts token p + 1.
        stop: Position after the last.
        loss_sum: Sum of the losses, nats.
        tokens: Number of tokens predicted there.
    """

    start: int
    stop: int
    loss_sum: float
    tokens: int

    @property
    def mean(self) -> float | None:
        """Mean loss of a token in nats, or None when no document reaches the band."""
        return self.loss_sum / self.tokens if self.tokens else None


@dataclass(frozen=True)
class PerplexityResult:
    """Losses of a set of documents.

    Attributes:
        bands: By position; their sums and counts add up to the whole.
        document_loss_sums: Sum of each document's losses, float64 [documents], nats.
        document_tokens: Number of tokens predicted in each document, int64 [documents].
        cut_tokens: Tokens beyond the context, not predicted.
        cut_documents: Documents that have such tokens.
        unscored_documents: Documents of one token or none, in which nothing can be predicted.
    """

    bands: tuple[BandLoss, ...]
    document_loss_sums: npt.NDArray[np.float64]
    document_tokens: npt.NDArray[np.int64]
    cut_tokens: int
    cut_documents: int
    unscored_documents: int

    @property
    def loss_sum(self) -> float:
        """Sum of all losses, nats; the bands' sums added up."""
        return math.fsum(band.loss_sum for band in self.bands)

    @property
    def tokens(self) -> int:
        """Number of tokens predicted."""
        return sum(band.tokens for band in self.bands)

    @property
    def mean(self) -> float | None:
        """Mean loss of a token in nats: each document weighs by its tokens."""
        return self.loss_sum / self.tokens if self.tokens else None

    @property
    def document_mean(self) -> float | None:
        """Mean over the documents of their mean loss, nats: each scored document weighs the same."""
        scored = self.document_tokens > 0
        means = self.document_loss_sums[scored] / self.document_tokens[scored]
        return math.fsum(means) / len(means) if len(means) else None

    @property
    def perplexity(self) -> float | None:
        """Exponential of the mean loss of a token; None when it is beyond a float."""
        if self.mean is None or self.mean > 700:
            return None
        return math.exp(self.mean)

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report; loss sums and token counts beside every mean."""
        return {
            "loss": self.mean,
            "perplexity": self.perplexity,
            "document_loss": self.document_mean,
            "loss_sum": self.loss_sum,
            "tokens": self.tokens,
            "documents": len(self.document_tokens),
            "cut_tokens": self.cut_tokens,
            "cut_documents": self.cut_documents,
            "unscored_documents": self.unscored_documents,
            "bands": [
                {
                    "start": band.start,
                    "stop": band.stop,
                    "loss": band.mean,
                    "loss_sum": band.loss_sum,
                    "tokens": band.tokens,
                }
                for band in self.bands
            ],
        }


class StoreDocuments(Sequence[npt.NDArray[np.integer]]):
    """The documents of a store, cut to `max_tokens` tokens each and read when asked for."""

    def __init__(self, store: Store, *, max_tokens: int, limit: int | None = None) -> None:
        self._store = store
        self._max_tokens = max_tokens
        self.lengths: npt.NDArray[np.int64] = store.document_lengths[:limit]

    def __len__(self) -> int:
        return len(self.lengths)

    def __getitem__(self, index: Any) -> Any:
        """Token ids of document `index`, in the store's dtype.

        Raises:
            IndexError: there is no such document within the limit, which also ends an iteration.
        """
        if not 0 <= index < len(self):
            raise IndexError(f"document {index} of {len(self)}")
        return self._store.document(int(index))[: self._max_tokens]


def evaluate_perplexity(
    scorer: Scorer,
    documents: Sequence[npt.NDArray[np.integer]],
    *,
    bands: Sequence[int] | None = None,
    lengths: npt.NDArray[np.int64] | None = None,
    progress: Progress | None = None,
) -> PerplexityResult:
    """Loss of each document, read from its first token and alone in its row.

    No document sees a neighbour, and their order changes nothing but rounding. Of a document longer than the
    context the first `scorer.max_length` + 1 tokens count: that many inputs, each with its target.

    Args:
        scorer: The model.
        documents: Token ids of each document, [tokens].
        bands: Borders of the position bands, from 0 on; see `complete_bands`.
        lengths: int64 [documents], tokens of each document before any cut; measured when None.
        progress: Called with the number of documents done.
    """
    borders = np.array(complete_bands(bands, scorer.max_length), np.int64)
    if lengths is None:
        lengths = np.array([len(document) for document in documents], np.int64)
    kept = np.minimum(lengths, scorer.max_length + 1)
    document_sums = np.zeros(len(documents))
    # One row a document, so that the sums do not depend on the order in which batches come.
    band_sums = np.zeros((len(documents), len(borders) - 1))
    band_tokens = np.zeros(len(borders) - 1, np.int64)
    for index, scores in scorer.score(
        _Cut(documents, scorer.max_length + 1), lengths=kept, progress=progress
    ):
        pieces = np.split(scores.losses, np.minimum(borders[1:-1], len(scores.losses)))
        band_sums[index] = [math.fsum(piece) for piece in pieces]
        band_tokens += [len(piece) for piece in pieces]
        document_sums[index] = math.fsum(scores.losses)
    return PerplexityResult(
        bands=tuple(
            BandLoss(int(start), int(stop), math.fsum(sums), int(tokens))
            for start, stop, sums, tokens in zip(
                borders[:-1], borders[1:], band_sums.T, band_tokens, strict=True
            )
        ),
        document_loss_sums=document_sums,
        document_tokens=np.maximum(kept - 1, 0),
        cut_tokens=int((lengths - kept).sum()),
        cut_documents=int((lengths > kept).sum()),
        unscored_documents=int((kept < 2).sum()),
    )


def complete_bands(bands: Sequence[int] | None, max_length: int) -> tuple[int, ...]:
    """Band borders that cover the positions 0 to `max_length` - 1.

    None gives 0, 64, 256, 1024 and so on, times four up to `max_length`. Given borders above `max_length` are
    dropped, and `max_length` itself ends the last band, so that no position is left out.

    Raises:
        InputError: the borders do not begin with 0 or do not rise.
    """
    if bands is None:
        chosen = [0, 64]
        while chosen[-1] < max_length:
            chosen.append(4 * chosen[-1])
    else:
        _check_bands(bands)
        chosen = list(bands)
    return (*(border for border in chosen if border < max_length), max_length)


def parse_bands(text: str) -> tuple[int, ...]:
    """Band borders from text such as "0:64:256:1024".

    Raises:
        InputError: a border is not a whole number, the first is not 0, or they do not rise.
    """
    try:
        borders = tuple(int(part) for part in text.split(":"))
    except ValueError:
        raise InputError(
            f"--bands '{text}': a border is not a whole number; write for example 0:64:256:1024"
        ) from None
    _check_bands(borders)
    return borders


def _check_bands(bands: Sequence[int]) -> None:
    text = ":".join(map(str, bands))
    if not bands or bands[0] != 0:
        raise InputError(f"--bands {text}: the first border is not 0; write for example 0:64:256:1024")
    if any(low >= high for low, high in itertools.pairwise(bands)):
        raise InputError(f"--bands {text}: the borders do not rise; write for example 0:64:256:1024")


class _Cut(Sequence[npt.NDArray[np.integer]]):
    """The first tokens of each document, cut only when a batch asks for them."""

    def __init__(self, documents: Sequence[npt.NDArray[np.integer]], max_tokens: int) -> None:
        self._documents, self._max_tokens = documents, max_tokens

    def __len__(self) -> int:
        return len(self._documents)

    def __getitem__(self, index: Any) -> Any:
        return self._documents[index][: self._max_tokens]
