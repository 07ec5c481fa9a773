"""Training of a fastText classifier: linear softmax on the mean of word and n-gram vectors."""

import logging
import math
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

from dclm_bench.fasttext.files import Arguments, ModelFile
from dclm_bench.fasttext.lines import END_OF_LINE, LABEL_PREFIX, Bytes, Rows, rows_of_line
from dclm_bench.fasttext.matrices import DenseMatrix, Floats
from dclm_bench.fasttext.model import FastTextModel, one_line
from dclm_bench.fasttext.vocabulary import Vocabulary, count_vocabulary
from dclm_bench.text.compiled import compiled

log = logging.getLogger(__name__)

_EXAMPLES_AT_ONCE = 10_000
# the numbers of rows are 32-bit in fastText's files
_MOST_BUCKETS = (1 << 31) - 1


def train_supervised(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    word_ngrams: int = 2,
    dim: int = 100,
    epoch: int = 5,
    lr: float = 0.1,
    bucket: int = 2_000_000,
    min_count: int = 1,
    minn: int = 0,
    maxn: int = 0,
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> FastTextModel:
    """A classifier of these texts; the same for the same seed, and never dependent on threads.

    Options are fastText's, and but for `word_ngrams` (2, as for the classifier of the paper) so are the
    defaults. The learning rate falls linearly to 0 over all tokens. Unlike in fastText, the examples come in
    a new random order each epoch, so that sorted files do no harm, and the lines of a text are joined.

    Args:
        texts: The examples; their lines are joined on single spaces.
        labels: One label a text, without `__label__` and without blanks.
        word_ngrams: The longest n-gram of words, hashed into `bucket` rows.
        dim: Length of a vector.
        epoch: How often each example is seen.
        lr: The learning rate at the begin.
        bucket: Rows for n-grams of words and of characters; each takes `dim` floats of memory.
        min_count: Words seen fewer times have no row of their own.
        minn: The shortest n-gram of characters.
        maxn: The longest n-gram of characters; 0 for none.
        seed: Of the first vectors and of the order of examples.
        progress: Called with the number of examples seen since the last call.

    Raises:
        InputError: an option is out of range, there are fewer than two labels, or the loss is not finite.

    Source: Joulin et al. (2017), section 2.
    """
    _check_options(texts, labels, word_ngrams, dim, epoch, lr, bucket, min_count, minn, maxn)
    names, classes = _classes(labels)
    text, bounds = _joined(texts)
    label_counts = [int(count) for count in np.bincount(classes)]
    vocabulary = count_vocabulary(text, bounds, names, label_counts, min_count=min_count)
    if word_ngrams == 1 and maxn == 0:
        bucket = 0  # as fastText does: nothing would use the rows
    if vocabulary.num_words == 0 and bucket == 0:
        raise InputError(f"min_count: no word is seen {min_count} times; give more text or a lower one")
    inputs = _first_vectors(vocabulary.num_words + bucket, dim, seed)
    outputs = np.zeros((len(names), dim), np.float32)
    arguments = Arguments(
        dim=dim,
        epoch=epoch,
        min_count=min_count,
        word_ngrams=word_ngrams,
        bucket=bucket,
        minn=minn,
        maxn=maxn,
    )
    _fit(text, bounds, classes, vocabulary, arguments, inputs, outputs, lr, seed, progress)
    return FastTextModel(ModelFile(arguments, vocabulary, DenseMatrix(inputs), DenseMatrix(outputs)))


def _fit(
    text: Bytes,
    bounds: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int64],
    vocabulary: Vocabulary,
    arguments: Arguments,
    inputs: Floats,
    outputs: Floats,
    lr: float,
    seed: int,
    progress: Callable[[int], None] | None,
) -> None:
    """Change `inputs` and `outputs` in place, epoch by epoch."""
    done, total = 0, arguments.epoch * vocabulary.num_tokens
    for number in range(arguments.epoch):
        order = stream(seed, "fasttext: order of examples", number).permutation(len(classes))
        losses = 0.0
        for first in range(0, len(order), _EXAMPLES_AT_ONCE):
            part = order[first : first + _EXAMPLES_AT_ONCE]
            loss, done = _train_on(
                part,
                text,
                bounds,
                classes,
                done,
                total,
                lr,
                inputs,
                outputs,
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
            if not math.isfinite(loss):
                raise InputError(
                    f"lr: the loss is not finite in epoch {number + 1}; train with less than {lr}"
                )
            losses += loss
            if progress is not None:
                progress(len(part))
        log.info("epoch %d of %d: mean loss %.4f", number + 1, arguments.epoch, losses / len(order))


@compiled
def _train_on(
    order: npt.NDArray[np.int64],
    text: Bytes,
    bounds: npt.NDArray[np.int64],
    classes: npt.NDArray[np.int64],
    done: int,
    total: int,
    lr: float,
    inputs: Floats,
    outputs: Floats,
    table: Rows,
    hashes: npt.NDArray[np.uint32],
    letters: Bytes,
    starts: npt.NDArray[np.int64],
    num_words: int,
    word_ngrams: int,
    bucket: int,
    minn: int,
    maxn: int,
    pruned: Rows,
    label_prefix: Bytes,
    end_of_line: Bytes,
) -> tuple[float, int]:
    """One step of gradient descent an example, in order; the sum of losses, and the tokens done so far."""
    num_labels, dim = outputs.shape
    hidden, gradient = np.empty(dim, np.float32), np.empty(dim, np.float32)
    probabilities = np.empty(num_labels, np.float32)
    losses = 0.0
    for example in order:
        rows, num_tokens = rows_of_line(
            text,
            bounds[example],
            bounds[example + 1] - 1,
            table,
            hashes,
            letters,
            starts,
            num_words,
            word_ngrams,
            bucket,
            minn,
            maxn,
            pruned,
            label_prefix,
            end_of_line,
        )
        rate = np.float32(lr * (1.0 - done / total))
        done += num_tokens
        if len(rows) == 0:
            continue
        hidden[:] = 0
        for row in rows:
            for column in range(dim):
                hidden[column] += inputs[row, column]
        hidden *= np.float32(1.0 / len(rows))
        for label in range(num_labels):
            logit = np.float32(0.0)
            for column in range(dim):
                logit += outputs[label, column] * hidden[column]
            probabilities[label] = logit
        top = probabilities.max()
        probabilities[:] = np.exp(probabilities - top)
        probabilities /= probabilities.sum()
        losses -= math.log(probabilities[classes[example]] + 1e-5)
        gradient[:] = 0
        for label in range(num_labels):
            wanted = np.float32(1.0) if label == classes[example] else np.float32(0.0)
            step = rate * (wanted - probabilities[label])
            for column in range(dim):
                gradient[column] += step * outputs[label, column]
                outputs[label, column] += step * hidden[column]
        gradient *= np.float32(1.0 / len(rows))
        for row in rows:
            for column in range(dim):
                inputs[row, column] += gradient[column]
    return losses, done


def _check_options(
    texts: Sequence[str],
    labels: Sequence[str],
    word_ngrams: int,
    dim: int,
    epoch: int,
    lr: float,
    bucket: int,
    min_count: int,
    minn: int,
    maxn: int,
) -> None:
    if len(texts) != len(labels):
        raise ValueError(f"{len(texts)} texts have {len(labels)} labels")
    smallest = {"word_ngrams": word_ngrams, "dim": dim, "epoch": epoch, "min_count": min_count}
    for name, value in smallest.items():
        if value < 1:
            raise InputError(f"{name}: {value} is below 1; give 1 or more")
    if not 0 < lr < math.inf:
        raise InputError(f"lr: {lr} is no learning rate; give a number above 0")
    if not 0 <= minn <= maxn and maxn > 0:
        raise InputError(f"minn: {minn} is not within 0 and maxn, which is {maxn}")
    if not 0 < bucket <= _MOST_BUCKETS and (word_ngrams > 1 or maxn > 0):
        raise InputError(f"bucket: {bucket} is not within 1 and {_MOST_BUCKETS:,}; n-grams need buckets")


def _classes(labels: Sequence[str]) -> tuple[list[str], npt.NDArray[np.int64]]:
    """The distinct labels, the most frequent first and equals by name, and the number of each label."""
    counts: dict[str, int] = {}
    for label in labels:
        counts[label] = counts.get(label, 0) + 1
    names = sorted(counts, key=lambda name: (-counts[name], name))
    bad = next((name for name in names if not name or name != "".join(name.split()) or "\0" in name), None)
    if bad is not None:
        raise InputError(f"labels: {bad!r} is empty or holds a blank; choose labels of one word")
    if len(names) < 2:
        raise InputError(f"labels: {len(names)} label cannot be told from others; give at least two")
    numbers = {name: number for number, name in enumerate(names)}
    return names, np.array([numbers[label] for label in labels], np.int64)


def _joined(texts: Sequence[str]) -> tuple[Bytes, npt.NDArray[np.int64]]:
    """All lines in one array with a line feed after each, and where they begin."""
    lines = [one_line(text).encode("utf-8", "surrogatepass") for text in texts]
    lengths = np.array([len(line) + 1 for line in lines], np.int64)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    return np.frombuffer(b"".join(line + b"\n" for line in lines), np.uint8), bounds


def _first_vectors(num_rows: int, dim: int, seed: int) -> Floats:
    """Uniform numbers within 1 / dim of 0; drawn in place, for the matrix may fill most of the memory."""
    vectors = np.empty((num_rows, dim), np.float32)
    stream(seed, "fasttext: first vectors").random(dtype=np.float32, out=vectors)
    vectors -= np.float32(0.5)
    vectors *= np.float32(2.0 / dim)
    return vectors
