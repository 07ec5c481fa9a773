"""A store: token files, document boundaries and buckets, read in place through memory maps."""

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.buckets import Bucket
from seqdecomp.data.gather import gather_rows, gather_rows_of_files
from seqdecomp.data.store_manifest import locate, read_store_manifest, store_fingerprint
from seqdecomp.settings import DecompositionSettings

# An open map holds a file descriptor, and many systems allow a process 1,024.
MAX_OPEN_FILES = 512


@dataclass(frozen=True, kw_only=True)
class TokenFile:
    """One flat array of token ids on disk (or in memory), with the boundaries of its documents.

    `boundaries` are token offsets inside the file, int64 [documents + 1], ascending; document d is
    `boundaries[d] : boundaries[d + 1]`. `path` is None for an array held in memory; `documents` is None where
    the number of boundaries need not be checked.
    """

    path: Path | None
    dtype: str
    offset_bytes: int
    tokens: int
    source: int
    documents: int | None = None
    boundaries_path: Path | None = None
    tokens_in_memory: npt.NDArray[np.integer] | None = None
    boundaries_in_memory: npt.NDArray[np.int64] | None = None

    @property
    def boundaries(self) -> npt.NDArray[np.int64]:
        """Token offsets at which the documents begin and end, int64 [documents + 1].

        Raises:
            InputError: their file is missing or damaged.
        """
        if self.boundaries_in_memory is not None:
            return self.boundaries_in_memory
        assert self.boundaries_path is not None
        loaded = _load_index(self.boundaries_path, None if self.documents is None else self.documents + 1)
        if len(loaded) and (loaded[0] < 0 or loaded[-1] > self.tokens):
            raise _damaged(self.boundaries_path, f"leaves the {self.tokens} tokens of its file")
        return loaded

    def open_tokens(self) -> npt.NDArray[np.integer]:
        """The tokens as a read-only array [tokens] over the file; nothing is read until it is used."""
        if self.tokens_in_memory is not None:
            return self.tokens_in_memory
        assert self.path is not None
        if self.tokens == 0:
            return np.zeros(0, dtype=self.dtype)
        mapped = np.memmap(
            self.path, dtype=self.dtype, mode="r", offset=self.offset_bytes, shape=(self.tokens,)
        )
        return mapped.view(np.ndarray)  # np.memmap's own slicing costs several times a plain array's


