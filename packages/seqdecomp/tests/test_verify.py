"""The audit finds each kind of damage, says where, and exits with 1."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from seqdecomp.build import build_store
from seqdecomp.cli import main
from seqdecomp.data.fingerprints import hash_file
from seqdecomp.data.store_manifest import store_fingerprint
from seqdecomp.settings import DecompositionSettings, ReadSettings
from seqdecomp.verify import verify_store
from toolkit_shared.errors import InputError


@pytest.fixture
def store(tmp_path) -> Path:
    """Ten documents of 1 to 91 tokens with EOS, and two referenced ones."""
    lines = "".join(f'{{"text": "{"x" * (10 * n)}"}}\n' for n in range(1, 10))
    (tmp_path / "a.jsonl").write_text(lines)
    np.arange(1, 41, dtype=np.uint16).tofile(tmp_path / "b.ds")
    np.array([25, 40], "<u8").tofile(tmp_path / "b.ds.index")
    build_store(
        [tmp_path / "a.jsonl", tmp_path / "b.ds"],
        tmp_path / "store",
        tokenizer="bytes",
        settings=DecompositionSettings(min_length=4, max_length=16),
    )
    return tmp_path / "store"


def reseal(store: Path) -> None:
    """Make every recorded hash fit the damaged files, so that only the deeper checks can find the damage."""
    path = store / "manifest.json"
    manifest = json.loads(path.read_text())
    for entry in manifest["files"]:
        entry["documents_hash"] = hash_file(store / entry["documents_path"])
        if not entry["referenced"]:
            entry["hash"] = hash_file(store / entry["path"])
    for entry in manifest["buckets"].values():
        entry["hash"] = hash_file(store / entry["path"])
    manifest["fingerprint"] = store_fingerprint(manifest)
    path.write_text(json.dumps(manifest))


def change(path: Path, function) -> None:
    np.save(path, function(np.load(path)))


def test_a_sound_store_has_no_problem_and_exact_counts(store):
    audit = verify_store(store)
    assert audit.problems == ()
    # 9 documents of 11, 21, ..., 91 tokens and two of 25 and 15
    assert (audit.documents, audit.tokens) == (11, 459 + 40)
    # dropped: the length modulo 4 of each document
    dropped = sum((10 * n + 1) % 4 for n in range(1, 10)) + 25 % 4 + 15 % 4
    assert audit.sequence_tokens == 499 - dropped
    # kept ends: lengths that are a multiple of 4: none
    assert audit.eos_survival == 0.0


def test_a_changed_byte_in_any_file_is_found(store):
    names = [p.relative_to(store).as_posix() for p in store.rglob("*") if p.is_file()]
    assert "buckets/16.npy" in names
    for name in sorted(set(names) - {"manifest.json"}):
        data = (store / name).read_bytes()
        (store / name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
        assert verify_store(store).problems == (f"{name}: contents differ from their recorded hash",)
        (store / name).write_bytes(data)
    assert verify_store(store).problems == ()


def test_a_changed_referenced_file_is_found(store):
    path = (store.parent / "b.ds").resolve()
    path.write_bytes(path.read_bytes()[:-1] + b"\xff")
    assert verify_store(store).problems == (f"{path}: contents differ from their recorded hash",)
    path.unlink()
    assert verify_store(store).problems == (
        f"{path}: this token file of the store {store} is missing; put it back",
    )


def test_a_missing_bucket_is_found(store):
    (store / "buckets/8.npy").unlink()
    assert verify_store(store).problems == ("buckets/8.npy: missing",)


def test_a_token_in_two_sequences_is_found(store):
    # document 1 holds 21 tokens from 11 on: 16 from 11, 4 from 27; let the 4 begin one token early
    change(store / "buckets/4.npy", lambda starts: np.where(starts == 27, 26, starts))
    reseal(store)
    problems = verify_store(store).problems
    assert "buckets: token 26 is in two sequences (1 overlapping sequences)" in problems


def test_a_sequence_across_documents_is_found(store):
    change(store / "buckets/16.npy", lambda starts: np.concatenate([[0], starts[1:]]))
    reseal(store)
    problems = verify_store(store).problems
    assert "buckets/16.npy: sequence 0 at token 0 leaves its document (1 such sequences)" in problems


def test_starts_out_of_order_are_found(store):
    change(store / "buckets/16.npy", lambda starts: starts[::-1])
    reseal(store)
    assert "buckets/16.npy: starts do not ascend at sequence 1" in verify_store(store).problems


def test_a_lost_sequence_is_found_by_its_counts(store):
    recorded = json.loads((store / "manifest.json").read_text())["buckets"]["16"]["sequences"]
    change(store / "buckets/16.npy", lambda starts: starts[1:])
    reseal(store)
    assert verify_store(store).problems == (
        f"{store}/buckets/16.npy: damaged (is not the row of {recorded} whole numbers that the manifest "
        "tells); restore it or build the store again",
    )


def test_counts_that_are_not_those_of_the_arrays_are_found(store):
    path = store / "manifest.json"
    manifest = json.loads(path.read_text())
    manifest["counts"]["dropped_tokens"] += 1
    manifest["buckets"]["16"]["tokens"] -= 1
    path.write_text(json.dumps(manifest))
    reseal(store)
    dropped, tokens = manifest["counts"]["dropped_tokens"], manifest["buckets"]["16"]["tokens"]
    assert verify_store(store).problems == (
        f"manifest.json: counts.dropped_tokens is {dropped}, but {dropped - 1} are there",
        f"manifest.json: buckets.16.tokens is {tokens}, but {tokens + 1} are there",
    )


def test_sequences_that_the_settings_would_not_cut_are_found(store):
    # the pieces of 8 and 4 of the document of 15 tokens at 459 + 25 moved by one token: still disjoint,
    # inside, and as many
    for length in (8, 4):
        change(store / f"buckets/{length}.npy", lambda starts: np.where(starts >= 484, starts + 1, starts))
    reseal(store)
    assert verify_store(store).problems == (
        "buckets/4.npy: is not what the recorded settings give",
        "buckets/8.npy: is not what the recorded settings give",
    )


def test_boundaries_that_do_not_fit_are_found(store):
    change(store / "documents/00000.npy", lambda boundaries: boundaries + 1)
    reseal(store)
    assert verify_store(store).problems == (
        f"{store}/documents/00000.npy: damaged (leaves the 459 tokens of its file); "
        "restore it or build the store again",
    )


def test_ids_outside_the_vocabulary_are_found(tmp_path):
    np.array([1, 2, 300, 0], np.uint16).tofile(tmp_path / "a.npy")
    build_store(
        [tmp_path / "a.npy"],
        tmp_path / "s",
        read=ReadSettings(eos_id=0, vocab_size=257),
        settings=DecompositionSettings(min_length=2, max_length=4),
    )
    problems = verify_store(tmp_path / "s").problems
    assert problems == (f"{tmp_path.resolve()}/a.npy: id 300 is not in a vocabulary of 257",)


def test_the_command_exits_with_1_on_problems_and_0_without(store, capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["seqdecomp", "verify", str(store), "--json"])
    assert main() == 0
    assert json.loads(capsys.readouterr().out)["problems"] == []
    (store / "buckets/8.npy").unlink()
    assert main() == 1
    assert json.loads(capsys.readouterr().out)["problems"] == ["buckets/8.npy: missing"]
    monkeypatch.setattr(sys, "argv", ["seqdecomp", "verify", str(store)])
    assert main() == 1
    assert capsys.readouterr().out == f"{store}: 1 problem\n  buckets/8.npy: missing\n"


def test_a_folder_without_a_store_is_bad_input(tmp_path, capsys, monkeypatch):
    with pytest.raises(InputError):
        verify_store(tmp_path)
    monkeypatch.setattr(sys, "argv", ["seqdecomp", "verify", str(tmp_path)])
    assert main() == 2
    assert capsys.readouterr().err == (
        f"seqdecomp verify: error: {tmp_path}: no store here (manifest.json is missing); "
        "make one with seqdecomp build\n"
    )
