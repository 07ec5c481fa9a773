"""Exports: each format read back gives the same documents or sequences; the released layout to the byte."""

import hashlib
import io
import json
import sys
import tarfile
from pathlib import Path

import numpy as np
import pytest
from seqdecomp.build import build_store
from seqdecomp.cli import main
from seqdecomp.data.formats.released import parse_literal, shard_sequences, write_literal
from seqdecomp.data.store import Store
from seqdecomp.exporting import export_store, source_folders
from seqdecomp.settings import DecompositionSettings, ReadSettings
from toolkit_shared.errors import InputError

SMALL = DecompositionSettings(min_length=2, max_length=16)
DOCUMENT_FORMATS = ["olmo", "megatron", "datatrove", "nanogpt", "parquet", "jsonl"]


def documents_of(store: Store) -> list[list[int]]:
    return [store.document(index).tolist() for index in range(len(store.document_lengths))]


def sequences_of(store: Store) -> dict[int, list[list[int]]]:
    extra = store.settings.target == "plus1"
    return {n: store.gather(store.bucket(n).starts, n + extra).tolist() for n in store.lengths}


def make_store(folder: Path, *, settings=SMALL, vocab_size=1000, files=2) -> Store:
    """A store of `files` sources, each with documents of 1 to 40 tokens that end with EOS 0."""
    generator = np.random.default_rng(1)
    inputs = []
    for number in range(files):
        ids = [[*generator.integers(1, vocab_size, n).tolist(), 0] for n in range(40)]
        path = folder / f"source-{number}.jsonl"
        path.write_text("".join(json.dumps({"input_ids": d}) + "\n" for d in ids))
        inputs.append(path)
    read = ReadSettings(vocab_size=vocab_size, eos_id=0)
    build_store(inputs, folder / "store", settings=settings, read=read)
    return Store.open(folder / "store")


