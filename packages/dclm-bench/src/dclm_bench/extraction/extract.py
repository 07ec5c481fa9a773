"""From crawl files to a folder of pages, one file an input; resumable, the same for any number of workers."""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from toolkit_shared.artifacts import (
    claim_folder,
    fingerprint_file,
    finish_folder,
    read_json,
    sha256_file,
    write_json,
)
from toolkit_shared.errors import InputError
from toolkit_shared.execution import map_shards
from toolkit_shared.losses import Losses

from dclm_bench.data.inputs import InputFile, find_inputs
from dclm_bench.data.page import Page
from dclm_bench.data.writing import SUFFIXES, write_pages
from dclm_bench.extraction.html import text_extractor
from dclm_bench.extraction.shard import extract_shard

log = logging.getLogger(__name__)

KIND = "dclm-bench extraction"
SCHEMA = 1
PAGES, DONE = "pages", "done"


@dataclass(frozen=True, kw_only=True)
class ExtractionReport:
    """What an extraction gave, and what it lost.

    Attributes:
        out: Folder of the pages.
        files: Input files.
        records: Records of pages that were read.
        pages: Pages written.
        characters: Of all texts.
        losses: As `Losses.to_json` gives them.
    """

    out: Path
    files: int
    records: int
    pages: int
    characters: int
    losses: Mapping[str, Any]

    @classmethod
    def from_manifest(cls, out: Path) -> "ExtractionReport":
        """The report of a finished folder."""
        manifest = read_json(out / "manifest.json")
        return cls(out=out, files=len(manifest["files"]), losses=manifest["losses"], **manifest["counts"])

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON values."""
        return asdict(self)

    def to_text(self) -> str:
        """Totals, then each reason with its number and an example."""
        lines = [
            f"{self.out}: {self.pages:,} pages, {self.characters:,} characters, from {self.files:,} files",
            f"records lost: {self.records - self.pages:,} of {self.records:,}",
        ]
        for title, counts in (("lost", self.losses["lost"]), ("kept, but look", self.losses["noted"])):
            for reason, count in counts.items():
                example = next((e for e in self.losses["examples"] if e["reason"] == reason), None)
                lines.append(f"  {title}: {count:,} {reason}")
                if example:
                    lines.append(f"    {example['place']} {example['detail']}".rstrip())
        return "\n".join(lines)


@dataclass(frozen=True)
class FileTask:
    """All that a worker needs to turn one crawl file into a file of pages."""

    index: int
    path: str
    out: str
    suffix: str
    extractor: str
    encoding: str
    strict: bool

    @property
    def pages_path(self) -> str:
        """Where the pages go, relative to the folder."""
        stem = Path(self.path).name.removesuffix(".gz").removesuffix(".zst")
        return f"{PAGES}/{self.index:05d}-{stem[-120:]}{self.suffix}"

    @property
    def marker(self) -> Path:
        """The file that says that this one is done."""
        return Path(self.out) / DONE / f"{self.index:05d}.json"


def extract_folder(
    inputs: Sequence[str | Path],
    out: str | Path,
    *,
    extractor: str = "resiliparse",
    encoding: str = "strict",
    format: str = "jsonl.gz",
    workers: int = 1,
    engine: str = "local",
    resume: bool = True,
    overwrite: bool = False,
    strict: bool = False,
    progress: Callable[[int], None] | None = None,
) -> ExtractionReport:
    """Extract crawl files into the folder `out`, or go on with an extraction that was cut off.

    `out` gets a file of pages for each input in `pages/`, and `manifest.json` with counts and losses. A run
    that was killed goes on with the files that are not done, to the same bytes.

    Args:
        inputs: WARC files, or WET files with the extractor "wet"; folders or patterns.
        out: The folder to write.
        extractor: "resiliparse", "resiliparse-all", "trafilatura" or "wet".
        encoding: "strict" or "detect", as in `extract_shard`.
        format: Of the files of pages: "jsonl.gz", "jsonl.zst", "jsonl" or "parquet".
        workers: Processes.
        engine: "local" (process pool) or "ray".
        resume: Go on with an unfinished extraction of the same configuration.
        overwrite: Replace an extraction of another configuration.
        strict: Stop at the first damaged file or record.
        progress: Called with 1 for each file done.

    Raises:
        InputError: an input, an option or the folder is unusable.
    """
    out = Path(out)
    if f".{format}" not in SUFFIXES:
        raise InputError(f"format: '{format}' is not known; known are {', '.join(s[1:] for s in SUFFIXES)}")
    if extractor != "wet":
        text_extractor(extractor)  # one line here rather than from a worker, where it is not installed
    files = _fitting(find_inputs(inputs), extractor)
    config = {
        "inputs": [[str(file.path), fingerprint_file(file.path)] for file in files],
        "extractor": extractor,
        "encoding": encoding,
        "format": format,
        "versions": {name: version(name) for name in _libraries(extractor)},
    }
    if claim_folder(out, kind=KIND, config=config, resume=resume, overwrite=overwrite) != "complete":
        tasks = [
            FileTask(index, str(file.path), str(out), f".{format}", extractor, encoding, strict)
            for index, file in enumerate(files)
        ]
        for name in (PAGES, DONE):
            (out / name).mkdir(exist_ok=True)
        if done := sum(task.marker.exists() for task in tasks):
            log.info("resumed with %d of %d files done", done, len(tasks))
        markers = list(map_shards(extract_file, tasks, workers=workers, engine=engine, progress=progress))
        finish_folder(out, _manifest(markers))
    elif strict:
        for entry in read_json(out / "manifest.json")["files"]:
            _stop_at_damage(entry, strict)
    shutil.rmtree(out / DONE, ignore_errors=True)
    return ExtractionReport.from_manifest(out)


def extract_file(task: FileTask) -> dict[str, Any]:
    """Write the pages of one file, then its marker; the manifest's entry, of an earlier run if there is one.

    Raises:
        InputError: the file is unusable, or damaged under `strict`.
    """
    if task.marker.exists():
        entry = read_json(task.marker)
        assert isinstance(entry, dict)
        _stop_at_damage(entry, task.strict)
        return entry
    losses = Losses(strict=task.strict)
    characters = 0

    def pages() -> Iterator[Page]:
        nonlocal characters
        for page in extract_shard(task.path, extractor=task.extractor, encoding=task.encoding, losses=losses):
            characters += len(page.text)
            yield page

    target = Path(task.out) / task.pages_path
    num_pages = write_pages(target, pages())
    entry = {
        "input": task.path,
        "path": task.pages_path,
        "pages": num_pages,
        "characters": characters,
        "bytes": target.stat().st_size,
        "sha256": sha256_file(target),
        "losses": losses.to_json(),
        "damaged": losses.damaged,
    }
    write_json(task.marker, entry)
    return entry


def _fitting(files: Sequence[InputFile], extractor: str) -> Sequence[InputFile]:
    """The files, which must all be of the kind that the extractor reads."""
    wanted = "wet" if extractor == "wet" else "warc"
    for file in files:
        if file.format != wanted:
            raise InputError(
                f"{file.path}: is {file.format}, and the extractor '{extractor}' reads {wanted} files; "
                "name the files that it can read, or pass another --extractor"
            )
    return files


def _libraries(extractor: str) -> list[str]:
    """What the bytes of the output depend on."""
    names = {
        "resiliparse": ["resiliparse"],
        "resiliparse-all": ["resiliparse"],
        "trafilatura": ["trafilatura"],
    }
    return ["fastwarc", *names.get(extractor, [])]


def _manifest(entries: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    losses = Losses()
    for entry in entries:
        losses.add(entry["losses"])
    pages = sum(entry["pages"] for entry in entries)
    return {
        "schema": SCHEMA,
        "toolkit_version": version("dclm-bench"),
        "files": list(entries),
        "counts": {
            "records": pages + losses.num_lost,
            "pages": pages,
            "characters": sum(entry["characters"] for entry in entries),
        },
        "losses": losses.to_json(),
    }


def _stop_at_damage(entry: Mapping[str, Any], strict: bool) -> None:
    """Refuse, under `strict`, damage that an earlier run without it counted."""
    if strict and entry["damaged"]:
        raise InputError(f"{entry['damaged']}; mend or remove it, or leave out --strict")