class Store:
    """Tokenised documents and their decomposition into buckets.

    A token is named by its global position: its place in the concatenation of all token files in the
    manifest's order. Reading never copies a file into memory.
    """

    def __init__(
        self,
        files: Sequence[TokenFile],
        *,
        buckets: Mapping[int, Bucket] | None = None,
        settings: DecompositionSettings | None = None,
        sources: Sequence[str] = ("input",),
        eos_id: int | None = None,
        vocab_size: int = 0,
        fingerprint: str = "",
        path: Path | None = None,
        manifest: Mapping[str, Any] | None = None,
    ) -> None:
        self.files = tuple(files)
        self.settings = settings if settings is not None else DecompositionSettings()
        self.sources = list(sources)
        self.eos_id = eos_id
        self.vocab_size = vocab_size
        self.fingerprint = fingerprint
        self.path = path
        self.manifest = dict(manifest or {})
        sizes = np.array([file.tokens for file in self.files], dtype=np.int64)
        self.file_starts: npt.NDArray[np.int64] = np.concatenate([np.zeros(1, np.int64), np.cumsum(sizes)])
        self._buckets = dict(buckets) if buckets is not None else None
        self._open: OrderedDict[int, npt.NDArray[np.integer]] = OrderedDict()

    @classmethod
    def open(cls, path: str | Path) -> Self:
        """The store in the folder `path`.

        Raises:
            InputError: the folder holds no finished store, its manifest was changed, or a token file that it
                names is missing.
        """
        folder = Path(path)
        manifest = read_store_manifest(folder)
        if store_fingerprint(manifest) != manifest["fingerprint"]:
            raise InputError(
                f"{folder / 'manifest.json'}: was changed after the build; restore it, or build again"
            )
        files = [
            TokenFile(
                path=locate(folder, entry),
                dtype=entry["dtype"],
                offset_bytes=entry["offset_bytes"],
                tokens=entry["tokens"],
                source=entry["source"],
                documents=entry["documents"],
                boundaries_path=folder / entry["documents_path"],
            )
            for entry in manifest["files"]
        ]
        return cls(
            files,
            settings=DecompositionSettings(**manifest["settings"]),
            sources=manifest["sources"],
            eos_id=manifest["tokenizer"]["eos_id"],
            vocab_size=manifest["tokenizer"]["vocab_size"] or 0,
            fingerprint=manifest["fingerprint"],
            path=folder,
            manifest=manifest,
        )

    @classmethod
    def from_documents(
        cls,
        documents: Sequence[npt.ArrayLike],
        *,
        buckets: Mapping[int, Bucket] | None = None,
        settings: DecompositionSettings | None = None,
        eos_id: int | None = None,
        vocab_size: int = 0,
    ) -> Self:
        """A store in memory with one file that holds the `documents` (lists of token ids) in order."""
        arrays = [np.asarray(document, dtype=np.uint32) for document in documents]
        lengths = np.array([len(array) for array in arrays], dtype=np.int64)
        tokens = np.concatenate(arrays) if arrays else np.zeros(0, np.uint32)
        file = TokenFile(
            path=None,
            dtype="uint32",
            offset_bytes=0,
            tokens=len(tokens),
            source=0,
            tokens_in_memory=tokens,
            boundaries_in_memory=np.concatenate([np.zeros(1, np.int64), np.cumsum(lengths)]),
        )
        return cls([file], buckets=buckets, settings=settings, eos_id=eos_id, vocab_size=vocab_size)

    def __getstate__(self) -> dict[str, Any]:
        # Maps would be pickled by value, token for token; a worker process opens its own.
        cached = ("_open", "document_starts", "document_lengths", "document_sources")
        return {name: value for name, value in self.__dict__.items() if name not in cached}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._open = OrderedDict()

    @property
    def tokens_total(self) -> int:
        """Tokens in all files."""
        return int(self.file_starts[-1])

    @cached_property
    def document_starts(self) -> npt.NDArray[np.int64]:
        """Global position of each document's first token, int64 [documents]."""
        parts = [
            start + file.boundaries[:-1] for start, file in zip(self.file_starts, self.files, strict=False)
        ]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @cached_property
    def document_lengths(self) -> npt.NDArray[np.int64]:
        """Tokens in each document, its EOS included, int64 [documents]."""
        parts = [np.diff(file.boundaries) for file in self.files]
        return np.concatenate(parts) if parts else np.zeros(0, np.int64)

    @cached_property
    def document_sources(self) -> npt.NDArray[np.int32]:
        """Index into `sources` of each document, int32 [documents]."""
        parts = [np.full(len(file.boundaries) - 1, file.source, np.int32) for file in self.files]
        return np.concatenate(parts) if parts else np.zeros(0, np.int32)

    @cached_property
    def lengths(self) -> tuple[int, ...]:
        """The lengths of the buckets, ascending, empty buckets included."""
        if self._buckets is not None:
            return tuple(sorted(self._buckets))
        return tuple(sorted(int(length) for length in self.manifest["buckets"]))

    def bucket(self, length: int) -> Bucket:
        """The sequences of `length`: global starts, int64 [sequences], ascending; spans where they differ.

        Raises:
            InputError: the store has no such bucket, or its file is missing or damaged.
        """
        if length not in self.lengths:
            raise InputError(
                f"{self.path or 'store'}: no bucket of length {length}; "
                f"it has {', '.join(map(str, self.lengths))}"
            )
        if self._buckets is not None:
            return self._buckets[length]
        assert self.path is not None
        path = self.path / f"buckets/{length}.npy"
        entry = self.manifest["buckets"][str(length)]
        starts = np.asarray(_load_index(path, entry["sequences"]))
        spans = None
        if "spans_path" in entry:
            spans = np.asarray(_load_index(self.path / entry["spans_path"], entry["sequences"]))
        if len(starts):
            last = length + (self.settings.target == "plus1") if spans is None else int(spans[-1])
            if starts[0] < 0 or starts[-1] + last > self.tokens_total:
                raise _damaged(path, f"leaves the {self.tokens_total} tokens of the store")
        return Bucket(starts, spans)

    def tokens_of_file(self, index: int) -> npt.NDArray[np.integer]:
        """The tokens of file `index`, [tokens], read-only; the files used last stay open."""
        tokens = self._open.pop(index, None)
        if tokens is None:
            tokens = self.files[index].open_tokens()
            if len(self._open) >= MAX_OPEN_FILES:
                self._open.popitem(last=False)
        self._open[index] = tokens
        return tokens

    def document(self, index: int) -> npt.NDArray[np.integer]:
        """The token ids of one document, [tokens], its EOS included, in the file's dtype (read-only)."""
        start, length = int(self.document_starts[index]), int(self.document_lengths[index])
        file = int(np.searchsorted(self.file_starts, start, side="right")) - 1
        local = start - int(self.file_starts[file])
        return self.tokens_of_file(file)[local : local + length]

    def gather(
        self,
        starts: npt.NDArray[np.int64],
        span: int,
        out: npt.NDArray[np.integer] | None = None,
        dtype: npt.DTypeLike = np.int64,
    ) -> npt.NDArray[np.integer]:
        """The tokens at `starts[r] : starts[r] + span` for each row r, [rows, span].

        `starts` are global positions in any order. With `out` [rows, span] the rows are written there and
        `dtype` is not used.

        Raises:
            ValueError: a row leaves its file; no sequence spans two files.
        """
        starts = np.asarray(starts, dtype=np.int64)
        if out is None:
            out = np.empty((len(starts), span), dtype=dtype)
        if len(starts) == 0:
            return out
        files = np.searchsorted(self.file_starts, starts, side="right") - 1
        if (
            starts.min() < 0
            or (starts + span > self.file_starts[np.minimum(files + 1, len(self.files))]).any()
        ):
            raise ValueError(f"a row of {span} tokens leaves its token file")
        local = starts - self.file_starts[files]
        if files[0] == files[-1] and (files == files[0]).all():
            gather_rows(self.tokens_of_file(int(files[0])), local, out)
        else:
            gather_rows_of_files(self.tokens_of_file, files, local, out)
        return out

    def gather_segments(
        self,
        starts: npt.NDArray[np.int64],
        spans: npt.NDArray[np.integer],
        offsets: npt.NDArray[np.int64],
        width: int,
        *,
        fill: int = 0,
        dtype: npt.DTypeLike = np.int64,
    ) -> npt.NDArray[np.integer]:
        """Rows made of several segments laid end to end and filled up with `fill`, [rows, width].

        Segment k is `starts[k] : starts[k] + spans[k]` (global); row r holds the segments
        `offsets[r] : offsets[r + 1]` in order (CSR, int64 [rows + 1]).

        Raises:
            ValueError: the segments of a row hold more than `width` tokens, or one leaves its file.
        """
        rows = len(offsets) - 1
        out = np.full((rows, width), fill, dtype=dtype)
        spans = np.asarray(spans, dtype=np.int64)
        ends = np.cumsum(spans)
        before = np.concatenate([np.zeros(1, np.int64), ends])[np.asarray(offsets[:-1], np.int64)]
        row_of = np.repeat(np.arange(rows), np.diff(offsets))
        column = ends - spans - before[row_of]
        if len(spans) and (column + spans).max() > width:
            raise ValueError(f"the segments of a row hold more than {width} tokens")
        flat = out.reshape(-1)
        files = np.searchsorted(self.file_starts, starts, side="right") - 1
        if len(spans) and (starts + spans > self.file_starts[np.minimum(files + 1, len(self.files))]).any():
            raise ValueError("a segment leaves its token file")
        local = starts - self.file_starts[files]
        places = (row_of * width + column).tolist()
        current, tokens = -1, flat
        for file, start, span, place in zip(
            files.tolist(), local.tolist(), spans.tolist(), places, strict=True
        ):
            if file != current:
                current, tokens = file, self.tokens_of_file(file)
            flat[place : place + span] = tokens[start : start + span]
        return out


def _load_index(path: Path, entries: int | None) -> npt.NDArray[Any]:
    """A file of whole numbers through a memory map; `entries` is how many the manifest tells, where it does.

    Raises:
        InputError: the file is missing or damaged.
    """
    try:
        loaded: npt.NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except FileNotFoundError:
        raise InputError(
            f"{path}: this file of the store is missing; put it back or build the store again"
        ) from None
    except (ValueError, EOFError) as error:
        raise _damaged(path, " ".join(str(error).split()).lower()) from None
    if loaded.ndim != 1 or loaded.dtype.kind != "i" or entries not in (None, len(loaded)):
        raise _damaged(path, f"is not the row of {entries} whole numbers that the manifest tells")
    return loaded


def _damaged(path: Path, reason: str) -> InputError:
    return InputError(f"{path}: damaged ({reason}); restore it or build the store again")