def refused(function, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize("vocab_size", [1000, 70_000])
@pytest.mark.parametrize("format", DOCUMENT_FORMATS)
def test_documents_survive_the_round_trip_through_each_format(tmp_path, format, vocab_size):
    store = make_store(tmp_path, vocab_size=vocab_size)
    report = export_store(tmp_path / "store", tmp_path / "out", format=format, file_tokens=500)
    assert (report.items, report.tokens) == (80, store.tokens_total)
    assert len([name for name in report.files if name.startswith("source-0.jsonl/")]) > 1  # cut at 500 tokens

    read = ReadSettings(eos_id=0, vocab_size=vocab_size)
    for number in range(2):
        folder = tmp_path / f"out/source-{number}.jsonl"
        build_store([folder], tmp_path / f"back-{number}", settings=SMALL, read=read)
    back = [
        document for number in range(2) for document in documents_of(Store.open(tmp_path / f"back-{number}"))
    ]
    assert back == documents_of(store)


@pytest.mark.parametrize("format", ["released", *DOCUMENT_FORMATS])
def test_exports_are_byte_identical_for_any_workers_and_when_repeated(tmp_path, format):
    make_store(tmp_path)
    hashes = []
    for number, workers in enumerate((1, 2)):
        out = tmp_path / f"out-{number}"
        export_store(tmp_path / "store", out, format=format, file_tokens=300, workers=workers)
        files = sorted(p for p in out.rglob("*") if p.is_file())
        hashes.append([(p.relative_to(out), hashlib.sha256(p.read_bytes()).hexdigest()) for p in files])
    assert hashes[0] == hashes[1]


@pytest.mark.parametrize("format", ["olmo", "nanogpt"])
def test_documents_that_eos_would_cut_elsewhere_are_refused(tmp_path, format):
    (tmp_path / "a.jsonl").write_text('{"input_ids": [1, 0]}\n{"input_ids": [1, 0, 2, 0]}\n')
    build_store([tmp_path / "a.jsonl"], tmp_path / "s", settings=SMALL, read=ReadSettings(eos_id=0))
    assert refused(export_store, tmp_path / "s", tmp_path / "out", format=format) == (
        f"{tmp_path}/s: document 1 does not hold EOS (0) at its end and nowhere else, so that {format} would "
        "cut it elsewhere; export to megatron, datatrove, parquet or jsonl"
    )
    assert not (tmp_path / "out").exists()
    build_store([tmp_path / "a.jsonl"], tmp_path / "t", settings=SMALL)
    assert refused(export_store, tmp_path / "t", tmp_path / "out", format=format) == (
        f"{tmp_path}/t: EOS is not known, and {format} files have no other boundaries; "
        "export to megatron, datatrove, parquet or jsonl"
    )


# The released layout


def test_a_shard_of_the_released_layout_holds_2_to_the_20_tokens_at_most_65536_sequences():
    assert [shard_sequences(1 << i) for i in (8, 13)] == [4096, 128]  # as released
    assert [shard_sequences(1 << i) for i in (0, 3, 4, 5)] == [65_536, 65_536, 65_536, 32_768]


def test_the_released_layout_is_written_to_the_letter(tmp_path):
    (tmp_path / "a.jsonl").write_text(
        '{"input_ids": [5, 6, 7, 0]}\n{"input_ids": [8, 0]}\n{"input_ids": [9, 9]}\n'
    )
    settings = DecompositionSettings(min_length=2, max_length=4)
    build_store([tmp_path / "a.jsonl"], tmp_path / "s", settings=settings, read=ReadSettings(eos_id=0))
    report = export_store(tmp_path / "s", tmp_path / "out", format="released", seed=None)
    assert report.files == (
        "D_1/manifest.jsonl",
        "D_1/shard-0000000.tar",
        "D_2/manifest.jsonl",
        "D_2/shard-0000000.tar",
    )
    assert (
        tmp_path / "out/D_1/manifest.jsonl"
    ).read_text() == '{"shard": "shard-0000000", "num_sequences": 2}\n'
    with tarfile.open(tmp_path / "out/D_1/shard-0000000.tar") as archive:
        members = {member.name: archive.extractfile(member).read() for member in archive}
        assert {(m.mtime, m.uid, m.uname) for m in archive} == {(0, 0, "")}
    assert members == {"000000000000.txt": b"[8, '<|endoftext|>']", "000000000001.txt": b"[9, 9]"}


@pytest.mark.parametrize("target", ["exact", "plus1"])
@pytest.mark.parametrize("seed", [None, 0])
def test_sequences_survive_the_round_trip_through_the_released_layout(tmp_path, target, seed):
    settings = DecompositionSettings(min_length=2, max_length=16, target=target)
    store = make_store(tmp_path, settings=settings)
    report = export_store(tmp_path / "store", tmp_path / "out", format="released", seed=seed)
    assert report.items == sum(len(store.bucket(length).starts) for length in store.lengths)

    build_store([tmp_path / "out"], tmp_path / "back", settings=settings, read=ReadSettings(eos_id=0))
    back = sequences_of(Store.open(tmp_path / "back"))
    for length, rows in sequences_of(store).items():
        assert len(rows) > 0
        assert sorted(back[length]) == sorted(rows)
        assert (back[length] == rows) == (seed is None)


def test_keys_go_on_over_the_shards_of_a_bucket_and_the_last_shard_may_be_partial(tmp_path, monkeypatch):
    monkeypatch.setattr("seqdecomp.exporting.shard_sequences", lambda length: 30)
    store = make_store(tmp_path, settings=DecompositionSettings(min_length=16, max_length=16))
    count = len(store.bucket(16).starts)
    assert count % 30
    export_store(tmp_path / "store", tmp_path / "out", format="released")
    lines = (tmp_path / "out/D_4/manifest.jsonl").read_text().splitlines()
    counts = [json.loads(line)["num_sequences"] for line in lines]
    assert sum(counts) == count
    assert counts[-1] == count % 30
    keys = []
    for shard in sorted((tmp_path / "out/D_4").glob("*.tar")):
        with tarfile.open(shard) as archive:
            keys += archive.getnames()
    assert keys == [f"{i:012d}.txt" for i in range(count)]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"[1, 2, '<|endoftext|>']", [1, 2, 0]),
        (b' [1,"<|endoftext|>"]\n', [1, 0]),
        (b"[]", []),
        (b"[1, 'x']", None),
        (b"__import__('os').system('true')", None),
        (b"[1, [2]]", None),
        (b"[1, -2]", None),
        (b"[1, 2", None),
        (b"[1 2]", None),
        (b"[1,, 2]", None),
        (b"[99999999999999999999]", None),
        (b"[1.5]", None),
        (b"[True]", None),
    ],
)
def test_a_literal_is_parsed_by_its_few_allowed_characters(data, expected):
    parsed = parse_literal(data, 0)
    assert (None if parsed is None else parsed.tolist()) == expected


def test_a_written_literal_is_what_python_prints():
    assert write_literal([1, 0, 22], 0) == repr([1, "<|endoftext|>", 22]).encode()
    assert write_literal([1, 0, 22], None) == b"[1, 0, 22]"


