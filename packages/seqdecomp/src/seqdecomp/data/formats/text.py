"""Plain text: one document a file, a line, or a block between blank lines."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from toolkit_shared.errors import InputError

from seqdecomp.data.formats.units import Input, OnBad, Unit, byte_ranges
from seqdecomp.settings import TextUnit


def plan_text(inputs: Sequence[Input], text_unit: TextUnit, unit_bytes: int) -> list[Unit]:
    """Units of about `unit_bytes`: groups of small files, and ranges of large ones where they can be cut."""
    units: list[Unit] = []
    group: list[Input] = []
    group_bytes = 0
    for item in inputs:
        size = Path(item.path).stat().st_size
        if group and (group_bytes + size > unit_bytes or group[0].source != item.source):
            units.append(_whole(group))
            group, group_bytes = [], 0
        if size > unit_bytes and text_unit != "file":
            units += [
                Unit(
                    format="text", paths=(item.path,), names=(item.name,), source=item.source, start=a, end=b
                )
                for a, b in byte_ranges(size, unit_bytes)
            ]
        else:
            group.append(item)
            group_bytes += size
    return [*units, _whole(group)] if group else units


def read_text(unit: Unit, text_unit: TextUnit, on_bad: OnBad) -> Iterator[str]:
    """The documents of a unit in order; what is not UTF-8 goes to `on_bad` with its place.

    Raises:
        InputError: a file cannot be read.
    """
    for path, name in zip(unit.paths, unit.names, strict=True):
        try:
            with open(path, "rb") as stream:
                if text_unit == "file":
                    yield from _decoded(stream.read(), name, on_bad)
                elif text_unit == "line":
                    yield from _lines(stream, unit, name, on_bad)
                else:
                    yield from _blocks(stream, unit, name, on_bad)
        except OSError as error:
            raise InputError(f"{name}: cannot be read ({error.strerror}); check the file") from None


def _whole(group: Sequence[Input]) -> Unit:
    return Unit(
        format="text",
        paths=tuple(item.path for item in group),
        names=tuple(item.name for item in group),
        source=group[0].source,
    )


def _lines(stream: BinaryIO, unit: Unit, name: str, on_bad: OnBad) -> Iterator[str]:
    """Lines that begin in [start, end); blank lines are no documents."""
    place = _seek_to_line(stream, unit.start)
    while unit.end is None or place < unit.end:
        line = stream.readline()
        if not line:
            return
        if line.strip():
            yield from _decoded(line.rstrip(b"\r\n"), f"{name}, byte {place}", on_bad)
        place += len(line)


def _blocks(stream: BinaryIO, unit: Unit, name: str, on_bad: OnBad) -> Iterator[str]:
    """Blocks of lines between blank lines.

    A block belongs to the range in which the blank line before it begins, so that any cut into ranges gives
    the same blocks.
    """
    place = _seek_to_line(stream, unit.start)
    open_block = unit.start == 0
    block: list[bytes] = []
    block_place = place
    while line := stream.readline():
        if line.strip():
            if open_block:
                block_place = block_place if block else place
                block.append(line)
        else:
            if block:
                yield from _decoded(b"".join(block).rstrip(b"\r\n"), f"{name}, byte {block_place}", on_bad)
                block = []
            open_block = True
            if unit.end is not None and place >= unit.end:
                return
        place += len(line)
        if not open_block and unit.end is not None and place >= unit.end:
            return  # no blank line began in this range
    if block:
        yield from _decoded(b"".join(block).rstrip(b"\r\n"), f"{name}, byte {block_place}", on_bad)


def _seek_to_line(stream: BinaryIO, start: int) -> int:
    """Go to the first line that begins at or after `start`; its byte offset."""
    if start == 0:
        return 0
    stream.seek(start - 1)
    return start - 1 + len(stream.readline())


def _decoded(data: bytes, place: str, on_bad: OnBad) -> Iterator[str]:
    try:
        yield data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        on_bad(place, f"not UTF-8 at byte {error.start}")
