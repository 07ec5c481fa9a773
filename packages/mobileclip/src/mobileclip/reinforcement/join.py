"""Stored reinforcement and the images that it was made for, brought together by key."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.artifacts import (
    claim_folder,
    fingerprint,
    fingerprint_file,
    finish_folder,
    read_json,
    write_json,
)
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.images import BadImage, image_size
from toolkit_shared.pairs import BadPair, PairSource
from toolkit_shared.shards import TarWriter, expand_shards

from mobileclip.reinforcement.convert import OFFICIAL_KIND, counted_samples, tar_names
from mobileclip.reinforcement.dropped import DroppedCounts, dropped_text, merge_dropped
from mobileclip.reinforcement.official import is_image, official_members
from mobileclip.reinforcement.official_embeddings import Form
from mobileclip.reinforcement.sample import BadReinforcement, Reinforcement, TeacherInfo
from mobileclip.reinforcement.store import ReinforcedStore

Resized = Literal["refuse", "fit"]
NO_IMAGE, AGAIN = "no image of this key", "key that comes again"
UNUSED, IMAGE_AGAIN = "image without reinforcement", "image key that comes again (the first is used)"
REPORTS = "reports"
_SIGNATURES = ((b"\xff\xd8", "jpg"), (b"\x89PNG", "png"), (b"RIFF", "webp"))


@dataclass(frozen=True, kw_only=True)
class JoinReport:
    """What a join wrote and left out.

    Attributes:
        out: The folder written.
        num_joined: Samples with their image.
        num_shards: Tars written.
        num_fitted: Samples whose crop boxes were scaled to a resized image.
        dropped: Samples left out, by reason.
        images: Images that were not used, by reason.
    """

    out: Path
    num_joined: int
    num_shards: int
    num_fitted: int = 0
    dropped: dict[str, Any] = field(default_factory=dict)
    images: dict[str, Any] = field(default_factory=dict)

    def to_text(self) -> str:
        """The report in a few lines."""
        lines = [f"{self.out}: {self.num_joined:,} samples joined in {self.num_shards:,} shards"]
        if self.num_fitted:
            lines.append(f"crop boxes scaled to resized images: {self.num_fitted:,}")
        if self.dropped:
            lines += ["left out:", *dropped_text(self.dropped)]
        if self.images:
            lines += ["images not used:", *dropped_text(self.images)]
        return "\n".join(lines)


def join_images(
    reinforcement: str | Path,
    images: PairSource,
    out: str | Path,
    *,
    teachers: Sequence[TeacherInfo] = (),
    form: Form | None = None,
    resized: Resized = "refuse",
    strict: bool = False,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> JoinReport:
    """Write official shards that hold each sample of the reinforcement with its image.

    Args:
        reinforcement: A store, or official tars (a tar, a folder of them or a pattern).
        images: Where images are found by key.
        out: Folder of the shards.
        teachers: Of the vectors in official tars; a store names its own.
        form: Container of the embeddings; None: `pth.gz` for bfloat16, else `npz`.
        resized: What to do with an image of another size but the same aspect as the stored one: leave the
            sample out, or scale its crop boxes (the embeddings then are those of slightly other pixels).
        strict: Stop at the first sample that has no usable image, instead of counting it.
        workers: Processes; the shards are the same for any number.
        engine: Where they run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        progress: Called with 1 for each shard.

    Raises:
        InputError: an input is missing or of another kind, or something is left out and `strict`.
    """
    units = _open_units(Path(reinforcement), reinforcement, teachers)
    out = Path(out)
    config = {
        "reinforcement": units.fingerprint,
        "images": images.fingerprint,
        "form": form,
        "resized": resized,
        "strict": strict,
    }
    if claim_folder(out, kind=OFFICIAL_KIND, config=config, resume=resume, overwrite=overwrite) == "complete":
        return _report(out)
    unused = DroppedCounts()
    index = _index_of_images(images, unused)
    again = _keys_of_earlier_units(units)
    work = partial(_join_unit, units, images, index, again, out, form, resized, strict)
    reports = list(
        map_shards(work, range(len(units.names)), workers=workers, engine=engine, progress=progress)
    )
    used = {key for report in reports for key in report["used"]}
    for key in index:
        if key not in used:
            unused.add(UNUSED, key)
    manifest = {
        "num_samples": sum(report["num_joined"] for report in reports),
        "num_fitted": sum(report["num_fitted"] for report in reports),
        "shards": units.names,
        "dropped": merge_dropped(report["dropped"] for report in reports),
        "images": unused.to_json(),
    }
    finish_folder(out, manifest)
    return _report(out)


@dataclass(frozen=True)
class _Units:
    """The reinforcement as units of work, each with the name of the tar that is written for it."""

    names: list[str]
    fingerprint: str
    store: ReinforcedStore | None = None
    tars: tuple[Path, ...] = ()
    teachers: tuple[TeacherInfo, ...] = ()

    def samples(self, unit: int, dropped: DroppedCounts, strict: bool) -> Iterator[Reinforcement]:
        """The samples of a unit; damage to tars is counted."""
        if self.store is None:
            return counted_samples(self.tars[unit], self.teachers, dropped, strict=strict)
        store = self.store
        return (store[index] for index in store.part_indices(unit))


def _open_units(folder: Path, path: str | Path, teachers: Sequence[TeacherInfo]) -> _Units:
    if (folder / "manifest.json").exists() and "store" in read_json(folder / "manifest.json"):
        store = ReinforcedStore.open(folder)
        return _Units(tar_names(store), store.fingerprint, store)
    tars = tuple(expand_shards(path))
    if not teachers:
        raise InputError(f"{path}: official tars do not name their teachers; pass --teacher")
    names = [tar.name for tar in tars]
    if len(set(names)) != len(names):
        names = [f"{number:05d}.tar" for number in range(len(tars))]
    mark = fingerprint([[tar.name, fingerprint_file(tar)] for tar in tars])
    return _Units(names, fingerprint([mark, [asdict(one) for one in teachers]]), None, tars, tuple(teachers))


def _index_of_images(images: PairSource, unused: DroppedCounts) -> dict[str, int]:
    """The number of each image by its key."""
    keys: Sequence[str] | None = getattr(images, "keys", None)
    index: dict[str, int] = {}
    for number in range(len(images)):
        try:
            key = keys[number] if keys is not None else images[number].key
        except BadPair as error:
            unused.add(f"unusable: {error.reason}", error.where)
            continue
        if key in index:
            unused.add(IMAGE_AGAIN, key)
        index.setdefault(key, number)
    return index


def _keys_of_earlier_units(units: _Units) -> dict[int, frozenset[str]]:
    """For each unit its keys that an earlier one holds; known beforehand, so that units can run apart."""
    if units.store is None:
        from toolkit_shared.shards import index_samples

        every = [[one.key for one in index_samples(tar, on_bad=lambda _: None)] for tar in units.tars]
    else:
        store = units.store
        if not store.manifest["store"]["num_duplicate_keys"]:
            return {}
        every = [[store.key(index) for index in store.part_indices(part)] for part in range(store.num_parts)]
    seen: set[str] = set()
    again: dict[int, frozenset[str]] = {}
    for unit, keys in enumerate(every):
        if found := seen.intersection(keys):
            again[unit] = frozenset(found)
        seen.update(keys)
    return again


def _join_unit(
    units: _Units,
    images: PairSource,
    index: Mapping[str, int],
    again: Mapping[int, frozenset[str]],
    out: Path,
    form: Form | None,
    resized: Resized,
    strict: bool,
    unit: int,
) -> dict[str, Any]:
    """Write one shard; what is written and left out is kept beside it, for a run that goes on."""
    path, kept = out / units.names[unit], out / REPORTS / f"{unit:05d}.json"
    if kept.exists():
        report: dict[str, Any] = read_json(kept)
        return report
    dropped, used, num_fitted = DroppedCounts(), list[str](), 0
    with TarWriter(path) as tar:
        for sample in units.samples(unit, dropped, strict):
            try:
                if sample.key in again.get(unit, ()):
                    raise BadReinforcement(AGAIN, sample.key, "an earlier shard holds it", units.names[unit])
                joined, image = _with_image(sample, images, index, resized)
            except BadReinforcement as error:
                if strict:
                    raise
                dropped.add(error.reason, error.key)
                continue
            num_fitted += joined.augmentations is not sample.augmentations
            tar.write(sample.key, official_members(joined, form, image))
            used.append(sample.key)
    report = {
        "num_joined": len(used),
        "num_fitted": num_fitted,
        "used": used,
        "dropped": dropped.to_json(),
    }
    write_json(kept, report)
    return report


def _with_image(
    sample: Reinforcement, images: PairSource, index: Mapping[str, int], resized: Resized
) -> tuple[Reinforcement, dict[str, bytes]]:
    """The sample with its image's size, and the image by its extension.

    Raises:
        BadReinforcement: there is no image of its key, or not the one for which the sample was made.
    """
    number = index.get(sample.key)
    if number is None:
        raise BadReinforcement(NO_IMAGE, sample.key, "it is not among the images")
    try:
        pair = images[number]
        size = image_size(pair.image, where=pair.where)
    except (BadPair, BadImage) as error:
        raise BadReinforcement(f"image: {error.reason}", sample.key, str(error)) from None
    extension = next((name for start, name in _SIGNATURES if pair.image.startswith(start)), None)
    if extension is None:
        raise BadReinforcement("image of another format", sample.key, "jpg, png and webp are read back")
    members = {name: data for name, data in sample.members.items() if not is_image(name)}
    joined = replace(sample, members=members, image_size=size)
    stored = sample.image_size
    try:
        if stored is not None and stored != size:
            if resized == "refuse":
                raise InputError(f"{size[0]} x {size[1]} pixels, stored for {stored[0]} x {stored[1]}")
            fitted = tuple(one.fit_to(stored, size) for one in sample.augmentations)
            joined = replace(joined, augmentations=fitted, members=_with_size(members, size))
        for augmentation in joined.augmentations:
            augmentation.require_inside(*size)
    except InputError as error:
        raise BadReinforcement("image of another size", sample.key, str(error)) from None
    return joined, {extension: pair.image}


def _with_size(members: Mapping[str, bytes], size: tuple[int, int]) -> dict[str, bytes]:
    """The carried members, the metadata with the new width and height where it had the old ones."""
    found = dict(members)
    if "json" in found:
        metadata = json.loads(found["json"])
        metadata.update(zip(("width", "height"), size, strict=True))
        found["json"] = json.dumps(metadata, ensure_ascii=False).encode()
    return found


def _report(out: Path) -> JoinReport:
    manifest = read_json(out / "manifest.json")
    return JoinReport(
        out=out,
        num_joined=manifest["num_samples"],
        num_shards=len(manifest["shards"]),
        num_fitted=manifest.get("num_fitted", 0),
        dropped=manifest.get("dropped", {}),
        images=manifest.get("images", {}),
    )
