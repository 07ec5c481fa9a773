"""fastText's binary model files (version 12, and 11 to read), plain and quantized.

Layout, little-endian: magic and version; twelve integers and a double of arguments; the dictionary (sizes,
then each entry as a zero-ended string, its count and its kind, then the pruned buckets); a byte that says
whether the input matrix is quantized, and the matrix; the same for the output matrix.
"""

import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import atomic_path
from toolkit_shared.errors import InputError

from dclm_bench.fasttext.lines import Bytes
from dclm_bench.fasttext.losses import MOST_SEEN
from dclm_bench.fasttext.matrices import NUM_CENTROIDS, DenseMatrix, Matrix, QuantizedMatrix
from dclm_bench.fasttext.vocabulary import Vocabulary
from dclm_bench.text.compiled import compiled

MAGIC, VERSION = 793712314, 12
LOSSES = {1: "hs", 2: "ns", 3: "softmax", 4: "ova"}
MODELS = {1: "cbow", 2: "skipgram", 3: "supervised"}
_ARGUMENTS = struct.Struct("<12id")
_WORD, _LABEL = 0, 1
_NOT_PRUNED = -1


@dataclass(frozen=True)
class Arguments:
    """What a model was trained with, by fastText's option names."""

    dim: int = 100
    window: int = 5
    epoch: int = 5
    min_count: int = 1
    negatives: int = 5
    word_ngrams: int = 1
    loss: str = "softmax"
    model: str = "supervised"
    bucket: int = 2_000_000
    minn: int = 0
    maxn: int = 0
    lr_update_rate: int = 100
    sampling_threshold: float = 1e-4


@dataclass(frozen=True)
class ModelFile:
    """The four parts of a model file."""

    arguments: Arguments
    vocabulary: Vocabulary
    input: Matrix
    output: Matrix


def read_model(path: str | Path) -> ModelFile:
    """The model of a `.bin` or `.ftz` file; a plain input matrix stays on disk until its rows are asked for.

    Raises:
        InputError: the file is missing, is no fastText model, or is cut off or contradicts itself.
    """
    path = Path(path)
    try:
        with open(path, "rb") as file:
            data = np.frombuffer(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY), np.uint8)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}; name a fastText model file") from None
    reader = _Reader(path, data)
    with _named(path):
        arguments = _read_arguments(reader)
        vocabulary = _read_vocabulary(reader, arguments)
        quantized = reader.flag()
        input_matrix = _read_matrix(reader, quantized)
        quantized_output = reader.flag()
        output = _read_matrix(reader, quantized and quantized_output)
        _check(arguments, vocabulary, input_matrix, output)
    return ModelFile(arguments, vocabulary, input_matrix, output)


def write_model(path: str | Path, model: ModelFile) -> None:
    """Write a plain `.bin` file that fastText loads; the file is whole or absent after a crash.

    A quantized matrix is written out dense.

    Raises:
        InputError: buckets were pruned, which fastText reads from quantized files only.
    """
    a, vocabulary = model.arguments, model.vocabulary
    if len(vocabulary.pruned):
        raise InputError(f"{path}: a pruned model cannot be written as a plain file; copy its own file")
    numbers = (a.dim, a.window, a.epoch, a.min_count, a.negatives, a.word_ngrams)
    kinds = (_number(LOSSES, a.loss), _number(MODELS, a.model))
    with atomic_path(path) as temporary, open(temporary, "wb") as file:
        file.write(struct.pack("<ii", MAGIC, VERSION))
        file.write(
            _ARGUMENTS.pack(
                *numbers, *kinds, a.bucket, a.minn, a.maxn, a.lr_update_rate, a.sampling_threshold
            )
        )
        sizes = (len(vocabulary), vocabulary.num_words, len(vocabulary) - vocabulary.num_words)
        file.write(struct.pack("<iiiqq", *sizes, vocabulary.num_tokens, _NOT_PRUNED))
        for index in range(len(vocabulary)):
            kind = _WORD if index < vocabulary.num_words else _LABEL
            file.write(vocabulary.entry(index) + b"\0")
            file.write(struct.pack("<qb", int(vocabulary.counts[index]), kind))
        for matrix in (model.input, model.output):
            values = matrix.values if isinstance(matrix, DenseMatrix) else matrix.dense()
            file.write(struct.pack("<?qq", False, *values.shape))
            _write_array(file, values)


