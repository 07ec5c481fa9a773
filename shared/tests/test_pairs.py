"""Pairs from every format: the same pairs, the same order, and a word for each that cannot be used."""

import json
import multiprocessing
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from toolkit_shared.errors import InputError
from toolkit_shared.losses import Losses
from toolkit_shared.pairs import BadPair, PairSource, open_pairs, pair_of_sample, shuffled_order
from toolkit_shared.pairs.pair import unique_keys, usable_key
from toolkit_shared.pairs.parquet import ParquetPairs
from toolkit_shared.shards import TarWriter, read_samples

NUM = 10
IMAGES = [b"image %d" % i for i in range(NUM)]  # a source does not look at the bytes
CAPTIONS = [[f"caption {i}", f"other {i}"] if i % 2 else [f"caption {i}"] for i in range(NUM)]
KEYS = [f"{i:04d}" for i in range(NUM)]


def parquet(folder: Path) -> Path:
    table = pa.table({"key": KEYS, "image": IMAGES, "captions": CAPTIONS})
    pq.write_table(table, folder / "pairs.parquet", row_group_size=3)
    return folder / "pairs.parquet"


def parquet_of_datasets(folder: Path) -> Path:
    images = [{"bytes": image, "path": None} for image in IMAGES]
    pq.write_table(pa.table({"id": KEYS, "image": images, "text": CAPTIONS}), folder / "a.parquet")
    return folder / "a.parquet"


def shards_with_json(folder: Path) -> str:
    for number in range(2):
        with TarWriter(folder / f"{number}.tar") as shard:
            for i in range(5 * number, 5 * number + 5):
                shard.write(
                    KEYS[i], {"json": json.dumps({"caption": CAPTIONS[i]}).encode(), "jpg": IMAGES[i]}
                )
    return f"{folder}/{{0..1}}.tar"


def _images(folder: Path) -> Path:
    for key, image in zip(KEYS, IMAGES, strict=True):
        (folder / f"{key}.jpg").write_bytes(image)
    return folder


def folder_with_text(folder: Path) -> Path:
    for key, captions in zip(KEYS, CAPTIONS, strict=True):
        (folder / f"{key}.txt").write_text("\n".join(captions) + "\n\n")
    return _images(folder)


def folder_with_captions(folder: Path) -> Path:
    rows = [
        json.dumps({"image": f"{key}.jpg", "captions": captions})
        for key, captions in zip(KEYS, CAPTIONS, strict=True)
    ]
    (_images(folder) / "captions.jsonl").write_text("\n".join(rows))
    return folder


MAKERS = [parquet, parquet_of_datasets, shards_with_json, folder_with_text, folder_with_captions]


