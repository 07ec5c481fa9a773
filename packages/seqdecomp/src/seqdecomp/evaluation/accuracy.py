"""Right answers out of so many, with the uncertainty of that share."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

_NORMAL_975 = 1.959963984540054


@dataclass(frozen=True)
class Accuracy:
    """How many of how many answers are right."""

    correct: int
    total: int

    @classmethod
    def of(cls, answers: Iterable[bool]) -> Self:
        """Counted over one flag an answer."""
        flags = list(answers)
        return cls(sum(flags), len(flags))

    @property
    def value(self) -> float | None:
        """Share of right answers, 0..1, or None when there is no answer."""
        return self.correct / self.total if self.total else None

    def interval(self) -> tuple[float, float] | None:
        """Bounds of the 95 % interval of the share by Wilson's method, or None when there is no answer.

        Holds near 0 and 1 as well, where the normal interval has no width.
        """
        if not self.total:
            return None
        share, spread = self.correct / self.total, _NORMAL_975**2 / self.total
        centre = (share + spread / 2) / (1 + spread)
        half = math.sqrt(share * (1 - share) * spread + spread**2 / 4) / (1 + spread)
        return max(0.0, centre - half), min(1.0, centre + half)

    def document(self) -> dict[str, Any]:
        """Fields for a JSON report: `accuracy`, `interval`, `correct`, `questions`."""
        return {
            "accuracy": self.value,
            "interval": self.interval(),
            "correct": self.correct,
            "questions": self.total,
        }
