"""Shards against `tarfile`, on which webdataset stands, and against archives that mean harm."""

import contextlib
import io
import re
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord
from toolkit_shared.shards import (
    TarWriter,
    expand_shards,
    index_samples,
    index_tar,
    read_member,
    read_members,
    read_samples,
    split_name,
)

# The pattern of webdataset 1.0, `tariterators.base_plus_ext`, as a fact about its files.
WEBDATASET_NAME = r"^((?:.*/|)[^.]+)[.]([^/]*)$"
DATA = {"jpg": b"\xff\xd8" + bytes(700), "json": b"{}", "seg.png": b""}


def archive(path: Path, *files: tuple[str, bytes] | tarfile.TarInfo, kind: int = tarfile.PAX_FORMAT) -> Path:
    """A tar file as Python writes it, of files and of bare headers."""
    with tarfile.open(path, "w", format=kind) as tar:
        for file in files:
            if isinstance(file, tarfile.TarInfo):
                tar.addfile(file)
            else:
                info = tarfile.TarInfo(file[0])
                info.size = len(file[1])
                tar.addfile(info, io.BytesIO(file[1]))
    return path


def header(name: str, kind: bytes, target: str = "") -> tarfile.TarInfo:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info


def read(path: Path, **options: Any) -> tuple[list[tuple[str, dict[str, bytes]]], list[str]]:
    """The samples, and what was said of everything else."""
    bad: list[BadRecord] = []
    samples = [(sample.key, sample.members) for sample in read_samples(path, on_bad=bad.append, **options)]
    return samples, [f"{entry.place}: {entry.reason}" for entry in bad]


def test_samples_come_back_as_they_were_written(tmp_path: Path) -> None:
    samples = [("b/1", DATA), ("a", {"txt": b"x" * 512}), ("ü" * 90, {"txt": b"long name"})]
    with TarWriter(tmp_path / "a.tar") as shard:
        for key, members in samples:
            shard.write(key, members)

    assert read(tmp_path / "a.tar") == (samples, [])
    assert shard.num_samples == 3
    assert shard.num_bytes == (tmp_path / "a.tar").stat().st_size


def test_the_bytes_are_those_of_tarfile(tmp_path: Path) -> None:
    names = ["a.txt", "n" * 99 + ".t", "d/" * 80 + "e.txt", "ü" * 100 + ".x"]
    with TarWriter(tmp_path / "ours.tar") as shard:
        for name in names:
            shard.write_member(name, name.encode())

    theirs = archive(tmp_path / "theirs.tar", *((name, name.encode()) for name in names))

    assert (tmp_path / "ours.tar").read_bytes() == theirs.read_bytes()


