"""Tokenise and shuffle: from pages to shards, and what must not change them."""

import gzip
import io
import json
import os
import signal
import subprocess
import sys
import tarfile
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from dclm_bench.tokenization.contexts import assign_cells, cut_contexts
from dclm_bench.tokenization.dataset import tokenize_dataset
from dclm_bench.tokenization.shards import (
    Shard,
    context_length_of,
    member_names,
    pack_context,
    read_manifest,
    read_offsets,
    read_shard,
    unpack_context,
    write_shard,
)
from dclm_bench.tokenization.shuffle import ShuffledOrder
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError
from toolkit_shared.randomness import stream

LENGTH = 17


@pytest.fixture(scope="module")
def pages(tmp_path_factory):
    """Three files of pages, each page a text that occurs once."""
    folder = tmp_path_factory.mktemp("pages")
    random = stream(5, "pages")
    for file in range(3):
        lines = []
        for page in range(40 + file):
            text = f"{file}/{page}:" + "".join(
                map(chr, random.integers(97, 123, size=random.integers(0, 60)))
            )
            lines.append(json.dumps({"text": text, "url": f"http://x/{file}/{page}"}))
        (folder / f"part-{file}.jsonl").write_text("\n".join(lines) + "\n")
    return folder


def tokenize(pages, out, **changes):
    settings = {
        "tokenizer": "bytes",
        "context_length": LENGTH,
        "shard_contexts": 50,
        "num_cells": 8,
        "seed": 3,
    }
    return tokenize_dataset([pages], out, **{**settings, **changes})


def contexts_of(folder):
    return np.concatenate([read_shard(shard, context_length=LENGTH) for shard in read_manifest(folder)])


def texts_of(path):
    return [json.loads(line)["text"] for line in path.read_text().splitlines()]


def bytes_of(folder):
    """Every file but the reference, which has a UUID and a date."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir()) if path.name != "dataset.json"}


@given(st.lists(st.lists(st.integers(1, 250), max_size=30), max_size=12), st.integers(2, 9))
def test_cutting_loses_no_token_and_fills_only_the_last_context(documents, length):
    arrays = [np.array(document, np.uint32) for document in documents]
    blocks = list(cut_contexts(arrays, context_length=length, eot_id=0, pad_id=999))
    cut = np.concatenate([np.empty((0, length), np.uint32), *blocks])

    expected = [token for document in documents for token in [*document, 0]]
    assert cut.reshape(-1).tolist()[: len(expected)] == expected
    fill = cut.reshape(-1)[len(expected) :]
    assert len(fill) < length
    assert set(fill.tolist()) <= {999}


def test_the_tokens_of_every_page_are_in_the_shards_once(pages, tmp_path):
    report = tokenize(pages, tmp_path / "out")

    contexts = contexts_of(tmp_path / "out")
    texts = [texts_of(path) for path in sorted(pages.iterdir())]
    expected = Counter(byte + 1 for file in texts for text in file for byte in text.encode())
    expected[0] = sum(map(len, texts))  # one end of text after each
    counted = Counter(contexts.reshape(-1).tolist())
    pads = counted.pop(257)
    assert counted == expected
    assert (report.documents, report.tokens, report.pads) == (expected[0], sum(expected.values()), pads)
    per_file = [sum(len(text.encode()) + 1 for text in file) for file in texts]
    assert report.contexts == len(contexts) == sum(-(-tokens // LENGTH) for tokens in per_file)


def test_the_contexts_of_a_file_join_to_its_pages_again(pages, tmp_path):
    tokenize(pages / "part-1.jsonl", tmp_path / "out")
    contexts = {tuple(row) for row in contexts_of(tmp_path / "out").tolist()}

    texts = texts_of(pages / "part-1.jsonl")
    stream_of_file = [token for text in texts for token in [*(byte + 1 for byte in text.encode()), 0]]
    stream_of_file += [257] * (-len(stream_of_file) % LENGTH)
    expected = {tuple(stream_of_file[i : i + LENGTH]) for i in range(0, len(stream_of_file), LENGTH)}
    assert contexts == expected


def test_the_folder_has_the_official_names_and_fields(pages, tmp_path):
    report = tokenize(pages, tmp_path / "out", name="pages")

    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    shards = [name for name in names if name.endswith(".tar")]
    assert shards == [f"shard_{index:08d}.tar" for index in range(report.shards)]
    assert set(names) - set(shards) == {"manifest.json", "manifest.jsonl", "dataset.json"}
    lines = [json.loads(line) for line in (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()]
    assert [line["shard"] for line in lines] == [name.removesuffix(".tar") for name in shards]
    assert [line["num_sequences"] for line in lines[:-1]] == [50] * (len(lines) - 1)
    assert sum(line["num_sequences"] for line in lines) == report.contexts
    with tarfile.open(tmp_path / "out" / shards[0]) as archive:
        members = archive.getmembers()
    assert all(member.name.endswith(".json.gz") and len(member.name) == 36 + 8 for member in members)
    assert {(member.mtime, member.uid, member.gid, member.uname) for member in members} == {(0, 0, 0, "")}
    reference = json.loads((tmp_path / "out" / "dataset.json").read_text())
    assert (reference["name"], reference["num_tokens"]) == ("pages", report.tokens)


def test_neither_workers_nor_a_second_run_change_a_byte(pages, tmp_path):
    tokenize(pages, tmp_path / "one")
    tokenize(pages, tmp_path / "two", workers=2)
    again = tokenize(pages, tmp_path / "one")

    assert again.status == "complete"
    assert bytes_of(tmp_path / "one") == bytes_of(tmp_path / "two")
    tokenize(pages, tmp_path / "other", seed=4)
    assert (
        bytes_of(tmp_path / "other")["shard_00000000.tar"] != bytes_of(tmp_path / "one")["shard_00000000.tar"]
    )


KILLED = """
import os, signal, sys
import dclm_bench.tokenization.dataset as dataset
left = int(sys.argv[3])
def progress(done):
    global left
    left -= done
    if left == 0:
        os.kill(os.getpid(), signal.SIGKILL)
