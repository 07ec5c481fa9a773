"""How two runs are compared."""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class CompareSettings:
    """How two runs are compared.

    Attributes:
        by: Fields of the documents by whose values to slice.
        cluster: A field whose values group items that are not independent; intervals and tests then count
            groups.
        confidence: Of the intervals; a difference is shown when p, corrected for the number of tasks, is
            below 1 - confidence.
        interval: Kind of interval of a share.
        draws: Bootstrap resamples.
        seed: Of the resamples.
        tolerance: Score changes up to this are ties.
        allow_unpaired: Compare the items that all runs have, where some are missing in one.
        paper_pooling: Add a row that counts each document once a filter, as the paper's GSM8K table does.
    """

    by: tuple[str, ...] = ()
    cluster: str | None = None
    confidence: float = 0.95
    interval: Literal["wilson", "clopper-pearson"] = "wilson"
    draws: int = 10_000
    seed: int = 0
    tolerance: float = 0.0
    allow_unpaired: bool = False
    paper_pooling: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.confidence < 1:
            raise ValueError(f"confidence: {self.confidence} is not between 0 and 1; give 0.95")
        if self.draws < 100:
            raise ValueError(f"draws: {self.draws} is too few for an interval; give 100 or more")
        if self.seed < 0:
            raise ValueError(f"seed: {self.seed} is negative; give 0 or more")
        if not self.tolerance >= 0:
            raise ValueError(f"tolerance: {self.tolerance} is negative; give 0 or more")
