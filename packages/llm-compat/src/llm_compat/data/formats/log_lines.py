"""The lines of a log with the bytes at which they begin, plain or packed, whole or a range of bytes."""

import zlib
from collections.abc import Iterator
from pathlib import Path

from toolkit_shared.errors import InputError
from toolkit_shared.records import open_records, skip_line

MAX_LINE_BYTES = 1 << 28

_SKIPPED_AT_ONCE = 1 << 20
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"


def lines_of(path: Path, start: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """The lines that begin in a range of bytes, with their ends, each with its first byte.

    A byte order mark is left out; the first line then begins at byte 3.

    Args:
        path: The log; unpacked by its suffix, and then its bytes are the unpacked ones.
        start: First byte of the range.
        end: Its end, that byte not included; None: the end of the file.

    Raises:
        InputError: The file cannot be read, packed data is corrupt, or a line is too long.
    """
    # One line at a time: its memory is used for the next one while it is still in the processor's cache,
    # which is half as fast again as cutting larger blocks into lines.
    with open_records(path) as stream:
        offset = start
        try:
            if start > 0:
                # the line that holds the byte before the range belongs to an earlier range
                stream.seek(start - 1)
                offset += skip_line(stream) - 1
            while (end is None or offset < end) and (line := stream.readline(MAX_LINE_BYTES + 1)):
                size = len(line)
                if size > MAX_LINE_BYTES:
                    reason = f"the line has more than {MAX_LINE_BYTES:,} bytes; mend or remove it"
                    raise InputError(f"{path}, line {line_number(path, offset)}: {reason}")
                if offset == 0 and line.startswith(_BYTE_ORDER_MARK):
                    yield len(_BYTE_ORDER_MARK), line[len(_BYTE_ORDER_MARK) :]
                else:
                    yield offset, line
                offset += size
        except EOFError:
            raise InputError(f"{path}: the compressed data ends early; copy the file again") from None
        except (OSError, zlib.error) as error:
            raise InputError(f"{path}: cannot be read: {error}; copy the file again") from None


def line_number(path: Path, offset: int) -> int:
    """The number, from 1, of the line that begins at a byte."""
    number, left = 1, offset
    with open_records(path) as stream:
        while left > 0 and (piece := stream.read(min(left, _SKIPPED_AT_ONCE))):
            number += piece.count(b"\n")
            left -= len(piece)
    return number
