"""The documents of a store, whole or what is still unread of them."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError

from seqdecomp.data.store import Store

Int64s = npt.NDArray[np.int64]


class Documents(NamedTuple):
    """Runs of tokens that no sequence may cross.

    Attributes:
        starts: int64 [documents], global token position.
        lengths: int64 [documents], in tokens.
        sources: int32 [documents], index into `source_names`.
        source_names: The sources of text.
    """

    starts: Int64s
    lengths: Int64s
    sources: npt.NDArray[np.int32]
    source_names: tuple[str, ...] = ("",)

    @classmethod
    def of(cls, store: Store) -> "Documents":
        """All documents of a store."""
        return cls(
            store.document_starts, store.document_lengths, store.document_sources, tuple(store.sources)
        )

    @classmethod
    def of_lengths(cls, lengths: Int64s) -> "Documents":
        """Documents of one source that lie one after the other."""
        sizes = np.asarray(lengths, np.int64)
        return cls(np.cumsum(sizes) - sizes, sizes, np.zeros(len(sizes), np.int32))

    @classmethod
    def from_lengths_file(cls, path: Path) -> "Documents":
        """Documents of one source from a .npy file of their lengths in tokens, [documents].

        Raises:
            InputError: there is no such file, or it does not hold lengths.
        """
        if not path.exists():
            raise InputError(f"{path}: no such file; give a .npy file of document lengths")
        try:
            found = np.load(path, allow_pickle=False)
        except (ValueError, OSError, EOFError):
            raise InputError(f"{path}: is not a .npy file of numbers; write one with numpy.save") from None
        if not isinstance(found, np.ndarray) or found.ndim != 1 or found.dtype.kind not in "iu":
            raise InputError(f"{path}: does not hold one row of whole numbers; save the lengths as int64")
        if len(found) and found.min() < 0:
            raise InputError(f"{path}: holds a negative length at place {int(found.argmin())}; correct it")
        return cls.of_lengths(found.astype(np.int64))

    def of_source(self, source: int) -> "Documents":
        """The documents of one source."""
        mine = self.sources == source
        return Documents(self.starts[mine], self.lengths[mine], self.sources[mine], self.source_names)

    def without(self, starts: Int64s, spans: Int64s) -> "Documents":
        """What remains when the runs `starts`, `spans` (int64 [runs]) are taken out.

        Each run lies inside one document and no two overlap. A document from whose middle something is
        taken becomes two; tokens of different documents are never joined.
        """
        some = self.lengths > 0
        order = np.argsort(self.starts[some], kind="stable")
        begins, lengths = self.starts[some][order], self.lengths[some][order]
        # A rest begins where a document begins or a run ends, and ends where a run begins or a document
        # ends; as nothing overlaps, the i-th of the ones belongs to the i-th of the others.
        rest_begins = np.sort(np.concatenate([begins, starts + spans]))
        rest_ends = np.sort(np.concatenate([begins + lengths, starts]))
        kept = rest_ends > rest_begins
        rest_begins, rest_ends = rest_begins[kept], rest_ends[kept]
        owner = np.searchsorted(begins, rest_begins, side="right") - 1
        sources = self.sources[some][order][owner]
        return Documents(rest_begins, rest_ends - rest_begins, sources, self.source_names)
