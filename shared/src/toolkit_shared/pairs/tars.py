"""Pairs in webdataset shards."""

import json
import os
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path

from toolkit_shared.artifacts import fingerprint, fingerprint_file
from toolkit_shared.images import SUFFIXES
from toolkit_shared.losses import Losses
from toolkit_shared.pairs.pair import CAPTION_FIELDS, MAX_IMAGE_BYTES, BadPair, Pair, captions_of
from toolkit_shared.records import parse_json
from toolkit_shared.shards import IndexedSample, Member, Sample, index_samples

IMAGE_EXTENSIONS = tuple(suffix.removeprefix(".") for suffix in SUFFIXES)


class TarPairs:
    """The samples of shards, one shard after the other; only their headers are read when it is opened."""

    def __init__(
        self,
        shards: Sequence[Path],
        *,
        image_field: str | None,
        caption_field: str | None,
        require_captions: bool,
        losses: Losses | None,
    ) -> None:
        self.shards = list(shards)
        self.image_field, self.caption_field = image_field, caption_field
        self.require_captions = require_captions
        self.samples: list[IndexedSample] = []
        self.starts = [0]
        for shard in self.shards:
            on_bad = losses.on_bad if losses else None
            self.samples += index_samples(shard, on_bad=on_bad, max_member_bytes=MAX_IMAGE_BYTES)
            self.starts.append(len(self.samples))
        self.fingerprint = fingerprint([[shard.name, fingerprint_file(shard)] for shard in self.shards])

    @cached_property
    def keys(self) -> list[str]:
        """The keys of all samples in order."""
        return [sample.key for sample in self.samples]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Pair:
        if not 0 <= index < len(self.samples):
            raise IndexError(index)
        sample = self.samples[index]
        path = self.shards[bisect_right(self.starts, index) - 1]
        where = f"{path}, sample {sample.key}"
        return _pair(
            sample.key,
            _Members(path, sample.entries, where),
            where,
            self.image_field,
            self.caption_field,
            self.require_captions,
        )

    def blocks(self) -> list[range]:
        """One run of numbers a shard."""
        return [range(start, stop) for start, stop in zip(self.starts, self.starts[1:], strict=False)]


def pair_of_sample(
    sample: Sample,
    *,
    image_field: str | None = None,
    caption_field: str | None = None,
    require_captions: bool = True,
) -> Pair:
    """The pair in a sample of a shard; fields as in `open_pairs`.

    Raises:
        BadPair: it has no image, no caption, or one that cannot be read.
    """
    return _pair(sample.key, sample.members, sample.where, image_field, caption_field, require_captions)


def _pair(
    key: str,
    members: Mapping[str, bytes],
    where: str,
    image_field: str | None,
    caption_field: str | None,
    require_captions: bool,
) -> Pair:
    wanted = IMAGE_EXTENSIONS if image_field is None else (image_field,)
    extension = next((name for name in wanted if name in members), None)
    if extension is None:
        what = "a picture" if image_field is None else f"'{image_field}'"
        raise BadPair("no image", where, f"none of its members {', '.join(members)} is {what}")
    captions = _captions(members, caption_field, where)
    if require_captions and not captions:
        raise BadPair("no caption", where)
    return Pair(key, members[extension], captions, where, members)


def _captions(members: Mapping[str, bytes], caption_field: str | None, where: str) -> tuple[str, ...]:
    """The text of the member `txt`, or of a field of the member `json`; or what `caption_field` names."""
    text_member = "txt" if caption_field is None else caption_field
    try:
        if text_member in members and text_member != "json":
            return captions_of(members[text_member].decode("utf-8"), where)
        if "json" not in members:
            return ()
        record = parse_json(members["json"].decode("utf-8"))
    except UnicodeDecodeError as error:
        raise BadPair("caption is no text", where, f"not UTF-8 at byte {error.start}") from None
    except (json.JSONDecodeError, ValueError, RecursionError) as error:
        raise BadPair("unreadable", where, f"member json is no JSON: {error}") from None
    if not isinstance(record, dict):
        return ()
    names = CAPTION_FIELDS if caption_field is None else (caption_field,)
    return next((captions_of(record[name], where) for name in names if record.get(name) is not None), ())


class _Members(Mapping[str, bytes]):
    """The members of a sample, each read when it is asked for."""

    def __init__(self, path: Path, entries: Mapping[str, Member], where: str) -> None:
        self.path, self.entries, self.where = path, entries, where

    def __getitem__(self, extension: str) -> bytes:
        member = self.entries[extension]
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise BadPair("missing file", self.where, error.strerror or str(error)) from None
        try:
            data = os.pread(handle, member.size, member.offset)
        finally:
            os.close(handle)
        if len(data) < member.size:
            raise BadPair("unreadable", self.where, "the shard was changed after it was opened")
        return data

    def __iter__(self) -> Iterator[str]:
        return iter(self.entries)

    def __len__(self) -> int:
        return len(self.entries)

    def __contains__(self, extension: object) -> bool:
        return extension in self.entries
