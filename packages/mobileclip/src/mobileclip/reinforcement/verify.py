"""Whether reinforcements are those of their pairs: structure, sizes, texts, and rows embedded again."""

import heapq
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
from PIL import Image
from toolkit_shared.errors import InputError
from toolkit_shared.images import BadImage, decode_image
from toolkit_shared.pairs import BadPair, PairSource
from toolkit_shared.randomness import stream

from mobileclip.reinforcement.build import Pairs, pair_keys
from mobileclip.reinforcement.precision import to_float32
from mobileclip.reinforcement.sample import Reinforcement, TeacherInfo
from mobileclip.reinforcement.store import WrongWidth
from mobileclip.reinforcement.teacher import Teacher, equal_batches, split_teachers, unit_rows
from mobileclip.reinforcement.verify_report import Fault, VerifyReport, merge_faults
from mobileclip.reinforcement.verify_rows import Looked, compare_rows, name_faults
from mobileclip.reinforcement.verify_structure import (
    StoredSet,
    coarse_precision,
    compare_pair,
    excused_keys,
    name_moved_captions,
    open_stored,
)
from mobileclip.replay import Augmentation, Geometry, replay

# 1 - cosine; rounding to bfloat16 gives 1e-6, another machine or batch size less. Below it a fault would have
# to hide, above it honest rows would have to be: teachers that compute in half precision need more.
TOLERANCE = 2e-5


def verify_reinforced(
    path: str | Path,
    pairs: Pairs | None = None,
    *,
    teachers: Sequence[Teacher] = (),
    stored_teachers: Sequence[TeacherInfo] = (),
    rows: int = 64,
    seed: int = 0,
    tolerance: float = TOLERANCE,
    geometry: Geometry | None = None,
    batch_size: int = 32,
    hashes: bool = True,
    progress: Callable[[int], None] | None = None,
) -> VerifyReport:
    """Look for every class of fault of `verify_report.FAULTS`.

    Without pairs only what a store says of itself is checked; without teachers no row is embedded again.

    Args:
        path: a store, or official tars.
        pairs: from which it was built.
        teachers: of which it was built, in their order.
        stored_teachers: of official tars that no manifest describes; else those of `teachers`.
        rows: samples, drawn at random, that are compared with their pairs and embedded again.
        seed: of that choice.
        tolerance: by how much the cosine of a good row may be below 1.
        geometry: of the replay; None: the manifest's, or the published one.
        batch_size: images, or captions, that a teacher is given at once.
        hashes: compare all files with the manifest's hashes, which reads them whole.
        progress: told of samples checked.

    Raises:
        InputError: nothing to read; teachers of other number or widths than the stored ones; or there is no
            sample to look at.
    """
    if not stored_teachers:
        stored_teachers = [TeacherInfo(t.name, t.width, t.logit_scale) for t in teachers]
    faults: list[Fault] = []
    try:
        stored = open_stored(path, stored_teachers)
    except InputError as error:
        if not (Path(path) / "manifest.json").exists():
            raise
        name = "wrong width" if isinstance(error, WrongWidth) else "damaged files"
        return VerifyReport(str(path), 0, 0, 0, (Fault(name, str(error)),))
    _require_same_teachers(stored, teachers)
    if hashes and (damaged := stored.damaged()):
        faults.append(Fault("damaged files", f"not as written: {', '.join(damaged[:5])}"))
    keys, chosen = _read_all(stored, rows, seed, faults.append, progress)
    notes, looked = [], []
    if chosen and (found := coarse_precision(chosen)) is not None:
        detail = f"stored as {chosen[0].precision}, rounded to {found}"
        if _promised_precision(stored) == chosen[0].precision:
            faults.append(Fault("coarse rows", detail))
        else:
            notes.append(f"rows are {detail}; no manifest of dr build promises more of them")
    if pairs is None:
        notes.append("no pairs were given: sizes, captions and rows were not compared")
    else:
        looked = _look(stored, keys, chosen, pairs.open(), teachers, geometry, batch_size, faults)
        if not teachers:
            notes.append("no teachers were given: the structure was checked, and no row was embedded again")
    notes += _other_weights(stored, teachers)
    if looked and teachers:

        def embed(teacher: Teacher, image: Image.Image, augmentation: Augmentation) -> np.ndarray:
            view = replay(image, augmentation, size=teacher.image_size, geometry=_geometry(stored, geometry))
            row: np.ndarray = teacher.embed_images([view])[0]
            return row

        faults += name_faults(looked, teachers, tolerance, embed)
    return VerifyReport(
        path=str(path),
        num_stored=len(keys),
        num_structure=len(keys),
        num_embedded=len(looked) if teachers else 0,
        faults=merge_faults(faults),
        cosines=tuple(compare_rows(looked, teachers, tolerance)) if looked else (),
        notes=tuple(notes),
    )


def _require_same_teachers(stored: StoredSet, teachers: Sequence[Teacher]) -> None:
    there = [teacher.width for teacher in stored.teachers]
    here = [teacher.width for teacher in teachers]
    if teachers and there != here:
        names = ", ".join(f"{teacher.name} ({teacher.width})" for teacher in stored.teachers)
        raise InputError(
            f"--teacher: widths {here} are given, the store has {names}; "
            "name the same teachers in the same order"
        )


