"""Token files of other tools, used where they lie: OLMo, Megatron, datatrove, nanoGPT."""

import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.build import build_store
from seqdecomp.data.formats import olmo
from seqdecomp.data.formats.datatrove import open_datatrove
from seqdecomp.data.formats.megatron import open_megatron
from seqdecomp.data.formats.nanogpt import open_nanogpt
from seqdecomp.data.formats.olmo import boundaries_at_eos, open_olmo
from seqdecomp.data.store import Store
from seqdecomp.settings import DecompositionSettings, ReadSettings
from toolkit_shared.errors import InputError

SMALL = DecompositionSettings(min_length=2, max_length=8)


def refused(function, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    message = str(caught.value)
    assert "\n" not in message
    return message


def write_megatron(
    prefix: Path, sequences: list[list[int]], documents: list[int], dtype: str, code: int
) -> None:
    """A dataset by the published layout: 34 bytes of header, then sizes, pointers and document index."""
    np.concatenate([np.array(s, dtype) for s in sequences]).tofile(f"{prefix}.bin")
    sizes = np.array([len(s) for s in sequences])
    pointers = (np.cumsum(sizes) - sizes) * np.dtype(dtype).itemsize
    with open(f"{prefix}.idx", "wb") as stream:
        stream.write(b"MMIDIDX\x00\x00" + struct.pack("<Q", 1) + struct.pack("<B", code))
        stream.write(struct.pack("<QQ", len(sizes), len(documents)))
        stream.write(sizes.astype("<i4").tobytes() + pointers.astype("<i8").tobytes())
        stream.write(np.array(documents, "<i8").tobytes())


# OLMo


@given(tokens=st.lists(st.integers(0, 3), max_size=60), block=st.integers(1, 20))
def test_boundaries_lie_behind_each_eos_and_at_the_end(tokens, block):
    expected = [0] + [i + 1 for i, token in enumerate(tokens) if token == 0]
    expected += [len(tokens)] if expected[-1] != len(tokens) else []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(olmo, "SCAN_TOKENS", block)
        assert boundaries_at_eos(np.array(tokens, np.uint16), 0).tolist() == expected


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_a_headerless_npy_is_split_at_eos_and_used_in_place(tmp_path, dtype):
    # The example in OLMo-core's own unit test.
    np.array([1, 2, 3, 4, 5, 6, 7, 8, 0, 1, 2, 3, 4, 5, 0, *range(1, 11), 0], dtype).tofile(
        tmp_path / "a.npy"
    )
    build_store(
        [tmp_path / "a.npy"], tmp_path / "s", settings=SMALL, read=ReadSettings(dtype=dtype, eos_id=0)
    )
    store = Store.open(tmp_path / "s")
    assert store.document_lengths.tolist() == [9, 6, 11]
    assert {length: len(store.bucket(length).starts) for length in store.lengths} == {2: 2, 4: 1, 8: 2}
    assert store.files[0].path == (tmp_path / "a.npy").resolve()
    assert not (tmp_path / "s/tokens").exists()


def test_the_vocabulary_tells_the_dtype_of_a_headerless_npy(tmp_path):
    np.array([70_000, 0], np.uint32).tofile(tmp_path / "a.npy")
    for vocab_size, tokens in ((65_535, 4), (65_536, 2)):
        out = tmp_path / str(vocab_size)
        report = build_store(
            [tmp_path / "a.npy"], out, settings=SMALL, read=ReadSettings(vocab_size=vocab_size, eos_id=0)
        )
        assert report.tokens == tokens


def test_a_npy_with_a_numpy_header_is_read_by_its_header(tmp_path):
    np.save(tmp_path / "a.npy", np.array([5, 6, 0, 7, 8, 9, 0], np.uint32))
    build_store([tmp_path / "a.npy"], tmp_path / "s", settings=SMALL, read=ReadSettings(eos_id=0))
    store = Store.open(tmp_path / "s")
    assert [store.document(i).tolist() for i in range(2)] == [[5, 6, 0], [7, 8, 9, 0]]


def test_a_npy_with_another_array_is_refused(tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((2, 3), np.float32))
    assert refused(open_olmo, str(tmp_path / "a.npy"), "a.npy", dtype=None, eos_id=0) == (
        "a.npy: holds a float32 array of shape (2, 3); "
        "flat token files hold one row of little-endian integers"
    )
    (tmp_path / "b.npy").write_bytes(b"\x93NUMPY\x01\x00\x05\x00{{{{{")
    assert refused(open_olmo, str(tmp_path / "b.npy"), "b.npy", dtype=None, eos_id=0) == (
        "b.npy: its NumPy header is broken; write it again with numpy.save"
    )


def test_what_a_headerless_file_does_not_tell_must_be_given(tmp_path):
    (tmp_path / "a.npy").write_bytes(b"\1\0\2")
    path = str(tmp_path / "a.npy")
    assert refused(open_olmo, path, "a.npy", dtype="uint16", eos_id=None) == (
        "a.npy: flat token files are split at EOS, and its id is not known; pass --read.eos-id N"
    )
    assert refused(open_olmo, path, "a.npy", dtype=None, eos_id=0) == (
        "a.npy: a headerless token file does not tell its dtype; pass --read.dtype uint16|uint32 "
        "or --read.vocab-size N"
    )
    assert refused(open_olmo, path, "a.npy", dtype="uint16", eos_id=0) == (
        "a.npy: 3 bytes are no whole number of uint16 ids; check --read.dtype and the file"
    )


def test_tokens_after_the_last_eos_are_a_document_and_counted_as_without_eos(tmp_path):
    np.array([1, 2, 0, 3, 4], np.uint16).tofile(tmp_path / "a.npy")
    report = build_store(
        [tmp_path / "a.npy"], tmp_path / "s", settings=SMALL, read=ReadSettings(dtype="uint16", eos_id=0)
    )
    assert (report.documents, report.documents_without_eos) == (2, 1)


# Megatron


@pytest.mark.parametrize(
    ("code", "dtype"), [(1, "uint8"), (2, "int8"), (3, "int16"), (4, "int32"), (5, "int64"), (8, "uint16")]
)
def test_every_whole_number_dtype_of_megatron_is_read(tmp_path, code, dtype):
    write_megatron(tmp_path / "d", [[5, 6, 7], [8, 9], [100, 3]], [0, 2, 3], dtype, code)
    build_store([tmp_path / "d.bin"], tmp_path / "s", settings=SMALL)
    store = Store.open(tmp_path / "s")
    assert store.files[0].dtype == dtype
    # the first document consists of two sequences
    assert [store.document(i).tolist() for i in range(2)] == [[5, 6, 7, 8, 9], [100, 3]]
    assert store.gather(np.array([1, 5]), 2).tolist() == [[6, 7], [100, 3]]


def test_documents_without_sequences_are_left_out(tmp_path):
    write_megatron(tmp_path / "d", [[5, 6], [7]], [0, 0, 1, 1, 2], "uint16", 8)
    assert open_megatron(str(tmp_path / "d.bin"), "d.bin").boundaries.tolist() == [0, 2, 3]


def test_damaged_megatron_indices_are_refused(tmp_path):
    path, index = str(tmp_path / "d.bin"), tmp_path / "d.idx"

    def fresh(documents: tuple[int, ...] = (0, 1, 2), code: int = 8) -> None:
        write_megatron(tmp_path / "d", [[5, 6, 7], [8, 9]], list(documents), "uint16", code)

    fresh()
    index.unlink()
    assert (
        refused(open_megatron, path, "d.bin")
        == "d.idx: this index of d.bin is missing; put it beside the .bin"
    )
    index.write_bytes(b"TNTIDX\0\0" * 10)
    assert refused(open_megatron, path, "d.bin") == (
        "d.idx: does not begin with MMIDIDX; only Megatron's memory-mapped index is read"
    )
    fresh(code=7)
    assert refused(open_megatron, path, "d.bin") == (
        "d.idx: dtype code 7 is not of whole numbers; expected one of 1, 2, 3, 4, 5, 8"
    )
    fresh(code=4)
    assert refused(open_megatron, path, "d.bin") == (
        "d.idx: sequence 1 begins at byte 6, not at 12, so the tokens are not one contiguous array; "
        "write the dataset again"
    )
    fresh(documents=(0, 2, 1))
    assert refused(open_megatron, path, "d.bin") == (
        "d.idx: its document index does not run from 0 to 2 in order; write it again"
    )
    fresh()
    with open(path, "ab") as stream:
        stream.write(b"\0\0")
    assert (
        refused(open_megatron, path, "d.bin") == "d.bin: has 12 bytes, but its index tells 10; copy it again"
    )
    fresh()
    index.write_bytes(index.read_bytes()[:-9])
    assert (
        refused(open_megatron, path, "d.bin") == "d.idx: is cut off (73 bytes of at least 82); copy it again"
    )
    data = bytearray(index.read_bytes())
    data[9] = 2
    index.write_bytes(bytes(data))
    assert refused(open_megatron, path, "d.bin") == (
        "d.idx: version 2 of the index is not known; write it as version 1"
    )


# datatrove


@pytest.mark.parametrize("dtype", ["uint16", "uint32"])
def test_datatrove_files_are_split_at_their_document_ends(tmp_path, dtype):
    np.array([5, 6, 7, 8, 9], dtype).tofile(tmp_path / "a.ds")
    np.array([2, 2, 5], "<u8").tofile(tmp_path / "a.ds.index")
    flat = open_datatrove(str(tmp_path / "a.ds"), "a.ds")
    assert (flat.dtype, flat.tokens, flat.boundaries.tolist()) == (dtype, 5, [0, 2, 5])


def test_damaged_datatrove_files_are_refused(tmp_path):
    path, index = str(tmp_path / "a.ds"), tmp_path / "a.ds.index"
    np.arange(5, dtype=np.uint16).tofile(path)
    assert refused(open_datatrove, path, "a.ds") == (
        "a.ds.index: the document ends of a.ds are missing; write it with its index"
    )
    index.write_bytes(b"123")
    assert refused(open_datatrove, path, "a.ds") == (
        "a.ds.index: 3 bytes are no whole number of uint64; copy it again"
    )
    np.array([3, 2, 5], "<u8").tofile(index)
    assert refused(open_datatrove, path, "a.ds") == (
        "a.ds.index: the document ends do not ascend; write it again"
    )
    np.array([3, 6], "<u8").tofile(index)
    assert refused(open_datatrove, path, "a.ds") == (
        "a.ds: has 10 bytes, but its index tells 6 tokens of 2 or 4 bytes; copy it again"
    )
    index.write_bytes(b"")
    assert refused(open_datatrove, path, "a.ds") == (
        "a.ds.index: is empty, but a.ds has 10 bytes; write it with its index"
    )


# nanoGPT


def write_with_header(path: Path, magic: int, version: int, tokens: int, ids: np.ndarray) -> None:
    header = np.zeros(256, "<i4")
    header[:3] = magic, version, tokens
    path.write_bytes(header.tobytes() + ids.tobytes())


def test_headerless_nanogpt_files_hold_uint16(tmp_path):
    np.array([5, 6, 50_256, 7, 50_256], np.uint16).tofile(tmp_path / "a.bin")
    build_store([tmp_path / "a.bin"], tmp_path / "s", settings=SMALL, read=ReadSettings(eos_id=50_256))
    assert Store.open(tmp_path / "s").document(1).tolist() == [7, 50_256]


@pytest.mark.parametrize(("magic", "version", "dtype"), [(20240520, 1, "uint16"), (20240801, 7, "uint32")])
def test_nanogpt_files_with_a_header_are_read_by_it(tmp_path, magic, version, dtype):
    ids = np.array([5, 6, 0, 7, 8, 0], dtype)
    write_with_header(tmp_path / "a.bin", magic, version, 6, ids)
    build_store([tmp_path / "a.bin"], tmp_path / "s", settings=SMALL, read=ReadSettings(eos_id=0))
    store = Store.open(tmp_path / "s")
    assert store.files[0].offset_bytes == 1024
    assert store.files[0].dtype == dtype
    assert store.gather(np.array([0, 3]), 3).tolist() == [[5, 6, 0], [7, 8, 0]]


def test_nanogpt_headers_that_do_not_fit_are_refused(tmp_path):
    path = tmp_path / "a.bin"
    write_with_header(path, 20240520, 1, 7, np.zeros(6, np.uint16))
    assert refused(open_nanogpt, str(path), "a.bin", dtype=None, eos_id=0) == (
        "a.bin: its header tells 7 tokens, but it holds 6; copy it again"
    )
    write_with_header(path, 20240520, 3, 6, np.zeros(6, np.uint16))
    assert refused(open_nanogpt, str(path), "a.bin", dtype=None, eos_id=0) == (
        "a.bin: version 3 of magic 20240520 is not known; expected 1"
    )
    assert refused(open_nanogpt, str(path), "a.bin", dtype=None, eos_id=None) == (
        "a.bin: flat token files are split at EOS, and its id is not known; pass --read.eos-id N"
    )


def test_an_empty_token_file_is_refused_for_it_has_no_document(tmp_path):
    (tmp_path / "a.bin").write_bytes(b"")
    with pytest.raises(InputError, match=r"^a\.bin: no document in it; give files that hold text or tokens$"):
        build_store([tmp_path / "a.bin"], tmp_path / "s", settings=SMALL, read=ReadSettings(eos_id=0))
