"""A fastText classifier: labels and probabilities of a line of text."""

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from dclm_bench.fasttext.files import ModelFile, read_model, write_model
from dclm_bench.fasttext.lines import END_OF_LINE, LABEL_PREFIX, Rows, rows_of_line
from dclm_bench.fasttext.losses import (
    Scores,
    huffman_tree,
    log_sigmoid_scores,
    log_softmax_scores,
    log_tree_scores,
)


class FastTextModel:
    """A classifier that was trained by fastText or by `train_supervised`.

    Attributes:
        file: The parts of its file.
        labels: Its labels without `__label__`, in the order of the file (the most frequent first).
    """

    def __init__(self, file: ModelFile) -> None:
        self.file = file
        self.labels = file.vocabulary.labels
        self._output = file.output.dense()
        self._children = None
        if file.arguments.loss == "hs":
            self._children = huffman_tree(file.vocabulary.counts[file.vocabulary.num_words :])

    def predict(self, text: str, k: int = 1, threshold: float = 0.0) -> list[tuple[str, float]]:
        """The `k` most probable labels with their probabilities, the most probable first.

        Probabilities are fastText's own, which are 1e-5 too high and may exceed 1. A text without any known
        word or n-gram gives no label.

        Args:
            text: One line; it must hold no line feed, for there a line ends.
            k: How many; -1 for all.
            threshold: Labels below this probability are left out.

        Raises:
            ValueError: there is a line feed in the text.
        """
        rows = self.rows(text)
        if len(rows) == 0:
            return []
        scores = self._scores(rows)
        if self._children is not None:
            # the tree is not followed below this, not even with a threshold of 0
            kept = np.flatnonzero(scores.astype(np.float32) >= np.float32(np.log(threshold + 1e-5)))
        else:
            kept = np.flatnonzero(np.exp(scores) - 1e-5 >= threshold - 1e-9)
        kept = kept[::-1]  # of equals fastText's first is the last in the file
        best = kept[np.argsort(-scores[kept], kind="stable")][: len(kept) if k < 0 else k]
        return [(self.labels[label], float(np.exp(np.float32(scores[label])))) for label in best]

    def rows(self, text: str) -> Rows:
        """The rows of the input matrix whose mean stands for the text."""
        if "\n" in text:
            raise ValueError("a line feed ends a line for fastText; join the lines of the text first")
        line = np.frombuffer(text.encode("utf-8", "surrogatepass"), np.uint8)
        vocabulary, arguments = self.file.vocabulary, self.file.arguments
        rows, _ = rows_of_line(
            line,
            0,
            len(line),
            vocabulary.table,
            vocabulary.hashes,
            vocabulary.letters,
            vocabulary.starts,
            vocabulary.num_words,
            arguments.word_ngrams,
            arguments.bucket,
            arguments.minn,
            arguments.maxn,
            vocabulary.pruned,
            LABEL_PREFIX,
            END_OF_LINE,
        )
        return rows

    def save(self, path: str | Path) -> None:
        """Write the model as a `.bin` file that fastText loads."""
        write_model(path, self.file)

    def _scores(self, rows: Rows) -> Scores:
        hidden = self.file.input.mean_of(rows)
        if self._children is not None:
            return log_tree_scores(self._output, hidden, self._children)
        if self.file.arguments.loss == "softmax":
            return log_softmax_scores(self._output, hidden)
        return log_sigmoid_scores(self._output, hidden)


def load_fasttext(path: str | Path) -> FastTextModel:
    """The classifier of a fastText `.bin` or `.ftz` file; a big matrix is mapped, not read.

    Raises:
        InputError: the file is missing or no usable classifier.
    """
    return FastTextModel(read_model(path))


def score_texts(model: FastTextModel, texts: Iterable[str], label: str) -> npt.NDArray[np.float64]:
    """The probability of one label for each text, as fastText gives it; lines are joined on single spaces.

    NaN where the text holds nothing that the model knows.

    Raises:
        ValueError: the model has no such label.
    """
    if label not in model.labels:
        raise ValueError(f"the model has no label {label!r}; its labels are {', '.join(model.labels)}")
    return np.array([_probability(model, text, label) for text in texts], np.float64)


def one_line(text: str) -> str:
    """The text without blanks at its ends, its lines joined on single spaces.

    Source: what the official quality classifier is given.
    """
    return " ".join(text.strip().splitlines())


def _probability(model: FastTextModel, text: str, label: str) -> float:
    found: Sequence[tuple[str, float]] = model.predict(one_line(text), k=-1)
    return dict(found).get(label, float("nan") if not found else 0.0)