def _read_all(
    stored: StoredSet,
    rows: int,
    seed: int,
    on_fault: Callable[[Fault], None],
    progress: Callable[[int], None] | None,
) -> tuple[list[str], list[Reinforcement]]:
    """All keys, and `rows` random ones of the samples that are sound, in order."""
    generator = stream(seed, "samples that are verified")
    keys: list[str] = []
    heap: list[tuple[float, int, Reinforcement]] = []  # the largest draw is the first to go
    for index, (key, sample) in enumerate(stored.read(on_fault)):
        keys.append(key)
        draw = float(generator.random())
        if sample is not None:
            if len(heap) < rows:
                heapq.heappush(heap, (-draw, index, sample))
            elif heap and draw < -heap[0][0]:
                heapq.heapreplace(heap, (-draw, index, sample))
        if progress is not None:
            progress(1)
    return keys, [sample for _, _, sample in sorted(heap, key=lambda entry: entry[1])]


def _look(
    stored: StoredSet,
    keys: Sequence[str],
    chosen: Sequence[Reinforcement],
    source: PairSource,
    teachers: Sequence[Teacher],
    geometry: Geometry | None,
    batch_size: int,
    faults: list[Fault],
) -> list[Looked]:
    """Compare keys with those of the pairs, and the chosen samples with theirs; embed these again."""
    numbers = dict(reversed([(key, index) for index, key in enumerate(pair_keys(source))]))
    missing = [key for key in keys if key not in numbers]
    there = set(keys) | excused_keys(stored)
    absent = [key for key in numbers if key not in there]
    if missing:
        faults.append(Fault("missing pairs", f"{len(missing)} of {len(keys)} stored keys", tuple(missing)))
    if absent:
        faults.append(
            Fault("missing reinforcements", f"{len(absent)} of {len(numbers)} pairs", tuple(absent))
        )
    compared: list[Fault] = []
    texts: dict[str, Sequence[str]] = {}
    looked = []
    for sample in chosen:
        if sample.key not in numbers:
            continue
        try:
            pair = source[numbers[sample.key]]
            image = decode_image(pair.image, where=pair.where)
        except (BadPair, BadImage) as error:
            faults.append(Fault("unreadable images", str(error), (sample.key,)))
            continue
        texts[sample.key] = pair.captions
        found = list(compare_pair(sample, pair.captions, image.size))
        compared += found
        usable = not any(fault.name in ("resized images", "exchanged images") for fault in found)
        looked.append(
            _embed(sample, image if usable else None, teachers, _geometry(stored, geometry), batch_size)
        )
    faults += name_moved_captions(compared, texts, {sample.key: sample.captions for sample in chosen})
    return looked


def _embed(
    sample: Reinforcement,
    image: Image.Image | None,
    teachers: Sequence[Teacher],
    geometry: Geometry,
    batch_size: int,
) -> Looked:
    """The sample's rows as stored and as its image and captions give them now."""
    widths = [teacher.width for teacher in sample.teachers]
    texts = [*sample.captions, *sample.synthetic_captions]
    images = to_float32(sample.image_embeddings, sample.precision)
    real = to_float32(sample.text_embeddings, sample.precision)
    synthetic = to_float32(sample.synthetic_embeddings, sample.precision).reshape(-1, real.shape[1])
    fresh_images = None
    if image is not None:
        fresh_images = [
            _rows(teacher, _views(sample, image, teacher.image_size, geometry), batch_size)
            for teacher in teachers
        ]
    return Looked(
        key=sample.key,
        num_captions=len(sample.captions),
        stored_images=[unit_rows(rows) for rows in split_teachers(images, widths)],
        fresh_images=fresh_images,
        stored_texts=[unit_rows(rows) for rows in split_teachers(np.concatenate([real, synthetic]), widths)],
        fresh_texts=[
            np.concatenate(
                [teacher.embed_texts(batch)[:count] for batch, count in equal_batches(texts, batch_size)]
            )
            for teacher in teachers
        ],
        image=image,
        augmentations=sample.augmentations,
    )


def _views(sample: Reinforcement, image: Image.Image, size: int, geometry: Geometry) -> Iterator[Image.Image]:
    return (
        replay(image, augmentation, size=size, geometry=geometry) for augmentation in sample.augmentations
    )


def _rows(teacher: Teacher, views: Iterator[Image.Image], batch_size: int) -> np.ndarray:
    batches = equal_batches(list(views), batch_size)
    return np.concatenate([teacher.embed_images(batch)[:count] for batch, count in batches])


def _geometry(stored: StoredSet, geometry: Geometry | None) -> Geometry:
    if geometry is not None:
        return geometry
    written: Geometry = stored.manifest.get("config", {}).get("recipe", {}).get("geometry", "official")
    return written


def _promised_precision(stored: StoredSet) -> str | None:
    """The precision in which dr build says that it wrote the rows; None for sets that were converted.

    Rows of others may hold less than their type: float32 `npz` of teachers that computed in bfloat16 are
    sound data.
    """
    promised = stored.manifest.get("config", {}).get("recipe", {}).get("precision")
    return promised if isinstance(promised, str) else None


def _other_weights(stored: StoredSet, teachers: Sequence[Teacher]) -> Iterator[str]:
    """Notes on teachers whose weights are not those that the manifest names."""
    written = stored.manifest.get("config", {}).get("teachers", [])
    for teacher, entry in zip(teachers, written, strict=False):
        if isinstance(entry, dict) and entry.get("fingerprint") not in (None, teacher.fingerprint):
            yield (
                f"{teacher.name}: its fingerprint is {teacher.fingerprint}, "
                f"the manifest names {entry['fingerprint']}"
            )
