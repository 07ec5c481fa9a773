"""The official files: both containers, both forms of text embeddings, and a name for every fault."""

import dataclasses
import gzip
import io
import json
import pickle
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mobileclip.reinforcement.official import official_members, parse_official, read_official
from mobileclip.reinforcement.official_embeddings import read_embeddings, write_embeddings
from mobileclip.reinforcement.precision import from_float32, take_float32, to_float32
from mobileclip.reinforcement.sample import (
    DATACOMPDR,
    BadReinforcement,
    TeacherInfo,
    check_reinforcement,
    parse_teachers,
)
from reinforced_samples import SIZE, TEACHERS, equal, jpeg, plain_members, reinforcement, unit_rows, write_tar
from toolkit_shared.errors import InputError
from toolkit_shared.shards import Sample, read_samples


def parse(members: dict[str, bytes], key: str = "k007"):
    return parse_official(Sample(key, members, f"x.tar, sample {key}"), TEACHERS)


@pytest.mark.parametrize("form", ["npz", "pth.gz"])
def test_a_sample_of_the_released_generator_is_read(form: str) -> None:
    expected = reinforcement(7)

    found = parse(plain_members(7, form=form))

    assert (found.captions, found.synthetic_captions) == (expected.captions, expected.synthetic_captions)
    assert found.augmentations == expected.augmentations
    assert found.image_size == SIZE
    assert found.joined
    assert set(found.members) == {"url.txt", "json"}
    if form == "npz":
        assert found.precision == "float32"
        assert np.array_equal(found.image_embeddings, expected.image_embeddings)
        assert np.array_equal(found.synthetic_embeddings, expected.synthetic_embeddings)
    else:
        assert found.precision == "bfloat16"
        rounded = torch.tensor(expected.text_embeddings).to(torch.bfloat16).float().numpy()
        assert np.array_equal(to_float32(found.text_embeddings, "bfloat16"), rounded)


def test_the_offset_of_synthetic_embeddings_is_the_number_of_real_captions() -> None:
    members = plain_members(
        7, text_emb=np.concatenate([unit_rows(7, "text", 3), unit_rows(7, "synthetic", 2)])
    )
    members["json"] = json.dumps({"texts": ["a", "b", "c"]}).encode()

    found = parse(members)

    assert found.captions == ("a", "b", "c")
    assert np.array_equal(found.text_embeddings, unit_rows(7, "text", 3))
    assert np.array_equal(found.synthetic_embeddings, unit_rows(7, "synthetic", 2))


def test_text_embeddings_apart_by_captioner_are_read_and_written_back() -> None:
    members = plain_members(
        7,
        text_emb=unit_rows(7, "text", 1),
        syn_text_b_emb=unit_rows(7, "b", 1),
        syn_text_a_emb=unit_rows(7, "a", 2),
    )
    members["syn.json"] = json.dumps(
        {"syn_text_b": ["b0"], "coca_captions": ["x"], "syn_text_a": ["a0", "a1"]}
    ).encode()

    found = parse(members)

    assert not found.joined
    assert found.groups == (("syn_text_b", 1), ("syn_text_a", 2))
    assert found.synthetic_captions == ("b0", "a0", "a1")
    assert np.array_equal(found.synthetic_embeddings[1:], unit_rows(7, "a", 2))
    again = official_members(found)
    assert json.loads(again["syn.json"]) == json.loads(members["syn.json"])
    with np.load(io.BytesIO(again["npz"])) as arrays:
        assert set(arrays) == {"image_emb", "text_emb", "syn_text_b_emb", "syn_text_a_emb"}
    assert equal(parse(again), found)


def test_augmentations_as_a_json_string_are_read() -> None:
    members = plain_members(7)
    entries = json.loads(members["paug.json"])["param_aug"]
    members["paug.json"] = json.dumps({"param_aug": json.dumps(entries)}).encode()

    assert parse(members).augmentations == reinforcement(7).augmentations


@pytest.mark.parametrize("form", ["npz", "pth.gz"])
@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_members_come_back_equal_and_in_equal_bytes(form, precision) -> None:
    sample = reinforcement(3, precision=precision, captions=2, members={"cls": b"5", "jpg": jpeg(3)})
    if (form, precision) == ("npz", "bfloat16"):
        with pytest.raises(InputError, match=r"npz: cannot hold bfloat16; use --form pth\.gz"):
            official_members(sample, form)
        return

    members = official_members(sample, form)

    found = parse(members, sample.key)
    assert found.members.pop("json") is not None  # made, because there are two captions
    assert equal(found, sample)
    assert official_members(sample, form) == members