@pytest.mark.parametrize("make", MAKERS)
def test_every_format_gives_the_same_pairs(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    source = open_pairs(make(tmp_path))

    assert len(source) == NUM
    for i in (7, 0, 9, 3, *range(NUM)):
        pair = source[i]
        assert (pair.key, pair.image, pair.captions) == (KEYS[i], IMAGES[i], tuple(CAPTIONS[i]))
        assert str(tmp_path) in pair.where
    assert list(source.keys) == KEYS
    assert [i for block in source.blocks() for i in block] == list(range(NUM))
    with pytest.raises(IndexError):
        source[NUM]


@pytest.mark.parametrize("make", MAKERS)
def test_the_fingerprint_follows_the_pairs_and_not_the_folder(
    tmp_path: Path, make: Callable[[Path], Any]
) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    first, second = open_pairs(make(tmp_path / "a")), open_pairs(make(tmp_path / "b"))
    assert first.fingerprint == second.fingerprint

    IMAGES[4] = b"Image 4"  # as long as before
    try:
        (tmp_path / "c").mkdir()
        assert open_pairs(make(tmp_path / "c")).fingerprint != first.fingerprint
    finally:
        IMAGES[4] = b"image 4"


def first_and_last(source: PairSource) -> list[str]:
    return [source[0].key, source[NUM - 1].key]


@pytest.mark.parametrize("make", MAKERS)
def test_a_source_works_in_other_processes(tmp_path: Path, make: Callable[[Path], Any]) -> None:
    source = open_pairs(make(tmp_path))
    source[5]  # whatever was opened must not be shared

    assert first_and_last(pickle.loads(pickle.dumps(source))) == ["0000", "0009"]


def test_parquet_is_read_again_after_a_fork(tmp_path: Path) -> None:
    source = open_pairs(parquet(tmp_path))
    assert isinstance(source, ParquetPairs)
    source[5]
    source._process = -1  # as in a child

    assert first_and_last(source) == ["0000", "0009"]
    assert multiprocessing.current_process().pid == source._process


def test_no_more_row_groups_are_held_than_there_is_room_for(tmp_path: Path) -> None:
    source = ParquetPairs(
        [parquet(tmp_path)], image_field=None, caption_field=None, require_captions=True, cached_bytes=1
    )
    for i in (0, 9, 4):
        assert source[i].key == KEYS[i]
        assert len(source._cached) == 1


def test_several_inputs_follow_one_another(tmp_path: Path) -> None:
    for name in ("p", "f"):
        (tmp_path / name).mkdir()
    folder = folder_with_text(tmp_path / "f")

    source = open_pairs([folder / "0003.jpg", folder / "0001.jpg", parquet(tmp_path / "p"), folder])

    keys = [source[i].key for i in range(len(source))]
    assert keys == list(source.keys) == ["0003", "0001", *KEYS, *KEYS]
    assert source.blocks() == [range(2), range(2, 5), range(5, 8), range(8, 11), range(11, 12), range(12, 22)]


@pytest.mark.parametrize("separator", [",", "\t"])
def test_tables_of_open_clip_give_a_pair_a_row(tmp_path: Path, separator: str) -> None:
    rows = [("filepath", "title"), ("0001.jpg", "one, two"), ("0001.jpg", "other"), ("sub/x.y.jpg", "gone")]
    quoted = [separator.join(f'"{value}"' for value in row) for row in rows]
    (_images(tmp_path) / "a.csv").write_text("\n".join(quoted))

    source = open_pairs(tmp_path / "a.csv")

    assert [source[i].captions for i in range(2)] == [("one, two",), ("other",)]
    assert [source[i].key for i in range(2)] == ["0001", "0001_2"]
    with pytest.raises(BadPair, match=re.escape("a.csv, line 4: missing file")) as caught:
        source[2]
    assert caught.value.reason == "missing file"


def test_damaged_rows_of_a_table_are_counted_with_their_line(tmp_path: Path) -> None:
    (_images(tmp_path) / "a.csv").write_text("filepath,title\n0001.jpg,one,more\n0002.jpg,two\n,three\n")
    losses = Losses()

    source = open_pairs(tmp_path / "a.csv", losses=losses)

    assert [source[i].key for i in range(len(source))] == ["0002"]
    assert losses.lost == {"corrupt record": 1, "no image": 1}
    assert losses.to_text() == "2 lost (1 corrupt record, 1 no image)"
    assert losses.examples[0]["place"] == f"{tmp_path}/a.csv, line 2"
    with pytest.raises(InputError, match=re.escape("line 2: corrupt record (3 values, the header has 2)")):
        open_pairs(tmp_path / "a.csv")
    with pytest.raises(InputError, match="leave out --strict"):
        open_pairs(tmp_path / "a.csv", losses=Losses(strict=True))


@pytest.mark.parametrize(
    ("image", "captions", "reason"),
    [
        (None, ["a"], "no image"),
        (b"", ["a"], "no image"),
        (b"i", [], "no caption"),
        (b"i", None, "no caption"),
        (b"i", ["", " \n"], "no caption"),
    ],
)
def test_what_a_row_lacks_is_named(tmp_path: Path, image: Any, captions: Any, reason: str) -> None:
    schema = pa.schema([("image", pa.binary()), ("captions", pa.list_(pa.string()))])
    rows = [{"image": b"i", "captions": ["x"]}, {"image": image, "captions": captions}]
    pq.write_table(pa.Table.from_pylist(rows, schema), tmp_path / "a.parquet")

    source = open_pairs(tmp_path / "a.parquet")

    assert source[0].key == "a-00000000"
    assert list(source.keys) == ["a-00000000", "a-00000001"]
    with pytest.raises(BadPair) as caught:
        source[1]
    assert str(caught.value) == f"{tmp_path}/a.parquet, row 1: {reason}; mend or remove it"
    assert pickle.loads(pickle.dumps(caught.value)).reason == reason


def test_text_that_is_not_utf_8_is_named(tmp_path: Path) -> None:
    texts = pa.array([b"good", b"\xff"], pa.binary()).view(pa.string())
    pq.write_table(pa.table({"image": [b"i", b"i"], "text": texts}), tmp_path / "a.parquet")
    pq.write_table(pa.table({"image": [b"i", b"i"], "key": texts}), tmp_path / "b.parquet")

    with pytest.raises(BadPair, match="row 1: caption is no text"):
        open_pairs(tmp_path / "a.parquet")[1]
    with pytest.raises(InputError, match="column 'key' cannot be read"):
        _ = open_pairs(tmp_path / "b.parquet", require_captions=False).keys


def test_a_row_group_that_is_corrupt_costs_its_rows_only(tmp_path: Path) -> None:
    path = parquet(tmp_path)
    chunk = pq.read_metadata(path).row_group(1).column(1)
    data = bytearray(path.read_bytes())
    at = chunk.dictionary_page_offset or chunk.data_page_offset
    data[at : at + 20] = bytes(20)
    path.write_bytes(data)

    source, losses = open_pairs(path), Losses()
    good = []
    for number in range(NUM):
        try:
            good.append(source[number].key)
        except BadPair as error:
            losses.lose_error(error)

    assert good == KEYS[:3] + KEYS[6:]
    assert losses.lost == {"unreadable": 3}


def test_a_pair_without_a_caption_is_good_where_none_is_wanted(tmp_path: Path) -> None:
    _images(tmp_path)
    (tmp_path / "0000.txt").write_bytes(b"\xff")

    source = open_pairs(tmp_path, require_captions=False)

    assert source[1].captions == ()
    with pytest.raises(BadPair, match="no caption"):
        open_pairs(tmp_path)[1]
    with pytest.raises(BadPair, match="caption is no text"):
        source[0]


@pytest.mark.parametrize(
    ("members", "reason"),
    [
        ({"txt": b"a"}, "no image"),
        ({"jpg": b"i"}, "no caption"),
        ({"jpg": b"i", "json": b"[]"}, "no caption"),
        ({"jpg": b"i", "json": b'{"caption": ""}'}, "no caption"),
        ({"jpg": b"i", "json": b'{"caption": 3}'}, "caption is no text"),
        ({"jpg": b"i", "json": b'{"caption": ["a", 3]}'}, "caption is no text"),
        ({"jpg": b"i", "json": b"{"}, "unreadable"),
        ({"jpg": b"i", "txt": b"\xff"}, "caption is no text"),
    ],
)
def test_what_a_sample_lacks_is_named(tmp_path: Path, members: dict[str, bytes], reason: str) -> None:
    with TarWriter(tmp_path / "a.tar") as shard:
        shard.write("k", members)

    (sample,) = read_samples(tmp_path / "a.tar")

    with pytest.raises(BadPair) as at_random:
        open_pairs(tmp_path / "a.tar")[0]
    with pytest.raises(BadPair) as in_a_stream:
        pair_of_sample(sample)
    for caught in (at_random, in_a_stream):
        assert caught.value.reason == reason
        assert caught.value.where == f"{tmp_path}/a.tar, sample k"


def test_other_members_of_a_sample_are_read_when_asked_for(tmp_path: Path) -> None:
    with TarWriter(tmp_path / "a.tar") as shard:
        shard.write("k", {"npz": b"N" * 900, "jpg": b"i", "txt": b" a\n"})

    pair = open_pairs(tmp_path / "a.tar")[0]

    assert (pair.captions, dict(pair.members)) == (("a",), {"npz": b"N" * 900, "jpg": b"i", "txt": b" a\n"})
    assert "pth.gz" not in pair.members
    (tmp_path / "a.tar").write_bytes(b"")
    with pytest.raises(BadPair, match="changed after it was opened"):
        pair.members["npz"]


def test_fields_can_be_named_in_shards(tmp_path: Path) -> None:
    with TarWriter(tmp_path / "a.tar") as shard:
        record = {"caption": "a", "alt": "b"}
        shard.write("k", {"jpg": b"i", "seg.png": b"s", "json": json.dumps(record).encode(), "syn": b"c"})

    assert open_pairs(tmp_path / "a.tar", image_field="seg.png")[0].image == b"s"
    assert open_pairs(tmp_path / "a.tar", caption_field="alt")[0].captions == ("b",)
    assert open_pairs(tmp_path / "a.tar", caption_field="syn")[0].captions == ("c",)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"image_field": "imagee"},
            "there is no image field 'imagee' (--image-field); did you mean 'image'?",
        ),
        (
            {"caption_field": "xyz"},
            "there is no caption field 'xyz' (--caption-field); the fields are key, image",
        ),
        ({"image_field": "key"}, "field 'key' holds string, not the bytes of images"),
    ],
)
def test_a_wrong_field_shows_the_nearest_one(tmp_path: Path, options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=re.escape(said)):
        open_pairs(parquet(tmp_path), **options)


