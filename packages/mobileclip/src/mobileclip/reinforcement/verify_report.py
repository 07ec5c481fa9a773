"""What a verification found: faults by name, and the cosines by teacher."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

SHOWN_KEYS = 20

# One name a class of fault; what each means stands in the report beside its keys.
FAULTS: Mapping[str, str] = {
    "damaged files": "a file is cut off, absent or not the one whose hash the manifest holds",
    "missing pairs": "stored keys that the pairs do not have",
    "missing reinforcements": "keys of the pairs that are not stored, and that the build did not drop",
    "unreadable images": "stored keys whose image in the pairs cannot be decoded",
    "wrong width": "rows are not as wide as the teachers together",
    "wrong row count": "there are more or fewer rows than augmentations or captions",
    "not finite": "rows hold NaN or infinity",
    "empty rows": "rows are absent, or all zero",
    "joint normalisation": "the joined rows have length 1, not each teacher's part",
    "not normalised": "rows of a teacher have another length than 1",
    "bad augmentations": "augmentations cannot be replayed",
    "resized images": "the image has another size than the one for which crops were stored",
    "exchanged images": "the image of this key is not the one that was embedded",
    "changed captions": "stored captions are not those of the pair",
    "permuted captions": "captions, or their rows, are those of another caption",
    "real and synthetic swapped": "rows or texts of real captions stand where those of synthetic ones belong",
    "unmatched captions": "rows of captions are those of no caption that was looked at",
    "unmatched images": "rows of images are those of no augmentation of the image",
    "permuted augmentations": "rows of augmented images are those of another augmentation of the same image",
    "teachers swapped": "a teacher's part of the rows is another teacher's",
    "wrong teacher": "a teacher's part of the rows is not this teacher's",
    "wrong normalisation": "a teacher was shown pixels of another mean and standard deviation",
    "coarse rows": "rows are right, but rounded more than their type, in which they were built, rounds",
}


@dataclass(frozen=True)
class Fault:
    """One class of fault, with where it was found.

    Attributes:
        name: one of `FAULTS`.
        detail: what was seen, in a sentence without a full stop.
        keys: samples that have it, in order; those that were looked at.
    """

    name: str
    detail: str
    keys: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        """Hold the name to the list."""
        assert self.name in FAULTS, self.name

    def as_dict(self) -> dict[str, Any]:
        """As JSON: the first keys, and how many there are."""
        return {
            "name": self.name,
            "meaning": FAULTS[self.name],
            "detail": self.detail,
            "num_keys": len(self.keys),
            "keys": list(self.keys[:SHOWN_KEYS]),
        }


@dataclass(frozen=True)
class Cosines:
    """How near stored rows are to fresh ones: smallest and median cosine of images and of captions."""

    teacher: str
    image_minimum: float
    image_median: float
    text_minimum: float
    text_median: float
    tolerance: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return dict(vars(self))


@dataclass(frozen=True)
class VerifyReport:
    """What a verification looked at and found.

    Attributes:
        path: the store, or the first tar.
        num_stored: samples stored.
        num_structure: samples whose rows, sizes and augmentations were checked.
        num_embedded: samples that were embedded again; 0 without teachers.
        faults: in the order of `FAULTS`.
        cosines: one a teacher.
        notes: what could not be checked, and why.
    """

    path: str
    num_stored: int
    num_structure: int
    num_embedded: int
    faults: tuple[Fault, ...] = ()
    cosines: tuple[Cosines, ...] = ()
    notes: tuple[str, ...] = field(default=())

    @property
    def clean(self) -> bool:
        """Whether no fault was found."""
        return not self.faults

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "path": self.path,
            "clean": self.clean,
            "num_stored": self.num_stored,
            "num_structure": self.num_structure,
            "num_embedded": self.num_embedded,
            "faults": [fault.as_dict() for fault in self.faults],
            "cosines": [cosines.as_dict() for cosines in self.cosines],
            "notes": list(self.notes),
        }

    def to_text(self) -> str:
        """As lines for a terminal."""
        lines = [
            f"{self.path}: {self.num_stored:,} samples; structure of {self.num_structure:,} checked, "
            f"{self.num_embedded:,} embedded again"
        ]
        for cosines in self.cosines:
            lines.append(
                f"  {cosines.teacher}: cosine of images at least {cosines.image_minimum:.6f} "
                f"(median {cosines.image_median:.6f}), of captions {cosines.text_minimum:.6f} "
                f"({cosines.text_median:.6f}); {1 - cosines.tolerance:.6f} is asked for"
            )
        lines += [f"  note: {note}" for note in self.notes]
        for fault in self.faults:
            shown = ", ".join(fault.keys[:5]) + (", ..." if len(fault.keys) > 5 else "")
            where = f" ({len(fault.keys)} keys: {shown})" if fault.keys else ""
            lines.append(f"FAULT {fault.name}: {fault.detail}{where}")
        lines.append("clean: no fault found" if self.clean else f"{len(self.faults)} kinds of fault found")
        return "\n".join(lines)


def merge_faults(faults: Iterable[Fault]) -> tuple[Fault, ...]:
    """One fault a name, in the order of `FAULTS`: keys joined, each once; the first one's detail."""
    by_name: dict[str, list[Fault]] = {}
    for fault in faults:
        by_name.setdefault(fault.name, []).append(fault)
    return tuple(_joined(by_name[name]) for name in FAULTS if name in by_name)


def _joined(faults: Sequence[Fault]) -> Fault:
    keys = dict.fromkeys(key for fault in faults for key in fault.keys)
    details = list(dict.fromkeys(fault.detail for fault in faults))
    more = f"; and {len(details) - 1} more" if len(details) > 1 else ""
    return Fault(faults[0].name, details[0] + more, tuple(keys))
