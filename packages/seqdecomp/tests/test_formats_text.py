"""Text and token lists in records: plain text, JSON lines, Parquet, Arrow; and how inputs are found."""

import gzip
import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from seqdecomp.build import build_store
from seqdecomp.data.document_lengths import read_document_lengths
from seqdecomp.data.formats.detect import find_inputs
from seqdecomp.data.formats.text import read_text
from seqdecomp.data.formats.units import Unit, byte_ranges
from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import ByteTokenizer
from seqdecomp.settings import DecompositionSettings, ReadSettings
from toolkit_shared.errors import InputError

SMALL = DecompositionSettings(min_length=2, max_length=8)


def texts_of(store: Store) -> list[str]:
    """The documents as text; each must end with EOS."""
    documents = [store.document(i).tolist() for i in range(len(store.document_lengths))]
    assert all(ids[-1] == 0 for ids in documents)
    return [ByteTokenizer().decode(ids[:-1]) for ids in documents]


def built(inputs: list[Path], out: Path, **read) -> Store:
    build_store(inputs, out, tokenizer="bytes", settings=SMALL, read=ReadSettings(**read))
    return Store.open(out)


def refused(function, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Plain text


def test_a_text_file_is_a_document_by_default(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"\xef\xbb\xbfone\n\ntwo\n")  # a byte order mark is no text
    (tmp_path / "b.py").write_text("x = 1\n")
    assert texts_of(built([tmp_path], tmp_path / "out")) == ["one\n\ntwo\n", "x = 1\n"]


@pytest.mark.parametrize(
    ("text_unit", "expected"),
    [("line", ["one", "two", "three"]), ("blank-line", ["one\ntwo", "three"])],
)
def test_lines_or_blocks_of_a_text_file_are_documents(tmp_path, text_unit, expected):
    (tmp_path / "a.txt").write_bytes(b"\n \none\r\ntwo\n\t\n\n\nthree")
    texts = texts_of(built([tmp_path / "a.txt"], tmp_path / "out", text_unit=text_unit))
    assert [text.replace("\r", "") for text in texts] == expected


@given(
    text=st.text(alphabet="ab \n", max_size=80),
    text_unit=st.sampled_from(["line", "blank-line"]),
    unit_bytes=st.integers(1, 30),
)
def test_any_cut_of_a_text_file_into_ranges_gives_the_same_documents(
    tmp_path_factory, text, text_unit, unit_bytes
):
    path = tmp_path_factory.mktemp("text") / "a.txt"
    path.write_bytes(text.encode())

    def documents(start: int, end: int | None) -> list[str]:
        unit = Unit(format="text", paths=(str(path),), names=("a",), source=0, start=start, end=end)
        return list(read_text(unit, text_unit, lambda place, reason: pytest.fail(reason)))

    pieces = [documents(a, b) for a, b in byte_ranges(len(text), unit_bytes)]
    assert [document for piece in pieces for document in piece] == documents(0, None)


def test_text_that_is_not_utf8_is_counted_and_skipped(tmp_path):
    (tmp_path / "a.txt").write_bytes(b"good\nb\xff\xfed\ngood again\n")
    report = build_store(
        [tmp_path / "a.txt"],
        tmp_path / "out",
        tokenizer="bytes",
        settings=SMALL,
        read=ReadSettings(text_unit="line"),
    )
    assert (report.documents, report.skipped_records) == (2, 1)
    assert list(report.examples) == [{"place": "a.txt, byte 5", "reason": "not UTF-8 at byte 1"}]


# JSON lines


def test_json_lines_plain_gzip_and_zstandard_give_the_same_documents(tmp_path):
    lines = "".join(json.dumps({"text": f"document {n}", "id": n}) + "\n" for n in range(20)).encode()
    (tmp_path / "a.jsonl").write_bytes(lines)
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.ZstdCompressor().compress(lines))
    (tmp_path / "d.json.gz").write_bytes(gzip.compress(lines))
    texts = texts_of(built([tmp_path], tmp_path / "out"))
    assert texts == [f"document {n}" for n in range(20)] * 4