def test_what_holds_no_pairs_is_refused_in_a_line(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_text("x")
    (tmp_path / "a.parquet").write_text("x")
    (tmp_path / "b.jpg").write_text("x")
    for path, said in (
        (tmp_path / "a.txt", "is no kind of file that holds pairs"),
        (tmp_path / "a.parquet", "is no Parquet file that can be read"),
        (tmp_path / "absent", "no such file or folder"),
        (f"{tmp_path}/*.*", "is no kind of file|mixes files of two kinds"),
        ([], "no input"),
    ):
        with pytest.raises(InputError, match=said):
            open_pairs(path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="or image file, and no captions"):
        open_pairs(tmp_path / "empty")


def test_the_shuffled_order_mixes_few_blocks_at_a_time(tmp_path: Path) -> None:
    source = open_pairs(parquet(tmp_path))  # row groups of 3, 3, 3 and 1

    orders = [shuffled_order(source, seed=0, epoch=epoch, blocks_at_once=2) for epoch in range(20)]

    for order in orders:
        assert sorted(order.tolist()) == list(range(NUM))
        groups = (order // 3).tolist()
        edge = next(i for i in range(1, NUM + 1) if len({*groups[: i + 1]}) > 2)
        assert not {*groups[:edge]} & {*groups[edge:]}
    assert len({tuple(order.tolist()) for order in orders}) == 20
    assert np.array_equal(orders[3], shuffled_order(source, seed=0, epoch=3, blocks_at_once=2))


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("0001", "0001"),
        ("a/b.c.jpg", "a/b_c"),
        ("a.b/c.JPEG", "a.b/c"),
        ("1000268201_693b08cb0e.jpg", "1000268201_693b08cb0e"),
        ("a.1", "a_1"),
        (".jpg", "_"),
        ("../../x", "__/__/x"),
        ("/x\0", "x_"),
        ("..", "__"),
        ("", "_"),
    ],
)
def test_every_key_can_be_the_key_of_a_sample(tmp_path: Path, name: str, key: str) -> None:
    assert usable_key(name) == usable_key(key) == key
    with TarWriter(tmp_path / "a.tar") as shard:
        shard.write(key, {"txt": b""})
    assert [sample.key for sample in read_samples(tmp_path / "a.tar")] == [key]


def test_a_key_that_comes_again_gets_a_number() -> None:
    assert unique_keys(["k", "k_2", "k", "k"]) == ["k", "k_2", "k_3", "k_4"]