dataset.tokenize_dataset([sys.argv[1]], sys.argv[2], tokenizer="bytes", context_length=17, shard_contexts=50,
    num_cells=8, seed=3, progress=progress)
"""


@pytest.mark.parametrize("units", [2, 3, 5])
def test_a_killed_run_goes_on_to_the_same_bytes(pages, tmp_path, units):
    command = [sys.executable, "-c", KILLED, str(pages), str(tmp_path / "killed"), str(units)]
    done = subprocess.run(command, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "killed" / "manifest.json").exists()

    report = tokenize(pages, tmp_path / "killed")
    tokenize(pages, tmp_path / "whole")

    assert report.status == "resumed"
    assert bytes_of(tmp_path / "killed") == bytes_of(tmp_path / "whole")


def test_corrupt_records_are_counted_or_stop_a_strict_run(pages, tmp_path):
    bad = tmp_path / "bad.jsonl"
    bad.write_text('{"text": "a"}\n{"text": 3}\n{"te\n{"text": "b"}\n')

    report = tokenize(bad, tmp_path / "out")
    assert (report.documents, sum(report.lost.values())) == (2, 2)
    with pytest.raises(InputError, match="line 2"):
        tokenize(bad, tmp_path / "strict", strict=True)


def test_inputs_without_pages_leave_nothing_that_stands_in_the_way(pages, tmp_path):
    (tmp_path / "empty.jsonl").write_text('{"body": "a"}\n')
    with pytest.raises(InputError, match=r"no page in 1 files \(1 unusable records\); check --text-field"):
        tokenize(tmp_path / "empty.jsonl", tmp_path / "out")
    assert tokenize(tmp_path / "empty.jsonl", tmp_path / "out", text_field="body").documents == 1


def test_of_the_folder_of_a_run_only_the_pages_are_read(pages, tmp_path):
    for folder in ("pages", "audit"):
        (tmp_path / "run" / folder).mkdir(parents=True)
    (tmp_path / "run" / "pages" / "a.jsonl").write_text('{"text": "kept"}\n')
    (tmp_path / "run" / "audit" / "a.jsonl").write_text('{"text": "a verdict"}\n')
    assert tokenize(tmp_path / "run", tmp_path / "out").tokens == len("kept") + 1


def test_settings_that_cannot_be_meant_are_refused(pages, tmp_path):
    with pytest.raises(InputError, match="--context-length: 1 is below 2"):
        tokenize(pages, tmp_path / "out", context_length=1)
    with pytest.raises(InputError, match="--seed -1"):
        tokenize(pages, tmp_path / "out", seed=-1)


def test_the_order_is_a_permutation_in_which_cells_follow_each_other():
    cells = stream(1, "counts").integers(0, 9, size=(5, 7))
    order = ShuffledOrder(cells, seed=2)
    rows = order.rows(0, order.num_contexts)

    places = list(zip(rows.file.tolist(), rows.row.tolist(), strict=True))
    assert sorted(places) == [(file, row) for file in range(5) for row in range(cells[file].sum())]
    # the contexts of cell c of file f are the rows that its sorted file keeps for that cell
    cell_of = [int(np.searchsorted(np.cumsum(cells[file]), row, side="right")) for file, row in places]
    assert cell_of == sorted(cell_of)
    assert places != sorted(places)
    pieces = [order.rows(start, start + 10) for start in range(0, order.num_contexts, 10)]
    assert np.concatenate([piece.row for piece in pieces]).tolist() == rows.row.tolist()


def test_every_cell_is_as_likely_as_another():
    counts = np.bincount(assign_cells(80_000, num_cells=16, seed=1, file=0), minlength=16)
    # 5,000 expected, standard deviation 68
    assert np.abs(counts - 5000).max() < 4.5 * 68
    assert (
        assign_cells(5, num_cells=16, seed=1, file=0).tolist()
        != assign_cells(5, num_cells=16, seed=1, file=1).tolist()
    )


def test_a_packed_context_is_a_json_list_and_comes_back():
    ids = np.array([0, 50_256, 7], np.uint16)
    assert json.loads(gzip.decompress(pack_context(ids))) == [0, 50_256, 7]
    assert unpack_context(pack_context(ids), "x", context_length=3).tolist() == [0, 50_256, 7]
    assert len(set(member_names(50, seed=1, shard=0) + member_names(50, seed=1, shard=1))) == 100


def shard_of(folder, *members):
    path = folder / "shard_00000000.tar"
    with tarfile.open(path, "w") as archive:
        for name, data in members:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return Shard(path, len(members))


BOMB = b"[" + b"0," * 12_000_000 + b"0]"


@pytest.mark.parametrize(
    ("name", "data", "reason"),
    [
        ("../evil.json.gz", b"[1,2]", "no plain file within the archive; refused"),
        ("/evil.json.gz", b"[1,2]", "no plain file within the archive; refused"),
        ("a.py", b"[1,2]", "is no .json.gz context"),
        ("a.json", b"[1,2,3]", "3 tokens where a context has 2"),
        ("a.json", b"[1,2.5]", "no JSON list of whole numbers"),
        ("a.json", b"[1,-2]", "an id is negative"),
        ("a.json", b'{"a": 1}', "no JSON list of whole numbers"),
        ("a.json.gz", b"\x1f\x8bxxxx", "corrupt gzip data"),
        ("a.json.gz", pack_context(np.arange(2))[:-4], "is cut off or larger than any context"),
    ],
)
def test_a_hostile_or_broken_member_is_refused_and_named(tmp_path, name, data, reason):
    shard = shard_of(tmp_path, (name, data))
    with pytest.raises(InputError, match=reason) as caught:
        read_shard(shard, context_length=2)
    assert "shard_00000000.tar" in str(caught.value)


def test_what_unpacks_to_more_than_any_context_is_refused(tmp_path):
    shard = shard_of(tmp_path, ("a.json.gz", gzip.compress(BOMB, 1)))
    with pytest.raises(InputError, match="larger than any context"):
        read_shard(shard, context_length=2)


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"shard": "../x", "num_sequences": 1}', "outside the folder of the manifest; refused"),
        ('{"shard": "absent", "num_sequences": 1}', "absent.tar is missing"),
        ('{"shard": "shard_00000000"}', "no object with 'shard' and 'num_sequences'"),
        ('{"shard": "shard_00000000", "num_sequences": -1}', "with -1 sequences"),
        ("[", "no object with 'shard' and 'num_sequences'"),
    ],
)
def test_a_wrong_line_of_a_manifest_is_named(tmp_path, line, reason):
    shard_of(tmp_path, ("a.json", b"[1,2]"))
    (tmp_path / "manifest.jsonl").write_text(f'{{"shard": "shard_00000000", "num_sequences": 1}}\n{line}\n')
    with pytest.raises(InputError, match=reason) as caught:
        read_manifest(tmp_path)
    assert "line 2" in str(caught.value)


def test_a_shard_that_was_cut_off_or_has_another_number_is_refused(tmp_path):
    shard = shard_of(tmp_path, *((f"{i}.json", b"[1,2]") for i in range(3)))
    with pytest.raises(InputError, match="holds 3 contexts and the manifest says 2"):
        read_shard(Shard(shard.path, 2), context_length=2)
    assert context_length_of([shard]) == 2
    data = shard.path.read_bytes()
    shard.path.write_bytes(data[:1100])
    with pytest.raises(InputError, match=r"shard_00000000\.tar"):
        read_shard(shard, context_length=2)


def test_offsets_lead_to_the_packed_contexts(tmp_path):
    packed = [pack_context(np.array([i, i + 1])) for i in range(4)]
    write_shard(tmp_path / "a.tar", [(f"{i}.json.gz", data) for i, data in enumerate(packed)])
    data = Path(tmp_path / "a.tar").read_bytes()
    found = [data[offset : offset + size] for offset, size in read_offsets(tmp_path / "a.tar").tolist()]
    assert found == packed
