"""Files and folders through crashes: whole or absent, and never one run's work in another's."""

import errno
import hashlib
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.artifacts import (
    atomic_path,
    claim_folder,
    fingerprint,
    finish_folder,
    read_json,
    read_manifest,
    sha256_file,
    write_bytes,
    write_json,
    write_text,
)
from toolkit_shared.errors import InputError

CONFIG = {"settings": {"min_length": 256, "seed": 0}, "inputs": ["a.jsonl"]}


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


def claim(out: Path, config: object = CONFIG, kind: str = "store", **options: bool) -> str:
    return claim_folder(out, kind=kind, config=config, **options)  # type: ignore[arg-type]


def start_and_kill(program: str, *arguments: object) -> None:
    """Run a program until it prints `now`, then kill it as the out-of-memory killer does."""
    process = subprocess.Popen([sys.executable, "-c", program, *map(str, arguments)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"now\n"
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()


# files


def test_a_file_appears_whole_under_its_name_and_nothing_beside_it(tmp_path: Path) -> None:
    with atomic_path(tmp_path / "a" / "b.npy") as temporary:
        assert temporary.parent == tmp_path / "a"
        assert temporary.suffix == ".npy"  # numpy.save and others look at it
        temporary.write_bytes(b"half")
        assert not (tmp_path / "a" / "b.npy").exists()

    assert names(tmp_path) == ["a", "a/b.npy"]
    assert (tmp_path / "a" / "b.npy").read_bytes() == b"half"


def test_an_error_while_writing_keeps_the_old_file_and_removes_the_new(tmp_path: Path) -> None:
    write_text(tmp_path / "a", "old")

    def write_half() -> None:
        with atomic_path(tmp_path / "a") as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (tmp_path / "a").read_text() == "old"
    assert names(tmp_path) == ["a"]


def test_a_block_that_writes_nothing_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a"):
        pass


def test_a_folder_in_place_of_the_file_is_refused_before_anything_is_written(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match=f"^{re.escape(str(tmp_path))}: is a folder; name a file in it$"),
        atomic_path(tmp_path),
    ):
        raise AssertionError("nothing may be computed for it")


def test_a_file_in_place_of_a_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")

    refused = r"x/y: cannot be made a folder \(not a directory\); choose another place$"
    with pytest.raises(InputError, match=refused):
        write_text(tmp_path / "x/y/z", "")
    with pytest.raises(InputError, match=refused):
        claim(tmp_path / "x/y")


def test_a_full_disk_names_the_file_and_leaves_nothing(tmp_path: Path) -> None:
    def fill(path: Path) -> None:
        with atomic_path(path) as temporary:
            temporary.write_text("half")
            raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(OSError, match="No space left on device") as caught:
        fill(tmp_path / "x")

    assert caught.value.filename == str(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_a_very_long_name_can_be_written(tmp_path: Path) -> None:
    write_bytes(tmp_path / ("x" * 255), b"1")

    assert (tmp_path / ("x" * 255)).read_bytes() == b"1"


def test_the_contents_are_flushed_before_the_name_and_the_name_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []
    fsync, replace = os.fsync, os.replace
    monkeypatch.setattr(
        os,
        "fsync",
        lambda n: (calls.append("folder" if os.path.isdir(f"/proc/self/fd/{n}") else "file"), fsync(n)),
    )
    monkeypatch.setattr(os, "replace", lambda a, b: (calls.append("rename"), replace(a, b)))

    write_bytes(tmp_path / "a", b"1")

    assert calls == ["file", "rename", "folder"]


def test_killed_while_writing_leaves_the_old_file(tmp_path: Path) -> None:
    # given a file, and a process killed with half of its successor written
    write_text(tmp_path / "a", "old")
    program = """if True:
        import sys, time
        from toolkit_shared.artifacts import atomic_path
        with atomic_path(sys.argv[1]) as temporary, open(temporary, "wb") as stream:
            stream.write(b"new, but only half")
            stream.flush()
            print("now", flush=True)
            time.sleep(60)
    """
    start_and_kill(program, tmp_path / "a")

    # then the old one is there, and the half under a name of its own
    assert (tmp_path / "a").read_text() == "old"
    assert [bool(re.match(r"\.tmp-", name)) for name in names(tmp_path)] == [True, False]


def test_json_has_sorted_keys_and_a_last_newline(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"b": (1, 2), "a": Path("x") / "ä"})

    assert (tmp_path / "a.json").read_text() == '{\n "a": "x/ä",\n "b": [\n  1,\n  2\n ]\n}\n'
    assert read_json(tmp_path / "a.json") == {"a": "x/ä", "b": [1, 2]}


def test_json_refuses_nan_and_leaves_no_file(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", {"loss": float("nan")})

    assert names(tmp_path) == []


@pytest.mark.parametrize(
    ("data", "problem"),
    [
        (b'{"a": 1,}', "no JSON at line 1, column 9: Illegal trailing comma"),
        (b'{"a": NaN}', "no JSON: NaN is no JSON number"),
        (b"\xff", "no JSON: 'utf-8' codec can't decode byte 0xff"),
        (b"", "no JSON at line 1, column 1: Expecting value"),
        (b"[" * 200_000, "no JSON: maximum recursion depth exceeded"),
        (None, "no such file; check the path"),
    ],
)
def test_json_that_cannot_be_read_gives_one_line_with_the_file(
    tmp_path: Path, data: bytes | None, problem: str
) -> None:
    path = tmp_path / "a.json"
    if data is not None:
        path.write_bytes(data)
    if sys.version_info < (3, 13):
        problem = problem.replace("column 9: Illegal trailing comma", "column 9: Expecting property name")

    with pytest.raises(InputError) as caught:
        read_json(path)

    assert str(caught.value).startswith(f"{path}: {problem}")
    assert "\n" not in str(caught.value)


def test_sha256_of_a_file_is_that_of_its_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")

    # the example of FIPS 180-2, appendix B.1
    assert sha256_file(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_a_fingerprint_is_the_beginning_of_the_hash_of_canonical_json() -> None:
    expected = hashlib.sha256(b'{"a":[1,2.5],"b":"\\u00e4"}').hexdigest()[:16]

    assert fingerprint({"b": "ä", "a": (1, 2.5)}) == expected


@given(st.dictionaries(st.text(max_size=3), st.integers() | st.text(max_size=3)))
def test_a_fingerprint_does_not_depend_on_the_order_of_keys(value: dict[str, object]) -> None:
    assert fingerprint(value) == fingerprint(dict(reversed(value.items())))


def test_different_values_have_different_fingerprints() -> None:
    values = [{}, {"a": 1}, {"a": 2}, {"a": "1"}, {"a": None}, {"a": [1]}, {"b": 1}, [], ""]

    assert len({fingerprint(value) for value in values}) == len(values)


# folders


def test_a_folder_is_new_then_resumed_then_complete(tmp_path: Path) -> None:
    out = tmp_path / "runs" / "x"
    assert claim(out) == "new"
    assert read_json(out / "job.json") == {"kind": "store", "config": CONFIG}
    write_text(out / "part", "1")
    assert claim(out) == "resumed"
    assert names(out) == ["job.json", "part"]

    finish_folder(out, {"parts": 1})

    assert claim(out) == "complete"
    assert names(out) == ["manifest.json", "part"]
    assert read_manifest(out, "store") == {"kind": "store", "config": CONFIG, "parts": 1}


def test_tuples_paths_and_number_keys_of_a_configuration_are_the_same_when_read_back(tmp_path: Path) -> None:
    config = {"a": (1, (2,)), "b": Path("x"), "c": {1: 2}}
    claim(tmp_path / "x", config)

    assert claim(tmp_path / "x", config) == "resumed"


def test_a_folder_of_something_else_is_refused_and_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")

    for options in ({}, {"overwrite": True}):
        with pytest.raises(InputError, match="holds files of something else; choose an empty or new folder"):
            claim(tmp_path, **options)
    assert names(tmp_path) == ["thesis.tex"]


def test_another_projects_manifest_does_not_make_a_folder_ours(tmp_path: Path) -> None:
    write_json(tmp_path / "manifest.json", {"version": 3})

    with pytest.raises(InputError, match="holds files of something else"):
        claim(tmp_path, overwrite=True)
    with pytest.raises(InputError, match="holds something else, not a store"):
        read_manifest(tmp_path, "store")


def test_a_folder_of_another_kind_is_refused_even_to_overwrite(tmp_path: Path) -> None:
    claim(tmp_path / "x", kind="run")

    with pytest.raises(InputError, match=r"x: holds a run, not a store; choose another --out"):
        claim(tmp_path / "x", overwrite=True)


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")

    with pytest.raises(InputError, match="is a file, not a folder"):
        claim(tmp_path / "x")


@pytest.mark.parametrize(("finished", "word"), [(False, "begun"), (True, "made")])
def test_other_settings_are_refused_with_the_fields_that_differ(
    tmp_path: Path, finished: bool, word: str
) -> None:
    out = tmp_path / "x"
    claim(out)
    if finished:
        finish_folder(out, {})

    with pytest.raises(InputError) as caught:
        claim(out, {"settings": {"min_length": 512, "seed": 0}, "inputs": ["a.jsonl"], "strict": True})

    assert str(caught.value) == (
        f"{out}: was {word} with other settings (settings.min_length 256 there, 512 here; "
        "strict absent there, true here); choose another --out, or pass --overwrite"
    )


def test_of_many_differing_fields_the_first_are_named_and_the_others_counted(tmp_path: Path) -> None:
    claim(tmp_path / "x", {f"field{i}": 1 for i in range(10)})

    with pytest.raises(InputError, match=r"field5 1 there, 2 here; 4 more\)"):
        claim(tmp_path / "x", {f"field{i}": 2 for i in range(10)})


@pytest.mark.parametrize(("finished", "words"), [(False, "an unfinished store"), (True, "a finished store")])
def test_without_resume_earlier_work_is_refused(tmp_path: Path, finished: bool, words: str) -> None:
    claim(tmp_path / "x")
    if finished:
        finish_folder(tmp_path / "x", {})

    with pytest.raises(InputError, match=f"holds {words}; drop --no-resume to keep it, or pass --overwrite"):
        claim(tmp_path / "x", resume=False)


@pytest.mark.parametrize("finished", [False, True])
def test_overwrite_starts_anew_and_spares_what_links_lead_to(tmp_path: Path, finished: bool) -> None:
    # given a folder of other settings, in which links lead outside
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "kept").write_text("1")
    out = tmp_path / "x"
    claim(out, {"seed": 1})
    write_text(out / "deep" / "part", "1")
    (out / "link").symlink_to(tmp_path / "data")
    (out / "deep" / "link").symlink_to(tmp_path / "data")
    if finished:
        finish_folder(out, {})

    # when, then
    assert claim(out, overwrite=True) == "new"
    assert names(out) == ["job.json"]
    assert names(tmp_path / "data") == ["kept"]
    assert claim(out) == "resumed"


def test_an_overwrite_that_is_cut_off_goes_on_whatever_the_settings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # given a finished folder of which an overwrite deleted only a part
    out = tmp_path / "x"
    claim(out)
    write_text(out / "a", "1")
    write_text(out / "b", "1")
    finish_folder(out, {})
    unlink = Path.unlink

    def unlink_or_die(path: Path, missing_ok: bool = False) -> None:
        if path.name == "b":
            raise KeyboardInterrupt
        unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink_or_die)
        with pytest.raises(KeyboardInterrupt):
            claim(out, overwrite=True)
    assert "b" in names(out)

    # when the old settings come again, what is left of the old files is no beginning for them
    assert claim(out) == "new"
    assert names(out) == ["job.json"]


def test_killed_between_manifest_and_end_is_complete(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    write_json(out / "manifest.json", {"kind": "store", "config": CONFIG})

    assert claim(out) == "complete"
    assert names(out) == ["manifest.json"]


def test_killed_while_filling_is_cleaned_at_the_next_claim(tmp_path: Path) -> None:
    # given a run killed while it wrote its second file
    out = tmp_path / "x"
    program = """if True:
        import sys, time
        from pathlib import Path
        from toolkit_shared.artifacts import atomic_path, claim_folder, write_text
        out = Path(sys.argv[1])
        claim_folder(out, kind="store", config={"seed": 0})
        write_text(out / "tokens" / "0", "whole")
        with atomic_path(out / "tokens" / "1") as temporary:
            temporary.write_text("half")
            print("now", flush=True)
            time.sleep(60)
    """
    start_and_kill(program, out)
    assert len(names(out)) == 4

    # when it is run again
    assert claim(out, {"seed": 0}) == "resumed"

    # then only whole files are there
    assert names(out) == ["job.json", "tokens", "tokens/0"]


def test_killed_before_the_folder_says_what_it_is_for_is_claimed_as_new(tmp_path: Path) -> None:
    program = """if True:
        import sys, time, os
        from toolkit_shared.artifacts import claim_folder
        def stop(a, b):
            print("now", flush=True)
            time.sleep(60)
        os.replace = stop
        claim_folder(sys.argv[1], kind="store", config={"seed": 0})
    """
    start_and_kill(program, tmp_path / "x")
    assert len(names(tmp_path / "x")) == 1

    assert claim(tmp_path / "x") == "new"
    assert names(tmp_path / "x") == ["job.json"]


def test_a_claim_spares_what_a_living_process_writes(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    with atomic_path(out / "a") as temporary:
        temporary.write_text("1")
        claim(out)

    assert (out / "a").read_text() == "1"


def test_a_user_file_that_only_looks_temporary_is_kept(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    write_text(out / ".tmp-notes", "mine")

    assert claim(out) == "resumed"
    assert ".tmp-notes" in names(out)


def test_finishing_removes_what_other_machines_left_half_written(tmp_path: Path) -> None:
    out = tmp_path / "x"
    claim(out)
    (out / ".tmp-0123abcd-1-89abcdef-part").write_text("half")

    assert claim(out) == "resumed"  # it may still be written there
    assert len(names(out)) == 2
    finish_folder(out, {})

    assert names(out) == ["manifest.json"]


def test_only_a_claimed_folder_can_be_finished_and_only_as_what_it_was_claimed_for(tmp_path: Path) -> None:
    out = tmp_path / "x"
    with pytest.raises(ValueError, match="was not claimed"):
        finish_folder(out, {})
    claim(out)
    with pytest.raises(ValueError, match="the manifest's kind is not the one"):
        finish_folder(out, {"kind": "run"})
    with pytest.raises(ValueError, match="the manifest's config is not the one"):
        finish_folder(out, {"config": {}})
    finish_folder(out, {"kind": "store", "config": CONFIG})


def test_reading_an_unfinished_missing_or_unmarked_folder_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder; give the folder of a store"):
        read_manifest(tmp_path / "nowhere", "store")
    with pytest.raises(InputError, match=r"has no manifest\.json; give the folder of a store"):
        read_manifest(tmp_path, "store")
    claim(tmp_path / "x", kind="run")
    with pytest.raises(InputError, match="is unfinished; run the command that writes it once more"):
        read_manifest(tmp_path / "x", "store")
    finish_folder(tmp_path / "x", {})
    with pytest.raises(InputError, match="holds a run, not a store"):
        read_manifest(tmp_path / "x", "store")