@pytest.mark.parametrize("kind", [tarfile.USTAR_FORMAT, tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_every_format_of_tarfile_is_read(tmp_path: Path, kind: int) -> None:
    long = "d" * 60 + "/" + "f" * 60 if kind == tarfile.USTAR_FORMAT else "ä/" * 200 + "f" * 120
    files = [("000.jpg", b"1" * 511), ("000.txt", b"2" * 513), (f"{long}.txt", b"3")]
    path = archive(tmp_path / "a.tar", header("folder", tarfile.DIRTYPE), *files, kind=kind)

    assert read(path) == ([("000", {"jpg": b"1" * 511, "txt": b"2" * 513}), (long, {"txt": b"3"})], [])
    assert [(member.name, data) for member, data in read_members(path)] == files


def test_the_index_finds_every_member_at_random(tmp_path: Path) -> None:
    files = [(f"{i:03}.txt", bytes([i]) * i * 100) for i in range(20)]
    path = archive(tmp_path / "a.tar", *files)
    with tarfile.open(path) as tar:
        theirs = [(info.name, info.offset_data, info.size) for info in tar]

    members = index_tar(path)

    assert [(member.name, member.offset, member.size) for member in members] == theirs
    with open(path, "rb") as file:
        assert [read_member(file, members[i]) for i in (7, 0, 19)] == [files[i][1] for i in (7, 0, 19)]
        file.seek(members[7].start)  # from a header to the next is a copy of the member as it stands
        copy = file.read(members[8].start - members[7].start)
    (tmp_path / "b.tar").write_bytes(copy + bytes(1024))
    assert read(tmp_path / "b.tar") == ([("007", {"txt": files[7][1]})], [])
    assert [sample.key for sample in index_samples(path)] == [f"{i:03}" for i in range(20)]


@given(st.text("ab./_A", min_size=1, max_size=12))
def test_names_are_split_as_webdataset_splits_them(name: str) -> None:
    theirs = re.match(WEBDATASET_NAME, name)
    if theirs and theirs[2] and not theirs[1].endswith("/"):
        assert split_name(name) == (theirs[1], theirs[2].lower())
    else:  # webdataset makes a sample of a hidden file in a folder; that is never meant
        assert split_name(name) is None


def test_extensions_are_lower_case_and_keep_their_dots(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", ("x.y/Key.JPG", b"1"), ("x.y/Key.Syn.json", b"2"))

    (sample,) = read_samples(path)

    assert (sample.key, sample.members) == ("x.y/Key", {"jpg": b"1", "syn.json": b"2"})
    assert sample.where == f"{path}, sample x.y/Key"
    assert [entry.name for entry in sample.entries.values()] == ["x.y/Key.JPG", "x.y/Key.Syn.json"]


@pytest.mark.parametrize(
    ("member", "said"),
    [
        (header("a.txt", tarfile.SYMTYPE, "/etc/passwd"), "member 'a.txt': is a symbolic link"),
        (header("a.txt", tarfile.LNKTYPE, "k.txt"), "member 'a.txt': is a hard link"),
        (header("a.txt", tarfile.CHRTYPE), "member 'a.txt': is a device"),
        (header("a.txt", tarfile.FIFOTYPE), "member 'a.txt': is a pipe"),
        (("/etc/a.txt", b"1"), "member '/etc/a.txt': has an absolute name"),
        (("C:\\a.txt", b"1"), "member 'C:\\\\a.txt': has an absolute name"),
        (("x/../../a.txt", b"1"), "member 'x/../../a.txt': has a name that leaves the archive"),
        (("README", b"1"), "member 'README': has no extension, so it belongs to no sample"),
        ((".hidden.txt", b"1"), "member '.hidden.txt': has no extension, so it belongs to no sample"),
        (("big.txt", bytes(2000)), "member 'big.txt': has 2,000 bytes, the limit is 1,000"),
        (("k.TXT", b"1"), "member 'k.TXT': extension 'txt' is there twice in sample 'k'"),
    ],
)
def test_what_is_left_out_is_named(
    tmp_path: Path, member: tuple[str, bytes] | tarfile.TarInfo, said: str
) -> None:
    path = archive(tmp_path / "a.tar", ("k.txt", b"good"), member, ("z.txt", b"good"))

    assert read(path, max_member_bytes=1000) == ([("k", {"txt": b"good"}), ("z", {"txt": b"good"})], [said])
    with pytest.raises(InputError, match=re.escape(f"{path}, {said}; mend or remove it")):
        list(read_samples(path, max_member_bytes=1000))


def test_a_key_that_comes_again_is_named_and_does_not_give_a_second_sample(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", ("a.txt", b"1"), ("b.txt", b"2"), ("a.txt", b"3"), ("a.jpg", b"4"))

    samples, said = read(path)

    assert samples == [("a", {"txt": b"1"}), ("b", {"txt": b"2"})]
    assert said == [
        "member 'a.txt': key 'a' was in use by an earlier sample",
        "member 'a.jpg': key 'a' was in use by an earlier sample",
    ]


def test_an_archive_that_is_cut_anywhere_gives_its_whole_samples_and_says_where_it_ends(
    tmp_path: Path,
) -> None:
    files = [(f"{i}.{ending}", bytes([65 + i]) * 300) for i in range(4) for ending in ("jpg", "txt")]
    data = archive(tmp_path / "a.tar", *files).read_bytes()
    whole = [(str(i), {"jpg": bytes([65 + i]) * 300, "txt": bytes([65 + i]) * 300}) for i in range(4)]
    for length in range(600, 8 * 1024 + 1, 100):
        (tmp_path / "b.tar").write_bytes(data[:length])
        samples, said = read(tmp_path / "b.tar")
        # a sample is known to be whole by the first header of the next one, of 2,048 bytes each
        assert samples == whole[: max(0, length - 512) // 2048], length
        assert said, length


def test_a_header_that_is_damaged_in_the_middle_is_no_silent_end(tmp_path: Path) -> None:
    path = archive(tmp_path / "a.tar", *((f"{i}.txt", b"1") for i in range(5)))
    data = bytearray(path.read_bytes())
    data[2 * 1024 + 3] ^= 1
    path.write_bytes(data)

    samples, said = read(path)

    assert [key for key, _ in samples] == ["0"]
    assert said == [
        "byte 2,048: the header is corrupt, and what follows cannot be read",
        "sample '1': may not be whole, for the archive ends in it",
    ]
    with tarfile.open(path) as tar:  # the peer says nothing
        assert tar.getnames() == ["0.txt", "1.txt"]


def test_archives_that_were_joined_are_noticed(tmp_path: Path) -> None:
    data = archive(tmp_path / "a.tar", ("0.txt", b"1")).read_bytes()
    (tmp_path / "b.tar").write_bytes(data + data)

    samples, said = read(tmp_path / "b.tar")

    assert samples == [("0", {"txt": b"1"})]
    assert said == ["byte 1,024: more data follow the end mark; archives that were joined are not read"]


@pytest.mark.parametrize("size", [b"77777777777", b"\x80" + b"\x7f" * 11, b"\xff" * 12])
def test_a_size_beyond_the_file_takes_no_memory(tmp_path: Path, size: bytes) -> None:
    path = archive(tmp_path / "a.tar", ("0.txt", b"1"))
    data = bytearray(path.read_bytes())
    data[124:136] = size.ljust(12, b"\0")
    data[148:156] = b" " * 8
    data[148:156] = b"%06o\0 " % sum(data[:512])
    path.write_bytes(data)

    samples, said = read(path)

    assert samples == []
    assert len(said) >= 1


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "is no tar file"),
        (b"PK\x03\x04" + bytes(600), "is no tar file"),
        (b"\x1f\x8b" + bytes(600), "is a compressed file; unpack it first"),
    ],
)
def test_what_is_no_tar_file_is_refused_in_a_line(tmp_path: Path, data: bytes, said: str) -> None:
    (tmp_path / "a.tar").write_bytes(data)

    with pytest.raises(InputError, match=re.escape(f"{tmp_path}/a.tar: {said}")):
        list(read_samples(tmp_path / "a.tar", on_bad=print))
    with pytest.raises(InputError, match="no such file"):
        index_tar(tmp_path / "absent.tar")


@given(st.data())
def test_damaged_bytes_raise_nothing_but_input_errors(data: st.DataObject) -> None:
    with tarfile.open(fileobj=(stream := io.BytesIO()), mode="w", format=tarfile.PAX_FORMAT) as tar:
        for name in ("a.txt", "ü" * 120 + ".txt"):
            info = tarfile.TarInfo(name)
            info.size = 5
            tar.addfile(info, io.BytesIO(b"12345"))
    content = bytearray(stream.getvalue())
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(0, 4095))] = data.draw(st.integers(0, 255))
    with tempfile.TemporaryDirectory() as folder, contextlib.suppress(InputError):
        path = Path(folder, "a.tar")
        path.write_bytes(content)
        read(path)


