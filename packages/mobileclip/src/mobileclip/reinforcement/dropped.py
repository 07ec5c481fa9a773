"""What was left out: one record each, or counts by reason with the first names."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

SHOWN_NAMES = 20


@dataclass(frozen=True)
class Dropped:
    """A pair, or one caption of it, that could not be used.

    Attributes:
        key: Of the pair.
        reason: One of few, to be counted.
        detail: What is particular to this one, with its place.
    """

    key: str
    reason: str
    detail: str


class DroppedCounts:
    """Counts of what was left out; each reason keeps the first names.

    Its JSON form is `{reason: {"count": 3, "names": ["a", "b", "c"]}}`.
    """

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._names: dict[str, list[str]] = {}

    def __bool__(self) -> bool:
        """Whether anything was left out."""
        return bool(self._counts)

    def add(self, reason: str, name: str) -> None:
        """Count one."""
        self._counts[reason] = self._counts.get(reason, 0) + 1
        names = self._names.setdefault(reason, [])
        if len(names) < SHOWN_NAMES:
            names.append(name)

    def to_json(self) -> dict[str, Any]:
        """The counts and names, by reason in alphabetical order."""
        return {
            reason: {"count": self._counts[reason], "names": self._names[reason]}
            for reason in sorted(self._counts)
        }


def merge_dropped(reports: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """The JSON forms of several parts as one; the names are those of the first parts."""
    merged: dict[str, Any] = {}
    for report in reports:
        for reason, found in report.items():
            there = merged.setdefault(reason, {"count": 0, "names": []})
            there["count"] += found["count"]
            there["names"] = (there["names"] + found["names"])[:SHOWN_NAMES]
    return dict(sorted(merged.items()))


def dropped_text(dropped: Mapping[str, Any]) -> list[str]:
    """A line for each reason."""
    return [
        f"  {found['count']:,} {reason}: {', '.join(found['names'])}"
        + (", ..." if found["count"] > len(found["names"]) else "")
        for reason, found in dropped.items()
    ]
