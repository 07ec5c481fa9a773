"""A bucket: the sequences of one length, as places in a token store."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt


class Bucket(NamedTuple):
    """The sequences of one length.

    Attributes:
        starts: int64 [sequences], ascending; the global token position at which each sequence starts.
        spans: int32 [sequences], the tokens that each sequence holds in the store, where they differ (padded
            tails); None when all hold the full span (length, or length + 1 under the plus1 target).
    """

    starts: npt.NDArray[np.int64]
    spans: npt.NDArray[np.int32] | None = None

    @property
    def sequences(self) -> int:
        """The number of sequences."""
        return len(self.starts)
