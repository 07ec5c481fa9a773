"""Reading a store: documents by global position, and rows of tokens out of one file or many."""

import json
import pickle
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.build import build_store
from seqdecomp.data.buckets import Bucket
from seqdecomp.data.store import Store, TokenFile
from seqdecomp.settings import DecompositionSettings, ReadSettings
from toolkit_shared.errors import InputError


def store_of_arrays(*arrays: np.ndarray) -> Store:
    """A store in memory with one file an array and one document a file."""
    files = [
        TokenFile(
            path=None,
            dtype=array.dtype.name,
            offset_bytes=0,
            tokens=len(array),
            source=0,
            tokens_in_memory=array,
            boundaries_in_memory=np.array([0, len(array)]),
        )
        for array in arrays
    ]
    return Store(files)


def write_datatrove(path: Path, ends: list[int], item_bytes: int = 2) -> None:
    with open(path, "wb") as stream:
        stream.truncate(ends[-1] * item_bytes)
    Path(f"{path}.index").write_bytes(np.array(ends, "<u8").tobytes())


def test_documents_are_found_by_their_number():
    store = Store.from_documents([[5, 6, 0], [7, 0], [8, 9, 10, 0]], eos_id=0)
    assert store.tokens_total == 9
    assert store.document_starts.tolist() == [0, 3, 5]
    assert store.document_lengths.tolist() == [3, 2, 4]
    assert store.document(1).tolist() == [7, 0]


def test_gathered_rows_are_the_slices_of_the_token_array():
    tokens = np.arange(1000, dtype=np.uint16)
    store = store_of_arrays(tokens)
    rows = store.gather(np.array([990, 0, 17]), 10)
    assert rows.dtype == np.int64
    assert rows.tolist() == [list(range(990, 1000)), list(range(10)), list(range(17, 27))]


@given(
    sizes=st.lists(st.integers(0, 60), min_size=1, max_size=40),
    dtypes=st.lists(st.sampled_from(["uint8", "uint16", "uint32", "int32"]), min_size=1, max_size=3),
    span=st.integers(1, 20),
    seed=st.integers(0, 1000),
)
def test_gathering_from_many_files_agrees_with_slices_of_each_file(sizes, dtypes, span, seed):
    generator = np.random.default_rng(seed)
    arrays = [
        generator.integers(0, 200, size).astype(dtypes[i % len(dtypes)]) for i, size in enumerate(sizes)
    ]
    places = [(f, s) for f, array in enumerate(arrays) for s in range(len(array) - span + 1)]
    if not places:
        return
    chosen = [places[i] for i in generator.integers(0, len(places), 50)]
    first = np.concatenate([[0], np.cumsum(sizes)])
    rows = store_of_arrays(*arrays).gather(np.array([first[f] + s for f, s in chosen]), span)
    expected = [arrays[f][s : s + span].tolist() for f, s in chosen]
    assert rows.tolist() == expected


def test_rows_go_into_an_array_that_is_given():
    store = store_of_arrays(np.arange(10, dtype=np.uint16), np.arange(10, 20, dtype=np.uint16))
    out = np.zeros((2, 4), np.int32)
    assert store.gather(np.array([16, 6]), 4, out) is out
    assert out.tolist() == [[16, 17, 18, 19], [6, 7, 8, 9]]


@pytest.mark.parametrize("start", [-1, 7, 8, 17])
def test_a_row_may_not_span_two_files(start):
    store = store_of_arrays(np.arange(10, dtype=np.uint16), np.arange(10, dtype=np.uint16))
    with pytest.raises(ValueError, match="a row of 4 tokens leaves its token file"):
        store.gather(np.array([start]), 4)


def test_more_rows_than_one_staging_block_are_gathered():
    tokens = np.arange(70_000, dtype=np.uint32)
    starts = np.arange(0, 69_000, 1000)
    rows = store_of_arrays(tokens).gather(starts, 1000)
    assert (rows == starts[:, None] + np.arange(1000)).all()
    many = np.random.default_rng(0).integers(0, 60_000, 600)
    assert (store_of_arrays(tokens).gather(many, 1024) == many[:, None] + np.arange(1024)).all()


def test_packed_rows_hold_their_segments_end_to_end_and_padding():
    store = store_of_arrays(np.arange(10, dtype=np.uint16), np.arange(10, 20, dtype=np.uint16))
    rows = store.gather_segments(
        np.array([3, 12, 0]), np.array([2, 3, 1]), np.array([0, 2, 2, 3]), 6, fill=99
    )
    assert rows.tolist() == [[3, 4, 12, 13, 14, 99], [99] * 6, [0, 99, 99, 99, 99, 99]]


