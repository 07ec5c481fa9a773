"""The memory-mapped store: draws, keys, resuming, and a word for every damage."""

import json
import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mobileclip.reinforcement import store as store_module
from mobileclip.reinforcement import store_writer
from mobileclip.reinforcement.precision import Precision, to_float32
from mobileclip.reinforcement.sample import Reinforcement
from mobileclip.reinforcement.store import Counts, ReinforcedStore, WrongWidth
from mobileclip.reinforcement.store_format import STORE_KIND
from mobileclip.reinforcement.store_writer import StoreWriter
from mobileclip.replay import Augmentation
from reinforced_samples import TEACHERS, equal, reinforcement
from toolkit_shared.artifacts import claim_folder
from toolkit_shared.errors import InputError

MIXED = [
    reinforcement(0),
    reinforcement(1, captions=3, synthetic=5, augmentations=1, members={"json": b"{}", "jpg": b"\xff\xd8"}),
    reinforcement(2, synthetic=0, image_size=None),
    reinforcement(
        3,
        synthetic=3,
        joined=False,
        synthetic_groups=(("syn_text_a", 1), ("syn_text_b", 2)),
        other_fields={"syn.json": {"note": [1, None]}},
        augmentations=2,
    ),
    replace(
        reinforcement(4, augmentations=2),
        augmentations=(
            Augmentation((0, 0, 1, 1), None),
            Augmentation((1, 2, 3, 4), ((3, -30.453172302246094),)),
        ),
    ),
]


def build(
    folder: Path, parts: list[list[Reinforcement]], precision: Precision = "float32", **finish: bool
) -> ReinforcedStore:
    claim_folder(folder, kind=STORE_KIND, config={})
    writer = StoreWriter(folder=folder, teachers=TEACHERS, precision=precision)
    for number, samples in enumerate(parts):
        writer.write_part(number, samples)
    writer.finish(len(parts), {}, **finish)
    return ReinforcedStore.open(folder)


@pytest.mark.parametrize("precision", ["float32", "float16", "bfloat16"])
def test_samples_come_back_equal_to_the_bit(tmp_path: Path, precision: Precision) -> None:
    samples = [
        replace(
            sample,
            precision=precision,
            **{
                name: getattr(reinforcement(n, precision=precision, **sizes), name)
                for name in ("image_embeddings", "text_embeddings", "synthetic_embeddings")
            },
        )
        for n, sample in enumerate(MIXED)
        for sizes in [
            {
                "augmentations": len(sample.augmentations),
                "captions": len(sample.captions),
                "synthetic": len(sample.synthetic_captions),
            }
        ]
    ]

    store = build(tmp_path, [samples[:2], [], samples[2:]], precision)

    assert len(store) == 5
    assert all(equal(a, b) for a, b in zip(store, samples, strict=True))
    assert store.teachers == TEACHERS
    assert list(store.keys()) == [sample.key for sample in samples]


