"""The reinforcement of one image-text pair, and what makes it unusable."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from toolkit_shared.errors import InputError

from mobileclip.reinforcement.precision import Precision, Stored, to_float32
from mobileclip.replay.augmentation import Augmentation

# Teachers that compute in half precision give norms off by some thousandths; joint normalisation of two
# teachers, the nearest real fault, gives 0.71.
UNIT_TOLERANCE = 0.01
SYNTHETIC = "syn_text"


class BadReinforcement(InputError):
    """A sample that cannot be used.

    Attributes:
        reason: One of few, to be counted.
        key: Of the sample.
        detail: What is particular to this one.
        where: The file.
    """

    def __init__(self, reason: str, key: str, detail: str, where: str = "") -> None:
        self.reason, self.key, self.detail, self.where = reason, key, detail, where
        place = f"{where}: " if where else ""
        super().__init__(f"{place}sample {key}: {reason} ({detail}); remove the sample or mend the file")

    def __reduce__(self) -> tuple[type["BadReinforcement"], tuple[str, str, str, str]]:
        return BadReinforcement, (self.reason, self.key, self.detail, self.where)


@dataclass(frozen=True)
class TeacherInfo:
    """A teacher of the ensemble: its name, the width of its embeddings, and the scale of its logits."""

    name: str
    width: int
    logit_scale: float


DATACOMPDR = (
    TeacherInfo("open_clip:ViT-L-14/openai", 768, 100.0),
    TeacherInfo("open_clip:ViT-L-14/datacomp_xl_s13b_b90k", 768, 100.0),
)
DFNDR = (
    TeacherInfo("open_clip:ViT-L-14-quickgelu/dfn2b", 768, 70.0),
    TeacherInfo("open_clip:ViT-L-14/dfn2b_s39b", 768, 60.0),
)
PUBLISHED_TEACHERS = {"datacompdr": DATACOMPDR, "dfndr": DFNDR}


@dataclass(frozen=True, kw_only=True, eq=False)
class Reinforcement:
    """What is stored of one pair.

    Embeddings are NumPy arrays in the stored precision (`precision.to_float32` reads them); each row is the
    teachers' unit vectors one after the other.

    Attributes:
        key: Name of the pair.
        captions: Real captions, one or more.
        synthetic_captions: Of the captioner.
        augmentations: Of the image, one or more.
        image_embeddings: Of the augmented images [augmentations, width of all teachers].
        text_embeddings: Of the real captions [captions, width].
        synthetic_embeddings: Of the synthetic captions [synthetic captions, width].
        precision: Of the three arrays.
        image_size: Width and height of the image whose crops are stored; None: not known.
        teachers: In the order of the vectors.
        synthetic_groups: Name and number of the captions of each captioner, in order; empty: all of one.
        other_fields: Further fields of the sample's JSON members, by member.
        joined: Whether the official file holds all text embeddings in one array, the older form.
        members: Files of the sample that are carried along, by extension.
    """

    key: str
    captions: tuple[str, ...]
    synthetic_captions: tuple[str, ...]
    augmentations: tuple[Augmentation, ...]
    image_embeddings: Stored
    text_embeddings: Stored
    synthetic_embeddings: Stored
    precision: Precision
    teachers: tuple[TeacherInfo, ...]
    image_size: tuple[int, int] | None = None
    synthetic_groups: tuple[tuple[str, int], ...] = ()
    other_fields: Mapping[str, Any] = field(default_factory=dict)
    joined: bool = True
    members: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def groups(self) -> tuple[tuple[str, int], ...]:
        """Name and number of the synthetic captions of each captioner, in order."""
        if self.synthetic_groups or not self.synthetic_captions:
            return self.synthetic_groups
        return ((SYNTHETIC, len(self.synthetic_captions)),)


def check_reinforcement(sample: Reinforcement, where: str = "") -> Reinforcement:
    """The sample itself, when its parts fit together and its embeddings are unit vectors by teacher.

    Raises:
        BadReinforcement: they do not; the reason is one of "no captions", "no augmentations", "empty
            embeddings", "wrong row count", "wrong width", "caption groups do not add up", "bad
            augmentation", "crop outside the image", "not finite", "not unit vectors".
    """

    def refuse(reason: str, detail: str) -> BadReinforcement:
        return BadReinforcement(reason, sample.key, detail, where)

    try:
        carried = json.dumps([sample.other_fields, sample.synthetic_groups], ensure_ascii=False)
        "".join([sample.key, *sample.captions, *sample.synthetic_captions, carried]).encode()
    except UnicodeEncodeError:
        raise refuse("text that is not Unicode", "half a surrogate pair in a key, caption or field") from None
    if not sample.captions:
        raise refuse("no captions", "a pair has one real caption at least")
    if not sample.augmentations:
        raise refuse("no augmentations", "param_aug is empty")
    width = sum(teacher.width for teacher in sample.teachers)
    expected = {
        "image": (sample.image_embeddings, len(sample.augmentations), "augmentations"),
        "text": (sample.text_embeddings, len(sample.captions), "real captions"),
        "synthetic text": (sample.synthetic_embeddings, len(sample.synthetic_captions), "synthetic captions"),
    }
    for name, (rows, count, of) in expected.items():
        if count and rows.size == 0:
            raise refuse("empty embeddings", f"{name}: shape {list(rows.shape)} for {count} {of}")
        if rows.ndim != 2 or (rows.shape[0] and rows.shape[1] != width):
            widths = " + ".join(str(teacher.width) for teacher in sample.teachers)
            raise refuse(
                "wrong width",
                f"{name}: shape {list(rows.shape)}, the teachers' widths are {widths} = {width}",
            )
        if len(rows) != count:
            raise refuse("wrong row count", f"{name}: {len(rows)} rows for {count} {of}")
    if sum(count for _, count in sample.groups) != len(sample.synthetic_captions):
        raise refuse("caption groups do not add up", f"{dict(sample.groups)}")
    for number, augmentation in enumerate(sample.augmentations):
        try:  # one that came from a file of numbers, not of JSON, was not looked at yet
            Augmentation.from_json(augmentation.to_json())
        except InputError as error:
            raise refuse("bad augmentation", f"augmentation {number}: {error}") from None
    if sample.image_size is not None:
        for number, augmentation in enumerate(sample.augmentations):
            try:
                augmentation.require_inside(*sample.image_size)
            except InputError as error:
                raise refuse("crop outside the image", f"augmentation {number}: {error}") from None
    for name, (rows, _, _) in expected.items():
        _check_rows(name, rows, sample, refuse)
    return sample


def _check_rows(name: str, rows: Stored, sample: Reinforcement, refuse: Any) -> None:
    if len(rows) == 0:
        return
    values = to_float32(rows, sample.precision)
    start = 0
    for teacher in sample.teachers:
        part = values[:, start : start + teacher.width]
        start += teacher.width
        squares = np.einsum("rw,rw->r", part, part, dtype=np.float64)
        finite = np.isfinite(squares)
        if not finite.all():
            raise refuse("not finite", f"{name}: row {int(np.argmin(finite))}, teacher {teacher.name}")
        off = np.abs(np.sqrt(squares) - 1)
        worst = int(np.argmax(off))
        if off[worst] > UNIT_TOLERANCE:
            length = float(np.sqrt(squares[worst]))
            raise refuse(
                "not unit vectors", f"{name}: row {worst}, teacher {teacher.name}, length {length:.3g}"
            )


def parse_teachers(specifications: Sequence[str]) -> tuple[TeacherInfo, ...]:
    """The teachers that are named on a command line: a published set, or NAME:WIDTH:SCALE for each.

    Raises:
        InputError: one is neither.
    """
    if len(specifications) == 1 and specifications[0] in PUBLISHED_TEACHERS:
        return PUBLISHED_TEACHERS[specifications[0]]
    found = []
    for text in specifications:
        name, _, rest = text.rpartition(":")
        name, _, width = name.rpartition(":")
        try:
            teacher = TeacherInfo(name, int(width), float(rest))
        except ValueError:
            teacher = TeacherInfo("", 0, 0.0)
        if not teacher.name or teacher.width < 1 or not 0 < teacher.logit_scale < 1e6:
            raise InputError(
                f"--teacher {text}: is neither one of {', '.join(PUBLISHED_TEACHERS)} nor NAME:WIDTH:SCALE; "
                "write it as in ViT-L-14/openai:768:100"
            )
        found.append(teacher)
    if not found:
        raise InputError(
            f"--teacher: none is given; name a published set ({', '.join(PUBLISHED_TEACHERS)}) or each "
            "teacher as NAME:WIDTH:SCALE, in the order of the stored vectors"
        )
    return tuple(found)
