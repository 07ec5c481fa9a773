"""The official files of reinforced data: webdataset tars, a sample as a handful of members.

`txt` (or `texts` in `json`) holds the real captions, `syn.json` the synthetic ones by captioner, `paug.json`
the augmentations, `npz` or `pth.gz` the embeddings; `jpg`, `url.txt`, `json` and others stand beside them.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from toolkit_shared.errors import InputError
from toolkit_shared.images import BadImage, image_size
from toolkit_shared.records import BadRecord
from toolkit_shared.shards import Sample, read_samples

from mobileclip.reinforcement.official_embeddings import FORMS, Form, read_embeddings, write_embeddings
from mobileclip.reinforcement.precision import Stored
from mobileclip.reinforcement.sample import (
    SYNTHETIC,
    BadReinforcement,
    Reinforcement,
    TeacherInfo,
    check_reinforcement,
)
from mobileclip.replay.augmentation import MAX_COORDINATE, parse_augmentations

IMAGES = ("jpg", "jpeg", "png", "webp")
SYN, AUGMENTATIONS, TEXT, JSON = "syn.json", "paug.json", "txt", "json"
MAX_JSON_BYTES = 1 << 24

OnBad = Callable[[BadReinforcement], None]


def read_official(
    path: str | Path,
    teachers: Sequence[TeacherInfo],
    *,
    on_bad: OnBad | None = None,
    on_bad_member: Callable[[BadRecord], None] | None = None,
) -> Iterator[Reinforcement]:
    """The samples of an official tar in order, checked.

    Both forms of text embeddings are read: real and synthetic ones in one array (the real ones first), or
    apart. Where both containers are there, `npz` is read, as in the released loader.

    Args:
        path: The tar.
        teachers: Of the stored vectors, in their order; the files do not name them.
        on_bad: Told of samples that cannot be used; without it the first one raises.
        on_bad_member: Told of damage to the tar itself; without it the first one raises.

    Raises:
        BadReinforcement: a sample cannot be used and `on_bad` is None.
        InputError: the tar is missing, or damaged and `on_bad_member` is None.

    Source: the released loader (open_clip's patch, `preprocess_dr`); the generator's `TarWriter`.
    """
    for sample in read_samples(path, on_bad=on_bad_member):
        try:
            yield parse_official(sample, teachers)
        except BadReinforcement as error:
            if on_bad is None:
                raise
            on_bad(error)


def parse_official(sample: Sample, teachers: Sequence[TeacherInfo]) -> Reinforcement:
    """The reinforcement in the members of one official sample, checked.

    Raises:
        BadReinforcement: a member is missing or damaged, or they do not fit together.
    """
    where = sample.where.removesuffix(f", sample {sample.key}")

    def refuse(reason: str, detail: str) -> BadReinforcement:
        return BadReinforcement(reason, sample.key, detail, where)

    members = dict(sample.members)
    synthetic = _json_object(members.pop(SYN, b"{}"), SYN, refuse)
    paug = _json_object(members.pop(AUGMENTATIONS, b"{}"), AUGMENTATIONS, refuse)
    metadata = _json_object(members.get(JSON, b"{}"), JSON, refuse)
    captions = _captions(members, metadata, refuse)
    groups, flat = _synthetic_captions(synthetic, refuse)
    if "param_aug" not in paug:
        raise refuse("no augmentations", f"{AUGMENTATIONS} with param_aug is missing")
    try:
        augmentations = parse_augmentations(paug.pop("param_aug"))
    except InputError as error:
        raise refuse("bad augmentation", str(error)) from None
    form = next((form for form in FORMS if form in members), None)
    if form is None:
        raise refuse("no embeddings", f"neither of {', '.join(FORMS)} is there")
    try:
        arrays, precision = read_embeddings(members.pop(form), form)
    except InputError as error:
        raise refuse("bad embeddings", str(error)) from None
    image, text, synthetic_rows, joined = _rows(arrays, len(captions), groups, refuse)
    left = {name: fields for name, fields in ((SYN, synthetic), (AUGMENTATIONS, paug)) if fields}
    found = Reinforcement(
        key=sample.key,
        captions=captions,
        synthetic_captions=flat,
        augmentations=augmentations,
        image_embeddings=image,
        text_embeddings=text,
        synthetic_embeddings=synthetic_rows,
        precision=precision,
        teachers=tuple(teachers),
        image_size=_stored_size(members, metadata, refuse),
        synthetic_groups=groups,
        other_fields=left,
        joined=joined,
        members=members,
    )
    return check_reinforcement(found, where)


def official_members(
    sample: Reinforcement, form: Form | None = None, extra: Mapping[str, bytes] | None = None
) -> dict[str, bytes]:
    """The members of an official sample, by extension.

    What the sample carries along (image, `json`, `url.txt` and others) is given out unchanged. Without a
    `json` member one is made when there is something to say: several captions, or the image's size.

    Args:
        sample: What to write.
        form: Container of the embeddings; None: `pth.gz` for bfloat16, else `npz`.
        extra: Further members, such as the image; they replace carried ones of the same extension.

    Raises:
        InputError: the container cannot hold the precision.
    """
    form = form or ("pth.gz" if sample.precision == "bfloat16" else "npz")
    carried = {**sample.members, **(extra or {})}
    members = {name: carried.pop(name) for name in IMAGES if name in carried}
    members[TEXT] = carried.pop(TEXT, sample.captions[0].encode())
    texts: dict[str, Any] = {}
    place = 0
    for name, count in sample.groups:
        texts[name] = list(sample.synthetic_captions[place : place + count])
        place += count
    if texts or SYN in sample.other_fields:
        members[SYN] = _json_bytes({**texts, **sample.other_fields.get(SYN, {})})
    entries = [augmentation.to_json() for augmentation in sample.augmentations]
    members[AUGMENTATIONS] = _json_bytes({"param_aug": entries, **sample.other_fields.get(AUGMENTATIONS, {})})
    members[form] = write_embeddings(_arrays(sample), sample.precision, form)
    if JSON not in carried:
        metadata: dict[str, Any] = {"texts": list(sample.captions)} if len(sample.captions) > 1 else {}
        if sample.image_size is not None:
            metadata["width"], metadata["height"] = sample.image_size
        if metadata:
            members[JSON] = _json_bytes(metadata)
    return {**members, **carried}


def is_image(extension: str) -> bool:
    """Whether members of this extension are images."""
    return extension in IMAGES


def peek_official(path: str | Path, teachers: Sequence[TeacherInfo]) -> Reinforcement | None:
    """The first usable sample of a tar; None when there is none."""

    def ignore(_: object) -> None:
        """What is bad is told when the tar is read as a whole."""

    return next(read_official(path, teachers, on_bad=ignore, on_bad_member=ignore), None)


def without_members(sample: Reinforcement, keep: Callable[[str], bool]) -> tuple[Reinforcement, list[str]]:
    """The sample with only the carried members that `keep` accepts, and the extensions of the others."""
    dropped = [name for name in sample.members if not keep(name)]
    kept = {name: data for name, data in sample.members.items() if keep(name)}
    return replace(sample, members=kept), dropped


def _captions(members: dict[str, bytes], metadata: dict[str, Any], refuse: Any) -> tuple[str, ...]:
    """The real captions; `txt` is taken out of the members where it says no more than they do."""
    texts = metadata.get("texts")
    listed = isinstance(texts, list) and all(isinstance(text, str) for text in texts)
    several: list[str] = texts if listed and texts else []
    single = members.get(TEXT)
    if single is not None:
        try:
            text = single.decode("utf-8")
        except UnicodeDecodeError as error:
            raise refuse("caption is not UTF-8", f"{TEXT}, byte {error.start}") from None
        if not several or several[0] == text:
            del members[TEXT]
        if not several:
            return (text,)
    if several:
        return tuple(several)
    if isinstance(metadata.get("caption"), str):
        return (metadata["caption"],)
    raise refuse("no captions", f"neither {TEXT} nor texts or caption in {JSON} is there")


def _synthetic_captions(
    synthetic: dict[str, Any], refuse: Any
) -> tuple[tuple[tuple[str, int], ...], tuple[str, ...]]:
    """Groups and captions of `syn.json`; what is taken is removed from it."""
    groups, flat = [], list[str]()
    for name in [name for name in synthetic if name.startswith(SYNTHETIC)]:
        texts = synthetic.pop(name)
        if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
            raise refuse("bad synthetic captions", f"{name} in {SYN} is no list of strings")
        groups.append((name, len(texts)))
        flat += texts
    return tuple(groups), tuple(flat)


def _rows(
    arrays: dict[str, Stored], num_captions: int, groups: Sequence[tuple[str, int]], refuse: Any
) -> tuple[Stored, Stored, Stored, bool]:
    """Image, real and synthetic text embeddings, and whether the texts were in one array."""
    text_name = "text_emb" if "text_emb" in arrays else "texts_emb"
    num_synthetic = sum(count for _, count in groups)
    for name in ("image_emb", text_name):
        if name not in arrays:
            raise refuse(
                "no embeddings", f"{name} is missing; there are {', '.join(sorted(arrays)) or 'none'}"
            )
    image, text = arrays.pop("image_emb"), arrays.pop(text_name)
    apart = {name: arrays.pop(f"{name}_emb", None) for name, _ in groups}
    if arrays:
        raise refuse("unknown embeddings", f"{', '.join(sorted(arrays))} belong to no caption that is there")
    found = [rows for rows in apart.values() if rows is not None]
    if found and len(text) == num_captions:
        missing = [name for name, rows in apart.items() if rows is None]
        if missing:
            raise refuse("no embeddings", f"{missing[0]}_emb is missing")
        for name, count in groups:
            rows = apart[name]
            if rows is not None and (rows.shape[1] != text.shape[1] or len(rows) != count):
                reason = "wrong row count" if len(rows) != count else "wrong width"
                raise refuse(reason, f"{name}_emb: shape {list(rows.shape)} for {count} captions")
        return image, text, np.concatenate(found), False
    if found or len(text) != num_captions + num_synthetic:
        if text.size == 0:
            raise refuse("empty embeddings", f"{text_name}: shape {list(text.shape)}")
        raise refuse(
            "wrong row count",
            f"{text_name}: {len(text)} rows for {num_captions} real and {num_synthetic} synthetic captions",
        )
    # the offset of the synthetic ones is the number of real captions, which need not be 1
    return image, text[:num_captions], text[num_captions:], True


def _arrays(sample: Reinforcement) -> dict[str, Stored]:
    arrays = {"image_emb": sample.image_embeddings}
    if sample.joined:
        arrays["text_emb"] = np.concatenate([sample.text_embeddings, sample.synthetic_embeddings])
        return arrays
    arrays["text_emb"] = sample.text_embeddings
    place = 0
    for name, count in sample.groups:
        arrays[f"{name}_emb"] = sample.synthetic_embeddings[place : place + count]
        place += count
    return arrays


def _stored_size(
    members: Mapping[str, bytes], metadata: Mapping[str, Any], refuse: Any
) -> tuple[int, int] | None:
    """Width and height of the image: its own where it is there, else those of the metadata, else None."""
    said = None
    width, height = metadata.get("width"), metadata.get("height")
    if isinstance(width, int) and isinstance(height, int) and min(width, height) > 0:
        if max(width, height) > MAX_COORDINATE:
            raise refuse("bad JSON", f"{JSON}: an image of {width} x {height} pixels cannot be"[:120])
        said = (int(width), int(height))
    name = next((name for name in IMAGES if name in members), None)
    if name is None:
        return said
    try:
        found = image_size(members[name], where=name)
    except BadImage as error:
        raise refuse(f"image: {error.reason}", str(error)) from None
    if said is not None and found != said:
        raise refuse(
            "image of another size",
            f"{name} has {found[0]} x {found[1]} pixels, {JSON} says {said[0]} x {said[1]}",
        )
    return found


def _json_object(data: bytes, name: str, refuse: Any) -> dict[str, Any]:
    if len(data) > MAX_JSON_BYTES:
        raise refuse("bad JSON", f"{name} has {len(data):,} bytes, the limit is {MAX_JSON_BYTES:,}")
    try:
        value = json.loads(data.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise refuse("bad JSON", f"{name}: {' '.join(str(error).split())[:120]}") from None
    if not isinstance(value, dict):
        raise refuse("bad JSON", f"{name} holds no object")
    return value


def _json_bytes(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode()