def test_segments_may_not_overfill_a_row_nor_leave_their_file():
    store = store_of_arrays(np.arange(10, dtype=np.uint16), np.arange(10, dtype=np.uint16))
    with pytest.raises(ValueError, match="the segments of a row hold more than 4 tokens"):
        store.gather_segments(np.array([0, 5]), np.array([3, 2]), np.array([0, 2]), 4)
    with pytest.raises(ValueError, match="a segment leaves its token file"):
        store.gather_segments(np.array([8]), np.array([4]), np.array([0, 1]), 4)


def test_positions_beyond_uint32_are_read_from_a_file_of_five_billion_tokens(tmp_path):
    # OLMo-core's uint32 offsets cap a file at 4.29G tokens. The file is sparse: 10 GB of hole.
    tail, total = 4_999_999_000, 5_000_000_000
    write_datatrove(tmp_path / "huge.ds", [10, tail, total])
    written = np.arange(1, 1001, dtype="<u2")
    with open(tmp_path / "huge.ds", "r+b") as stream:
        stream.seek(tail * 2)
        stream.write(written.tobytes())
    assert (tmp_path / "huge.ds").stat().st_blocks * 512 < 1 << 24

    build_store(
        [tmp_path / "huge.ds"],
        tmp_path / "store",
        settings=DecompositionSettings(min_length=512, max_length=65_536),
        read=ReadSettings(eos_id=1000, vocab_size=2000),
    )
    store = Store.open(tmp_path / "store")

    assert store.document_lengths.tolist() == [10, tail - 10, 1000]
    assert store.document(2).tolist() == written.tolist()
    starts = store.bucket(512).starts
    assert starts[-1] == tail > np.iinfo(np.uint32).max
    assert store.gather(starts[-1:], 512).tolist() == [written[:512].tolist()]
    assert len(store.bucket(65_536).starts) == (tail - 10) // 65_536


def test_offsets_beyond_uint32_also_come_from_many_files(tmp_path):
    for number in range(3):
        write_datatrove(tmp_path / f"{number}.ds", [2_000_000_000])
    with open(tmp_path / "2.ds", "r+b") as stream:
        stream.seek(2 * 1_999_999_999)
        stream.write(np.array([7], "<u2").tobytes())
    build_store([tmp_path], tmp_path / "store", settings=DecompositionSettings(max_length=65_536))
    store = Store.open(tmp_path / "store")
    assert store.tokens_total == 6_000_000_000
    assert store.gather(np.array([5_999_999_996]), 4).tolist() == [[0, 0, 0, 7]]


@pytest.mark.parametrize("longest", [256, 65_536])
def test_the_longest_bucket_is_there_at_256_and_65536(tmp_path, longest):
    # OLMo-core 3.0.0 picks its length dtype by max - 1, so that these two lengths wrap to 0.
    (tmp_path / "d.txt").write_text("a" * (longest - 1))
    build_store(
        [tmp_path / "d.txt"],
        tmp_path / "store",
        tokenizer="bytes",
        settings=DecompositionSettings(min_length=longest, max_length=longest),
    )
    store = Store.open(tmp_path / "store")
    assert store.lengths == (longest,)
    assert store.gather(store.bucket(longest).starts, longest)[0, -2:].tolist() == [ord("a") + 1, 0]


def test_plus1_sequences_hold_one_token_more_up_to_the_very_last_of_a_file(tmp_path):
    (tmp_path / "a.txt").write_text("a" * 8)
    (tmp_path / "b.txt").write_text("b" * 8)
    settings = DecompositionSettings(min_length=8, max_length=8, target="plus1")
    build_store(
        [tmp_path / "a.txt", tmp_path / "b.txt"],
        tmp_path / "store",
        tokenizer="bytes",
        settings=settings,
    )
    store = Store.open(tmp_path / "store")
    assert len(store.files) == 2
    rows = store.gather(store.bucket(8).starts, 9)
    assert rows.tolist() == [[98] * 8 + [0], [99] * 8 + [0]]


def test_a_pickled_store_opens_its_files_anew(tmp_path):
    (tmp_path / "a.txt").write_text("hello" * 1000)
    build_store([tmp_path / "a.txt"], tmp_path / "store", tokenizer="bytes")
    store = Store.open(tmp_path / "store")
    before = store.gather(np.array([3]), 256)
    pickled = pickle.dumps(store)
    assert len(pickled) < 5000  # the maps' tokens are not in it
    assert (pickle.loads(pickled).gather(np.array([3]), 256) == before).all()


def test_a_bucket_that_is_not_there_is_named(tmp_path):
    store = Store.from_documents([[1, 2, 0]], buckets={2: Bucket(np.array([0]))})
    with pytest.raises(InputError, match=r"^store: no bucket of length 4; it has 2$"):
        store.bucket(4)