@pytest.mark.parametrize("form", ["npz", "pth.gz"])
def test_the_released_ways_of_reading_read_what_is_written(form: str) -> None:
    sample = reinforcement(3, captions=2)
    data = official_members(sample, form)[form]

    if form == "npz":
        arrays = np.load(io.BytesIO(data))
    else:
        arrays = torch.load(gzip.GzipFile(fileobj=io.BytesIO(data)), weights_only=True)

    assert np.array_equal(np.asarray(arrays["image_emb"])[1], sample.image_embeddings[1])
    assert np.array_equal(np.asarray(arrays["text_emb"])[2 + 1], sample.synthetic_embeddings[1])


def changed(**members: bytes | None) -> dict[str, bytes]:
    """The members of sample 7 with some replaced, or (None) removed; `_` stands for a dot."""
    values = {**plain_members(7), **{name.replace("_", "."): data for name, data in members.items()}}
    return {name: data for name, data in values.items() if data is not None}


def scaled(rows: np.ndarray, factor: float) -> np.ndarray:
    rows = rows.copy()
    rows[1] *= factor
    return rows


IMAGE, TEXT = (
    unit_rows(7, "image", 3),
    np.concatenate([unit_rows(7, "text", 1), unit_rows(7, "synthetic", 2)]),
)
FAULTS = {
    "empty embeddings": plain_members(7, text_emb=np.zeros((0, 16), np.float32)),
    "empty embeddings, image": plain_members(7, image_emb=np.zeros((0, 16), np.float32)),
    "wrong row count": plain_members(7, image_emb=IMAGE[:2]),
    "wrong row count, text": plain_members(7, text_emb=TEXT[:2]),
    "wrong width": plain_members(7, image_emb=IMAGE[:, :15].copy()),
    "not finite": plain_members(7, image_emb=scaled(IMAGE, np.nan)),
    "not finite, infinity": plain_members(7, text_emb=scaled(TEXT, np.inf)),
    "not unit vectors": plain_members(7, image_emb=scaled(IMAGE, 0.0)),
    "not unit vectors, joint": plain_members(7, image_emb=(IMAGE / np.sqrt(2)).astype(np.float32)),
    "no embeddings": changed(npz=None),
    "no embeddings, image": plain_members(7, image_emb=None),
    "unknown embeddings": plain_members(7, image_emb_b=IMAGE),
    "bad embeddings": changed(npz=b"PK no"),
    "bad embeddings, type": plain_members(7, image_emb=IMAGE.astype(np.float64)),
    "no augmentations": changed(paug_json=None),
    "bad augmentation": changed(paug_json=b'{"param_aug": [[[0,0,1,1]],[[0,0,1,1],[[99,1]]]]}'),
    "bad augmentation, none": changed(paug_json=b'{"param_aug": []}'),
    "crop outside the image": changed(json=b'{"width": 6, "height": 4}'),
    "no captions": changed(txt=None),
    "caption is not UTF-8": changed(txt=b"\xff"),
    "bad synthetic captions": changed(syn_json=b'{"syn_text": "one"}'),
    "text that is not Unicode": changed(syn_json=b'{"syn_text": ["\\ud800", "b"]}'),
    "bad JSON": changed(syn_json=b"{"),
    "bad JSON, list": changed(json=b"[]"),
    "image: not an image": changed(jpg=b"GIF87"),
    "image: empty": changed(jpg=b""),
    "image of another size": changed(jpg=jpeg(7, (32, 24))),
}


