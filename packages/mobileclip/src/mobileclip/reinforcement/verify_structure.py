"""Faults that show without a teacher: files, keys, shapes, lengths, sizes and texts."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.artifacts import read_json, sha256_file
from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord, read_jsonl
from toolkit_shared.shards import Sample, expand_shards, read_samples

from mobileclip.reinforcement.official import parse_official
from mobileclip.reinforcement.official_embeddings import FORMS, read_embeddings
from mobileclip.reinforcement.precision import Precision, Stored, from_float32, to_float32
from mobileclip.reinforcement.sample import (
    UNIT_TOLERANCE,
    BadReinforcement,
    Reinforcement,
    TeacherInfo,
    check_reinforcement,
)
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.reinforcement.verify_report import Fault
from mobileclip.replay.augmentation import same_aspect

OnFault = Callable[[Fault], None]

# reasons of `sample.BadReinforcement` whose fault does not depend on the rows
_BY_REASON = {
    "wrong width": "wrong width",
    "wrong row count": "wrong row count",
    "caption groups do not add up": "wrong row count",
    "empty embeddings": "empty rows",
    "no embeddings": "empty rows",
    "not finite": "not finite",
    "crop outside the image": "resized images",
    "image of another size": "resized images",
    "bad augmentation": "bad augmentations",
    "no augmentations": "bad augmentations",
}


@dataclass(frozen=True, kw_only=True)
class StoredSet:
    """A store or official tars, as keys and samples in order.

    Attributes:
        path: what was named.
        teachers: of the rows, in their order.
        manifest: of the folder, or empty.
        read: gives every sample with None, or its key and fault.
        damaged: tells of files that are not what was written; reads them whole.
    """

    path: Path
    teachers: tuple[TeacherInfo, ...]
    manifest: Mapping[str, Any]
    read: Callable[[OnFault], Iterator[tuple[str, Reinforcement | None]]]
    damaged: Callable[[], list[str]]


def open_stored(path: str | Path, stored_teachers: Sequence[TeacherInfo] = ()) -> StoredSet:
    """The store in a folder, or the official tars of a folder, file or pattern.

    Args:
        path: what to open.
        stored_teachers: of tars that no manifest describes.

    Raises:
        InputError: there is nothing of the kind, or nobody says which teachers' rows tars hold.
    """
    folder = Path(path)
    manifest = {}
    if (folder / "manifest.json").exists():
        manifest = read_json(folder / "manifest.json")
    if isinstance(manifest, dict) and "store" in manifest:
        store = ReinforcedStore.open(folder)
        return StoredSet(
            path=folder,
            teachers=store.teachers,
            manifest=manifest,
            read=lambda on_fault: _read_store(store, on_fault),
            damaged=store.damaged_files,
        )
    if folder.is_dir() and not list(folder.glob("*.tar")):
        ReinforcedStore.open(folder)  # says what is missing
    teachers = tuple(stored_teachers) or tuple(TeacherInfo(**one) for one in manifest.get("teachers", ()))
    if not teachers:
        raise InputError(
            f"{path}: official tars do not name their teachers; pass --stored-teacher, as datacompdr, dfndr, "
            "or NAME:WIDTH:SCALE for each"
        )
    tars = expand_shards(path)
    return StoredSet(
        path=folder,
        teachers=teachers,
        manifest=manifest,
        read=lambda on_fault: _read_tars(tars, teachers, on_fault),
        damaged=lambda: _damaged_tars(folder, manifest),
    )


def excused_keys(stored: StoredSet) -> set[str]:
    """Keys of pairs that the build could not use, and said so."""
    path = stored.path / "dropped.jsonl"
    return {str(entry.get("key")) for _, entry in read_jsonl(path)} if path.is_file() else set()


def compare_pair(sample: Reinforcement, captions: Sequence[str], size: tuple[int, int]) -> Iterator[Fault]:
    """What differs between a stored sample and its pair.

    Args:
        sample: as stored.
        captions: of the pair; none where they are not known.
        size: width and height of the pair's image.
    """
    key = (sample.key,)
    if sample.image_size is not None and sample.image_size != size:
        seen = f"{sample.image_size[0]}x{sample.image_size[1]} stored, {size[0]}x{size[1]} found"
        if same_aspect(sample.image_size, size):
            yield Fault("resized images", seen, key)
        else:
            yield Fault("exchanged images", f"sizes of another aspect, {seen}", key)
    elif not all(_inside(augmentation.crop, size) for augmentation in sample.augmentations):
        yield Fault("resized images", f"crops leave the image of {size[0]}x{size[1]}", key)
    found = [text.strip() for text in captions]
    stored = [text.strip() for text in sample.captions]
    if found and stored != found:
        if sorted(stored) == sorted(found):
            return
        if set(found) & {text.strip() for text in sample.synthetic_captions}:
            yield Fault(
                "real and synthetic swapped", "captions of the pair are stored as synthetic ones", key
            )
        else:
            yield Fault("changed captions", f"stored {stored[0][:60]!r}, found {found[0][:60]!r}", key)


def name_moved_captions(
    faults: Sequence[Fault], captions: Mapping[str, Sequence[str]], stored: Mapping[str, Sequence[str]]
) -> list[Fault]:
    """The faults, with changed captions named permuted ones where they are those of another pair.

    Args:
        faults: of `compare_pair`.
        captions: of the pairs looked at, by key.
        stored: captions as stored, by key.
    """
    owners = {text.strip(): key for key, texts in captions.items() for text in texts}
    named = []
    for fault in faults:
        if fault.name == "changed captions":
            owner = owners.get(stored[fault.keys[0]][0].strip())
            if owner is not None and owner != fault.keys[0]:
                fault = Fault(
                    "permuted captions", f"{fault.keys[0]} holds the captions of {owner}", fault.keys
                )
        named.append(fault)
    return named


def coarse_precision(samples: Sequence[Reinforcement]) -> str | None:
    """The type that holds all rows exactly though it is coarser than the one they are stored in, or None."""
    rows = [rows for s in samples for rows in (s.image_embeddings, s.text_embeddings) if rows.size]
    if not rows:
        return None
    precision = samples[0].precision
    coarser: dict[Precision, tuple[Precision, ...]] = {
        "float32": ("bfloat16", "float16"),
        "float16": ("bfloat16",),
        "bfloat16": (),
    }
    values = np.concatenate([to_float32(part, precision).ravel() for part in rows])
    for other in coarser[precision]:
        if np.array_equal(to_float32(from_float32(values, other), other), values):
            return other
    return None


def _inside(crop: tuple[int, int, int, int], size: tuple[int, int]) -> bool:
    top, left, height, width = crop
    return top + height <= size[1] and left + width <= size[0]


def _read_store(store: ReinforcedStore, on_fault: OnFault) -> Iterator[tuple[str, Reinforcement | None]]:
    for index in range(len(store)):
        try:
            sample = store[index]
        except InputError as error:
            on_fault(Fault("damaged files", str(error), (store.key(index),)))
            yield store.key(index), None
            continue
        try:
            yield sample.key, check_reinforcement(sample)
        except BadReinforcement as error:
            arrays = (sample.image_embeddings, sample.text_embeddings, sample.synthetic_embeddings)
            on_fault(_fault(error, arrays, sample.precision, store.teachers))
            yield sample.key, None


def _read_tars(
    tars: Sequence[Path], teachers: Sequence[TeacherInfo], on_fault: OnFault
) -> Iterator[tuple[str, Reinforcement | None]]:
    def on_bad(bad: BadRecord) -> None:
        on_fault(Fault("damaged files", str(bad)))

    for tar in tars:
        for raw in read_samples(tar, on_bad=on_bad):
            try:
                yield raw.key, replace(parse_official(raw, teachers))
            except BadReinforcement as error:
                arrays, precision = _arrays(raw)
                on_fault(_fault(error, arrays, precision, teachers))
                yield raw.key, None


def _arrays(raw: Sample) -> tuple[tuple[Stored, ...], Precision]:
    """The arrays of an official sample that was refused, where they can be read."""
    form = next((form for form in FORMS if form in raw.members), None)
    if form is None:
        return (), "float32"
    try:
        arrays, precision = read_embeddings(raw.members[form], form)
    except InputError:
        return (), "float32"
    return tuple(arrays.values()), precision


def _fault(
    error: BadReinforcement, arrays: Sequence[Stored], precision: Precision, teachers: Sequence[TeacherInfo]
) -> Fault:
    """The fault behind a sample that was refused."""
    if error.reason in _BY_REASON:
        return Fault(_BY_REASON[error.reason], error.detail, (error.key,))
    if error.reason != "not unit vectors":
        return Fault("damaged files", f"{error.reason}: {error.detail}", (error.key,))
    widths = [teacher.width for teacher in teachers]
    rows = np.concatenate([to_float32(part, precision) for part in arrays if part.size]).astype(np.float64)
    lengths = _lengths(rows, widths)
    if (lengths == 0).any():
        return Fault("empty rows", error.detail, (error.key,))
    if len(widths) > 1 and np.all(np.abs(np.linalg.norm(rows, axis=1) - 1) < UNIT_TOLERANCE):
        return Fault(
            "joint normalisation", "joined rows have length 1, not each teacher's part", (error.key,)
        )
    for order in permutations(widths):
        if list(order) != widths and np.all(np.abs(_lengths(rows, order) - 1) < UNIT_TOLERANCE):
            shown = " + ".join(map(str, order))
            return Fault("teachers swapped", f"parts have the widths {shown} in this order", (error.key,))
    return Fault("not normalised", error.detail, (error.key,))


def _lengths(rows: np.ndarray, widths: Sequence[int]) -> np.ndarray:
    """Length of each teacher's part of each row."""
    edges = np.cumsum([0, *widths])
    return np.stack([np.linalg.norm(rows[:, a:b], axis=1) for a, b in pairwise(edges)], axis=1)


def _damaged_tars(folder: Path, manifest: Mapping[str, Any]) -> list[str]:
    files: Mapping[str, Any] = manifest.get("files", {})
    return [
        name
        for name, expected in files.items()
        if not (folder / name).is_file() or sha256_file(folder / name) != expected["sha256"]
    ]