def test_a_folder_without_a_store_is_refused(tmp_path):
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path)
    assert str(caught.value) == (
        f"{tmp_path}: no store here (manifest.json is missing); make one with seqdecomp build"
    )
    (tmp_path / "manifest.json").write_text("{")
    with pytest.raises(InputError, match=r"manifest\.json: not JSON; build the store again"):
        Store.open(tmp_path)
    (tmp_path / "manifest.json").write_text('{"kind": "other"}')
    with pytest.raises(InputError, match="field 'kind' is not 'seqdecomp-store'"):
        Store.open(tmp_path)


def damaged_store(folder: Path) -> Path:
    (folder / "a.jsonl").write_text('{"text": "abcdefg"}\n' * 9)
    settings = DecompositionSettings(min_length=2, max_length=8)
    build_store([folder / "a.jsonl"], folder / "s", tokenizer="bytes", settings=settings)
    return folder / "s"


def read_all(store: Path) -> None:
    opened = Store.open(store)
    assert [len(opened.bucket(length).starts) for length in opened.lengths] == [0, 0, 9]
    assert len(opened.document_starts) == 9


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (lambda m: m.clear(), "field 'kind' is not 'seqdecomp-store'; name a folder made by seqdecomp build"),
        (
            lambda m: m.update(schema=2),
            "field 'schema' is 2, and this seqdecomp reads 1; build the store again, or install the version "
            "that built it",
        ),
        (lambda m: m.pop("files"), "field 'files' is missing or of another kind; build the store again"),
        (
            lambda m: m["files"][0].update(tokens="many"),
            "field 'files[0].tokens' is missing or of another kind; build the store again",
        ),
        (
            lambda m: m["buckets"].update({"8": []}),
            "field 'buckets.8.path' is missing or of another kind; build the store again",
        ),
        (
            lambda m: m["settings"].update(min_length=3),
            "was changed after the build; restore it, or build again",
        ),
    ],
)
def test_a_changed_manifest_is_refused_with_the_field(tmp_path, change, line):
    store = damaged_store(tmp_path)
    read_all(store)
    manifest = json.loads((store / "manifest.json").read_text())
    change(manifest)
    (store / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(InputError, match=f"^{re.escape(f'{store}/manifest.json: {line}')}$"):
        read_all(store)


@pytest.mark.parametrize("name", ["buckets/8.npy", "documents/00000.npy"])
@pytest.mark.parametrize(
    ("damage", "line"),
    [
        (lambda path: path.unlink(), "this file of the store is missing; put it back or build"),
        (lambda path: path.write_bytes(b""), "damaged (no data left in file); restore"),
        (lambda path: path.write_bytes(path.read_bytes()[:-8]), "damaged (mmap length is greater than"),
        (
            lambda path: np.save(path, np.zeros(3, np.int64)),
            "whole numbers that the manifest tells)",
        ),
        (lambda path: np.save(path, np.full(10, 0.5)), "whole numbers that the manifest tells)"),
        (lambda path: np.save(path, [{}] * 9, allow_pickle=True), "damaged (array can't be memory-mapped"),
        (lambda path: np.save(path, np.load(path) + 10**9), "damaged (leaves the 72 tokens of"),
        (lambda path: np.save(path, np.load(path) - 1), "damaged (leaves the 72 tokens of"),
    ],
)
def test_a_damaged_index_is_refused_with_its_file(tmp_path, name, damage, line):
    store = damaged_store(tmp_path)
    damage(store / name)
    with pytest.raises(InputError, match=f"^{re.escape(f'{store}/{name}: ')}.*{re.escape(line)}"):
        read_all(store)


def test_a_referenced_file_that_is_gone_or_changed_is_named(tmp_path):
    write_datatrove(tmp_path / "a.ds", [500])
    build_store([tmp_path / "a.ds"], tmp_path / "store")
    path = tmp_path / "a.ds"
    with open(path, "ab") as stream:
        stream.write(b"xx")
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path / "store")
    assert str(caught.value) == (
        f"{path}: has 1002 bytes, but 1000 when the store was built; "
        "restore the file or build the store again"
    )
    path.unlink()
    with pytest.raises(InputError) as caught:
        Store.open(tmp_path / "store")
    assert str(caught.value) == (
        f"{path}: this token file of the store {tmp_path / 'store'} is missing; put it back"
    )


def test_a_store_may_move_together_with_the_files_it_refers_to(tmp_path):
    (tmp_path / "here").mkdir()
    write_datatrove(tmp_path / "here/a.ds", [500])
    build_store([tmp_path / "here/a.ds"], tmp_path / "here/store")
    (tmp_path / "here").rename(tmp_path / "there")
    assert Store.open(tmp_path / "there/store").gather(np.array([0]), 256).sum() == 0