class _Reader:
    """Takes one thing after the other from the bytes of a file, and never past their end."""

    def __init__(self, path: Path, data: Bytes) -> None:
        self.path, self.data, self.place = path, data, 0

    def take(self, length: int) -> Bytes:
        if length < 0 or length > len(self.data) - self.place:
            raise _Broken("the file ends early")
        self.place += length
        return self.data[self.place - length : self.place]

    def unpack(self, form: str) -> tuple[int, ...]:
        packed = struct.Struct("<" + form)
        numbers: tuple[int, ...] = packed.unpack(self.take(packed.size).tobytes())
        return numbers

    def flag(self) -> bool:
        return bool(self.take(1)[0])

    def floats(self, count: int) -> npt.NDArray[np.float32]:
        # the bytes are not aligned to four; numba and NumPy read them all the same
        return self.take(4 * count).view("<f4")


class _Broken(Exception):
    """What is wrong with a model file, without its name."""


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except _Broken as error:
        raise InputError(f"{path}: no usable fastText model: {error}; fetch or train it again") from None


def _read_arguments(reader: _Reader) -> Arguments:
    if len(reader.data) < 8 or reader.unpack("i")[0] != MAGIC:
        raise _Broken("it does not begin with fastText's mark")
    (version,) = reader.unpack("i")
    if version not in (11, VERSION):
        raise _Broken(f"it has version {version}, and 11 and 12 are known")
    numbers = _ARGUMENTS.unpack(reader.take(_ARGUMENTS.size).tobytes())
    dim, window, epoch, min_count, negatives, word_ngrams, loss, model, bucket, minn, maxn, rate, t = numbers
    if loss not in LOSSES or MODELS.get(model) != "supervised":
        raise _Broken("it is no classifier (word vectors have no labels)")
    if version == 11:
        maxn = 0  # classifiers of that version had no subwords, whatever they say
    most = 1 << 31
    if not (0 < dim < 1 << 16 and 0 <= bucket < most and word_ngrams < 1 << 10 and maxn < 1 << 10):
        raise _Broken("its arguments are out of range")
    if maxn > 0 and not 0 <= minn <= maxn:
        raise _Broken(f"its shortest n-gram of characters has {minn}, its longest {maxn}")
    if bucket == 0 and (word_ngrams > 1 or maxn > 0):
        raise _Broken("it has n-grams but no buckets")
    return Arguments(
        dim=dim,
        window=window,
        epoch=epoch,
        min_count=min_count,
        negatives=negatives,
        word_ngrams=word_ngrams,
        loss=LOSSES[loss],
        model=MODELS[model],
        bucket=bucket,
        minn=minn,
        maxn=maxn,
        lr_update_rate=rate,
        sampling_threshold=t,
    )


def _read_vocabulary(reader: _Reader, arguments: Arguments) -> Vocabulary:
    size, num_words, num_labels, num_tokens, num_pruned = reader.unpack("iiiqq")
    rest = reader.data[reader.place :]
    # an entry takes 10 bytes at least
    if min(num_words, num_labels - 1) < 0 or size != num_words + num_labels or size > len(rest) // 10:
        raise _Broken("its numbers of words and labels contradict each other or the file's size")
    starts, ends, counts = (np.zeros(size, np.int64) for _ in range(3))
    length = _find_entries(rest, num_words, starts, ends, counts)
    if length < 0:
        raise _Broken("its dictionary is cut off or out of order")
    reader.take(length)
    lengths = ends - starts
    letters = np.empty(int(lengths.sum()), np.uint8)
    bounds = np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)])
    _copy_entries(rest, starts, letters, bounds)
    pruned = np.zeros(0, np.int32)
    if num_pruned >= 0:
        if num_pruned > arguments.bucket:
            raise _Broken("it keeps more buckets than there are")
        pairs = reader.take(8 * num_pruned).view("<i4").reshape(-1, 2)
        pruned = np.full(arguments.bucket, -1, np.int32)
        if len(pairs) and (pairs.min() < 0 or pairs[:, 0].max() >= arguments.bucket):
            raise _Broken("a kept bucket is out of range")
        pruned[pairs[:, 0]] = pairs[:, 1]
    return Vocabulary(letters, bounds, counts, num_words, num_tokens, pruned)