@pytest.mark.parametrize("name", FAULTS)
def test_each_fault_is_refused_by_its_name(name: str) -> None:
    with pytest.raises(BadReinforcement) as caught:
        parse(FAULTS[name])
    assert caught.value.reason == name.split(",")[0]
    assert str(caught.value).startswith(f"x.tar: sample k007: {caught.value.reason} (")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_what_no_store_could_hold_is_refused_when_it_is_read() -> None:
    members = {name: data for name, data in plain_members(1).items() if name != "jpg"}
    vast = {**members, "json": json.dumps({"width": 10**30, "height": 5}).encode()}
    with pytest.raises(BadReinforcement, match=r"bad JSON \(json: an image of 10{30} x 5 pixels"):
        parse(vast)
    # half a surrogate pair in a field that is only carried along
    synthetic = json.loads(members["syn.json"])
    halved = {**members, "syn.json": json.dumps({**synthetic, "note": "\ud800"}).encode()}
    with pytest.raises(BadReinforcement, match="text that is not Unicode"):
        parse(halved)


def test_faults_name_the_teacher_and_the_row() -> None:
    with pytest.raises(BadReinforcement, match=r"image: row 1, teacher first, length 0"):
        parse(FAULTS["not unit vectors"])
    with pytest.raises(BadReinforcement, match=r"teachers' widths are 12 \+ 4 = 16"):
        parse(FAULTS["wrong width"])


def test_bad_samples_are_told_and_the_others_read(tmp_path: Path) -> None:
    tar = write_tar(
        tmp_path / "a.tar", {f"k{n:03d}": plain_members(n) for n in range(3)} | {"z": FAULTS["wrong width"]}
    )
    told = []

    found = list(read_official(tar, TEACHERS, on_bad=told.append))

    assert [sample.key for sample in found] == ["k000", "k001", "k002"]
    assert [(error.reason, error.key) for error in told] == [("wrong width", "z")]
    with pytest.raises(BadReinforcement, match="sample z: wrong width"):
        list(read_official(tar, TEACHERS))


def test_a_pickle_that_would_run_code_is_refused(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self):
            return Path.touch, (tmp_path / "ran",)

    stream = io.BytesIO()
    torch.save({"image_emb": Evil()}, stream)
    array = io.BytesIO()
    np.savez(array, image_emb=np.array([Evil()], dtype=object))

    for data, form in ((gzip.compress(stream.getvalue()), "pth.gz"), (array.getvalue(), "npz")):
        with pytest.raises(InputError, match=form):
            read_embeddings(data, form)
    assert not (tmp_path / "ran").exists()


def test_bombs_are_refused_before_they_unpack() -> None:
    packed = gzip.compress(bytes(129 << 20), 1)
    flat = io.BytesIO()
    torch.save({"image_emb": torch.zeros(1, 1).expand(1 << 20, 1 << 10)}, flat)
    zipped = io.BytesIO()
    with zipfile.ZipFile(zipped, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("image_emb.npy", bytes(129 << 20))
    lying = io.BytesIO()
    np.save(lying, np.zeros((1, 1), np.float32))
    header = lying.getvalue().replace(b"(1, 1), }", b"(9999999, 999999), }".ljust(9))
    claims = io.BytesIO()
    with zipfile.ZipFile(claims, "w") as archive:
        archive.writestr("image_emb.npy", header)

    for data, form, words in (
        (packed, "pth.gz", "the limit is"),
        (gzip.compress(flat.getvalue()), "pth.gz", "the limit is"),
        (zipped.getvalue(), "npz", "the limit is"),
        (claims.getvalue(), "npz", "no"),
        (gzip.compress(b"no zip"), "pth.gz", "no tensors can be read"),
        (b"no gzip", "pth.gz", "damaged"),
        (packed[:1000], "pth.gz", "damaged"),
    ):
        with pytest.raises(InputError, match=words):
            read_embeddings(data, form)


@pytest.mark.parametrize("form", ["npz", "pth.gz"])
def test_containers_with_bytes_changed_by_chance_are_read_or_refused_and_crash_nothing(form: Any) -> None:
    # given a container of a few tables, small enough that headers are most of it
    rows = np.eye(2, 4, dtype=np.float32)
    good = write_embeddings({"image_emb": rows, "text_emb": rows}, "float32", form)
    random = np.random.default_rng(0)

    refused = 0
    for trial in range(300):
        # when some bytes are others, for every second pth.gz those below the compression
        inside = form == "pth.gz" and trial % 2 == 1
        data = bytearray(gzip.decompress(good) if inside else good)
        for place in random.integers(len(data), size=1 + trial % 4):
            data[place] = random.integers(256)
        try:
            read_embeddings(gzip.compress(data, 1) if inside else bytes(data), form)
        except InputError:  # then nothing else is raised
            refused += 1

    assert 100 < refused <= 300


@pytest.mark.parametrize(
    "shape", ["(-2, -3)", "(True, 6)", f"({'9' * 40}, 0)", "(0, " + "(" * 3000, "(2, 3, 1)", "'six'"]
)
def test_a_table_that_lies_about_its_shape_is_refused(shape: str) -> None:
    header = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}\n".encode()
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        start = b"\x93NUMPY\x01\x00" + len(header).to_bytes(2, "little")
        archive.writestr("image_emb.npy", start + header + (b"" if ", 0)" in shape else b"\0" * 24))

    with pytest.raises(InputError, match="npz: "):
        read_embeddings(file.getvalue(), "npz")