def tar_of(path: Path, *members: tuple[str, bytes, dict]) -> Path:
    with tarfile.open(path, "w") as archive:
        for name, data, fields in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            for field, value in fields.items():
                setattr(info, field, value)
            archive.addfile(info, io.BytesIO(data))
    return path


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (("../000.txt", b"[1]", {}), "member '../000.txt' points outside the archive; do not use this file"),
        (
            ("/etc/000.txt", b"[1]", {}),
            "member '/etc/000.txt' points outside the archive; do not use this file",
        ),
        (
            ("a\\..\\0.txt", b"[1]", {}),
            "member 'a\\\\..\\\\0.txt' points outside the archive; do not use this file",
        ),
        (
            ("0.txt", b"", {"type": tarfile.SYMTYPE, "linkname": "/etc/passwd"}),
            "member '0.txt' is a link, folder or special file; write the shard again",
        ),
        (
            ("0.txt", b"", {"type": tarfile.FIFOTYPE}),
            "member '0.txt' is a link, folder or special file; write the shard again",
        ),
    ],
)
def test_hostile_tar_members_are_refused(tmp_path, member, problem):
    tar_of(tmp_path / "a.tar", ("1.txt", b"[1, 2]", {}), member)
    message = refused(
        build_store, [tmp_path / "a.tar"], tmp_path / "out", settings=SMALL, read=ReadSettings(eos_id=0)
    )
    assert message == f"a.tar: {problem}"


def test_a_huge_tar_member_is_refused_unread(tmp_path):
    path = tar_of(tmp_path / "a.tar", ("1.txt", b"[1, 2]", {}))
    info = tarfile.TarInfo("2.txt")
    info.size = 1 << 40
    data = path.read_bytes()[:1024] + info.tobuf() + bytes(1024)
    path.write_bytes(data)
    message = refused(build_store, [path], tmp_path / "out", settings=SMALL, read=ReadSettings(eos_id=0))
    assert message == "a.tar: member '2.txt' has 1099511627776 bytes, above 16777216; check the file"


def test_broken_members_and_a_cut_off_archive_are_counted_and_skipped(tmp_path):
    path = tar_of(
        tmp_path / "a.tar",
        ("1.txt", b"[1, 2]", {}),
        ("2.txt", b"[1, oops]", {}),
        ("3.json", b"{}", {}),
        ("4.txt", b"[3, 4]", {}),
        ("5.txt", b"[5, 6]" * 200, {}),
    )
    path.write_bytes(path.read_bytes()[: 512 * 9 + 600])
    report = build_store([path], tmp_path / "out", settings=SMALL, read=ReadSettings(eos_id=0))
    assert (report.documents, report.skipped_records) == (2, 3)
    assert [example["place"] for example in report.examples] == [
        "a.tar: member '2.txt'",
        "a.tar: member '3.json'",
        "a.tar",
    ]


def test_a_shard_with_fewer_members_than_its_manifest_tells_is_reported(tmp_path):
    tar_of(tmp_path / "shard-0000000.tar", ("1.txt", b"[1, 2]", {}))
    (tmp_path / "manifest.jsonl").write_text('{"shard": "shard-0000000", "num_sequences": 2}\n')
    report = build_store([tmp_path], tmp_path / "out", settings=SMALL, read=ReadSettings(eos_id=0))
    assert report.documents == 1
    assert report.examples[0]["reason"] == "holds 1 members, but manifest.jsonl beside it tells 2"


def test_sources_become_folders_that_are_plain_names(tmp_path):
    assert source_folders(["../x"]) == [""]
    assert source_folders(["../x/y.jsonl", "/etc", "web"]) == ["_x_y.jsonl/", "_etc/", "web/"]
    assert source_folders(["a b", "a/b", ".."]) == ["a_b-0/", "a_b-1/", "source/"]


def test_the_released_layout_needs_the_id_of_eos(tmp_path):
    path = tar_of(tmp_path / "a.tar", ("1.txt", b"[1, 2]", {}))
    assert refused(build_store, [path], tmp_path / "out") == (
        "a.tar: holds EOS as text, and its id is not known; pass --read.eos-id N"
    )
    (tmp_path / "b.tar").write_bytes(b"no tar at all" * 100)
    message = refused(build_store, [tmp_path / "b.tar"], tmp_path / "out2", read=ReadSettings(eos_id=0))
    assert message.startswith("b.tar: not an uncompressed tar (")


def test_the_command_writes_and_refuses(tmp_path, capsys, monkeypatch):
    make_store(tmp_path)
    arguments = ["export", str(tmp_path / "store"), "--out", str(tmp_path / "out")]
    monkeypatch.setattr(sys, "argv", ["seqdecomp", *arguments, "--format", "megatron", "--json"])
    assert main() == 0
    document = json.loads(capsys.readouterr().out)
    assert document["items"] == 80
    assert "source-0.jsonl/part-00000.bin" in document["files"]
    monkeypatch.setattr(sys, "argv", ["seqdecomp", *arguments, "--format", "csv"])
    assert main() == 2
    assert "csv" in capsys.readouterr().err
    monkeypatch.setattr(sys, "argv", ["seqdecomp", *arguments, "--format", "olmo", "--seed", "-1"])
    assert main() == 2
    assert capsys.readouterr().err == "seqdecomp export: error: --seed: -1 is too small; give 0 or more\n"
