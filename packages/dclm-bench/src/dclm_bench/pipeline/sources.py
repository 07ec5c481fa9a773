"""Input files as streams of pages with an id, whatever their format."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from toolkit_shared.losses import Losses

from dclm_bench.data.inputs import PageFormat, find_inputs
from dclm_bench.data.page import Page
from dclm_bench.data.reading import read_pages
from dclm_bench.extraction.shard import extract_shard


@dataclass(frozen=True)
class Source:
    """One input file.

    Attributes:
        path: Where it is.
        kind: Its format.
        name: What messages and ids call it: the path below the folder that all inputs share.
    """

    path: str
    kind: PageFormat
    name: str


def find_sources(inputs: Sequence[str | Path]) -> list[Source]:
    """The files of the inputs in a fixed order, each once.

    Raises:
        InputError: an input gives no file, or one of unknown format.
    """
    found = find_inputs(inputs)
    paths = [file.path.resolve() for file in found]
    shared = os.path.commonpath([path.parent for path in paths])
    names = [path.relative_to(shared).as_posix() for path in paths]
    return [Source(str(file.path), file.format, name) for file, name in zip(found, names, strict=True)]


def read_source(
    source: Source,
    losses: Losses,
    *,
    text_field: str = "text",
    encoding: str = "strict",
    extractor: str = "resiliparse",
) -> Iterator[Page]:
    """The pages of a file; those without an `id` get one from the file's name and their place in it.

    Args:
        source: The file.
        losses: Counts what cannot be read.
        text_field: The field with the text, in records that have fields.
        encoding: "strict" or "detect", for WARC files.
        extractor: What takes the text out of pages of HTML.

    Raises:
        InputError: the file cannot be read, or a record where `losses` is strict.
    """
    if source.kind in ("warc", "wet"):
        chosen = "wet" if source.kind == "wet" else extractor
        pages = extract_shard(source.path, extractor=chosen, encoding=encoding, losses=losses)
    else:
        pages = read_pages(source.path, text_field=text_field, on_bad=losses.on_bad)
    for position, page in enumerate(pages):
        if page.record.get("id") is None:
            page.record["id"] = f"{source.name}:{position}"
        yield page
