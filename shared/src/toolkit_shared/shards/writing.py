"""Tar files whose bytes depend on their samples alone."""

import tarfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO

from toolkit_shared.artifacts import atomic_path
from toolkit_shared.shards.reading import split_name, unsafe_name

_BLOCK = tarfile.BLOCKSIZE


class TarWriter:
    """A shard that is written sample by sample, and is whole or absent afterwards.

    Equal samples in equal order give equal bytes: times and owners are zero, and members keep the order in
    which they are given. To be used in a `with` block; when that raises, no file is left.

    Attributes:
        path: the file.
        num_samples: how many are written.
        num_bytes: how many bytes are written, headers included.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        self.num_samples = self.num_bytes = 0
        self._stack = ExitStack()
        self._file: BinaryIO | None = None

    def __enter__(self) -> "TarWriter":
        temporary = self._stack.enter_context(atomic_path(self.path))
        self._file = self._stack.enter_context(open(temporary, "wb", buffering=1 << 20))
        return self

    def write(self, key: str, members: Mapping[str, bytes]) -> None:
        """Add a sample, with its members in their order.

        Args:
            key: may hold folders (`a/0001`); its base name has no dot, for the key ends there.
            members: bytes by extension, as in `{"jpg": ..., "json": ...}`.

        Raises:
            ValueError: a reader would not find the same key and extensions.
        """
        if not members:
            raise ValueError(f"sample {key!r} has no member")
        for extension, data in members.items():
            name = f"{key}.{extension}"
            if split_name(name) != (key, extension):
                raise ValueError(f"member {name!r} would not be read as extension {extension!r} of {key!r}")
            self.write_member(name, data)
        self.num_samples += 1

    def write_member(self, name: str, data: bytes) -> None:
        """Add one file by its full name; for copies that keep the names of another archive.

        Raises:
            ValueError: no reader should accept the name.
        """
        if self._file is None:
            raise ValueError(f"{self.path} is not open; use the writer in a 'with' block")
        if reason := unsafe_name(name):
            raise ValueError(f"member {name!r}: {reason}")
        info = tarfile.TarInfo(name)
        info.size = len(data)
        self._put(info.tobuf(format=tarfile.PAX_FORMAT, encoding="utf-8", errors="strict"))
        self._put(data)
        self._put(bytes(-len(data) % _BLOCK))

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        with self._stack:  # it unwinds whatever goes wrong here, the writing of the end mark included
            if error is not None:
                raise error
            self._put(bytes(2 * _BLOCK))  # the end mark
            self._put(bytes(-self.num_bytes % tarfile.RECORDSIZE))
        self._file = None

    def _put(self, data: bytes) -> None:
        assert self._file is not None
        self._file.write(data)
        self.num_bytes += len(data)
