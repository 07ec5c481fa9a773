"""Official tars to the memory-mapped store and back, with nothing lost on the way."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.artifacts import claim_folder, fingerprint, fingerprint_file, finish_folder, read_json
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.records import BadRecord
from toolkit_shared.shards import TarWriter, expand_shards

from mobileclip.reinforcement.dropped import DroppedCounts, dropped_text, merge_dropped
from mobileclip.reinforcement.official import (
    is_image,
    official_members,
    peek_official,
    read_official,
    without_members,
)
from mobileclip.reinforcement.official_embeddings import Form
from mobileclip.reinforcement.sample import BadReinforcement, Reinforcement, TeacherInfo
from mobileclip.reinforcement.store import ReinforcedStore
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter

OFFICIAL_KIND = "mobileclip official shards"
Carried = Literal["all", "metadata", "none"]


@dataclass(frozen=True, kw_only=True)
class ConversionReport:
    """What a conversion wrote and left out.

    Attributes:
        out: The folder written.
        num_samples: Samples in it.
        num_parts: Parts or tars in it.
        precision: Of the embeddings.
        width: Numbers in a row.
        dropped: Samples that could not be used, by reason.
        members_left_out: Members that were not carried along, by extension.
        duplicate_keys: Keys that more than one part holds; the first 20.
    """

    out: Path
    num_samples: int
    num_parts: int
    precision: str
    width: int
    dropped: dict[str, Any] = field(default_factory=dict)
    members_left_out: dict[str, int] = field(default_factory=dict)
    duplicate_keys: list[str] = field(default_factory=list)

    def to_text(self) -> str:
        """The report in a few lines."""
        lines = [
            f"{self.out}: {self.num_samples:,} samples in {self.num_parts:,} parts, rows of {self.width} "
            f"{self.precision}"
        ]
        if self.dropped:
            lines += ["left out:", *dropped_text(self.dropped)]
        if self.members_left_out:
            counts = [f"{count:,} {name}" for name, count in self.members_left_out.items()]
            lines.append(f"members not carried along: {', '.join(counts)}")
        if self.duplicate_keys:
            lines.append(f"keys that come again (the first is found): {', '.join(self.duplicate_keys)}")
        return "\n".join(lines)


def official_to_store(
    paths: str | Path | Sequence[str | Path],
    out: str | Path,
    *,
    teachers: Sequence[TeacherInfo],
    carry: Carried = "metadata",
    num_operations: int = 2,
    strict: bool = False,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ConversionReport:
    """Convert official tars into a store, a part for each tar.

    Args:
        paths: Tars, folders of them or patterns.
        out: Folder of the store.
        teachers: Of the stored vectors, in their order; the tars do not name them.
        carry: Which other members of a sample go along: all; all but images; none.
        num_operations: Room for the operations of an augmentation.
        strict: Stop at the first sample that cannot be used, instead of counting it.
        workers: Processes; the store is the same for any number.
        engine: Where they run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        progress: Called with 1 for each tar.

    Raises:
        InputError: nothing usable is found, `out` holds something else, or a sample is bad and `strict`.
    """
    tars = expand_shards(paths)
    out = Path(out)
    config = {
        "inputs": fingerprint([[path.name, fingerprint_file(path)] for path in tars]),
        "num_inputs": len(tars),
        "teachers": [asdict(teacher) for teacher in teachers],
        "carry": carry,
        "num_operations": num_operations,
        "strict": strict,
    }
    if claim_folder(out, kind=STORE_KIND, config=config, resume=resume, overwrite=overwrite) == "complete":
        return _store_report(out)
    first = next((sample for tar in tars if (sample := peek_official(tar, teachers)) is not None), None)
    if first is None:
        _explain_nothing_usable(tars, teachers)
        raise InputError(
            f"{tars[0]}: holds no usable sample, nor do the others; check --teacher and the tars"
        )
    writer = StoreWriter(
        folder=out, teachers=tuple(teachers), precision=first.precision, num_operations=num_operations
    )
    convert = partial(_convert_tar, writer, carry, strict)
    for _ in map_shards(convert, list(enumerate(tars)), workers=workers, engine=engine, progress=progress):
        pass
    reports = [writer.part_report(part)["report"] for part in range(len(tars))]
    left_out: dict[str, int] = {}
    for report in reports:
        for name, count in report["members_left_out"].items():
            left_out[name] = left_out.get(name, 0) + count
    manifest = {
        "dropped": merge_dropped(report["dropped"] for report in reports),
        "members_left_out": dict(sorted(left_out.items())),
        "sources": [report["source"] for report in reports],
    }
    writer.finish(len(tars), manifest, refuse_duplicates=strict)
    return _store_report(out)


def store_to_official(
    path: str | Path,
    out: str | Path,
    *,
    form: Form | None = None,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    resume: bool = True,
    overwrite: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ConversionReport:
    """Convert a store into official tars, one for each part, named as those that it came from.

    Args:
        path: Folder of the store.
        out: Folder of the tars.
        form: Container of the embeddings; None: `pth.gz` for bfloat16, else `npz`.
        workers: Processes.
        engine: Where they run.
        resume: Go on with an unfinished folder.
        overwrite: Replace what an earlier run left.
        progress: Called with 1 for each tar.

    Raises:
        InputError: there is no store, `out` holds something else, or npz is asked of bfloat16.
    """
    store, out = ReinforcedStore.open(path), Path(out)
    if form == "npz" and store.precision == "bfloat16":
        raise InputError(f"--form npz: cannot hold the bfloat16 of {path}; use pth.gz")
    config = {"store": store.fingerprint, "form": form}
    state = claim_folder(out, kind=OFFICIAL_KIND, config=config, resume=resume, overwrite=overwrite)
    names = tar_names(store)
    if state != "complete":
        write = partial(_write_tar, store, out, form)
        jobs = list(enumerate(names))
        for _ in map_shards(write, jobs, workers=workers, engine=engine, progress=progress):
            pass
        finish_folder(out, {"num_samples": len(store), "shards": names})
    return ConversionReport(
        out=out, num_samples=len(store), num_parts=len(names), precision=store.precision, width=store.width
    )


def tar_names(store: ReinforcedStore) -> list[str]:
    """A name of a tar for each part: that of its source, where these differ."""
    sources = store.manifest.get("sources")
    if isinstance(sources, list) and len(set(sources)) == len(sources) == store.num_parts:
        names = [Path(str(source)).name for source in sources]
        if all(name.endswith(".tar") for name in names):
            return names
    return [f"{part:05d}.tar" for part in range(store.num_parts)]


def counted_samples(
    tar: Path, teachers: Sequence[TeacherInfo], dropped: DroppedCounts, *, strict: bool
) -> Iterator[Reinforcement]:
    """The usable samples of a tar; what is bad is counted, or raised where `strict`."""

    def bad_sample(error: BadReinforcement) -> None:
        dropped.add(error.reason, error.key)

    def bad_member(bad: BadRecord) -> None:
        dropped.add("damaged archive", f"{tar.name}, {bad.place}: {bad.reason}")

    if strict:
        return read_official(tar, teachers)
    return read_official(tar, teachers, on_bad=bad_sample, on_bad_member=bad_member)


def _convert_tar(writer: StoreWriter, carry: Carried, strict: bool, job: tuple[int, Path]) -> None:
    part, tar = job
    if writer.has_part(part):
        return
    dropped, left_out = DroppedCounts(), dict[str, int]()
    report: dict[str, Any] = {"source": tar.name}

    def samples() -> Iterator[Reinforcement]:
        for sample in counted_samples(tar, writer.teachers, dropped, strict=strict):
            if sample.precision != writer.precision:
                bad = BadReinforcement(
                    "another precision", sample.key, f"{sample.precision}, not {writer.precision}", str(tar)
                )
                if strict:
                    raise bad
                dropped.add(bad.reason, bad.key)
                continue
            kept, gone = without_members(sample, lambda name: _goes_along(name, carry))
            for name in gone:
                left_out[name] = left_out.get(name, 0) + 1
            yield kept
        report["dropped"] = dropped.to_json()
        report["members_left_out"] = dict(sorted(left_out.items()))

    writer.write_part(part, samples(), report)


def _goes_along(extension: str, carry: Carried) -> bool:
    return carry == "all" or (carry == "metadata" and not is_image(extension))


def _write_tar(store: ReinforcedStore, out: Path, form: Form | None, job: tuple[int, str]) -> None:
    part, name = job
    if (out / name).exists():
        return
    with TarWriter(out / name) as tar:
        for index in store.part_indices(part):
            sample = store[index]
            tar.write(sample.key, official_members(sample, form))


def _store_report(out: Path) -> ConversionReport:
    manifest = read_json(out / "manifest.json")
    store = manifest["store"]
    return ConversionReport(
        out=out,
        num_samples=store["num_samples"],
        num_parts=len(store["parts"]),
        precision=store["precision"],
        width=store["width"],
        dropped=manifest.get("dropped", {}),
        members_left_out=manifest.get("members_left_out", {}),
        duplicate_keys=store["duplicate_keys"],
    )


def _explain_nothing_usable(tars: Sequence[Path], teachers: Sequence[TeacherInfo]) -> None:
    """Raise what is wrong with the first sample, which says more than that all are bad."""
    for tar in tars:
        for _ in read_official(tar, teachers):
            return
