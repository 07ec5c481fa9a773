"""Tokenised examples as rows of one flat array, with the positions that are trained."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
from toolkit_shared.artifacts import fingerprint

Tokens = npt.NDArray[np.int32]
Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class TokenRows:
    """Rows of tokens. A position is trained when the token after it, in the same row, is to be predicted.

    Attributes:
        tokens: int32 [tokens], one row after the other.
        trained: bool [tokens]; false at the last position of each row.
        offsets: int64 [rows + 1]; where each row begins, and the end of the last.
    """

    tokens: Tokens
    trained: Flags
    offsets: npt.NDArray[np.int64]

    def __post_init__(self) -> None:
        if self.trained[self.offsets[1:][np.diff(self.offsets) > 0] - 1].any():
            raise ValueError("the last position of a row has no next token, so it cannot be trained")

    @classmethod
    def from_rows(cls, rows: Iterable[tuple[Tokens, Flags]]) -> "TokenRows":
        """Rows from pairs of tokens and trained positions, of equal length each."""
        pairs = list(rows)
        offsets = np.zeros(len(pairs) + 1, np.int64)
        np.cumsum([len(tokens) for tokens, _ in pairs], out=offsets[1:])
        tokens = np.concatenate([np.empty(0, np.int32), *(pair[0] for pair in pairs)]).astype(np.int32)
        trained = np.concatenate([np.empty(0, np.bool_), *(pair[1] for pair in pairs)]).astype(np.bool_)
        return cls(tokens, trained, offsets)

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def row(self, index: int) -> tuple[Tokens, Flags]:
        """Tokens and trained positions of one row."""
        part = slice(self.offsets[index], self.offsets[index + 1])
        return self.tokens[part], self.trained[part]

    def select(self, indices: Iterable[int]) -> "TokenRows":
        """Some of the rows, in the order of `indices`."""
        return TokenRows.from_rows(self.row(index) for index in indices)

    @cached_property
    def trained_offsets(self) -> npt.NDArray[np.int64]:
        """int64 [rows + 1]; trained positions before each row, and of all rows."""
        before = np.concatenate([[0], np.cumsum(self.trained)])
        counts: npt.NDArray[np.int64] = before[self.offsets].astype(np.int64)
        return counts

    @property
    def trained_tokens(self) -> int:
        """Number of trained positions."""
        return int(self.trained.sum())

    @cached_property
    def lengths(self) -> npt.NDArray[np.int64]:
        """int64 [rows]; tokens of each row."""
        return np.diff(self.offsets)

    @cached_property
    def fingerprint(self) -> str:
        """A name for exactly these rows, 16 hexadecimal digits."""
        import hashlib

        digest = hashlib.sha256()
        for array in (self.tokens.astype("<i4"), self.trained, self.offsets.astype("<i8")):
            digest.update(np.ascontiguousarray(array).tobytes())
        return fingerprint(digest.hexdigest())
