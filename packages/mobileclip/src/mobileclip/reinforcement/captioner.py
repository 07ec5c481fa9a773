"""What a captioner is: something that describes an image several times, differently, from seeds.

Anything with these members can caption: those of `mobileclip.models.captioners`, the two here that need no
model, or a class of your own.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from PIL import Image
from toolkit_shared.artifacts import fingerprint
from toolkit_shared.errors import InputError
from toolkit_shared.pairs import usable_key
from toolkit_shared.records import read_jsonl


@runtime_checkable
class Captioner(Protocol):
    """Writes synthetic captions.

    Attributes:
        name: what the manifest and the reports call it.
        fingerprint: 16 hexadecimal digits that change when what it would write does.
    """

    @property
    def name(self) -> str: ...  # noqa: D102 (told above, as is the next)
    @property
    def fingerprint(self) -> str: ...  # noqa: D102

    def caption(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int], keys: Sequence[str]
    ) -> list[list[str]]:
        """`count` captions of each image, or fewer where there are no more.

        An image's captions depend on the image and its seed only.

        Args:
            images: RGB, as stored, without augmentation.
            count: captions of each image.
            seeds: one of each image, not negative.
            keys: names of the images, for captioners that look captions up.
        """
        ...


class NoCaptioner:
    """Writes no caption: what `--captioner none` gives, and then no synthetic captions are stored."""

    name = "none"
    fingerprint = fingerprint("none")

    def caption(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int], keys: Sequence[str]
    ) -> list[list[str]]:
        """No caption for each image.

        Raises:
            ValueError: captions are asked for.
        """
        if count:
            raise ValueError(f"{count} captions are asked for of no captioner")
        return [[] for _ in images]


class FileCaptioner:
    """Looks captions up by the image's key: the work of a captioner that ran elsewhere.

    Attributes:
        captions: from key to captions, at least as many as are asked for.
    """

    def __init__(self, name: str, captions: Mapping[str, Sequence[str]]) -> None:
        """Keep the captions; the first `count` of each key are used."""
        self.name = name
        self.captions = captions
        self.fingerprint = fingerprint({key: list(texts) for key, texts in captions.items()})

    def caption(
        self, images: Sequence[Image.Image], count: int, seeds: Sequence[int], keys: Sequence[str]
    ) -> list[list[str]]:
        """The first `count` captions of each key; fewer, or none, where the file has no more."""
        return [list(self.captions.get(key, ()))[:count] for key in keys]


def read_file_captioner(path: str | Path) -> FileCaptioner:
    """A captioner from JSON lines (plain, .gz, .zst) with the fields `key` and `captions`.

    Raises:
        InputError: the file cannot be read; a field is missing or of another kind; or a key comes twice.
    """
    captions: dict[str, list[str]] = {}
    for place, record in read_jsonl(path):
        key, texts = record.get("key"), record.get("captions")
        if not isinstance(key, str) or not isinstance(texts, list):
            raise InputError(f"{path}, {place}: needs a text 'key' and a list 'captions'; mend the line")
        if not all(isinstance(text, str) and text.strip() for text in texts):
            raise InputError(f"{path}, {place}: a caption of {key!r} is empty or no text; mend the line")
        name = usable_key(key)  # as the pairs' keys are: without the suffix of an image
        if name in captions:
            raise InputError(f"{path}, {place}: the key {key!r} comes twice; keep one of the lines")
        captions[name] = texts
    return FileCaptioner(f"file:{Path(path).name}", captions)


def first_sentence(text: str) -> str:
    """A caption up to its first full stop, without space at the end.

    Source: the captions of the released sets, which end at their first full stop.
    """
    return text.split(".")[0].strip()
