"""From what the user names (files, folders, globs) to input files of known formats, in a fixed order."""

import contextlib
import difflib
import glob
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, cast

from toolkit_shared.errors import InputError

from seqdecomp.data.formats.units import Format, Input
from seqdecomp.data.store_manifest import STORE_KIND

SUFFIXES: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
    ".parquet": "parquet",
    ".arrow": "arrow",
    ".npy": "olmo",
    ".ds": "datatrove",
    ".tar": "released",
    ".txt": "text",
    ".text": "text",
    ".md": "text",
    ".rst": "text",
    ".py": "text",
    ".tex": "text",
    ".html": "text",
    ".c": "text",
    ".h": "text",
    ".cpp": "text",
    ".rs": "text",
    ".go": "text",
    ".java": "text",
    ".js": "text",
    ".ts": "text",
}
COMPRESSIONS = (".gz", ".zst", ".zstd")
# Companions of token files and of data set folders, never inputs themselves.
COMPANIONS = (".idx", ".index", ".metadata", ".lock")
ALL_FORMATS = ("text", "jsonl", "parquet", "arrow", "olmo", "megatron", "datatrove", "nanogpt", "released")


class Inputs(NamedTuple):
    """The input files in order, and the names of their sources."""

    files: tuple[Input, ...]
    sources: tuple[str, ...]


def find_inputs(
    inputs: Sequence[str | Path], *, format: str = "auto", sources: Mapping[str, str | Path] | None = None
) -> Inputs:
    """All input files under `inputs`, sorted inside each, none twice.

    Each of `inputs` is a source named for its last path part, or by the whole path where several share it;
    each of `sources` is one by its given name.

    Raises:
        InputError: an input does not exist, is a store, gives no file or none of its own, or its format is
            not known.
    """
    last_parts = [Path(item).name or str(item) for item in inputs]
    named = [
        (last if last_parts.count(last) == 1 else str(item), str(item))
        for last, item in zip(last_parts, inputs, strict=True)
    ]
    named += [(name, str(path)) for name, path in (sources or {}).items()]
    if not named:
        raise InputError("inputs: none given; name at least one file, folder or glob")
    for _, item in named:
        if is_store(Path(item)):
            raise InputError(f"{item}: a store cannot be one input of several; give it alone, or export it")
    names = tuple(dict.fromkeys(name for name, _ in named))
    files: list[Input] = []
    seen: set[str] = set()
    for name, item in named:
        for path, shown in _expand(item, format):
            absolute = str(path.resolve())
            if absolute not in seen:
                seen.add(absolute)
                files.append(Input(absolute, shown, format_of(path, shown, format), names.index(name)))
    given = {file.source for file in files}
    for name in sources or {}:
        if names.index(name) not in given:
            raise InputError(f"source {name}: all its files are inputs already; name other files, or drop it")
    return Inputs(tuple(files), names)


def format_of(path: Path, name: str, format: str = "auto") -> Format:
    """The format of one file: as told, or by its ending (a .bin with an .idx beside it is Megatron's).

    Raises:
        InputError: the ending is not known, or the told format cannot be.
    """
    if format != "auto":
        if format not in ALL_FORMATS:
            near = difflib.get_close_matches(format, ALL_FORMATS, n=1)
            hint = f"; nearest: {near[0]}" if near else ""
            raise InputError(f"format: '{format}' is not one of auto, {', '.join(ALL_FORMATS)}{hint}")
        return cast(Format, format)
    suffix = path.suffix.lower()
    compression = suffix if suffix in COMPRESSIONS else ""
    if compression:
        suffix = path.with_suffix("").suffix.lower()
    if suffix == ".bin" and not compression:
        return "megatron" if path.with_suffix(".idx").exists() else "nanogpt"
    found = SUFFIXES.get(suffix)
    if found is None or (compression and found != "jsonl"):
        raise InputError(
            f"{name}: the ending '{path.suffix}' is not known; "
            f"pass --format with one of {', '.join(ALL_FORMATS)}"
        )
    return found


def is_store(path: Path) -> bool:
    """Whether `path` is the folder of a store, finished or not."""
    for name in ("manifest.json", "job.json"):
        if (path / name).is_file():
            with contextlib.suppress(ValueError, OSError):
                document = json.loads((path / name).read_text(encoding="utf-8"))
                return isinstance(document, dict) and document.get("kind") == STORE_KIND
    return False


def _expand(item: str, format: str) -> list[tuple[Path, str]]:
    """Files of one input, sorted, with names to print: as given, or relative to the folder's parent."""
    path = Path(item)
    if path.is_file():
        return [(path, path.name)]
    if path.is_dir():
        folder = path.resolve().name
        found = [p for p in _walk(path) if (_is_known(p) if format == "auto" else _may_be(p, format))]
        result = [(p, f"{folder}/{p.relative_to(path).as_posix()}") for p in found if _is_input(p)]
        if not result:
            raise InputError(f"{item}: no input file in this folder; name files, or pass --format")
        return result
    matches = sorted(p for p in map(Path, glob.glob(item, recursive=True)) if p.is_file() and _is_input(p))
    if not matches:
        what = "no file fits this pattern" if glob.has_magic(item) else "no such file or folder"
        raise InputError(f"{item}: {what}; check the path")
    return [(p, p.as_posix() if not p.is_absolute() else p.name) for p in matches]


def _walk(folder: Path) -> list[Path]:
    """Every file below `folder`, without hidden ones, sorted by path."""
    return sorted(
        p
        for p in folder.rglob("*")
        if p.is_file() and not any(part.startswith(".") for part in p.relative_to(folder).parts)
    )


def _is_known(path: Path) -> bool:
    """Whether a file found in a folder is an input by its ending; bare .json files are mostly settings."""
    if path.suffix.lower() == ".json" or path.name in ("manifest.jsonl",):
        return False
    try:
        format_of(path, path.name)
    except InputError:
        return False
    return True


def _may_be(path: Path, format: str) -> bool:
    """Whether a file found in a folder can be of the told format; text and JSON lines may have any ending."""
    endings = [suffix for suffix, known in SUFFIXES.items() if known == format]
    if format in ("megatron", "nanogpt"):
        endings = [".bin"]
    return format in ("text", "jsonl") or path.suffix.lower() in endings


def _is_input(path: Path) -> bool:
    if path.suffix == ".arrow":
        _refuse_indices(path)
        return not path.name.startswith("cache-")  # what `map` and `filter` leave beside a data set
    return path.suffix not in COMPANIONS


def _refuse_indices(path: Path) -> None:
    """Refuse a saved data set whose rows are only a selection of those in its files."""
    state = path.with_name("state.json")
    if state.is_file():
        with contextlib.suppress(ValueError, OSError, AttributeError):
            if json.loads(state.read_text(encoding="utf-8")).get("_indices_data_files"):
                raise InputError(
                    f"{state}: the data set is a selection of the rows in its files; "
                    "call flatten_indices() on it and save it again"
                )