@settings(max_examples=8)
@given(data=st.data(), precision=st.sampled_from(["float32", "float16", "bfloat16"]))
def test_a_draw_is_the_three_rows_of_the_sample(
    data: st.DataObject, precision: Precision, tmp_path_factory
) -> None:
    sizes = data.draw(
        st.lists(st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(0, 4)), min_size=1, max_size=6)
    )
    samples = [
        reinforcement(n, precision=precision, augmentations=a, captions=c, synthetic=s)
        for n, (a, c, s) in enumerate(sizes)
    ]
    cut = data.draw(st.integers(0, len(samples)))
    store = build(tmp_path_factory.mktemp("store"), [samples[:cut], samples[cut:]], precision)

    for index, (sample, (augmentations, captions, synthetic)) in enumerate(zip(samples, sizes, strict=True)):
        assert store.counts(index) == Counts(augmentations, captions, synthetic)
        chosen = synthetic - 1 if synthetic else None
        drawn = store.draw(index, augmentations - 1, captions - 1, chosen)
        assert np.array_equal(drawn.image, to_float32(sample.image_embeddings[-1], precision))
        assert np.array_equal(drawn.text, to_float32(sample.text_embeddings[-1], precision))
        if synthetic:
            assert np.array_equal(drawn.synthetic, to_float32(sample.synthetic_embeddings[-1], precision))
            assert store.synthetic_caption(index, synthetic - 1) == sample.synthetic_captions[-1]
        else:
            assert drawn.synthetic is None
        assert store.augmentation(index, augmentations - 1) == sample.augmentations[-1]
        assert store.caption(index, captions - 1) == sample.captions[-1]
        assert store.image_size(index) == sample.image_size
        assert store.index_of(sample.key) == index


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_a_batch_of_draws_is_the_single_draws(tmp_path: Path, precision: Precision) -> None:
    samples = [
        reinforcement(
            n, precision=precision, augmentations=1 + n % 3, captions=1 + n % 2, synthetic=1 + n % 4
        )
        for n in range(12)
    ]
    store = build(tmp_path, [samples[:5], samples[5:6], samples[6:]], precision)
    for indices in ([11, 0, 5, 5, 7, 2], [3, 1, 4], []):
        counts = [store.counts(index) for index in indices]
        last = [[count[kind] - 1 for count in counts] for kind in range(3)]

        batch = store.draw_batch(indices, *last)

        singles = [store.draw(*values) for values in zip(indices, *last, strict=True)]
        for kind in range(3):
            assert batch[kind].dtype == np.float32
            assert batch[kind].shape == (len(indices), 16)
            assert all(np.array_equal(a, b[kind]) for a, b in zip(batch[kind], singles, strict=True))
        again = store.draw_batch(indices, *last, out=store.draw_batch(indices, *[[0] * len(indices)] * 3))
        assert all(np.array_equal(a, b) for a, b in zip(again, batch, strict=True))
    first = store.draw_batch([0, 1], [0, 0], [0, 0])
    assert store.draw_batch([2, 3], [0, 0], [0, 0], out=first).image is first.image
    with pytest.raises(ValueError, match="not of shape"):
        store.draw_batch([2], [0], [0], out=first)
    assert store.draw_batch([1], [0], [0]).synthetic is None
    for wrong in (
        ([12], [0], [0]),
        ([-1], [0], [0]),
        ([0], [1], [0]),
        ([0], [-1], [0]),
        ([0], [0], [1], [0]),
    ):
        with pytest.raises(IndexError):
            store.draw_batch(*wrong)
    with pytest.raises(IndexError):
        store.draw_batch([0, 1], [0, 0], [0, 0], [0, 2])


def test_a_draw_of_what_is_not_there_is_an_error_and_never_a_neighbours_row(tmp_path: Path) -> None:
    store = build(tmp_path, [MIXED])

    for wrong in (
        (0, 3, 0, 0),
        (0, 0, 1, 0),
        (0, 0, 0, 2),
        (2, 0, 0, 0),
        (5, 0, 0, 0),
        (-1, 0, 0, 0),
        (0, -1, 0, 0),
    ):
        with pytest.raises(IndexError):
            store.draw(*wrong)
    with pytest.raises(IndexError):
        store.augmentation(0, 3)


def test_a_store_that_was_drawn_from_holds_no_float_rows_and_pickles_small(tmp_path: Path) -> None:
    store = build(tmp_path, [[reinforcement(n) for n in range(40)]])
    store.draw(3, 1, 0, 1)

    again = pickle.loads(pickle.dumps(store))

    assert np.array_equal(again.draw(3, 1, 0, 1).image, store.draw(3, 1, 0, 1).image)
    assert not store[3].image_embeddings.flags.owndata


def test_few_parts_are_open_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store_module, "MAX_OPEN_PARTS", 2)
    store = build(tmp_path, [[reinforcement(n)] for n in range(5)])

    for index in [0, 1, 0, 2, 3, 0, 4]:
        assert store.key(index) == f"k{index:03d}"
        assert len(store._open) <= 2