@compiled
def _find_entries(
    data: Bytes,
    num_words: int,
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    counts: npt.NDArray[np.int64],
) -> int:
    """Where each entry begins and ends, and its count; the length of all of them, or -1."""
    place = 0
    for entry in range(len(starts)):
        starts[entry] = place
        while place < len(data) and data[place] != 0:
            place += 1
        ends[entry] = place
        if place + 10 > len(data):
            return -1
        count = np.uint64(0)
        for byte in range(8):
            count |= np.uint64(data[place + 1 + byte]) << np.uint64(8 * byte)
        counts[entry] = np.int64(count)
        if (data[place + 9] != _WORD) != (entry >= num_words):
            return -1
        place += 10
    return place


@compiled
def _copy_entries(
    data: Bytes, starts: npt.NDArray[np.int64], letters: Bytes, bounds: npt.NDArray[np.int64]
) -> None:
    for entry in range(len(starts)):
        for offset in range(bounds[entry + 1] - bounds[entry]):
            letters[bounds[entry] + offset] = data[starts[entry] + offset]


def _read_matrix(reader: _Reader, quantized: bool) -> Matrix:
    if not quantized:
        num_rows, num_columns = reader.unpack("qq")
        if num_rows < 0 or num_columns <= 0 or num_rows > len(reader.data) or num_columns > 1 << 16:
            raise _Broken("a matrix has an impossible shape")
        return DenseMatrix(reader.floats(num_rows * num_columns).reshape(num_rows, num_columns))
    has_norms = reader.flag()
    num_rows, num_columns, num_codes = reader.unpack("qqi")
    if num_rows <= 0 or num_columns <= 0 or num_codes <= 0 or num_codes % num_rows:
        raise _Broken("a quantized matrix has an impossible shape")
    codes = reader.take(num_codes).reshape(num_rows, -1)
    part_length, centroids = _read_centroids(reader, num_columns, codes.shape[1])
    norms = np.zeros(0, np.float32)
    if has_norms:
        norm_codes = reader.take(num_rows)
        norms = _read_centroids(reader, 1, 1)[1][norm_codes]
    return QuantizedMatrix(num_columns, part_length, codes, centroids, norms)


def _read_centroids(reader: _Reader, num_columns: int, num_parts: int) -> tuple[int, npt.NDArray[np.float32]]:
    """The length of a part, and the centroids of all parts."""
    dim, parts, part_length, last_length = reader.unpack("iiii")
    if (dim, parts) != (num_columns, num_parts) or part_length <= 0 or not 0 < last_length <= part_length:
        raise _Broken("the codes of a quantized matrix do not fit its centroids")
    if (parts - 1) * part_length + last_length != dim:
        raise _Broken("the parts of a quantized matrix do not fill its rows")
    return part_length, np.array(reader.floats(dim * NUM_CENTROIDS), np.float32)


def _check(arguments: Arguments, vocabulary: Vocabulary, input_matrix: Matrix, output: Matrix) -> None:
    """Refuse matrices that the rows of a line could leave."""
    num_rows, num_columns = input_matrix.shape
    if len(vocabulary.pruned):
        wanted = vocabulary.num_words + int(vocabulary.pruned.max(initial=-1)) + 1
    else:
        wanted = vocabulary.num_words + arguments.bucket
    if arguments.word_ngrams <= 1 and arguments.maxn <= 0:
        wanted = vocabulary.num_words
    num_labels = len(vocabulary) - vocabulary.num_words
    if num_rows < wanted or {num_columns, output.shape[1]} != {arguments.dim}:
        raise _Broken(f"its input matrix has {num_rows} rows of {num_columns}, and {wanted} are needed")
    if vocabulary.counts[vocabulary.num_words :].max(initial=0) >= MOST_SEEN:
        raise _Broken("a label was seen impossibly often")
    if output.shape[0] != num_labels:
        raise _Broken(f"its output matrix has {output.shape[0]} rows for {num_labels} labels")


def _number(table: dict[int, str], name: str) -> int:
    return next(number for number, known in table.items() if known == name)


def _write_array(file: BinaryIO, values: npt.NDArray[np.float32]) -> None:
    rows_at_once = max(1, (1 << 24) // values.shape[1])
    for first in range(0, len(values), rows_at_once):
        file.write(np.ascontiguousarray(values[first : first + rows_at_once], "<f4").tobytes())
