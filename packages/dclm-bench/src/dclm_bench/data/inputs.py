"""From what the user names (files, folders, patterns) to input files of known formats, in a fixed order."""

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from toolkit_shared.errors import InputError
from toolkit_shared.records import expand_inputs, open_records

PageFormat = Literal["warc", "wet", "jsonl", "parquet"]

SUFFIXES: dict[str, PageFormat] = {
    ".warc": "warc",
    ".warc.gz": "warc",
    ".warc.zst": "warc",
    ".wet": "wet",
    ".wet.gz": "wet",
    ".wet.zst": "wet",
    ".jsonl": "jsonl",
    ".jsonl.gz": "jsonl",
    ".jsonl.zst": "jsonl",
    ".jsonl.zstd": "jsonl",
    ".ndjson": "jsonl",
    ".json.gz": "jsonl",
    ".json.zst": "jsonl",
    ".parquet": "parquet",
}
# In the folders that tools write beside their pages.
NO_PAGES = ("manifest.jsonl",)
_PEEKED_BYTES = 1 << 16


@dataclass(frozen=True)
class InputFile:
    """A file of pages: where it is, and how it is read."""

    path: Path
    format: PageFormat


def find_inputs(inputs: Sequence[str | Path]) -> list[InputFile]:
    """The files that the inputs name, sorted by path, each once, each with its format.

    Args:
        inputs: Files, folders (their files of known endings, at any depth, hidden ones left out) or patterns.

    Raises:
        InputError: none is given, one gives no file, or the format of a file is not known.
    """
    if not inputs:
        raise InputError("inputs: none given; name at least one file, folder or pattern")
    named = {str(item) for item in inputs}
    files = [
        path
        for path in expand_inputs(inputs, tuple(SUFFIXES))
        if path.name not in NO_PAGES or str(path) in named
    ]
    if not files:
        raise InputError(f"{inputs[0]}: holds a manifest and no pages; give another folder")
    return [InputFile(path, format_of(path)) for path in files]


def format_of(path: str | Path) -> PageFormat:
    """The format of one file: by its ending, else by its first bytes.

    Raises:
        InputError: neither tells the format, or the file holds metadata and no pages.
    """
    path = Path(path)
    name = path.name.lower()
    if name.endswith((".wat", ".wat.gz", ".wat.zst")):
        raise InputError(f"{path}: a WAT file holds metadata and no pages; give the WARC or WET file")
    for suffix in sorted(SUFFIXES, key=len, reverse=True):
        if name.endswith(suffix):
            return SUFFIXES[suffix]
    head = _head(path).lstrip(b"\xef\xbb\xbf \t\r\n")
    if head.startswith(b"PAR1"):
        return "parquet"
    if head.startswith(b"WARC/"):
        return "wet" if b"WARC-Type: conversion" in head else "warc"
    if head.startswith(b"{"):
        return "jsonl"
    raise InputError(
        f"{path}: neither its ending nor its first bytes tell what it is; "
        "give WARC, WET, JSON lines or Parquet, with its usual ending"
    )


def _head(path: Path) -> bytes:
    """The first bytes, unpacked."""
    with open_records(path) as stream:
        try:
            head = stream.read(_PEEKED_BYTES)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read: {error}; check the file") from None
    if head.startswith(b"\x1f\x8b"):
        try:
            with gzip.open(path) as unpacked:
                return unpacked.read(_PEEKED_BYTES)
        except (EOFError, OSError, zlib.error) as error:
            raise InputError(f"{path}: cannot be unpacked: {error}; check the file") from None
    return head
