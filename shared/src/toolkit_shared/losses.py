"""What a reader could not use, counted by reason."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord

MAX_EXAMPLES = 5
CORRUPT = "corrupt record"


class WithReason(Protocol):
    """An error that tells its reason (one of few), its place and what is particular to it."""

    @property
    def reason(self) -> str:
        """One of few, without figures or names in it."""
        ...

    @property
    def where(self) -> str:
        """File and record."""
        ...

    @property
    def detail(self) -> str:
        """What is particular to this record; "" for nothing."""
        ...


@dataclass
class Losses:
    """Records that were lost, and records that were kept though something about them is wrong.

    Attributes:
        lost: Reason -> number of records that gave nothing.
        noted: Reason -> number of records, or of files, that were kept and should be looked at.
        examples: The first few of each reason, each with `reason`, `place` and `detail`.
        strict: Raise InputError at the first damaged file or record, instead of counting it. Records that
            are sound and unusable (text in another encoding) are counted all the same.
        damaged: The first damage that was counted, in words; "" for none.
    """

    lost: dict[str, int] = field(default_factory=dict)
    noted: dict[str, int] = field(default_factory=dict)
    examples: list[dict[str, str]] = field(default_factory=list)
    strict: bool = False
    damaged: str = ""

    @property
    def num_lost(self) -> int:
        """Records that gave nothing, whatever the reason."""
        return sum(self.lost.values())

    def lose(self, reason: str, place: str, detail: str = "", *, damaged: bool = True) -> None:
        """Count a record that gives nothing.

        Args:
            reason: One of few, without figures or names in it.
            place: File and record.
            detail: What is particular to this record.
            damaged: Whether data are corrupt or missing, which `strict` does not stand.

        Raises:
            InputError: under `strict`.
        """
        self._count(self.lost, reason, place, detail, damaged)

    def note(self, reason: str, place: str, detail: str = "", *, damaged: bool = False) -> None:
        """Count a record that is kept though something is wrong with it; arguments as in `lose`."""
        self._count(self.noted, reason, place, detail, damaged)

    def on_bad(self, bad: BadRecord) -> None:
        """Count what the readers of `records` and `shards` cannot use; to be given to them as `on_bad`."""
        self.lose(CORRUPT, f"{bad.path}, {bad.place}", bad.reason)

    def lose_error(self, error: WithReason) -> None:
        """Count a record by the error that it raised, as `images.BadImage` or `pairs.BadPair`."""
        self.lose(error.reason, error.where, error.detail)

    def add(self, other: "Losses | Mapping[str, Any]") -> None:
        """Add the counts of another counter, or of one that `to_json` wrote."""
        value = other if isinstance(other, Mapping) else other.to_json()
        for mine, theirs in ((self.lost, value["lost"]), (self.noted, value["noted"])):
            for reason, count in theirs.items():
                mine[reason] = mine.get(reason, 0) + count
        for example in value["examples"]:
            if self._wants_example(example["reason"]):
                self.examples.append(dict(example))

    def to_json(self) -> dict[str, Any]:
        """The counts by falling number, and the examples, as JSON values."""
        return {"lost": _by_count(self.lost), "noted": _by_count(self.noted), "examples": list(self.examples)}

    def to_text(self) -> str:
        """One line, as `3 lost (2 truncated, 1 no caption)`, or `nothing lost`."""
        if not self.lost:
            return "nothing lost"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in _by_count(self.lost).items())
        return f"{self.num_lost:,} lost ({reasons})"

    def _count(self, counts: dict[str, int], reason: str, place: str, detail: str, damaged: bool) -> None:
        if damaged and not self.damaged:
            self.damaged = f"{place}: {reason} ({detail})" if detail else f"{place}: {reason}"
        if damaged and self.strict:
            raise InputError(f"{self.damaged}; mend or remove it, or leave out --strict")
        counts[reason] = counts.get(reason, 0) + 1
        if self._wants_example(reason):
            self.examples.append({"reason": reason, "place": place, "detail": detail})

    def _wants_example(self, reason: str) -> bool:
        return sum(example["reason"] == reason for example in self.examples) < MAX_EXAMPLES


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
