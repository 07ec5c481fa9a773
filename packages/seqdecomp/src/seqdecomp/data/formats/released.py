"""The layout that the paper's code writes: D_i/shard-NNNNNNN.tar with one text member a sequence.

A member NNNNNNNNNNNN.txt is the literal of a list of ids in which the text '<|endoftext|>' stands for EOS;
D_i/manifest.jsonl names each shard and its number of sequences. The literal is parsed here by its few allowed
characters, never evaluated.
"""

import io
import json
import tarfile
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

import numpy as np
import numpy.typing as npt
from toolkit_shared.errors import InputError
from toolkit_shared.records import read_jsonl

from seqdecomp.data.formats.units import OnBad, Unit

EOS_LITERAL = "<|endoftext|>"
# The longest sequence of the layout is far below this; a larger member is an attack or a mistake.
MAX_MEMBER_BYTES = 16 << 20


def read_released(unit: Unit, eos_id: int, on_bad: OnBad) -> Iterator[npt.NDArray[np.int64]]:
    """The sequences of one shard in order, each a document, int64 [tokens]; broken members go to `on_bad`.

    Raises:
        InputError: the file is no tar, or a member has a dangerous name, is a link or other special file, or
            is larger than 16 MiB.
    """
    name = unit.names[0]
    count = 0
    try:
        with tarfile.open(unit.paths[0], "r:") as archive:
            for member in archive:
                count += 1
                _refuse_hostile(member, name)
                place = f"{name}: member '{member.name}'"
                if not member.name.endswith(".txt"):
                    on_bad(place, "is not a .txt")
                    continue
                stream = archive.extractfile(member)
                assert stream is not None
                ids = parse_literal(stream.read(MAX_MEMBER_BYTES + 1), eos_id)
                if ids is None:
                    on_bad(place, f"is not a list of ids and '{EOS_LITERAL}'")
                else:
                    yield ids
    except tarfile.ReadError as error:
        message = " ".join(str(error).split())
        if "end of data" in message or "truncated" in message:
            on_bad(name, f"the archive is cut off ({message})")
            return
        raise InputError(f"{name}: not an uncompressed tar ({message}); check the file") from None
    told = told_sequences(Path(unit.paths[0]))
    if told not in (None, count):
        on_bad(name, f"holds {count} members, but manifest.jsonl beside it tells {told}")


def told_sequences(shard: Path) -> int | None:
    """How many sequences the manifest.jsonl beside a shard tells for it; None where there is none."""
    manifest = shard.with_name("manifest.jsonl")
    if not manifest.is_file():
        return None
    for _, record in read_jsonl(manifest, on_bad=lambda bad: None):
        if record.get("shard") == shard.stem and isinstance(record.get("num_sequences"), int):
            return int(record["num_sequences"])
    return None


def parse_literal(data: bytes, eos_id: int) -> npt.NDArray[np.int64] | None:
    """Ids int64 [tokens] of one member; None where it holds anything but whole numbers and EOS."""
    text = data.strip()
    for quote in (b"'", b'"'):
        text = text.replace(quote + EOS_LITERAL.encode() + quote, str(eos_id).encode())
    if text[:1] != b"[" or text[-1:] != b"]" or text[1:-1].translate(None, b"0123456789, \n\r"):
        return None
    try:
        return np.array(json.loads(text), dtype=np.int64)
    except (ValueError, OverflowError):
        return None


def write_literal(ids: Sequence[int], eos_id: int | None) -> bytes:
    """The member of one sequence: a list literal with the text for EOS."""
    items = [EOS_LITERAL if token == eos_id else token for token in ids]
    return repr(items).encode()


def shard_sequences(length: int) -> int:
    """Sequences of a full shard of the bucket: 2^20 tokens, 65,536 sequences at most."""
    return min((1 << 20) // length, 65_536) if length <= 1 << 20 else 1


def write_shard(
    path: Path, sequences: Iterator[npt.NDArray[np.integer]], first: int, eos_id: int | None
) -> int:
    """Write one shard with keys from `first` on, its bytes fixed by its contents; the number of sequences."""
    count = 0
    with tarfile.open(path, "w", format=tarfile.USTAR_FORMAT) as archive:
        for sequence in sequences:
            data = write_literal(sequence.tolist(), eos_id)
            member = tarfile.TarInfo(f"{first + count:012d}.txt")
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            count += 1
    return count


def _refuse_hostile(member: tarfile.TarInfo, name: str) -> None:
    path = PurePosixPath(member.name.replace("\\", "/"))
    shown = repr(member.name)[:100]
    if path.is_absolute() or ".." in path.parts:
        raise InputError(f"{name}: member {shown} points outside the archive; do not use this file")
    if not member.isreg() or member.issparse():
        raise InputError(f"{name}: member {shown} is a link, folder or special file; write the shard again")
    if member.size > MAX_MEMBER_BYTES:
        raise InputError(
            f"{name}: member {shown} has {member.size} bytes, above {MAX_MEMBER_BYTES}; check the file"
        )
