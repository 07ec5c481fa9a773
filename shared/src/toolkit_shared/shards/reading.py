"""Members and samples of a tar file, with limits, and a word for everything that is passed over."""

import re
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from toolkit_shared.errors import InputError
from toolkit_shared.records import BadRecord

MAX_MEMBER_BYTES = 1 << 30
MAX_NAME_BYTES = 1 << 20  # of the records that carry long names
_BLOCK = tarfile.BLOCKSIZE
_ZEROS = bytes(_BLOCK)
_FILES = (b"0", b"\0", b"7")
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")  # whatever size their headers state
_REFUSED = {
    b"1": "is a hard link",
    b"2": "is a symbolic link",
    b"3": "is a device",
    b"4": "is a device",
    b"6": "is a pipe",
    b"S": "is a sparse file",
}
# The rule of webdataset: the key ends at the first dot of the base name.
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)

OnBad = Callable[[BadRecord], None]


@dataclass(frozen=True, slots=True)
class Member:
    """A file in an archive.

    Attributes:
        name: as the archive has it.
        start: first byte of its headers.
        offset: first byte of its data.
        size: bytes of its data.
    """

    name: str
    start: int
    offset: int
    size: int


@dataclass(frozen=True, slots=True)
class IndexedSample:
    """A sample without its bytes; `entries` are its members by extension, in the order of the archive."""

    key: str
    entries: dict[str, Member]


@dataclass(frozen=True, slots=True)
class Sample:
    """A sample with its bytes.

    Attributes:
        key: the part of its members' names before the first dot of the base name; folders belong to it.
        members: bytes by extension (lower case, without the first dot), in the order of the archive.
        where: shard and key, for messages.
        entries: names and places of the members, by extension.
    """

    key: str
    members: dict[str, bytes]
    where: str
    entries: dict[str, Member] = field(default_factory=dict)


def read_samples(
    path: str | Path, *, on_bad: OnBad | None = None, max_member_bytes: int = MAX_MEMBER_BYTES
) -> Iterator[Sample]:
    """The samples of a shard in order.

    Folders are passed over. Told to `on_bad`, and left out: links, devices, names that are absolute or leave
    the archive, members that are too large or have no extension, an extension or a key that comes again, and
    the sample in which an archive breaks off. Where a header is corrupt nothing after it can be found, and
    that is told too.

    Args:
        path: a tar file that is not compressed.
        on_bad: told of everything that is left out; without it the first one raises.
        max_member_bytes: larger members are left out, and never held in memory.

    Raises:
        InputError: no such file, no tar file, or something bad without `on_bad`.
    """
    path = Path(path)
    with _open(path) as file:
        for sample in _group(_Scan(file, path, on_bad or _refuse, max_member_bytes)):
            yield _with_bytes(file, path, sample)


def index_samples(
    path: str | Path, *, on_bad: OnBad | None = None, max_member_bytes: int = MAX_MEMBER_BYTES
) -> list[IndexedSample]:
    """The samples of a shard, without their bytes; arguments and errors as in `read_samples`."""
    path = Path(path)
    with _open(path) as file:
        return list(_group(_Scan(file, path, on_bad or _refuse, max_member_bytes)))


def index_tar(
    path: str | Path, *, on_bad: OnBad | None = None, max_member_bytes: int = MAX_MEMBER_BYTES
) -> list[Member]:
    """Name and place of every file in an archive, for random access; arguments as in `read_samples`."""
    path = Path(path)
    with _open(path) as file:
        return list(_Scan(file, path, on_bad or _refuse, max_member_bytes))


def read_members(
    path: str | Path, *, on_bad: OnBad | None = None, max_member_bytes: int = MAX_MEMBER_BYTES
) -> Iterator[tuple[Member, bytes]]:
    """Every file in an archive with its bytes; arguments and errors as in `read_samples`."""
    path = Path(path)
    with _open(path) as file:
        for member in _Scan(file, path, on_bad or _refuse, max_member_bytes):
            yield member, read_member(file, member)