@pytest.mark.parametrize(
    ("key", "members"),
    [
        ("a.b", {"txt": b""}),
        ("", {"txt": b""}),
        ("a", {}),
        ("a", {"TXT": b""}),
        ("a", {"": b""}),
        ("a", {"x/y": b""}),
    ],
)
def test_a_sample_that_would_be_read_otherwise_is_not_written(
    tmp_path: Path, key: str, members: dict[str, bytes]
) -> None:
    with pytest.raises(ValueError, match=r"sample|member"), TarWriter(tmp_path / "a.tar") as shard:
        shard.write(key, members)

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["/a.txt", "../a.txt", "", "a\0.txt"])
def test_no_name_is_written_that_a_reader_must_refuse(tmp_path: Path, name: str) -> None:
    with pytest.raises(ValueError, match="name"), TarWriter(tmp_path / "a.tar") as shard:
        shard.write_member(name, b"")

    assert list(tmp_path.iterdir()) == []


def test_braces_count_as_in_a_shell(tmp_path: Path) -> None:
    for name in ("a-08.tar", "a-09.tar", "a-10.tar", "b-9.tar", "b-10.tar"):
        (tmp_path / name).touch()

    def names(pattern: str) -> list[str]:
        return [path.name for path in expand_shards(f"{tmp_path}/{pattern}")]

    assert names("a-{08..10}.tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert names("b-{9..10}.tar") == ["b-9.tar", "b-10.tar"]
    assert names("{b,a}-10.tar") == ["b-10.tar", "a-10.tar"]
    assert names("a-{0,1}[0-9].tar") == ["a-08.tar", "a-09.tar", "a-10.tar"]
    assert [path.name for path in expand_shards([tmp_path / "b-9.tar", tmp_path])] == [
        "b-9.tar",
        *sorted(path.name for path in tmp_path.iterdir()),
    ]


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("a-{0..2}.tar", "2 of 3 files are missing, the first is {}/a-1.tar"),
        ("a-{2..0}.tar", "counts down"),
        ("a-{x}.tar", "neither a range"),
        ("a-{0..99999999999}.tar", "names more than 1,000,000 files"),
        ("b-*.tar", "matches no file"),
    ],
)
def test_a_pattern_that_names_no_shards_says_why(tmp_path: Path, pattern: str, said: str) -> None:
    (tmp_path / "a-0.tar").touch()

    with pytest.raises(InputError, match=re.escape(said.format(tmp_path))):
        expand_shards(f"{tmp_path}/{pattern}")
