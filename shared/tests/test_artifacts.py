"""Files through crashes: whole or absent."""

import errno
import hashlib
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.artifacts import (
    atomic_path,
    claim_folder,
    fingerprint,
    read_json,
    require_place,
    sha256_file,
    write_bytes,
    write_json,
    write_text,
)
from toolkit_shared.errors import InputError


def names(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


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


def test_a_place_is_required_before_the_work_and_its_folders_are_made(tmp_path: Path) -> None:
    require_place(tmp_path / "a/b/c.json")
    assert (tmp_path / "a/b").is_dir()
    with pytest.raises(InputError, match="a/b: is a folder; name a file in it"):
        require_place(tmp_path / "a/b")


def test_a_file_in_place_of_a_parent_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")

    refused = r"x/y: cannot be made a folder \(not a directory\); choose another place$"
    with pytest.raises(InputError, match=refused):
        write_text(tmp_path / "x/y/z", "")
    with pytest.raises(InputError, match=refused):
        claim_folder(tmp_path / "x/y", kind="store", config={})


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


def test_killed_while_writing_leaves_the_old_file(
    tmp_path: Path, start_and_kill: Callable[..., None]
) -> None:
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
