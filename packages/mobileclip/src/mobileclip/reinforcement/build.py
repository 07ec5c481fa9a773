"""Reinforced data from pairs, teachers and a captioner: resumable, the same for any number of workers.

The pairs are cut into parts of fixed size. A part is whole or absent, so a build that was killed at any
moment goes on with the parts that are absent, and ends with the same bytes.
"""

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

from toolkit_shared.artifacts import claim_folder, finish_folder, read_json, sha256_file, write_json
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.pairs import BadPair, PairSource, open_pairs
from toolkit_shared.records import write_jsonl
from toolkit_shared.shards import TarWriter
from toolkit_shared.shards.reading import split_name
from toolkit_shared.threads import one_thread

from mobileclip.reinforcement.build_part import Recipe, reinforce
from mobileclip.reinforcement.captioner import Captioner
from mobileclip.reinforcement.convert import OFFICIAL_KIND
from mobileclip.reinforcement.dropped import Dropped, DroppedCounts, dropped_text
from mobileclip.reinforcement.official import official_members
from mobileclip.reinforcement.sample import TeacherInfo
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter
from mobileclip.reinforcement.teacher import Teacher

logger = logging.getLogger(__name__)

Form = Literal["store", "official"]
DROPPED = "dropped.jsonl"


@dataclass(frozen=True, kw_only=True)
class Pairs:
    """Where pairs are, and the fields in which their images and captions stand; None: the usual ones."""

    path: str
    image_field: str | None = None
    caption_field: str | None = None

    def open(self) -> PairSource:
        """The source; a damaged list of pairs raises `InputError`."""
        return open_pairs(self.path, image_field=self.image_field, caption_field=self.caption_field)


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to know; `identity` is the same for the same output."""

    pairs: Pairs
    out: Path
    load_teachers: Callable[[], Sequence[Teacher]]
    load_captioner: Callable[[], Captioner]
    teachers: tuple[TeacherInfo, ...]
    recipe: Recipe
    form: Form
    strict: bool

    @property
    def writer(self) -> StoreWriter:
        """Of the parts of a store."""
        return StoreWriter(
            folder=self.out,
            teachers=self.teachers,
            precision=self.recipe.precision,
            num_operations=max(self.recipe.augmentation.num_operations, 1),
        )


@dataclass(frozen=True)
class Tools:
    """What is opened and loaded once in a process."""

    source: PairSource
    teachers: Sequence[Teacher]
    captioner: Captioner


@dataclass(frozen=True)
class BuildReport:
    """What a build wrote, and what it dropped.

    Attributes:
        out: the folder.
        num_samples: samples stored.
        num_pairs: pairs that there were.
        dropped: for each reason the number and the first names.
    """

    out: Path
    num_samples: int
    num_pairs: int
    dropped: Mapping[str, Any]

    def as_dict(self) -> dict[str, Any]:
        """As JSON."""
        return {**vars(self), "out": str(self.out)}

    def to_text(self) -> str:
        """As lines for a terminal."""
        lines = [f"{self.out}: {self.num_samples:,} of {self.num_pairs:,} pairs reinforced"]
        if self.dropped:
            lines += ["dropped:", *dropped_text(self.dropped), f"all of them: {self.out / DROPPED}"]
        return "\n".join(lines)


def build_reinforced(
    pairs: Pairs,
    out: str | Path,
    *,
    load_teachers: Callable[[], Sequence[Teacher]],
    load_captioner: Callable[[], Captioner],
    recipe: Recipe,
    form: Form = "store",
    part_size: int = 256,
    workers: int = 1,
    engine: Literal["local", "ray"] = "local",
    device: str = "cpu",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> BuildReport:
    """Write the reinforcement of all pairs that can be used into the folder `out`.

    Args:
        pairs: where they are.
        out: a store, or official tars; claimed and finished as `toolkit_shared.artifacts` does.
        load_teachers: gives the ensemble, in the order of the stored vectors. It must be importable (such as
            a `functools.partial` of `models.teachers.load_teachers`) when there are several workers.
        load_captioner: gives the captioner; as `load_teachers`.
        recipe: what is drawn and stored of each pair.
        form: own store, or tars that the published loaders read.
        part_size: pairs in a part; a killed build loses no more than the parts that were begun.
        workers: processes, each with teachers of its own and one thread.
        engine: processes of this machine, or of a Ray cluster.
        device: on which the loaders put their models; kept in the manifest, for results depend on it.
        resume: go on with an unfinished folder.
        overwrite: replace a folder of another configuration.
        strict: stop at the first pair that cannot be used instead of counting it.
        progress: told of pairs done.

    Raises:
        InputError: nothing to read, a folder of something else, a pair that cannot be used under `strict`, or
            what the loaders raise.
    """
    if (
        part_size < 1
        or recipe.batch_size < 1
        or recipe.num_augmentations < 1
        or recipe.num_synthetic_captions < 0
    ):
        raise InputError(
            "--part-size, --batch-size and --augmentations are 1 or more, --synthetic-captions 0 or more"
        )
    out = Path(out)
    source = pairs.open()
    if not len(source):
        raise InputError(f"{pairs.path}: holds no pairs; name a source with one or more")
    tools = Tools(source, tuple(load_teachers()), load_captioner())
    if tools.captioner.name == "none" and recipe.num_synthetic_captions:
        raise InputError(
            f"--synthetic-captions {recipe.num_synthetic_captions}: needs a --captioner; name one, or give 0"
        )
    config = _config(tools, recipe, form, part_size, device)
    kind = STORE_KIND if form == "store" else OFFICIAL_KIND
    if claim_folder(out, kind=kind, config=config, resume=resume, overwrite=overwrite) == "complete":
        logger.info("%s is complete, nothing to do", out)
        return _report(out, read_json(out / "manifest.json")["build"])
    job = Job(
        pairs=pairs,
        out=out,
        load_teachers=load_teachers,
        load_captioner=load_captioner,
        teachers=tuple(TeacherInfo(t.name, t.width, t.logit_scale) for t in tools.teachers),
        recipe=recipe,
        form=form,
        strict=strict,
    )
    parts = [
        range(start, min(start + part_size, len(tools.source)))
        for start in range(0, len(tools.source), part_size)
    ]
    _run(job, tools, parts, workers, engine, progress)
    return _finish(job, len(tools.source), len(parts))


def _config(tools: Tools, recipe: Recipe, form: Form, part_size: int, device: str) -> dict[str, Any]:
    """All that the bytes depend on; folders are not among it."""
    import torch

    return {
        "teachers": [
            {
                "name": teacher.name,
                "width": teacher.width,
                "image_size": teacher.image_size,
                "logit_scale": teacher.logit_scale,
                "fingerprint": teacher.fingerprint,
            }
            for teacher in tools.teachers
        ],
        "captioner": {"name": tools.captioner.name, "fingerprint": tools.captioner.fingerprint},
        "pairs": {"fingerprint": tools.source.fingerprint, "num_pairs": len(tools.source)},
        "recipe": asdict(recipe),
        "form": form,
        "part_size": part_size,
        "device": torch.device(device).type,
        "torch": torch.__version__,
    }


def _run(
    job: Job,
    tools: Tools,
    parts: Sequence[range],
    workers: int,
    engine: str,
    progress: Callable[[int], None] | None,
) -> None:
    """Write the parts that are absent."""
    keys = pair_keys(tools.source)
    again = duplicate_indices(keys)
    tasks = []
    for number, part in enumerate(parts):
        if _has_part(job, number):
            if progress is not None:
                progress(len(part))
            continue
        wanted = tuple((index, keys[index], index in again) for index in part)
        tasks.append((number, wanted))
    if len(tasks) < len(parts):
        logger.info("%s: %d of %d parts are there already", job.out, len(parts) - len(tasks), len(parts))
    if workers == 1 and engine == "local":
        function = partial(_write_part, job, tools)
    else:
        function = partial(_write_part, job, None)
    for done in map_shards(function, tasks, workers=workers, engine=engine):
        if progress is not None:
            progress(done)


_loaded: dict[str, Tools] = {}  # of this worker process; one job at a time


def _load(job: Job) -> Tools:
    name = f"{job.out.resolve()} {job.teachers} {job.recipe}"
    if name not in _loaded:
        _loaded.clear()
        _loaded[name] = Tools(job.pairs.open(), tuple(job.load_teachers()), job.load_captioner())
    return _loaded[name]


def _write_part(job: Job, tools: Tools | None, task: tuple[int, tuple[tuple[int, str, bool], ...]]) -> int:
    """Write one part; the number of its pairs."""
    tools = tools or _load(job)
    number, pairs = task
    dropped: list[dict[str, str]] = []

    def on_drop(entry: Dropped) -> None:
        if job.strict:
            raise InputError(
                f"pair {entry.key}: {entry.reason} ({entry.detail}); mend or remove it, or leave out --strict"
            )
        dropped.append(asdict(entry))

    wanted = []
    for index, key, again in pairs:
        if again:
            on_drop(Dropped(key, "duplicate key", f"pair {index} of the input"))
        elif job.form == "official" and split_name(f"{key}.txt") != (key, "txt"):
            on_drop(Dropped(key, "key cannot name a tar member", f"pair {index} of the input"))
        else:
            wanted.append((index, key))
    samples = reinforce(
        tools.source,
        wanted,
        teachers=tools.teachers,
        captioner=tools.captioner,
        recipe=job.recipe,
        on_drop=on_drop,
    )
    # sums in parallel may round differently from run to run
    with one_thread():
        if job.form == "store":
            job.writer.write_part(number, samples, _Live(dropped))
        else:
            _write_official_part(job, number, samples, dropped)
    return len(pairs)


class _Live(dict[str, Any]):
    """The report of a part, which is complete once the samples have been read."""

    def __init__(self, dropped: list[dict[str, str]]) -> None:
        super().__init__(dropped=dropped)


def _write_official_part(
    job: Job, number: int, samples: Iterator[Any], dropped: Sequence[Mapping[str, str]]
) -> None:
    path = _shard(job.out, number)
    count = 0
    with TarWriter(path) as tar:
        for sample in samples:
            tar.write(sample.key, official_members(sample))
            count += 1
    files = {path.name: {"bytes": path.stat().st_size, "sha256": sha256_file(path)}}
    write_json(
        _part_report(job.out, number), {"num_samples": count, "files": files, "report": {"dropped": dropped}}
    )


def _has_part(job: Job, number: int) -> bool:
    return job.writer.has_part(number) if job.form == "store" else _part_report(job.out, number).exists()


def _shard(out: Path, number: int) -> Path:
    return out / f"{number:05d}.tar"


def _part_report(out: Path, number: int) -> Path:
    return out / "parts" / f"{number:05d}.json"


def _finish(job: Job, num_pairs: int, num_parts: int) -> BuildReport:
    if job.form == "store":
        reports = [job.writer.part_report(number) for number in range(num_parts)]
    else:
        reports = [read_json(_part_report(job.out, number)) for number in range(num_parts)]
    dropped = [entry for report in reports for entry in report["report"]["dropped"]]
    counts = DroppedCounts()
    for entry in dropped:
        counts.add(entry["reason"], entry["key"])
    build = {
        "num_pairs": num_pairs,
        "num_samples": sum(report["num_samples"] for report in reports),
        "dropped": counts.to_json(),
    }
    write_jsonl(job.out / DROPPED, dropped)
    if job.form == "store":
        job.writer.finish(num_parts, {"build": build})
    else:
        files = {name: file for report in reports for name, file in report["files"].items()}
        teachers = [asdict(teacher) for teacher in job.teachers]
        finish_folder(job.out, {"build": build, "teachers": teachers, "files": files})
    return _report(job.out, build)


def _report(out: Path, build: Mapping[str, Any]) -> BuildReport:
    return BuildReport(out, build["num_samples"], build["num_pairs"], build["dropped"])


def pair_keys(source: PairSource) -> list[str]:
    """The keys of all pairs in order; of one that cannot be used, its place where the source has no list.

    Raises:
        InputError: the source cannot be read.
    """
    keys: Any = getattr(source, "keys", None)
    if keys is not None:
        return list(keys() if callable(keys) else keys)
    found = []
    for index in range(len(source)):
        try:
            found.append(source[index].key)
        except BadPair as error:
            found.append(error.where)
    return found


def duplicate_indices(keys: Sequence[str]) -> set[int]:
    """The numbers of the keys that came before."""
    seen: set[str] = set()
    again = set()
    for index, key in enumerate(keys):
        if key in seen:
            again.add(index)
        seen.add(key)
    return again