def test_another_text_field_and_token_lists_are_read(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body": "ab"}\n{"input_ids": [5, 6, 0]}\n{"input_ids": [7]}\n')
    store = built([tmp_path / "a.jsonl"], tmp_path / "out", text_field="body")
    assert [store.document(i).tolist() for i in range(3)] == [[98, 99, 0], [5, 6, 0], [7]]
    store = built([tmp_path / "a.jsonl"], tmp_path / "appended", text_field="body", append_eos=True)
    assert [store.document(i).tolist() for i in range(3)] == [[98, 99, 0], [5, 6, 0], [7, 0]]


BAD_LINES = [
    ('{"text": 3}', "field 'text' is a number, not text"),
    ('{"text": null}', "field 'text' is null, not text"),
    ('{"body": "x"}', "field 'text' is missing"),
    ('{"input_ids": [1, "2"]}', "field 'input_ids' is not a list of whole numbers"),
    ('{"input_ids": [1, true]}', "field 'input_ids' is not a list of whole numbers"),
    ('{"input_ids": [99999999999999999999]}', "field 'input_ids' is not a list of whole numbers"),
    ('{"input_ids": [257]}', "id 257 is not within 0 and 256"),
    ('{"input_ids": [-1]}', "id -1 is not within 0 and 256"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES)
def test_a_corrupt_record_is_counted_with_its_place_and_skipped(tmp_path, line, reason):
    (tmp_path / "a.jsonl").write_text(f'{{"text": "ab"}}\n{line}\n{{"text": "cd"}}\n')
    report = build_store([tmp_path / "a.jsonl"], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    assert (report.documents, report.skipped_records) == (2, 1)
    assert report.examples[0]["reason"] == reason
    assert report.examples[0]["place"].startswith("a.jsonl, ")
    message = refused(
        build_store,
        [tmp_path / "a.jsonl"],
        tmp_path / "strict",
        tokenizer="bytes",
        settings=SMALL,
        strict=True,
    )
    assert message == f"{report.examples[0]['place']}: {reason}; mend the record or leave out --strict"


def test_broken_json_and_cut_off_gzip_are_counted_and_skipped(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "ab"}\n{"text": \n{"text": "cd"}\n')
    whole = gzip.compress(b"".join(b'{"text": "%d"}\n' % n for n in range(10_000)))
    (tmp_path / "b.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    report = build_store([tmp_path], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    assert report.skipped_records >= 2
    assert report.documents > 1000


def test_empty_records_are_counted_and_left_out(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": ""}\n{"text": "ab"}\n{"input_ids": []}\n')
    report = build_store([tmp_path / "a.jsonl"], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    assert (report.documents, report.empty_documents, report.skipped_records) == (1, 2, 0)


def test_text_without_a_tokenizer_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "ab"}\n')
    (tmp_path / "b.txt").write_text("ab")
    for name in ("a.jsonl", "b.txt"):
        assert refused(build_store, [tmp_path / name], tmp_path / "out") == (
            f"{name}: holds text, and there is no tokenizer; pass --tokenizer bytes|NAME|FILE"
        )


# Parquet and Arrow


def write_arrow_folder(folder: Path, table: pa.Table) -> None:
    """What save_to_disk of Hugging Face datasets writes: stream files and two JSON files."""
    folder.mkdir()
    (folder / "dataset_info.json").write_text("{}")
    (folder / "state.json").write_text(
        json.dumps({"_data_files": [{"filename": "data-00000-of-00002.arrow"}]})
    )
    half = table.num_rows // 2
    for number, part in enumerate((table.slice(0, half), table.slice(half))):
        with pa.ipc.new_stream(folder / f"data-{number:05d}-of-00002.arrow", table.schema) as writer:
            writer.write_table(part, max_chunksize=2)


TEXTS = ["one", "two", None, "four", "", "six"]
IDS = [[5, 6, 0], [7, 0], None, [8], [], [9, 9, 9, 0]]


@pytest.mark.parametrize("kind", ["parquet", "arrow-folder", "arrow-file"])
@pytest.mark.parametrize("string", [pa.string(), pa.large_string()])
def test_text_columns_are_read_and_nulls_counted(tmp_path, kind, string):
    table = pa.table({"id": list(range(6)), "text": pa.array(TEXTS, string)})
    path = tmp_path / "data"
    if kind == "parquet":
        path = tmp_path / "data.parquet"
        pq.write_table(table, path, row_group_size=2)
    elif kind == "arrow-folder":
        write_arrow_folder(path, table)
    else:
        path = tmp_path / "data.arrow"
        with pa.ipc.new_file(path, table.schema) as writer:
            writer.write_table(table)
    store = built([path], tmp_path / "out")
    assert texts_of(store) == ["one", "two", "four", "six"]
    assert store.manifest["skipped"]["records"] == 1
    assert store.manifest["skipped"]["empty_documents"] == 1
    assert store.manifest["skipped"]["examples"][0]["reason"] == "column 'text' is null"


@pytest.mark.parametrize("kind", [pa.list_(pa.int32()), pa.large_list(pa.int64()), pa.list_(pa.uint16())])
def test_columns_of_token_ids_are_read(tmp_path, kind):
    pq.write_table(pa.table({"input_ids": pa.array(IDS, kind)}), tmp_path / "a.parquet")
    store = built([tmp_path / "a.parquet"], tmp_path / "out")
    documents = [store.document(i).tolist() for i in range(len(store.document_lengths))]
    assert documents == [[5, 6, 0], [7, 0], [8], [9, 9, 9, 0]]


def test_row_groups_make_units_and_give_the_same_documents(tmp_path):
    rng = np.random.default_rng(0)
    ids = [rng.integers(1, 257, 5000).tolist() for _ in range(200)]
    pq.write_table(
        pa.table({"input_ids": ids}), tmp_path / "a.parquet", row_group_size=20, use_dictionary=False
    )
    store = built([tmp_path / "a.parquet"], tmp_path / "out", unit_mib=1)
    assert len(store.files) > 1
    assert [store.document(i).tolist() for i in range(200)] == ids


def test_missing_columns_and_wrong_files_are_refused(tmp_path):
    pq.write_table(pa.table({"txt": ["a"], "n": [1]}), tmp_path / "a.parquet")
    assert refused(built, [tmp_path / "a.parquet"], tmp_path / "out") == (
        "a.parquet: no column 'text' or 'input_ids' among txt, n; nearest: 'txt'; pass --text-field"
    )
    assert refused(built, [tmp_path / "a.parquet"], tmp_path / "out2", text_field="n") == (
        "a.parquet: column 'n' holds int64, neither text nor token ids; name another column"
    )
    for name, kind in (("b.parquet", "a Parquet"), ("b.arrow", "an Arrow")):
        (tmp_path / name).write_text("nothing of the kind")
        message = refused(built, [tmp_path / name], tmp_path / f"out-{name}")
        assert message.startswith(f"{name}: not {kind} file (")
        assert message.endswith("); check the file")


def test_what_map_leaves_beside_an_arrow_data_set_is_not_read(tmp_path):
    write_arrow_folder(tmp_path / "data", pa.table({"text": ["one", "two"]}))
    for name in ("cache-0123.arrow", "tmp.lock"):
        (tmp_path / "data" / name).write_bytes(b"whatever")
    assert texts_of(built([tmp_path / "data"], tmp_path / "out")) == ["one", "two"]


def test_an_arrow_data_set_that_is_a_selection_of_its_rows_is_refused(tmp_path):
    write_arrow_folder(tmp_path / "data", pa.table({"text": ["one", "two"]}))
    state = tmp_path / "data/state.json"
    state.write_text(json.dumps({"_indices_data_files": [{"filename": "indices.arrow"}]}))
    assert refused(built, [tmp_path / "data"], tmp_path / "out") == (
        f"{state}: the data set is a selection of the rows in its files; "
        "call flatten_indices() on it and save it again"
    )


# Finding inputs


def test_a_link_out_of_a_folder_is_followed(tmp_path):
    (tmp_path / "elsewhere.txt").write_text("text")
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/link.txt").symlink_to(tmp_path / "elsewhere.txt")
    assert [item.name for item in find_inputs([tmp_path / "folder"]).files] == ["folder/link.txt"]


def test_inputs_of_one_name_are_sources_of_their_own(tmp_path):
    for folder in ("a", "b"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "x.txt").write_text("text")
    paths = [str(tmp_path / "a/x.txt"), str(tmp_path / "b/x.txt")]
    assert find_inputs(paths).sources == tuple(paths)


def test_folders_and_globs_give_their_files_sorted_and_once(tmp_path):
    for name in ("b.txt", "a.jsonl", "sub/c.txt", ".hidden/d.txt", "x.idx", "info.json", "e.unknown"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    found = find_inputs([tmp_path, tmp_path / "b.txt", f"{tmp_path}/**/*.txt"])
    folder = tmp_path.name
    assert [item.name for item in found.files] == [
        f"{folder}/a.jsonl",
        f"{folder}/b.txt",
        f"{folder}/sub/c.txt",
    ]
    assert [item.format for item in found.files] == ["jsonl", "text", "text"]


def test_each_input_is_a_source_and_sources_may_be_named(tmp_path):
    for name in ("a.txt", "b.txt", "c.txt"):
        (tmp_path / name).write_text("hello")
    build_store(
        [tmp_path / "b.txt", tmp_path / "a.txt"],
        tmp_path / "out",
        tokenizer="bytes",
        sources={"code": tmp_path / "c.txt"},
        settings=SMALL,
    )
    store = Store.open(tmp_path / "out")
    assert store.sources == ["b.txt", "a.txt", "code"]
    assert store.document_sources.tolist() == [0, 1, 2]
    assert refused(
        build_store,
        [tmp_path / "a.txt"],
        tmp_path / "no",
        tokenizer="bytes",
        sources={"code": tmp_path / "a*"},
    ) == ("source code: all its files are inputs already; name other files, or drop it")


def test_inputs_that_cannot_be_used_are_refused(tmp_path):
    assert refused(find_inputs, []) == "inputs: none given; name at least one file, folder or glob"
    assert refused(find_inputs, [tmp_path / "no.txt"]) == (
        f"{tmp_path}/no.txt: no such file or folder; check the path"
    )
    assert (
        refused(find_inputs, [f"{tmp_path}/*.txt"])
        == f"{tmp_path}/*.txt: no file fits this pattern; check the path"
    )
    assert (
        refused(find_inputs, [tmp_path])
        == f"{tmp_path}: no input file in this folder; name files, or pass --format"
    )
    (tmp_path / "a.docx").write_text("x")
    assert refused(find_inputs, [tmp_path / "a.docx"]) == (
        "a.docx: the ending '.docx' is not known; pass --format with one of text, jsonl, parquet, arrow, "
        "olmo, megatron, datatrove, nanogpt, released"
    )
    assert [item.format for item in find_inputs([tmp_path / "a.docx"], format="text").files] == ["text"]
    assert refused(find_inputs, [tmp_path / "a.docx"], format="txt") == (
        "format: 'txt' is not one of auto, text, jsonl, parquet, arrow, olmo, megatron, datatrove, nanogpt, "
        "released; nearest: text"
    )


def test_a_store_among_other_inputs_is_refused(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "abc"}\n')
    build_store([tmp_path / "a.jsonl"], tmp_path / "s", tokenizer="bytes")
    line = f"{tmp_path}/s: a store cannot be one input of several; give it alone, or export it"
    assert refused(find_inputs, [tmp_path / "a.jsonl", tmp_path / "s"]) == line
    assert refused(find_inputs, [], sources={"web": tmp_path / "s"}) == line


# Lengths without a store


@pytest.mark.parametrize("workers", [1, 2])
def test_lengths_are_those_of_the_store_that_a_build_writes(tmp_path, workers):
    (tmp_path / "in").mkdir()
    (tmp_path / "in/a.jsonl").write_text(
        '{"text": "ab"}\n{"text": ""}\n[]\n{"input_ids": [300]}\n{"input_ids": [5]}\n'
    )
    (tmp_path / "in/b.txt").write_text("hello")
    np.array([1, 2, 0, 4], np.uint16).tofile(tmp_path / "in/c.npy")
    store = built([tmp_path / "in"], tmp_path / "out")
    lengths = read_document_lengths([tmp_path / "in"], tokenizer="bytes", workers=workers)
    assert lengths.lengths.tolist() == store.document_lengths.tolist() == [3, 1, 6, 3, 1]
    assert lengths.documents_without_eos == store.manifest["counts"]["documents_without_eos"] == 2
    assert (lengths.skipped_records, lengths.empty_documents) == (2, 1)
    assert lengths.sources.tolist() == store.document_sources.tolist()
    again = read_document_lengths([tmp_path / "out"])
    assert again.lengths.tolist() == lengths.lengths.tolist()
    assert again.examples == lengths.examples
