"""Building a store: the same for any worker count and after any kill, indexed anew without tokenising."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from seqdecomp.build import build_store
from seqdecomp.cli import main
from seqdecomp.data.document_lengths import read_document_lengths
from seqdecomp.data.store import Store
from seqdecomp.data.tokenizer import train_bpe
from seqdecomp.settings import DecompositionSettings, ReadSettings
from seqdecomp.verify import verify_store
from toolkit_shared.errors import InputError

SMALL = DecompositionSettings(min_length=2, max_length=64)
RANDOM = DecompositionSettings(min_length=4, max_length=32, overflow="random", seed=3)


def folder_hashes(folder: Path) -> dict[str, str]:
    """Every file of a folder by its relative path, with its hash."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return {p.relative_to(folder).as_posix(): hashlib.sha256(p.read_bytes()).hexdigest() for p in files}


def corpus(folder: Path, *, lines: int = 3000) -> Path:
    """A folder with several units of what is tokenised: over 2 MiB of JSON lines, and small files."""
    generator = np.random.default_rng(0)
    folder.mkdir()
    with open(folder / "a.jsonl", "w") as stream:
        for number in range(lines):
            length = int(generator.lognormal(6, 1.2))
            stream.write(json.dumps({"text": f"{number} " + "lorem ipsum dolor " * (length // 18)}) + "\n")
            if number % 500 == 7:
                stream.write('{"text": \n')
    for number in range(50):
        (folder / f"note-{number}.txt").write_text(f"note {number}\n" * number)
    return folder


def refused(function, *args, **kwargs) -> str:
    with pytest.raises(InputError) as caught:
        function(*args, **kwargs)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@hypothesis_settings(max_examples=20)
@given(
    lengths=st.lists(st.integers(1, 300), min_size=1, max_size=30),
    tail=st.sampled_from(["drop", "anchor-end", "pad"]),
)
def test_each_token_is_in_the_store_once_and_each_sequence_in_one_document(tmp_path_factory, lengths, tail):
    folder = tmp_path_factory.mktemp("build")
    (folder / "a.jsonl").write_text("".join(f'{{"text": "{"x" * n}"}}\n' for n in lengths))
    report = build_store(
        [folder / "a.jsonl"],
        folder / "out",
        tokenizer="bytes",
        settings=DecompositionSettings(min_length=8, max_length=64, tail=tail),
    )
    assert report.tokens == sum(lengths) + len(lengths)
    audit = verify_store(folder / "out")
    assert audit.problems == ()
    assert audit.sequence_tokens + report.dropped_tokens == report.tokens
    assert report.eos_survival == 1.0 or tail == "drop" or min(lengths) < 7


def test_the_folder_is_byte_identical_for_any_number_of_workers(tmp_path):
    # The random overflow must not depend on which process cuts which document.
    source = corpus(tmp_path / "in")
    tokenizer = train_bpe(["lorem ipsum dolor note"], 280)
    folders = []
    for workers in (1, 2, 4):
        out = tmp_path / f"out-{workers}"
        report = build_store(
            [source],
            out,
            tokenizer=tokenizer,
            settings=RANDOM,
            read=ReadSettings(unit_mib=1),
            workers=workers,
        )
        folders.append(folder_hashes(out))
    assert len(Store.open(out).files) > 2
    assert folders[0] == folders[1] == folders[2]
    assert report.skipped_records == 6


@pytest.mark.parametrize(
    ("vocab_size", "dtype"), [(65_535, "uint16"), (65_536, "uint32"), (70_000, "uint32")]
)
def test_a_vocabulary_above_65535_takes_uint32(tmp_path, vocab_size, dtype):
    last = vocab_size - 1
    (tmp_path / "a.jsonl").write_text(json.dumps({"input_ids": [last, 1, 0]}))
    build_store(
        [tmp_path / "a.jsonl"], tmp_path / "out", read=ReadSettings(vocab_size=vocab_size), settings=SMALL
    )
    store = Store.open(tmp_path / "out")
    assert store.files[0].dtype == dtype
    assert store.document(0).tolist() == [last, 1, 0]


def test_ids_above_the_room_of_a_told_dtype_are_counted_not_wrapped(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"input_ids": [65536]}\n{"input_ids": [65535]}\n')
    report = build_store(
        [tmp_path / "a.jsonl"], tmp_path / "out", read=ReadSettings(dtype="uint16"), settings=SMALL
    )
    assert report.skipped_records == 1
    assert Store.open(tmp_path / "out").document(0).tolist() == [65_535]


@pytest.mark.parametrize("tail", ["drop", "anchor-end"])
def test_dropped_tails_take_eos_with_them_and_anchored_ends_keep_it(tmp_path, tail):
    # Documents of 300 to 309 tokens, pieces of 256: the tails of 44 to 53 hold every EOS.
    (tmp_path / "a.jsonl").write_text("".join(f'{{"text": "{"x" * (299 + n)}"}}\n' for n in range(10)))
    report = build_store(
        [tmp_path / "a.jsonl"],
        tmp_path / "out",
        tokenizer="bytes",
        settings=DecompositionSettings(min_length=256, max_length=256, tail=tail),
    )
    assert report.buckets == {256: 10}
    assert report.dropped_tokens == sum(44 + n for n in range(10))
    assert report.eos_survival == (0.0 if tail == "drop" else 1.0)


def test_a_strict_build_stops_and_the_same_without_strict_goes_on(tmp_path):
    source = corpus(tmp_path / "in", lines=30)
    options = {"tokenizer": "bytes", "settings": SMALL}
    message = refused(build_store, [source], tmp_path / "out", strict=True, **options)
    assert message.startswith("in/a.jsonl, line 9: no JSON")
    assert message.endswith("; mend the record or leave out --strict")
    assert build_store([source], tmp_path / "out", **options).skipped_records == 1
    assert refused(build_store, [source], tmp_path / "out", strict=True, **options) == message


def test_a_build_that_fails_at_once_leaves_the_folder_to_the_mended_command(tmp_path):
    np.array([1, 2, 0], np.uint16).tofile(tmp_path / "a.npy")
    assert "--read.eos-id" in refused(build_store, [tmp_path / "a.npy"], tmp_path / "out", settings=SMALL)
    assert list((tmp_path / "out").iterdir()) == []
    read = ReadSettings(eos_id=0, dtype="uint16")
    assert build_store([tmp_path / "a.npy"], tmp_path / "out", settings=SMALL, read=read).documents == 1


def test_an_input_that_changed_since_the_build_began_is_refused(tmp_path):
    (tmp_path / "a.txt").write_text("hello")
    build_store([tmp_path / "a.txt"], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    (tmp_path / "a.txt").write_text("hullo")
    message = refused(build_store, [tmp_path / "a.txt"], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    assert message.startswith(f"{tmp_path}/out: was made with other settings (inputs[0]")


@pytest.mark.slow
def test_ray_builds_the_same_bytes(tmp_path):
    source = corpus(tmp_path / "in", lines=600)
    options = {"tokenizer": "bytes", "settings": RANDOM, "read": ReadSettings(unit_mib=1)}
    build_store([source], tmp_path / "local", **options)
    build_store([source], tmp_path / "ray", workers=2, engine="ray", **options)
    assert folder_hashes(tmp_path / "ray") == folder_hashes(tmp_path / "local")


def test_an_existing_store_is_indexed_anew_without_tokenising(tmp_path):
    source = corpus(tmp_path / "in", lines=300)
    build_store([source], tmp_path / "old", tokenizer="bytes", settings=SMALL)
    other = DecompositionSettings(min_length=16, max_length=32, target="plus1", tail="pad")
    report = build_store([tmp_path / "old"], tmp_path / "new", settings=other)
    build_store([source], tmp_path / "direct", tokenizer="bytes", settings=other)

    new, direct = Store.open(tmp_path / "new"), Store.open(tmp_path / "direct")
    assert not (tmp_path / "new/tokens").exists()
    assert new.files[0].path == (tmp_path / "old/tokens/00000.bin").resolve()
    assert new.settings == direct.settings == other
    for length in direct.lengths:
        assert np.array_equal(new.bucket(length).starts, direct.bucket(length).starts)
    assert report.tokens == direct.tokens_total
    assert new.fingerprint == direct.fingerprint
    assert verify_store(tmp_path / "new").problems == ()
    # and once more, from a store that itself refers
    build_store([tmp_path / "new"], tmp_path / "newer", settings=SMALL)
    assert Store.open(tmp_path / "newer").fingerprint == Store.open(tmp_path / "old").fingerprint


def test_building_again_gives_the_report_of_the_finished_store(tmp_path):
    source = corpus(tmp_path / "in", lines=30)
    first = build_store([source], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    before = folder_hashes(tmp_path / "out")
    assert build_store([source], tmp_path / "out", tokenizer="bytes", settings=SMALL) == first
    assert folder_hashes(tmp_path / "out") == before


def test_building_again_spares_the_files_of_others_in_the_folder(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "abcdefg"}\n' * 3)
    settings = DecompositionSettings(min_length=2, max_length=8)
    for _ in range(2):
        build_store([tmp_path / "a.jsonl"], tmp_path / "s", tokenizer="bytes", settings=settings)
        (tmp_path / "s/units").mkdir(exist_ok=True)
        for name in ("README.md", "buckets/notes.txt", "units/00007.json"):
            (tmp_path / "s" / name).write_text("x")
    build_store([tmp_path / "a.jsonl"], tmp_path / "s", tokenizer="bytes", settings=settings)
    left = {path.name for path in (tmp_path / "s").rglob("*") if path.is_file()}
    assert {"README.md", "notes.txt"} <= left
    assert "00007.json" not in left  # a build's own


def test_another_configuration_is_refused_unless_overwritten(tmp_path):
    source = corpus(tmp_path / "in", lines=30)
    build_store([source], tmp_path / "out", tokenizer="bytes", settings=SMALL)
    message = refused(build_store, [source], tmp_path / "out", tokenizer="bytes", settings=RANDOM)
    assert "max_length" in message or "settings" in message
    build_store([source], tmp_path / "out", tokenizer="bytes", settings=RANDOM, overwrite=True)
    assert Store.open(tmp_path / "out").settings == RANDOM
    assert verify_store(tmp_path / "out").problems == ()


def test_no_path_of_a_tokenised_input_and_no_time_is_in_the_store(tmp_path):
    source = corpus(tmp_path / "in", lines=30)
    (tmp_path / "tokenizer.json").write_text(str(train_bpe(["lorem ipsum"], 260).to_json()))
    build_store([source], tmp_path / "out", tokenizer=tmp_path / "tokenizer.json", settings=SMALL)
    assert str(tmp_path) not in (tmp_path / "out/manifest.json").read_text()


def test_eos_must_be_in_the_vocabulary(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"input_ids": [1]}')
    read = ReadSettings(eos_id=10, vocab_size=10)
    assert refused(build_store, [tmp_path / "a.jsonl"], tmp_path / "out", read=read) == (
        "--read.eos-id: 10 is not below the 10 ids of the vocabulary; check both"
    )


def test_a_store_is_the_only_input_of_an_index(tmp_path):
    source = corpus(tmp_path / "in", lines=30)
    build_store([source], tmp_path / "old", tokenizer="bytes", settings=SMALL)
    assert refused(build_store, [tmp_path / "old", source], tmp_path / "new", tokenizer="bytes") == (
        f"{tmp_path}/old: a store is indexed anew only by itself; give it as the only input"
    )


def test_the_command_prints_totals_and_json(tmp_path, capsys, monkeypatch):
    source = corpus(tmp_path / "in", lines=30)
    arguments = [
        "build",
        str(source),
        "--out",
        str(tmp_path / "out"),
        "--tokenizer",
        "bytes",
        "--min-length",
        "4",
    ]
    monkeypatch.setattr(sys, "argv", ["seqdecomp", *arguments])
    assert main() == 0
    text = capsys.readouterr().out
    assert "corrupt records skipped: 1; empty records: 1" in text
    assert "in/a.jsonl" in text
    lengths = [int(line.split()[0].replace(",", "")) for line in text.splitlines()[3:15]]
    assert lengths == [2**i for i in range(2, 14)]
    monkeypatch.setattr(sys, "argv", ["seqdecomp", *arguments, "--json"])
    assert main() == 0
    document = json.loads(capsys.readouterr().out)
    assert document["documents"] == 79
    assert document["buckets"]["4"] > 0


def test_the_command_refuses_wrong_sources_in_one_line(tmp_path, capsys, monkeypatch):
    arguments = ["build", "--source", "web", "--out", str(tmp_path / "out"), "--tokenizer", "bytes"]
    monkeypatch.setattr(sys, "argv", ["seqdecomp", *arguments])
    assert main() == 2
    assert capsys.readouterr().err == (
        "seqdecomp build: error: --source: 'web' is not of the form NAME=PATH; "
        "write for example web=web.jsonl\n"
    )


BUILD = """
import sys
from seqdecomp.build import build_store
from seqdecomp.settings import DecompositionSettings, ReadSettings
build_store(
    [sys.argv[1]], sys.argv[2], tokenizer=sys.argv[3], workers=int(sys.argv[4]),
    read=ReadSettings(unit_mib=1),
    settings=DecompositionSettings(min_length=4, max_length=32, overflow="random", seed=3, tail="pad"),
)
"""


@pytest.mark.slow
@pytest.mark.parametrize("workers", [1, 2])
def test_a_build_killed_at_any_moment_resumes_to_the_same_bytes(tmp_path, workers):
    source = corpus(tmp_path / "in", lines=12_000)
    bpe = tmp_path / "tokenizer.json"
    bpe.write_text(str(train_bpe(["lorem ipsum dolor note"] * 3, 280).to_json()))

    def start(out: Path) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-c", BUILD, str(source), str(out), str(bpe), str(workers)],
            start_new_session=True,
        )

    begun = time.monotonic()
    assert start(tmp_path / "whole").wait() == 0
    seconds = time.monotonic() - begun
    expected = folder_hashes(tmp_path / "whole")

    interrupted = 0
    out = tmp_path / "killed"
    for attempt in range(30):
        process = start(out)
        try:
            # later and later, so that each attempt dies at another stage and the last ones may finish
            process.wait(timeout=seconds * (0.3 + 0.05 * attempt))
            break
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            interrupted += 1
            assert not (out / "manifest.json").exists() or folder_hashes(out).keys() >= expected.keys()
    assert interrupted >= 3
    assert start(out).wait() == 0
    assert folder_hashes(out) == expected


def test_inputs_of_which_nothing_can_be_read_are_refused_and_the_folder_stays_free(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"body": "one"}\n{"body": "two"}\n')
    wanted = (
        "a.jsonl, line 1: field 'text' is missing; no record can be used: name the field that "
        "holds the text or the ids with --text-field or --read.ids-field"
    )
    for read in (
        lambda: build_store([tmp_path / "a.jsonl"], tmp_path / "store", tokenizer="bytes"),
        lambda: read_document_lengths([tmp_path / "a.jsonl"], tokenizer="bytes"),
    ):
        with pytest.raises(InputError) as caught:
            read()
        assert str(caught.value) == wanted
    read = ReadSettings(text_field="body")
    assert (
        build_store([tmp_path / "a.jsonl"], tmp_path / "store", tokenizer="bytes", read=read).documents == 2
    )