def test_equal_samples_give_equal_files(tmp_path: Path) -> None:
    stores = [build(tmp_path / name, [MIXED[:3], MIXED[3:]]) for name in ("a", "b")]

    files = [sorted(path.relative_to(s.path) for path in s.path.rglob("*") if path.is_file()) for s in stores]
    assert files[0] == files[1]
    assert all(
        (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes() for name in files[0]
    )
    assert stores[0].fingerprint == stores[1].fingerprint
    assert stores[0].fingerprint != build(tmp_path / "c", [MIXED]).fingerprint


def test_a_part_that_broke_off_is_absent_and_the_others_are_kept(tmp_path: Path) -> None:
    claim_folder(tmp_path, kind=STORE_KIND, config={})
    writer = StoreWriter(folder=tmp_path, teachers=TEACHERS, precision="float32")
    report = {}

    def breaking():
        yield MIXED[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        writer.write_part(0, breaking())
    assert not writer.has_part(0)
    assert list((tmp_path / "parts").iterdir()) == []
    writer.write_part(1, MIXED[1:], report)
    with pytest.raises(ValueError, match="1 parts are missing, the first is 0"):
        writer.finish(2)
    with pytest.raises(InputError, match="unfinished one; finish the command"):
        ReinforcedStore.open(tmp_path)
    writer.write_part(0, MIXED[:1])
    writer.finish(2)
    assert len(ReinforcedStore.open(tmp_path)) == 5


def test_keys_of_equal_hash_are_told_apart_and_double_keys_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (store_writer, store_module):
        monkeypatch.setattr(module, "key_hash", lambda key: 7)
    twice = replace(MIXED[0], captions=("another",))

    store = build(tmp_path / "a", [MIXED[:2], [MIXED[2], twice]])

    assert [store.index_of(sample.key) for sample in MIXED[:3]] == [0, 1, 2]
    assert store.index_of("absent") is None
    assert store.manifest["store"]["duplicate_keys"] == ["k000"]
    with pytest.raises(InputError, match="1 keys are in more than one part, the first is k000"):
        build(tmp_path / "b", [MIXED[:1], [twice]], refuse_duplicates=True)


def test_what_does_not_fit_a_store_is_refused(tmp_path: Path) -> None:
    three = Augmentation((0, 0, 1, 1), ((1, 0.1),) * 3)
    for samples, words in (
        ([reinforcement(0, precision="float16")], "is float16, the store is float32"),
        ([MIXED[0], MIXED[0]], "is there already"),
        (
            [replace(MIXED[0], image_embeddings=np.zeros((3, 9), np.float32))],
            "rows of 9 float32, the store holds 16",
        ),
        ([replace(MIXED[0], augmentations=(three,) * 3)], "has 3 operations, the store has room for 2"),
    ):
        with pytest.raises(InputError, match=words):
            build(tmp_path / words[:8].strip(), [samples])


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("teachers", None),
        ("teachers", [{"name": "x"}]),
        ("teachers", [{"name": "x", "width": "wide", "logit_scale": 1.0}]),
        ("precision", "int8"),
        ("num_operations", 10**6),
        ("parts", [{"num_samples": 1}]),
        ("parts", "all"),
    ],
)
def test_a_manifest_that_does_not_describe_the_store_is_refused(
    tmp_path: Path, name: str, value: object
) -> None:
    build(tmp_path / "s", [MIXED])
    path = tmp_path / "s" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["store"][name] = value
    path.write_text(json.dumps(manifest))

    with pytest.raises(InputError, match=r"manifest\.json: does not describe a store; restore it"):
        ReinforcedStore.open(tmp_path / "s")


def test_a_store_of_rows_that_its_teachers_do_not_fill_is_refused(tmp_path: Path) -> None:
    build(tmp_path / "s", [MIXED])
    path = tmp_path / "s" / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["store"]["teachers"][0]["width"] += 1
    path.write_text(json.dumps(manifest))

    with pytest.raises(WrongWidth, match=r"manifest\.json: rows have \d+ numbers, the teachers \d+ \+ \d+"):
        ReinforcedStore.open(tmp_path / "s")


def test_a_damaged_store_is_refused_with_the_file(tmp_path: Path) -> None:
    store = build(tmp_path / "s", [MIXED])
    image = tmp_path / "s" / "parts" / "00000.image.bin"
    whole = image.read_bytes()

    assert store.damaged_files() == []
    image.write_bytes(whole[:-4] + b"abcd")
    assert ReinforcedStore.open(tmp_path / "s").damaged_files() == ["parts/00000.image.bin"]
    image.write_bytes(whole[:-4])
    with pytest.raises(InputError, match=r"00000\.image\.bin: has .* bytes where .* were written"):
        ReinforcedStore.open(tmp_path / "s")
    image.unlink()
    with pytest.raises(InputError, match="is missing"):
        ReinforcedStore.open(tmp_path / "s")
    with pytest.raises(InputError, match="is no reinforced store"):
        ReinforcedStore.open(tmp_path)
    with pytest.raises(InputError, match="no such folder"):
        ReinforcedStore.open(tmp_path / "absent")