def read_member(file: BinaryIO, member: Member) -> bytes:
    """The bytes of a member of an open archive; fewer when the archive was cut after it was indexed."""
    file.seek(member.offset)
    return file.read(member.size)


def split_name(name: str) -> tuple[str, str] | None:
    """Key and extension of a member, or None for a name that belongs to no sample.

    The extension is in lower case. A hidden file (`.DS_Store`) belongs to no sample.
    """
    found = _NAME.fullmatch(name)
    if found is None or not found[2] or found[1].endswith("/"):
        return None
    return found[1], found[2].lower()


def unsafe_name(name: str) -> str:
    """Why a member's name is refused, or ""."""
    if not name or "\0" in name:
        return "has no usable name"
    if name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:[\\/]", name):
        return "has an absolute name"
    if ".." in re.split(r"[\\/]", name):
        return "has a name that leaves the archive"
    return ""


class _Scan:
    """The files of an archive in order.

    Attributes:
        broken: whether the archive breaks off, by now.
        cut: the name of the member whose data it breaks off in, or "".
    """

    def __init__(self, file: BinaryIO, path: Path, on_bad: OnBad, max_member_bytes: int) -> None:
        self.file, self.path, self.on_bad, self.max_member_bytes = file, path, on_bad, max_member_bytes
        self.end = file.seek(0, 2)
        self.broken, self.cut = False, ""

    def bad(self, place: str, reason: str) -> None:
        self.on_bad(BadRecord(self.path, place, reason))

    def __iter__(self) -> Iterator[Member]:
        self.broken = True  # until the end mark is found
        start = offset = 0
        extended: dict[str, str] = {}
        while True:
            self.file.seek(offset)
            block = self.file.read(_BLOCK)
            if block == _ZEROS:
                self.broken = False
                self._check_rest(offset)
                return
            problem = self._problem(block)
            size = _number(block[124:136]) if not problem else 0
            kind = block[156:157]
            if kind in _FILES and not problem:
                size = int(extended.get("size", size))
            elif kind in _WITHOUT_DATA:
                size = 0
            if problem or size < 0:
                self.bad(
                    f"byte {offset:,}", problem or "the header is corrupt, and what follows cannot be read"
                )
                return
            data, offset = offset + _BLOCK, offset + _BLOCK + -(-size // _BLOCK) * _BLOCK
            if kind in (b"x", b"g", b"L", b"K"):
                if size > MAX_NAME_BYTES or data + size > self.end:
                    self.bad(f"byte {start:,}", "a header is cut off, or longer than any name can be")
                    return
                extended |= _extended(kind, self.file.read(size))
                continue
            name = extended.get("path") or _name(block)
            member = Member(name, start, data, size)
            reason = self._reason(member, kind, extended)
            if data + size > self.end and not reason.startswith("is a"):
                self.cut = name
                self.bad(_place(name), f"is cut off: {self.end - data:,} of its {size:,} bytes are there")
                return
            if reason:
                self.bad(_place(name), reason)
            elif kind in _FILES and not name.endswith("/"):
                yield member
            start, extended = offset, {}

    def _problem(self, block: bytes) -> str:
        """What is wrong with a header, or ""."""
        if not block:
            return "the archive has no end mark, so it may be cut off"
        if len(block) < _BLOCK:
            return "the archive is cut off in a header"
        if _number(block[148:156]) != sum(block) - sum(block[148:156]) + 8 * ord(" "):
            return "the header is corrupt, and what follows cannot be read"
        return ""

    def _reason(self, member: Member, kind: bytes, extended: dict[str, str]) -> str:
        """Why a member is left out, or ""."""
        if any(name.startswith("GNU.sparse") for name in extended):
            return _REFUSED[b"S"]
        if kind not in _FILES and kind != b"5":
            return _REFUSED.get(kind, f"has the unknown type {kind!r}")
        if reason := unsafe_name(member.name):
            return reason
        if not _is_text(member.name):
            return "has a name that is not UTF-8"
        if member.size > self.max_member_bytes:
            return f"has {member.size:,} bytes, the limit is {self.max_member_bytes:,}"
        return ""

    def _check_rest(self, offset: int) -> None:
        """Behind the end mark there are zeros only, unless archives were joined."""
        self.file.seek(offset)
        while part := self.file.read(1 << 20):
            if part.strip(b"\0"):
                self.bad(
                    f"byte {offset:,}",
                    "more data follow the end mark; archives that were joined are not read",
                )
                return


def _group(scan: _Scan) -> Iterator[IndexedSample]:
    key, entries = "", dict[str, Member]()
    seen: set[str] = set()
    for member in scan:
        found = split_name(member.name)
        if found is None:
            scan.bad(_place(member.name), "has no extension, so it belongs to no sample")
            continue
        if found[0] != key:
            if entries:
                yield IndexedSample(key, entries)
            key, entries = found[0], {}
            again = key in seen
            seen.add(key)
        if again:
            scan.bad(_place(member.name), f"key {key!r} was in use by an earlier sample")
        elif found[1] in entries:
            scan.bad(_place(member.name), f"extension {found[1]!r} is there twice in sample {key!r}")
        else:
            entries[found[1]] = member
    # A header with another key shows that the sample before it is whole; nothing else does.
    if entries and scan.broken and (split_name(scan.cut) or (key,))[0] == key:
        scan.bad(f"sample {key!r}", "may not be whole, for the archive ends in it")
    elif entries:
        yield IndexedSample(key, entries)


def _with_bytes(file: BinaryIO, path: Path, sample: IndexedSample) -> Sample:
    members = {extension: read_member(file, member) for extension, member in sample.entries.items()}
    return Sample(sample.key, members, f"{path}, sample {sample.key}", sample.entries)


def _open(path: Path) -> BinaryIO:
    try:
        file = open(path, "rb", buffering=1 << 16)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; check the path") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}") from None
    first = file.read(_BLOCK)
    packed = first.startswith((b"\x1f\x8b", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"))
    if packed or not first or (len(first) == _BLOCK and first[257:262] != b"ustar" and first != _ZEROS):
        file.close()
        what = "is a compressed file; unpack it first" if packed else "is no tar file; check the path"
        raise InputError(f"{path}: {what}")
    return file


def _number(text: bytes) -> int:
    """The value of a number field; -1 when it is none."""
    if text[:1] == b"\x80":  # GNU: binary, for sizes from 8 GiB on
        return int.from_bytes(text[1:], "big")
    text = text.split(b"\0", 1)[0].strip()
    try:
        return int(text, 8) if text else 0
    except ValueError:
        return -1


def _name(block: bytes) -> str:
    name = block[:100].split(b"\0", 1)[0]
    prefix = block[345:500].split(b"\0", 1)[0]
    if prefix and block[257:263] == b"ustar\0":  # GNU keeps other things there
        name = prefix + b"/" + name
    return name.decode("utf-8", "surrogateescape")


def _extended(kind: bytes, data: bytes) -> dict[str, str]:
    """What a header before the header says: `path` and `size` count, and signs of a sparse file."""
    if kind == b"L":
        return {"path": data.split(b"\0", 1)[0].decode("utf-8", "surrogateescape")}
    values: dict[str, str] = {}
    while kind == b"x" and data:
        length, _, _ = data.partition(b" ")
        if not length.isdigit() or not 0 < int(length) <= len(data):
            break
        keyword, _, value = data[len(length) + 1 : int(length) - 1].partition(b"=")
        data = data[int(length) :]
        name = keyword.decode("utf-8", "replace")
        if name == "size" and not value.isdigit():
            value = b"-1"
        if name in ("path", "size") or name.startswith("GNU.sparse"):
            values[name] = value.decode("utf-8", "surrogateescape")
    return values


def _place(name: str) -> str:
    shown = name.encode("utf-8", "backslashreplace").decode()
    return f"member {shown[:200]!r}"


def _is_text(name: str) -> bool:
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _refuse(bad: BadRecord) -> None:
    raise InputError(f"{bad}; mend or remove it")