def test_many_tables_that_share_a_few_bytes_are_refused_before_they_unpack() -> None:
    # each would be 12.8 MB, all of them three quarters of a gigabyte
    one = torch.zeros(1, 1)
    file = io.BytesIO()
    torch.save({f"part{number}": one.expand(1000, 3200) for number in range(60)}, file)

    with pytest.raises(InputError, match="the limit is"):
        read_embeddings(gzip.compress(file.getvalue()), "pth.gz")


def test_bfloat16_rounds_as_torch_does_and_is_read_exactly() -> None:
    generator = np.random.default_rng(0)
    values = np.concatenate(
        [
            generator.standard_normal(5000),
            [0.0, -0.0, np.inf, -np.inf, 3.4e38, 1e-40, 1 + 2**-8, 1 + 3 * 2**-8],
        ]
    ).astype(np.float32)

    stored = from_float32(values, "bfloat16")

    expected = torch.from_numpy(values).to(torch.bfloat16)
    assert np.array_equal(stored, expected.view(torch.uint16).numpy())
    assert np.array_equal(to_float32(stored, "bfloat16"), expected.float().numpy())
    assert np.isnan(to_float32(from_float32(np.float32([np.nan]), "bfloat16"), "bfloat16")).all()
    assert from_float32(values[:5000], "float16").dtype == np.float16


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
@pytest.mark.parametrize("number", [0, 1, 32, 70])
def test_many_rows_are_taken_as_one_by_one(precision: str, number: int) -> None:
    stored = unit_rows(0, "many", 50, precision)
    places = np.random.default_rng(0).integers(0, 50, number)

    found = take_float32(stored, places, precision)

    assert found.dtype == np.float32
    assert np.array_equal(found, to_float32(stored, precision)[places])


def test_sample_rows_must_be_of_unit_length_by_teacher_within_half_precision() -> None:
    for precision in ("float32", "float16", "bfloat16"):
        sample = reinforcement(1, precision=precision)
        assert check_reinforcement(sample) is sample

    sample = reinforcement(1)
    longer = sample.image_embeddings.copy()
    longer[1, : TEACHERS[0].width] *= 1.02
    with pytest.raises(BadReinforcement, match=f"not unit vectors.*row 1, teacher {TEACHERS[0].name}"):
        check_reinforcement(dataclasses.replace(sample, image_embeddings=longer))


def test_teachers_are_named_by_a_published_set_or_one_by_one() -> None:
    assert parse_teachers(["datacompdr"]) == DATACOMPDR
    assert parse_teachers(["open_clip:ViT-L-14/openai:768:100", "b:512:70.5"]) == (
        TeacherInfo("open_clip:ViT-L-14/openai", 768, 100.0),
        TeacherInfo("b", 512, 70.5),
    )
    for wrong in ("x", "x:0:1", ":5:1", "x:5:-1", "x:5:nan"):
        with pytest.raises(InputError, match="NAME:WIDTH:SCALE"):
            parse_teachers([wrong])
    with pytest.raises(InputError, match="none is given"):
        parse_teachers([])


def test_written_containers_hold_equal_bytes_for_equal_arrays(tmp_path: Path) -> None:
    arrays = {"image_emb": unit_rows(1, "image", 2)}

    for form in ("npz", "pth.gz"):
        assert write_embeddings(arrays, "float32", form) == write_embeddings(dict(arrays), "float32", form)
    tar = write_tar(tmp_path / "a.tar", {"k": official_members(reinforcement(1))})
    assert [sample.key for sample in read_samples(tar)] == ["k"]
