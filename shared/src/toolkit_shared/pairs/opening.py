"""A source of pairs for whatever the user names."""

from bisect import bisect_right
from collections.abc import Sequence
from pathlib import Path
from typing import cast

from toolkit_shared.artifacts import fingerprint
from toolkit_shared.errors import InputError
from toolkit_shared.images import SUFFIXES
from toolkit_shared.losses import Losses
from toolkit_shared.pairs.files import FilePairs, rows_of_files, rows_of_table
from toolkit_shared.pairs.pair import Pair, PairSource
from toolkit_shared.pairs.parquet import ParquetPairs
from toolkit_shared.pairs.tars import TarPairs
from toolkit_shared.records import expand_inputs
from toolkit_shared.shards import expand_shards

TABLES = (".csv", ".tsv", ".jsonl", ".jsonl.gz", ".jsonl.zst")
CAPTION_TABLES = ("captions.jsonl", "metadata.jsonl", "metadata.csv")
_KINDS = (".parquet", ".tar", *TABLES, *SUFFIXES)


def open_pairs(
    path: str | Path | Sequence[str | Path],
    *,
    image_field: str | None = None,
    caption_field: str | None = None,
    require_captions: bool = True,
    losses: Losses | None = None,
) -> PairSource:
    """The pairs of a file, a folder, a pattern or a list of these, in an order that depends on them alone.

    - Parquet: an image column (bytes, or the struct of bytes and path that `datasets` writes), a caption
      column (a text or a list of texts), and perhaps a key.
    - Shards (`.tar`): an image, and `txt` (one caption) or a caption in `json`.
    - Tables (`.csv`, `.tsv`, `.jsonl`) of image paths, relative to the table, and captions.
    - Folders of these files; or of images, with the captions of `captions.jsonl` or `metadata.jsonl`, or in a
      `.txt` of the same name beside each image, one a line.

    Args:
        path: what to open.
        image_field: column of the image or its path; in shards, its extension. Else usual names are tried.
        caption_field: column of the captions; in shards, an extension or a field of `json`.
        require_captions: a pair without a caption is a BadPair; else its captions are empty.
        losses: counts what is damaged in the lists of pairs (rows, tar members); without it that raises.

    Raises:
        InputError: nothing to open, a field that is missing, or something damaged without `losses`.
    """
    if not isinstance(path, str | Path):
        return _open_all(list(path), image_field, caption_field, require_captions, losses)
    folder = Path(path)
    if folder.is_dir():
        files = _files_of_folder(folder)
    elif "{" in str(path):
        files = expand_shards(path)
    else:
        files = expand_inputs([path], _KINDS)
    kind = _kind(files[0])
    if others := [file for file in files if _kind(file) != kind]:
        raise InputError(
            f"{path}: mixes files of two kinds, {files[0].name} and {others[0].name}; give one kind at a time"
        )
    if kind == "parquet":
        return ParquetPairs(
            files, image_field=image_field, caption_field=caption_field, require_captions=require_captions
        )
    if kind == "shard":
        return TarPairs(
            files,
            image_field=image_field,
            caption_field=caption_field,
            require_captions=require_captions,
            losses=losses,
        )
    if kind == "image":
        rows = rows_of_files(files, folder if folder.is_dir() else None)
    else:
        rows = [
            row
            for file in files
            for row in rows_of_table(
                file, image_field=image_field, caption_field=caption_field, losses=losses
            )
        ]
    return FilePairs(rows, require_captions=require_captions)


def _open_all(
    paths: list[str | Path],
    image_field: str | None,
    caption_field: str | None,
    require_captions: bool,
    losses: Losses | None,
) -> PairSource:
    if not paths:
        raise InputError("no input; give images, folders, shards or tables")
    sources: list[PairSource] = []
    single: list[Path] = []

    def add_single_files() -> None:
        if single:
            sources.append(FilePairs(rows_of_files(single, None), require_captions=require_captions))
            single.clear()

    for path in paths:
        if Path(path).is_file() and _kind(Path(path)) == "image":
            single.append(Path(path))
            continue
        add_single_files()
        sources.append(
            open_pairs(
                path,
                image_field=image_field,
                caption_field=caption_field,
                require_captions=require_captions,
                losses=losses,
            )
        )
    add_single_files()
    return sources[0] if len(sources) == 1 else cast(PairSource, _Joined(sources))


class _Joined:
    """Sources one after the other."""

    def __init__(self, sources: Sequence[PairSource]) -> None:
        self.sources = list(sources)
        self.starts = [0]
        for source in self.sources:
            self.starts.append(self.starts[-1] + len(source))
        self.fingerprint = fingerprint([source.fingerprint for source in self.sources])

    @property
    def keys(self) -> list[str]:
        return [key for source in self.sources for key in source.keys]

    def __len__(self) -> int:
        return self.starts[-1]

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self.starts, index) - 1
        return self.sources[number][index - self.starts[number]]

    def blocks(self) -> list[range]:
        return [
            range(start + block.start, start + block.stop)
            for start, source in zip(self.starts, self.sources, strict=False)
            for block in source.blocks()
        ]


def _files_of_folder(folder: Path) -> list[Path]:
    """The files of the first kind that is there: Parquet, shards, a table of captions, images."""
    for suffixes in ((".parquet",), (".tar",)):
        try:
            return expand_inputs([folder], suffixes)
        except InputError:
            continue
    for name in CAPTION_TABLES:
        if (folder / name).is_file():
            return [folder / name]
    try:
        return expand_inputs([folder], SUFFIXES)
    except InputError:
        raise InputError(
            f"{folder}: holds no .parquet, .tar or image file, and no captions.jsonl; give another folder"
        ) from None


def _kind(file: Path) -> str:
    name = file.name.lower()
    if name.endswith(".parquet"):
        return "parquet"
    if name.endswith(".tar"):
        return "shard"
    if name.endswith(TABLES):
        return "table"
    if name.endswith(SUFFIXES):
        return "image"
    raise InputError(f"{file}: is no kind of file that holds pairs; known are {', '.join(_KINDS)}")
